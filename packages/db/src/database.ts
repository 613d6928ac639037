/**
 * A volume that is open for writing: a small database over all of its btrees. What a newcomer needs is here; how a transaction is
 * committed stands in `transaction/committer.ts`, how it reaches the disk in `journal/journal.ts` and `btree/tree-writer.ts`, how a volume
 * comes back after a crash in `recovery/`. Format chapters 2 to 4.
 *
 *     const db = openDatabase(devices, options)
 *     db.write((tx) => tx.put(btree, key))
 *     db.flush()
 *     db.close()
 *
 * Everything is synchronous, and there is one thread. A transaction is a function that runs to its end; if it throws, or something that
 * it asks for may not be, it leaves no trace. When a device fails so that the volume can't go on, it becomes read only: `write` throws
 * EROFS from then on, and what was promised is on the devices.
 */

import { DeviceError, isWritable, type WritableBlockDevice } from '@cowherd/shim'
import { BtreeId } from './btree-ids.ts'
import type { KeyTakeover } from './btree/btree.ts'
import type { Cursor } from './btree/cursor.ts'
import { NodeEditor } from './btree/node-editor.ts'
import { PositionList } from './btree/position-list.ts'
import { TreeWriter } from './btree/tree-writer.ts'
import { DataType } from './data-types.ts'
import { VolumeError } from './errors.ts'
import { IntegritySeal } from './integrity-seal.ts'
import { Journal } from './journal/journal.ts'
import { seqsGivenUp, startAfterCrash, startAfterShutdown, type JournalStart } from './journal/journal-start.ts'
import { databasePasses } from './recovery/database-passes.ts'
import { passesToRun, type PassTable } from './recovery/passes.ts'
import { Allocator } from './space/allocator.ts'
import { SpaceTriggers } from './space/bucket-trigger.ts'
import { Capacity } from './space/capacity.ts'
import { Discards, type DiscardProgress } from './space/discards.ts'
import { initFreespace } from './space/freespace-init.ts'
import { PointerTrigger } from './space/pointer-trigger.ts'
import { reservedBuckets } from './space/reserved-buckets.ts'
import { Watermark } from './space/reserves.ts'
import { Usage } from './space/usage.ts'
import { assemble, hasFeature, LiveSuperblock, readSuperblock, type Assembly } from './superblock/index.ts'
import { targetDevices } from './superblock/targets.ts'
import { Committer } from './transaction/committer.ts'
import { Transaction } from './transaction/transaction.ts'
import type { KeyTrigger } from './transaction/updates.ts'
import { VolumeSpace } from './volume-space.ts'
import { journalDevices, Volume, type OpenOptions } from './volume.ts'

export interface DatabaseOptions extends Omit<OpenOptions, 'norecovery' | 'shared'> {
  /** Fills memory with bytes that nobody can guess. */
  readonly random: (bytes: Uint8Array) => void
  /** Now, in seconds since 1970; left out: the system's clock. */
  readonly nowSeconds?: () => bigint
  /** What follows from changes of keys, by btree, besides what the database itself knows. */
  readonly triggers?: ReadonlyMap<number, readonly KeyTrigger[]>
  /** Recovery passes besides the database's own, by name. */
  readonly passes?: PassTable<Database>
}

/**
 * How far a transaction has come when `write` returns: it is in memory, and lost with the process; its journal entry was handed to the
 * devices; or it is on stable storage, with all before it.
 */
export type Durability = 'memory' | 'journaled' | 'flushed'

export interface WriteOptions {
  /** Left out: memory. */
  readonly durability?: Durability
  /** The transaction frees space: it is let through on a full volume. */
  readonly frees?: boolean
}

const CACHE_BYTES = 256 << 20
/** Nodes that are changed lie in memory at several times their size, a few at once. */
const CACHE_NODES_MIN = 128
/** Part of the cache that changed nodes may take, and to which they are written out then. */
const DIRTY_MAX = 1 / 2
const DIRTY_LOW = 1 / 4
/** How often reclaim is tried before the journal is left to say that it is full. */
const RECLAIM_TRIES = 4
/** Buckets that are marked, or made free, in one transaction. */
const BUCKETS_AT_ONCE = 256
/** So many emptied buckets, and they are made free although there are others. */
const EMPTIED_MIN = 64
/** Nodes that were changed before the last period but one are written out, a few at once. */
const PERIOD_MS = 10_000
const OLD_AT_ONCE = 16
/** Of key versions after a crash, how many may have been used that nobody knows of. */
const KEY_VERSIONS_GIVEN_UP = 65536n

/**
 * Opens the volume on `devices`, given in any order, for writing; one that was not shut down cleanly is recovered first. The devices have
 * to stay the caller's alone until `close`. Throws VolumeError: EROFS or EOPNOTSUPP with the reason if the volume can only be read.
 */
export function openDatabase(devices: readonly WritableBlockDevice[], options: DatabaseOptions): Database {
  const superblocks = devices.map((device) => ({ device, superblock: readSuperblock(device, options.codecs) }))
  const assembly = assemble(superblocks, options.missing ?? 'none')
  return new Database(assembly, options, new Takeover())
}

/** The journal's keys become changes of the nodes that they belong to. */
class Takeover implements KeyTakeover {
  readonly deleted = new PositionList()
  taken: (slot: number) => void = () => {
    throw new RangeError('a node was loaded too early')
  }
}

export class Database extends Volume {
  readonly live: LiveSuperblock
  readonly usage: Usage
  readonly capacity: Capacity
  readonly allocator: Allocator
  /** Why nothing can be written any more. */
  failure: VolumeError | undefined
  private readonly journal: Journal
  private readonly editor: NodeEditor
  private readonly trees: TreeWriter
  private readonly committer: Committer
  private readonly buckets: SpaceTriggers
  private readonly discards: Discards
  private readonly tx: Transaction
  private readonly cacheBytes: number
  private readonly superblocks: Assembly['superblocks']
  private readonly failedDevices = new Set<number>()
  private readonly clocks: { read: number; written: number }
  private keyVersion: bigint
  private isInTransaction = false
  /** When everything was on stable storage. */
  private unflushedMs = 0
  /** When this period began, with which entry, and with which one the period before. */
  private periodMs = 0
  private periodSeq = 0
  private oldSeq = 0
  /** A device has failed, and the others don't know yet. */
  private isStateUnwritten = false
  private isClosed = false
  /** What was flushed when no emptied bucket could be made free. */
  private recycledSeq = -1
  private waiting: { readonly seq: number; readonly then: () => void }[] = []

  constructor(assembly: Assembly, options: DatabaseOptions, takeover: Takeover) {
    const nodeBytes = assembly.best.options.btreeNodeSize
    const cacheBytes = Math.max(options.cacheBytes ?? CACHE_BYTES, CACHE_NODES_MIN * nodeBytes)
    super(assembly, { ...options, cacheBytes, shared: false, norecovery: false }, undefined, takeover)
    const { superblock, codecs, btrees, shape, state } = this
    const { random, nowSeconds = systemSeconds, passes = {} } = options
    const required = superblock.ext?.passesRequired ?? 0n
    const toRun = passesToRun(required, databasePasses, passes)
    this.cacheBytes = cacheBytes
    this.superblocks = assembly.superblocks
    this.live = new LiveSuperblock(assembly, codecs, nowSeconds)
    this.clocks = { read: Number(state.journal.readClock), written: Number(state.journal.writeClock) }
    this.keyVersion = state.journal.keyVersion

    const devices = assembly.devices.map((device) => (device !== undefined && isWritable(device) ? device : undefined))
    const online = devices.flatMap((device, index) =>
      device === undefined ? [] : [{ index, device, isWritable: () => this.isDeviceWritable(index) }],
    )
    const seal = new IntegritySeal(codecs, this.cipher, superblock.options.metadataChecksum)
    const blockBytes = superblock.blockSectors * 512
    const sink = { nodeBytes, blockBytes, uuidWord: this.uuidWord, seal, version: superblock.version }
    const copies = superblock.options.metadataReplicas
    const start = this.findStart(assembly, blockBytes)
    const { metadataTarget, foregroundTarget } = superblock.options
    const devicesOf = (target: number): ReadonlySet<number> =>
      targetDevices(target, superblock.diskGroups, superblock.members)
    const metadataDevices = devicesOf(metadataTarget || foregroundTarget)
    this.journal = new Journal({
      ...{ start, blockBytes, seal, nowSeconds, uuidWord: this.uuidWord, version: superblock.version },
      devices: journalDevices(assembly).flatMap((each) => {
        const device = devices[each.index]
        const { durability, discard, dataAllowed } = superblock.members[each.index]
        if (device === undefined || ((dataAllowed >> DataType.journal) & 1) === 0) return []
        const isPreferred = metadataDevices.has(each.index)
        return [
          { ...each, device, durability, discard, isPreferred, isWritable: () => this.isDeviceWritable(each.index) },
        ]
      }),
      flushDevices: online,
      metadataReplicas: copies,
      metadataReplicasRequired: superblock.options.metadataReplicasRequired,
      mayNotFlush: hasFeature(superblock.features, 'journal_no_flush'),
      live: { clocks: this.clocks, roots: () => this.liveRoots(), keyVersion: () => this.keyVersion },
      ensureReplicas: (on) => this.ensureReplicas(DataType.journal, on),
      onFlushed: () => undefined, // who waits is told when nothing else is going on
      onDeviceError: (device, error) => {
        this.refuseLoss(error)
        this.noteDeviceError(device, error)
      },
    })
    this.editor = new NodeEditor(btrees.cache, this.journal.pins)
    takeover.taken = (slot) => {
      const deleted = new PositionList()
      deleted.addAll(takeover.deleted)
      takeover.deleted.clear()
      const newest = Number(state.journal.selection?.newest ?? 0n)
      this.editor.adopt(slot, this.journal.pins.pin(start.lastSeq), start.lastSeq, newest, deleted)
    }

    this.tx = new Transaction(btrees)
    const inner = new Transaction(btrees)
    this.usage = new Usage()
    this.capacity = new Capacity(superblock, this.usage, (device) => this.isDeviceWritable(device))
    this.allocator = new Allocator({
      ...{ superblock, shape, usage: this.usage, capacity: this.capacity },
      cursor: (btree) => this.cursor(btree),
      btreeBitmap: (device) => {
        const { btreeBitmap, btreeBitmapShift } = this.live.members[device]
        return { bits: btreeBitmap, shift: btreeBitmapShift }
      },
      isRw: (device) => this.isDeviceWritable(device),
    })
    this.buckets = new SpaceTriggers({
      shape,
      isOpen: (device, bucket) => this.allocator.isOpen(device, bucket),
      clock: (of) => (of === 'reads' ? this.clocks.read : this.clocks.written),
      isFreespaceInitialized: (device) => this.live.members[device].freespaceInitialized,
    })
    const pointers = new PointerTrigger(this.buckets, shape, {
      devices: devicesOf,
      accepts: (device) =>
        this.isDeviceWritable(device) && ((superblock.members[device].dataAllowed >> DataType.user) & 1) === 1,
    })
    this.discards = new Discards({
      ...{ shape, devices, members: superblock.members },
      cursor: (btree) => this.cursor(btree),
      isOpen: (device, bucket) => this.allocator.isOpen(device, bucket),
      isRw: (device) => this.isDeviceWritable(device),
      flushedSeq: () => this.journal.flushedSeq,
      note: this.noteOnce,
    })
    const space = new VolumeSpace({
      ...{ devices, live: this.live, usage: this.usage, allocator: this.allocator, buckets: this.buckets, pointers },
      ...{ nodeSectors: nodeBytes / 512, tx: inner },
      isWritable: (device) => this.isDeviceWritable(device),
      onDeviceError: (device, error) => this.noteDeviceError(device, error),
      writeSuperblock: () => this.writeSuperblock(),
    })
    const { editor, journal } = this
    this.trees = new TreeWriter({ btrees, editor, journal, sink, random, space, copies })
    this.committer = new Committer({
      ...{ btrees, editor, journal, shape, trees: this.trees, keyTypes: this.keyTypes },
      triggers: withTriggers(options.triggers, [BtreeId.extents, BtreeId.reflink], pointers.run),
      finish: (updates) => this.buckets.finish(updates),
      beforeCounters: (words, at) => space.beforeCounters(words, at),
      afterCounters: (words, at) => space.afterCounters(words, at),
    })
    space.bind(this.committer)

    for (const { name } of toRun) (passes[name] ?? databasePasses[name])(this)
    if (required !== 0n && this.live.setPassesRequired(0n)) this.writeSuperblock()
  }

  /** The journal entry that the next transaction becomes part of. */
  get seq(): number {
    return this.journal.seq
  }

  /** The newest journal entry that is on stable storage, with all before it. */
  get flushedSeq(): number {
    return this.journal.flushedSeq
  }

  /**
   * Runs `change`, and commits what it did. Returns the sequence number of the journal entry that has it: once that is flushed, it survives
   * whatever happens. Throws what `change` throws; KeyError EINVAL for keys that may not be; VolumeError ENOSPC, EIO, EROFS.
   */
  write(change: (tx: Transaction) => void, { durability = 'memory', frees = false }: WriteOptions = {}): number {
    this.refuseUnwritable()
    if (this.isInTransaction) throw new RangeError('a transaction within another one')
    this.makeSpace()
    const { tx } = this
    this.isInTransaction = true
    try {
      tx.begin(this.journal.seq)
      this.buckets.begin()
      change(tx)
      if (!frees && tx.count > 0) this.requireRoom()
      const seq = this.committer.commit(tx)
      this.guard(() => this.trees.balance())
      if (durability === 'journaled') this.guard(() => this.journal.close())
      if (durability === 'flushed') this.flush()
      return seq
    } catch (error) {
      if (this.journal.isHalted) throw this.fail(error)
      throw error
    } finally {
      this.isInTransaction = false
      this.tellFlushed()
    }
  }

  /** Runs `look`, which sees all that was committed. */
  read<T>(look: (db: Volume) => T): T {
    return look(this)
  }

  /** Brings all transactions to stable storage. Throws VolumeError EIO, ENOSPC. */
  flush(): void {
    this.refuseUnwritable()
    this.guard(() => this.journal.flush())
    this.tellFlushed()
  }

  /** Calls `then` once entry `seq` is on stable storage: at once, if it is. */
  whenFlushed(seq: number, then: () => void): void {
    if (seq <= this.journal.flushedSeq) then()
    else this.waiting.push({ seq, then })
  }

  /**
   * What goes on in the background: to be called now and then, about every second, also when nobody asks for anything. `nowMs`: a clock. Brings
   * transactions to stable storage that have waited for the option journal_flush_delay, writes out nodes that were changed long ago, a
   * few at a time, and makes emptied buckets free. Throws VolumeError as `flush` does.
   */
  work(nowMs: number): void {
    this.refuseUnwritable()
    if (this.isInTransaction) throw new RangeError('work within a transaction')
    if (this.journal.isFlushed) this.unflushedMs = nowMs
    else if (nowMs - this.unflushedMs >= this.superblock.options.journalFlushDelay) this.flush()
    this.writeOldest(nowMs)
    this.recycle()
  }

  /** Writes out all changed nodes; they need the journal no more. */
  writeBack(): void {
    this.refuseUnwritable()
    this.guard(() => {
      while (this.editor.dirty.size > 0) {
        this.trees.writeOut([...this.editor.dirty.keys()])
        this.trees.balance()
      }
    })
  }

  /** Shuts the volume down and closes its devices. If that fails it is as after a crash, and what was flushed is safe. Throws VolumeError. */
  override close(): void {
    if (this.isClosed) return
    this.isClosed = true
    try {
      if (this.failure === undefined) this.shutDown()
    } finally {
      super.close()
    }
  }

  /** Closes the devices without writing anything: as a crash would. */
  abandon(): void {
    this.isClosed = true
    super.close()
  }

  /** For recovery: the volume is going to be written from here on. */
  goReadWrite(): void {
    const { selection } = this.state.journal
    if (selection !== undefined) {
      const { start, end } = seqsGivenUp(selection, this.live.blacklist)
      this.live.addBlacklist(start, end)
      if (this.superblock.crypt !== undefined) this.keyVersion += KEY_VERSIONS_GIVEN_UP
    }
    this.live.markDirty()
    this.writeSuperblock()
  }

  /** For recovery: takes all keys of the journal into the btrees. */
  replay(): void {
    const { keys } = this.state
    const pos = new Uint32Array(5)
    for (const [btree, level] of keys?.places ?? []) {
      pos.fill(0)
      while (level <= this.btrees.rootLevel(btree) && keys?.findUntaken(btree, level, pos) === true) {
        this.btrees.nodeAt(btree, level, pos)
        this.btrees.cache.leave()
        this.relieve()
      }
    }
    if (this.journal.replayPin >= 0) this.journal.pins.release(this.journal.replayPin)
    this.guard(() => this.trees.balance())
  }

  /** For recovery: the alloc keys of superblocks and journals say what these take. */
  markReserved(): void {
    for (const superblock of this.superblocks) {
      if (superblock === undefined) continue
      const reserved = reservedBuckets(superblock)
      for (let first = 0; first < reserved.length; first += BUCKETS_AT_ONCE) {
        this.write(
          (tx) => {
            for (const { bucket, dataType, sectors } of reserved.slice(first, first + BUCKETS_AT_ONCE)) {
              this.buckets.mark(tx, superblock.deviceIndex, bucket, dataType, sectors)
            }
          },
          { frees: true },
        )
      }
    }
  }

  /** For recovery: the indexes of free buckets of devices that have none. */
  initFreespace(): void {
    for (const { index, alive, freespaceInitialized } of this.live.members) {
      const member = alive && !freespaceInitialized ? this.shape.member(index) : undefined
      if (member === undefined) continue
      const { shape } = this
      const cursor = (btree: number): Cursor => this.cursor(btree)
      initFreespace({ shape, cursor, commit: (change) => this.write(change, { frees: true }) }, index, member)
      this.flush()
      this.live.setFreespaceInitialized(index)
      this.writeSuperblock()
    }
  }

  private shutDown(): void {
    this.guard(() => {
      for (let rounds = 0; this.editor.dirty.size > 0; rounds++) {
        if (rounds > 100) throw new RangeError('shutting down comes to no end')
        this.trees.writeOut([...this.editor.dirty.keys()])
      }
      const { journalSeq, records, positions } = this.journal.writeEmptyFlush()
      this.live.markClean(journalSeq, records, positions)
      this.writeSuperblock()
    })
  }

  /** Throws VolumeError ENOSPC unless there is more room for btree nodes than what frees space needs. */
  private requireRoom(): void {
    const { members, options } = this.superblock
    let durability = 0
    for (const { index, alive, durability: each } of members) {
      if (!alive || !this.isDeviceWritable(index)) continue
      if (this.allocator.bucketsFree(index, Watermark.normal) > 0) durability += each
    }
    if (durability >= options.metadataReplicasRequired) return
    throw new VolumeError('ENOSPC', '', 'the volume is full')
  }

  /** Makes room in the journal and in memory, before a transaction. */
  private makeSpace(): void {
    for (let tries = 0; tries < RECLAIM_TRIES && this.journal.isLow; tries++) {
      const target = tries === RECLAIM_TRIES - 1 ? Infinity : this.journal.reclaimTarget()
      this.guard(() => {
        this.trees.writeOut(
          [...this.editor.dirty.values()].flatMap((node) => (node.oldestSeq <= target ? [node.slot] : [])),
        )
        this.trees.balance()
        this.journal.flush()
      })
    }
    this.relieve()
    this.recycle()
  }

  /** Makes emptied buckets free: when there are many, or few are free. */
  private recycle(): void {
    let emptied = 0
    let isLow = false
    for (const { index, alive } of this.superblock.members) {
      if (!alive || !this.isDeviceWritable(index)) continue
      emptied += this.usage.buckets(index, DataType.needDiscard)
      if (this.allocator.bucketsFree(index, Watermark.normal) === 0) isLow = true
    }
    if (emptied === 0 || (!isLow && (emptied < EMPTIED_MIN || this.journal.flushedSeq === this.recycledSeq))) return
    const { freed, waiting } = this.discardSome()
    if (isLow && freed < BUCKETS_AT_ONCE && waiting > 0) {
      this.guard(() => this.journal.flush())
      this.discardSome()
    }
    if (freed === 0) this.recycledSeq = this.journal.flushedSeq
  }

  private discardSome(): DiscardProgress {
    let progress: DiscardProgress = { freed: 0, waiting: 0 }
    this.guard(() => {
      const { tx } = this
      tx.begin(this.journal.seq)
      this.buckets.begin()
      progress = this.discards.step(tx, this.buckets, BUCKETS_AT_ONCE)
      this.committer.commit(tx)
      this.trees.balance()
    })
    return progress
  }

  /** Writes out nodes, the oldest first, if those that were changed take too much of the cache. */
  private relieve(): void {
    const words = this.cacheBytes / 4
    if (this.editor.dirtyWords <= words * DIRTY_MAX) return
    let left = this.editor.dirtyWords
    const slots: number[] = []
    for (const slot of this.editor.dirty.keys()) {
      if (left <= words * DIRTY_LOW) break
      slots.push(slot)
      left -= this.editor.wordsOf(slot)
    }
    this.guard(() => this.trees.writeOut(slots))
  }

  /** Writes out some of the nodes that were changed first in a period before this one. */
  private writeOldest(nowMs: number): void {
    if (nowMs - this.periodMs >= PERIOD_MS) {
      this.oldSeq = this.periodSeq
      this.periodSeq = this.journal.seq
      this.periodMs = nowMs
    }
    const slots: number[] = []
    for (const { slot, oldestSeq } of this.editor.dirty.values()) {
      if (oldestSeq >= this.oldSeq || slots.length === OLD_AT_ONCE) break
      slots.push(slot)
    }
    if (slots.length === 0) return
    this.guard(() => {
      this.trees.writeOut(slots)
      this.trees.balance()
    })
  }

  /** Runs what must not fail halfway. If it does, nothing is written any more. */
  private guard(action: () => void): void {
    try {
      action()
      if (this.isStateUnwritten) this.writeSuperblock()
    } catch (error) {
      throw this.fail(error)
    }
  }

  private fail(cause: unknown): VolumeError {
    const message = cause instanceof Error ? cause.message : String(cause)
    this.journal.halt(cause)
    this.failure ??= cause instanceof VolumeError ? cause : new VolumeError('EIO', '', message, { cause })
    return this.failure
  }

  private refuseUnwritable(): void {
    if (this.isClosed) throw new VolumeError('EINVAL', '', 'the volume is closed')
    if (this.failure === undefined) return
    throw new VolumeError('EROFS', '', `read only since ${this.failure.message}`, { cause: this.failure })
  }

  private findStart(assembly: Assembly, blockBytes: number): JournalStart {
    const { journal } = this.state
    const { best } = assembly
    const devices = journalDevices(assembly)
    if (journal.selection === undefined) {
      return startAfterShutdown(Number(best.cleanSection?.journalSeq ?? 0n), best.members, devices, blockBytes)
    }
    const given = seqsGivenUp(journal.selection, best.blacklist)
    this.blacklist = [
      ...best.blacklist.map(({ start, end }): [number, number] => [Number(start), Number(end)]),
      [given.start, given.end],
    ]
    return startAfterCrash(journal.found, journal.selection, given.end, devices, blockBytes)
  }

  private *liveRoots(): Generator<{
    btree: number
    level: number
    pointer: NonNullable<ReturnType<Volume['rootPointer']>>
  }> {
    for (const btree of this.btrees.ids) {
      const pointer = this.btrees.rootPointer(btree)
      if (pointer !== undefined) yield { btree, level: this.btrees.rootLevel(btree), pointer }
    }
  }

  private ensureReplicas(dataType: number, devices: readonly number[]): void {
    if (this.live.addReplicas({ dataType, required: 1, devices })) this.writeSuperblock()
  }

  /** Calls who waits for what is on stable storage by now. Whoever is called may write. */
  private tellFlushed(): void {
    if (this.waiting.length === 0 || this.isInTransaction) return
    const { flushedSeq } = this.journal
    const ready = this.waiting.filter(({ seq }) => seq <= flushedSeq)
    this.waiting = this.waiting.filter(({ seq }) => seq > flushedSeq)
    for (const { then } of ready) then()
  }

  /** A device has failed: it is not written any more, and what has to lie on several lies on others from now on. */
  private noteDeviceError(device: number, error: DeviceError): void {
    if (this.failedDevices.has(device)) return
    this.noteOnce(`${error.message}: device ${device} is not written any more`)
    this.failedDevices.add(device)
    this.live.leaveOut(device)
    if (this.live.setState(device, 'ro')) this.isStateUnwritten = true
  }

  /** What was written to a device that can't be flushed may be lost: that is the end, unless all of it is on another one too. */
  private refuseLoss(error: DeviceError): void {
    const { metadataReplicas, dataReplicas } = this.superblock.options
    if (metadataReplicas < 2 || dataReplicas < 2) throw error
  }

  /** Writes the superblock to all devices that have not failed. Throws DeviceError if none is left. */
  private writeSuperblock(): void {
    for (;;) {
      this.isStateUnwritten = false
      try {
        this.live.write()
        return
      } catch (error) {
        const device = error instanceof DeviceError ? this.devices.findIndex((each) => each?.name === error.device) : -1
        if (!(error instanceof DeviceError) || device < 0 || this.failedDevices.has(device)) throw error
        this.noteDeviceError(device, error)
      }
    }
  }

  private isDeviceWritable(device: number): boolean {
    return !this.failedDevices.has(device) && this.live.members[device].state === 'rw'
  }
}

function withTriggers(
  others: ReadonlyMap<number, readonly KeyTrigger[]> | undefined,
  btrees: readonly number[],
  trigger: KeyTrigger,
): Map<number, readonly KeyTrigger[]> {
  const all = new Map(others)
  for (const btree of btrees) all.set(btree, [...(all.get(btree) ?? []), trigger])
  return all
}

function systemSeconds(): bigint {
  return BigInt(Math.floor(Date.now() / 1000))
}
