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

import type { WritableBlockDevice } from '@cowherd/shim'
import type { KeyTakeover } from './btree/btree.ts'
import type { Cursor } from './btree/cursor.ts'
import { PositionList } from './btree/position-list.ts'
import type { ExtentWriter } from './data/extent-writer.ts'
import { makeParts, type DatabaseParts } from './database-parts.ts'
import { VolumeError } from './errors.ts'
import type { EntryThread } from './journal/entry-write.ts'
import type { JournalDevice } from './journal/journal-scan.ts'
import { seqsGivenUp, startAfterCrash, startAfterShutdown, type JournalStart } from './journal/journal-start.ts'
import { databasePasses } from './recovery/database-passes.ts'
import { passesToRun, type PassTable } from './recovery/passes.ts'
import type { Allocator } from './space/allocator.ts'
import type { Capacity } from './space/capacity.ts'
import type { EvacuationKind, EvacuationProgress } from './space/evacuation.ts'
import { initFreespace } from './space/freespace-init.ts'
import { reservedBuckets } from './space/reserved-buckets.ts'
import type { Usage } from './space/usage.ts'
import { assemble, readSuperblock, type Assembly, type LiveSuperblock } from './superblock/index.ts'
import { trackedDevice } from './tracked-device.ts'
import type { Transaction } from './transaction/transaction.ts'
import type { KeyTrigger } from './transaction/updates.ts'
import { journalDevices, Volume, type OpenOptions } from './volume.ts'

export interface DatabaseOptions extends Omit<OpenOptions, 'norecovery' | 'shared'> {
  /** Fills memory with bytes that nobody can guess. */
  readonly random: (bytes: Uint8Array) => void
  /** Now, in seconds since 1970; left out: the system's clock. */
  readonly nowSeconds?: () => bigint
  /** What follows from changes of keys, by btree, besides what the database itself knows. */
  readonly triggers?: ReadonlyMap<number, readonly KeyTrigger[]>
  /** Writes journal entries for `flushLater`; left out: the calling thread does. */
  readonly journalThread?: EntryThread
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

/** Where the journal of a `StagedDatabase` goes. */
export interface Staging {
  readonly start: JournalStart
  readonly journal: JournalDevice
}

const CACHE_BYTES = 256 << 20
/** Nodes that are changed lie in memory at several times their size, a few at once. */
const CACHE_NODES_MIN = 128
/** Buckets that are marked in one transaction. */
const BUCKETS_AT_ONCE = 32
/** Of key versions after a crash, how many may have been used that nobody knows of. */
const KEY_VERSIONS_GIVEN_UP = 65536n
/** So many are handed out before the journal has to say so; the rest is more than a transaction takes. */
const KEY_VERSIONS_UNKNOWN = 49152n

/**
 * Opens the volume on `devices`, given in any order, for writing; one that was not shut down cleanly is recovered first. The devices have
 * to stay the caller's alone until `close`. Throws VolumeError: EROFS or EOPNOTSUPP with the reason if the volume can only be read.
 */
export function openDatabase(devices: readonly WritableBlockDevice[], options: DatabaseOptions): Database {
  const superblocks = devices.map((device) => ({
    device: trackedDevice(device),
    superblock: readSuperblock(device, options.codecs),
  }))
  const assembly = assemble(superblocks, options.missing ?? 'none')
  return new Database(assembly, options, new Takeover())
}

/** The journal's keys become changes of the nodes that they belong to. */
export class Takeover implements KeyTakeover {
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
  /** Writes the data of files; what leads to it is put into a transaction by who has it written. */
  readonly data: ExtentWriter
  /** Why nothing can be written any more. */
  failure: VolumeError | undefined
  protected readonly parts: DatabaseParts
  private readonly superblocks: Assembly['superblocks']
  private keyVersion: bigint
  /** Up to this one, none that was handed out is handed out again after a crash. */
  private keyVersionSafe: bigint
  private isInTransaction = false
  private isClosed = false
  /** When everything was on stable storage. */
  private unflushedMs = 0
  private waiting: { readonly seq: number; readonly then: (error?: VolumeError) => void }[] = []

  private readonly isStaged: boolean

  /** `staging`: for `StagedDatabase`. */
  constructor(assembly: Assembly, options: DatabaseOptions, takeover: Takeover, staging?: Staging) {
    const cacheBytes = Math.max(
      options.cacheBytes ?? CACHE_BYTES,
      CACHE_NODES_MIN * assembly.best.options.btreeNodeSize,
    )
    super(assembly, { ...options, cacheBytes, shared: false, norecovery: false }, undefined, takeover)
    const { superblock, codecs, btrees, shape, keyTypes, cipher, uuidWord } = this
    const { random, nowSeconds = systemSeconds, passes = {}, triggers = new Map<number, never>() } = options
    const { readClock, writeClock, keyVersion, selection } = this.state.journal
    const required = superblock.ext?.passesRequired ?? 0n
    const toRun = passesToRun(required, databasePasses, passes)
    this.superblocks = assembly.superblocks
    this.keyVersion = keyVersion
    this.keyVersionSafe = keyVersion + KEY_VERSIONS_UNKNOWN
    this.isStaged = staging !== undefined
    const journals = staging === undefined ? journalDevices(assembly) : [staging.journal]
    const start = staging?.start ?? this.findStart(assembly)
    this.parts = makeParts({
      ...{
        assembly,
        btrees,
        shape,
        codecs,
        keyTypes,
        cipher,
        uuidWord,
        start,
        journals,
        isStaged: this.isStaged,
        cacheBytes,
        triggers,
        random,
        nowSeconds,
      },
      clocks: { read: Number(readClock), written: Number(writeClock) },
      keyVersion: () => this.keyVersion,
      nextKeyVersion: () => (this.keyVersion += 1n),
      note: this.noteOnce,
      cursor: (btree, level) => this.cursor(btree, level),
      readExtent: (key, target) => this.readExtent(key, 0, target, { toString: () => `extent ${key.posText}` }),
      makeFree: () => this.makeFree(),
      ...(options.journalThread === undefined ? {} : { journalThread: options.journalThread }),
    })
    this.live = this.parts.live
    this.usage = this.parts.usage
    this.capacity = this.parts.capacity
    this.allocator = this.parts.allocator
    this.data = this.parts.data
    const { editor, journal } = this.parts
    takeover.taken = (slot) => {
      const deleted = new PositionList()
      deleted.addAll(takeover.deleted)
      takeover.deleted.clear()
      editor.adopt(slot, journal.pins.pin(start.lastSeq), start.lastSeq, Number(selection?.newest ?? 0n), deleted)
    }
    for (const { name } of toRun) (passes[name] ?? databasePasses[name])(this)
    if (required !== 0n && this.live.setPassesRequired(0n)) this.parts.health.writeSuperblock()
  }

  /** The journal entry that the next transaction becomes part of. */
  get seq(): number {
    return this.parts.journal.seq
  }

  /** Is another number after each transaction: what was remembered of the volume may not be so any more. */
  override get changes(): number {
    return this.parts.committer.commits
  }

  /** The newest journal entry that is on stable storage, with all before it. */
  get flushedSeq(): number {
    return this.parts.journal.flushedSeq
  }

  /**
   * Runs `change`, and commits what it did. Returns the sequence number of the journal entry that has it: once that is flushed, it survives
   * whatever happens. Throws what `change` throws; KeyError EINVAL for keys that may not be; VolumeError ENOSPC, EIO, EROFS.
   */
  write(change: (tx: Transaction) => void, { durability = 'memory', frees = false }: WriteOptions = {}): number {
    this.refuseUnwritable()
    if (this.isInTransaction) throw new RangeError('a transaction within another one')
    const { tx, buckets, committer, maintenance, trees, journal } = this.parts
    if (this.keyVersion > this.keyVersionSafe) this.recordKeyVersion()
    this.makeRoom()
    this.isInTransaction = true
    try {
      tx.begin(journal.seq)
      buckets.begin()
      change(tx)
      if (!frees && tx.count > 0) maintenance.requireRoom()
      const seq = committer.commit(tx)
      this.guard(() => trees.balance())
      if (durability === 'journaled') this.guard(() => journal.close())
      if (durability === 'flushed') this.flush()
      return seq
    } catch (error) {
      if (journal.isHalted) throw this.fail(error)
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
    try {
      this.guard(() => this.parts.journal.flush())
    } finally {
      this.tellFlushed()
    }
  }

  /** Calls `then` once entry `seq` is on stable storage: at once, if it is; with the error if it will never be. */
  whenFlushed(seq: number, then: (error?: VolumeError) => void): void {
    if (seq <= this.parts.journal.flushedSeq) then()
    else if (this.failure !== undefined) then(this.failure)
    else this.waiting.push({ seq, then })
  }

  /**
   * Begins to bring all transactions to stable storage, and returns. `then` is called when they are there, or with the error; by `poll`, or by
   * whatever is called before that. Those who ask meanwhile are served together. Throws VolumeError EROFS.
   */
  flushLater(then: (error?: VolumeError) => void): void {
    this.refuseUnwritable()
    const { journal } = this.parts
    if (journal.newestSeq <= journal.flushedSeq) return void then()
    this.waiting.push({ seq: journal.newestSeq, then })
    this.poll()
    if (this.failure === undefined) this.attempt(() => journal.beginFlush())
    this.tellFlushed()
  }

  /** Finds out what `flushLater` has come to, and calls who waits for it. */
  poll(): void {
    if (this.isClosed) return
    if (this.failure === undefined) this.attempt(() => this.parts.journal.poll())
    this.tellFlushed() // also of a failure that others met
  }

  /**
   * What goes on in the background: to be called now and then, about every second, also when nobody asks for anything. `nowMs`: a clock. Brings
   * transactions to stable storage that have waited for the option journal_flush_delay, writes out nodes that were changed long ago, a
   * few at a time, and looks after free buckets. Throws VolumeError as `flush` does.
   */
  work(nowMs: number): void {
    this.refuseUnwritable()
    if (this.isInTransaction) throw new RangeError('work within a transaction')
    if (this.parts.journal.isFlushed) this.unflushedMs = nowMs
    else if (nowMs - this.unflushedMs >= this.superblock.options.journalFlushDelay) this.flush()
    this.guard(() => {
      this.parts.maintenance.writeOldest(nowMs)
      this.parts.reclaim.work()
    })
  }

  /**
   * Moves btree nodes, or data too, off a device that is not written any more (ro, failed, missing): up to about `most` of them, from sector
   * `fromSector` on. Whoever wants all of them goes on at `nextSector`, up to the end of the device. Throws VolumeError ENOSPC if there is
   * no room on others: what was moved until then is moved; as `write`.
   */
  evacuate(device: number, kind: EvacuationKind, fromSector: number, most: number): EvacuationProgress {
    this.refuseUnwritable()
    if (this.isInTransaction) throw new RangeError('an evacuation within a transaction')
    const member = this.shape.member(device)
    if (member === undefined) throw new VolumeError('EINVAL', `device ${device}`, 'there is no such device')
    if (this.parts.health.isWritable(device)) {
      throw new VolumeError('EINVAL', `device ${device}`, 'is writable: what is moved off it might come to it again')
    }
    this.makeRoom()
    try {
      const end = member.bucketCount * member.bucketSectors
      return this.parts.evacuation.move(device, fromSector, end, most, kind)
    } catch (error) {
      if (error instanceof VolumeError && error.code === 'ENOSPC' && !this.parts.journal.isHalted) throw error
      throw this.fail(error)
    } finally {
      this.tellFlushed()
    }
  }

  /** Writes out all changed nodes; they need the journal no more. */
  writeBack(): void {
    this.refuseUnwritable()
    this.guard(() => this.parts.maintenance.writeBack())
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
    this.parts.health.writeSuperblock()
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
        this.guard(() => this.parts.maintenance.relieve())
      }
    }
    if (this.parts.journal.replayPin >= 0) this.parts.journal.pins.release(this.parts.journal.replayPin)
    this.guard(() => this.parts.trees.balance())
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
              this.parts.buckets.mark(tx, superblock.deviceIndex, bucket, dataType, sectors)
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
      this.parts.health.writeSuperblock()
    }
  }

  private makeRoom(): void {
    this.guard(() => {
      this.parts.maintenance.prepare()
      if (!this.isStaged) this.parts.reclaim.makeRoom()
    })
  }

  /** See `DatabaseGround.makeFree`. */
  private makeFree(): boolean {
    if (this.isInTransaction || this.isStaged || this.failure !== undefined) return false
    let isEnough = false
    this.guard(() => {
      isEnough = this.parts.reclaim.makeFree()
    })
    return isEnough
  }

  private shutDown(): void {
    this.guard(() => {
      this.parts.maintenance.writeBack()
      const { journalSeq, records, positions, devices } = this.parts.journal.writeEmptyFlush()
      this.live.markClean(journalSeq, records, positions, devices)
      this.parts.health.writeSuperblock()
    })
  }

  /** Has the journal say which key versions were handed out. */
  private recordKeyVersion(): void {
    const safe = this.keyVersion + KEY_VERSIONS_UNKNOWN
    this.guard(() => this.parts.journal.flushAnyway())
    this.keyVersionSafe = safe
  }

  /** Runs what must not fail halfway. If it does, nothing is written any more. */
  protected guard(action: () => void): void {
    try {
      action()
      this.parts.health.settle()
    } catch (error) {
      throw this.fail(error)
    }
  }

  private fail(cause: unknown): VolumeError {
    const message = cause instanceof Error ? cause.message : String(cause)
    this.parts.journal.halt(cause)
    this.failure ??= cause instanceof VolumeError ? cause : new VolumeError('EIO', '', message, { cause })
    return this.failure
  }

  private refuseUnwritable(): void {
    if (this.isClosed) throw new VolumeError('EINVAL', '', 'the volume is closed')
    if (this.failure === undefined) return
    throw new VolumeError('EROFS', '', `read only since ${this.failure.message}`, { cause: this.failure })
  }

  private findStart(assembly: Assembly): JournalStart {
    const { journal } = this.state
    const { best } = assembly
    const blockBytes = best.blockSectors * 512
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

  /** The same for callers who are told otherwise. */
  private attempt(action: () => void): void {
    try {
      this.guard(action)
    } catch (error) {
      if (error !== this.failure) throw error
    }
  }

  /** Calls who waits for what is on stable storage by now. Whoever is called may write. */
  private tellFlushed(): void {
    if (this.waiting.length === 0 || this.isInTransaction) return
    const { flushedSeq } = this.parts.journal
    const { failure } = this
    const ready = this.waiting.filter(({ seq }) => seq <= flushedSeq)
    const left = this.waiting.filter(({ seq }) => seq > flushedSeq)
    this.waiting = failure === undefined ? left : []
    for (const { then } of ready) then()
    if (failure !== undefined) for (const { then } of left) then(failure)
  }
}

function systemSeconds(): bigint {
  return BigInt(Math.floor(Date.now() / 1000))
}
