/**
 * The journal of a volume that is being written. One entry is always open and takes records; closed, it is written, and the next one is open.
 * Format chapter 3, 3.7.
 *
 * What is in a flushed entry, and in all before it, survives a crash; of entries behind the newest flushed one nothing does. An entry says from
 * which one on the journal is needed (`last_seq`): that is the oldest one with a pin when it is closed. Buckets are used again when a
 * flushed entry needs nothing in them.
 *
 * Everything is done by the calling thread before a call returns. What was written when an error is thrown is not known: the journal is
 * halted then, and nothing may be written to the volume any more that relies on it.
 */

import { DeviceError } from '@cowherd/shim'
import { JournalError } from '../errors.ts'
import type { IntegritySeal } from '../integrity-seal.ts'
import type { Key } from '../key.ts'
import { writeEntry } from './entry-write.ts'
import type { EntryCopy, EntryOutcome, EntryThread, FailedStep, FlushTarget } from './entry-write.ts'
import { JournalSpace, type JournalMember, type JournalPosition } from './journal-space.ts'
import type { JournalStart } from './journal-start.ts'
import { JOURNAL_ENTRY_MAX_BYTES, Jset } from './jset-layout.ts'
import { OpenEntry } from './open-entry.ts'
import { Pins } from './pins.ts'
import { cleanRecords, EntryTail, tailBytes, type LiveState } from './state-records.ts'

const SECTOR = 512
/** Entries from the oldest that is needed to the open one, at most; when so many are reached, space is low. */
const SPAN_MAX = 1 << 15
const SPAN_LOW = SPAN_MAX - SPAN_MAX / 4

/** Any device of the volume that is written to. */
export interface JournalFlushTarget extends FlushTarget {
  /** False while the device takes no writes. */
  isWritable(): boolean
}

export interface JournalOptions {
  readonly start: JournalStart
  /** Those that the journal may be written to. */
  readonly devices: readonly JournalMember[]
  /** All devices: a flushed entry says that everything before it is on stable storage, wherever it was written. */
  readonly flushDevices: readonly JournalFlushTarget[]
  /** Copies of metadata that are wanted, and that must be. */
  readonly metadataReplicas: number
  readonly metadataReplicasRequired: number
  readonly blockBytes: number
  /** The superblock's version. */
  readonly version: number
  /** First 8 bytes of the internal uuid as a little-endian number. */
  readonly uuidWord: bigint
  readonly seal: IntegritySeal
  /** Writes flushed entries for `beginFlush`; left out: the calling thread does. */
  readonly thread?: EntryThread
  /** Whether entries may be written without a flush: feature `journal_no_flush`. */
  readonly mayNotFlush: boolean
  /** What every entry repeats. Roots change only when they are recorded. */
  readonly live: LiveState
  /** Seconds since 1970. */
  nowSeconds(): bigint
  /** Called before the first entry goes to these devices, ascending; the superblock says so when it returns. */
  ensureReplicas(devices: readonly number[]): void
  /** Called when everything up to entry `seq` is on stable storage. */
  onFlushed(seq: number): void
  /**
   * Called when a device fails, before an entry is written that doesn't tell. After a failed flush it is not known what of all that was
   * written to the device since the last one is there. What this throws halts the journal.
   */
  onDeviceError(device: number, error: DeviceError): void
}

/** What the superblock says of a volume that was shut down cleanly. */
export interface JournalEnd {
  readonly journalSeq: number
  /** The records of the section `clean`. */
  readonly records: Uint8Array
  readonly positions: readonly JournalPosition[]
  /** Those that have its newest entry, ascending. */
  readonly devices: readonly number[]
}

/** A flushed entry on its way. */
interface Flight {
  readonly seq: number
  readonly lastSeq: number
  /** Of its own. */
  readonly bytes: Uint8Array
}

export class Journal {
  readonly pins = new Pins()
  /** Holds what is to be replayed; -1 after a clean shutdown. */
  readonly replayPin: number
  private readonly options: JournalOptions
  private readonly space: JournalSpace
  private readonly entry: OpenEntry
  private readonly tail: EntryTail
  private readonly maxBytes: number
  private openSeq: number
  private flushed: number
  private lastOnDisk: number
  /** What the end of an entry takes at most, and whether that has to be measured again. */
  private tailMax = 0
  private hasNewRoots = true
  /** The first entry has to be flushed. */
  private isFirst = true
  /** The devices that have the newest entry. */
  private newestOn: readonly number[] = []
  /** Sets of devices of which the superblock knows. */
  private readonly marked = new Set<string>()
  /** Of each entry since the newest flushed one: the devices that have it. Sets, each once. */
  private readonly unflushed = new Map<string, readonly number[]>()
  private halted: JournalError | undefined
  /** The flushed entry that the thread is writing. */
  private flight: Flight | undefined
  /** Somebody wants to have flushed what came after it. */
  private isFlushWanted = false

  /** Writes nothing. Throws JournalError ENODEV, EOPNOTSUPP. */
  constructor(options: JournalOptions) {
    const { start, devices, metadataReplicas, metadataReplicasRequired, blockBytes } = options
    this.options = options
    this.space = new JournalSpace(devices, start.rings, {
      wanted: metadataReplicas,
      required: metadataReplicasRequired,
    })
    const { bucketBytes } = this.space
    this.maxBytes = Math.min(JOURNAL_ENTRY_MAX_BYTES, bucketBytes - (bucketBytes % blockBytes))
    this.entry = new OpenEntry(this.maxBytes)
    this.tail = new EntryTail(options.live)
    this.openSeq = start.nextSeq
    this.flushed = start.nextSeq - 1
    this.lastOnDisk = start.lastSeq
    this.replayPin = start.lastSeq < start.nextSeq ? this.pins.pin(start.lastSeq) : -1
    this.pins.settle(start.nextSeq)
  }

  /** The open entry. */
  get seq(): number {
    return this.openSeq
  }

  /** The newest entry that has anything: the open one, or the one before. */
  get newestSeq(): number {
    return this.entry.isEmpty ? this.openSeq - 1 : this.openSeq
  }

  /** The newest entry that is on stable storage with all before it. */
  get flushedSeq(): number {
    return this.flushed
  }

  /** The oldest entry that is needed after a crash: `last_seq` of the newest flushed one. */
  get lastSeqOnDisk(): number {
    return this.lastOnDisk
  }

  /** Whether everything that was recorded is on stable storage. */
  get isFlushed(): boolean {
    return this.entry.isEmpty && this.flushed === this.openSeq - 1
  }

  get isHalted(): boolean {
    return this.halted !== undefined
  }

  /** Bytes of records, headers included, that one reservation may take. */
  get capacityBytes(): number {
    this.measureTail()
    return Math.max(0, this.maxBytes - Jset.size - this.tailMax)
  }

  /**
   * Makes sure that records of `bytes` (headers included, a multiple of 8) fit into the open entry: they stay together. Closes it first if
   * they don't. Throws JournalError EINVAL if they are more than `capacityBytes`; what `flush` throws.
   */
  reserve(bytes: number): void {
    this.refuseHalted()
    if (bytes > this.capacityBytes) {
      const message = `${bytes} bytes of records at once, ${this.capacityBytes} are possible`
      throw new JournalError('EINVAL', `journal entry ${this.openSeq}`, message)
    }
    if (Jset.size + this.entry.bytes + bytes + this.tailMax > this.maxBytes) this.close()
    this.entry.makeRoom(bytes)
  }

  /** The open entry's records as words: what lies at index n is at words 2n and 2n + 1. Another view after each reservation. */
  get payloadWords(): Uint32Array {
    return this.entry.payload
  }

  /**
   * Records that the unpacked key at `words[at]` was inserted; room for it was reserved. Returns the key's index in the records, in u64s: not
   * 0, and greater than that of all before it.
   */
  recordKey(btree: number, level: number, words: Uint32Array, at: number): number {
    return this.entry.key(btree, level, words, at)
  }

  /** Gives the key that was recorded at `index` the version seq << 32 | index, as counters have it. Format chapter 3, 3.6.4. */
  stampVersion(index: number): void {
    const { payload } = this.entry
    payload[2 * index + 1] = index
    payload[2 * index + 2] = this.openSeq >>> 0
    payload[2 * index + 3] = Math.floor(this.openSeq / 0x100000000)
  }

  /** Records the name of the transaction that follows; it takes `LOG_RECORD_BYTES`. */
  recordLog(text: string): void {
    this.entry.log(text)
  }

  /** Records where a btree's root is, which `live.roots` has from now on. */
  recordRoot(btree: number, level: number, pointer: Key): void {
    this.entry.root(btree, level, pointer)
    this.tail.forgetRoots()
    this.hasNewRoots = true
  }

  /**
   * Writes the open entry if anything was recorded; flushed if it must be, else not: how long entries stay so is the caller's business.
   * Throws what `flush` does.
   */
  close(): void {
    this.refuseHalted()
    if (!this.entry.isEmpty) this.write(this.mustFlush())
  }

  /**
   * Brings everything that was recorded to stable storage. Throws JournalError EIO if that failed, ENOSPC if there is no room: the journal
   * is halted then, and every later call throws the same.
   */
  flush(): void {
    this.refuseHalted()
    if (!this.entry.isEmpty || this.flushed < this.openSeq - 1) this.write(true)
  }

  /** The same, and an entry is written in any case: it says at its end how things are. */
  flushAnyway(): void {
    this.refuseHalted()
    this.write(true)
  }

  /**
   * Begins to bring everything that was recorded to stable storage, and returns: `poll` finds out when it is there. Whoever asks while an entry
   * is on its way is served, with all others who do, by the next one. Throws what `flush` does.
   */
  beginFlush(): void {
    this.poll()
    if (this.flight !== undefined) this.isFlushWanted ||= this.newestSeq > this.flight.seq
    else if (this.options.thread === undefined) this.flush()
    else if (!this.isFlushed) this.launch(this.options.thread)
  }

  /** Takes note of what the thread has done meanwhile. Throws what `flush` does. */
  poll(): void {
    this.refuseHalted()
    const outcome = this.flight === undefined ? undefined : this.options.thread?.poll()
    if (this.flight === undefined || outcome === undefined) return
    this.land(this.flight, outcome)
    if (!this.isFlushWanted) return
    this.isFlushWanted = false
    this.beginFlush()
  }

  /** Whether a flushed entry is on its way. */
  get isFlushing(): boolean {
    return this.flight !== undefined
  }

  /**
   * Ends the journal of a volume that is shut down: brings everything to stable storage, and then an entry without keys that needs nothing but
   * itself. Throws RangeError if something is pinned; what `flush` throws.
   */
  writeEmptyFlush(): JournalEnd {
    this.close()
    if (this.pins.count > 0) throw new RangeError(`journal entry ${this.pins.oldest()} is still needed`)
    this.write(true)
    return {
      journalSeq: this.flushed,
      records: cleanRecords(this.options.live),
      positions: this.space.positions,
      devices: this.newestOn,
    }
  }

  /** Whether space should be freed, up to `reclaimTarget`, before an ordinary transaction reserves any. */
  get isLow(): boolean {
    const needed = this.neededSeq()
    if (this.openSeq - needed > SPAN_LOW) return true
    this.space.advance(needed, this.lastOnDisk)
    return this.space.isScarce(this.entry.isEmpty ? 0 : this.openSectors())
  }

  /**
   * Pins up to and including this entry should be released: then half of the journal is not needed at least. While space is low, that is the
   * oldest one at least; else 0 may be, for none.
   */
  reclaimTarget(): number {
    return Math.max(this.space.halfwaySeq, this.openSeq - SPAN_MAX / 2, this.isLow ? this.neededSeq() : 0)
  }

  /** Lets nothing more be written. `cause`: why. */
  halt(cause: unknown): JournalError {
    const message = cause instanceof Error ? cause.message : String(cause)
    this.halted ??=
      cause instanceof JournalError ? cause : new JournalError('EIO', 'journal halted', message, { cause })
    return this.halted
  }

  private neededSeq(): number {
    return Math.min(this.pins.oldest(), this.openSeq)
  }

  /** Sectors of the open entry, if it were closed now. */
  private openSectors(): number {
    this.measureTail()
    const { blockBytes } = this.options
    return Math.ceil((Jset.size + this.entry.bytes + this.tailMax) / blockBytes) * (blockBytes / SECTOR)
  }

  /** Roots that are recorded are not at the entry's end, but they will be at that of the next. */
  private measureTail(): void {
    if (!this.hasNewRoots && !this.entry.isEmpty) return
    this.tailMax = tailBytes(this.options.live)
    this.hasNewRoots = false
  }

  private mustFlush(): boolean {
    if (this.isFirst || !this.options.mayNotFlush) return true
    this.space.advance(this.neededSeq(), this.lastOnDisk)
    return !this.space.isAmple(this.openSectors())
  }

  /** Closes the entry, writes it, and opens the next one. */
  private write(mustBeFlushed: boolean): void {
    this.awaitFlight()
    const isFlush = mustBeFlushed || this.isFlushWanted
    this.isFlushWanted = false
    try {
      const seq = this.openSeq
      // What the open entry needs is settled before there is another one: a pin that moves to that one is not in this one.
      const lastSeq = this.pins.settle(seq)
      this.place(this.sealed(lastSeq, isFlush), isFlush, lastSeq)
      this.entry.reset()
      this.openSeq = seq + 1
      if (!isFlush) return
      this.noteFlushed(seq, lastSeq)
    } catch (error) {
      throw this.halt(error)
    }
    this.options.onFlushed(this.flushed)
  }

  /** The same for a flushed entry that the thread writes. */
  private launch(thread: EntryThread): void {
    try {
      const seq = this.openSeq
      const lastSeq = this.pins.settle(seq)
      const bytes = this.sealed(lastSeq, true).slice()
      if (this.isFirst) this.eraseTorn()
      this.space.advance(this.neededSeq(), this.lastOnDisk)
      this.space.discard()
      const copies = this.space.place(bytes.length / SECTOR, seq, new Set())
      this.mark(copies.map(({ index }) => index))
      const flushFirst = this.options.flushDevices.filter((device) => device.isWritable())
      thread.start({ bytes, isFlush: true, headBytes: this.headBytes(lastSeq, copies), copies, flushFirst })
      this.flight = { seq, lastSeq, bytes }
      this.entry.reset()
      this.openSeq = seq + 1
    } catch (error) {
      throw this.halt(error)
    }
  }

  /** Nothing is written behind an entry that is on its way. */
  private awaitFlight(): void {
    const { flight } = this
    const { thread } = this.options
    if (flight === undefined || thread === undefined) return
    this.land(flight, thread.wait())
  }

  private land({ seq, lastSeq, bytes }: Flight, { written, failures }: EntryOutcome): void {
    this.flight = undefined
    try {
      const unflushable = new Set<number>()
      for (const { device, step, error } of failures) this.failDevice(device, step, error, unflushable)
      // other devices, as these have failed
      if (written.length === 0) this.place(bytes, true, lastSeq, seq)
      else this.mark([...written])
      this.noteFlushed(seq, lastSeq)
    } catch (error) {
      throw this.halt(error)
    }
    this.options.onFlushed(this.flushed)
  }

  private noteFlushed(seq: number, lastSeq: number): void {
    this.isFirst = false
    this.flushed = seq
    this.lastOnDisk = lastSeq
    this.unflushed.clear()
    this.space.advance(this.neededSeq(), lastSeq)
    this.space.discard()
  }

  private failDevice(device: number, step: FailedStep, error: DeviceError, unflushable: Set<number>): void {
    if (step === 'flush') unflushable.add(device)
    this.space.leaveBucket(device)
    this.options.onDeviceError(device, error)
    this.refuseLoss(unflushable)
  }

  private sealed(lastSeq: number, isFlush: boolean): Uint8Array {
    const { entry, tail } = this
    const { seal, version, uuidWord, blockBytes } = this.options
    entry.append(tail.of(entry, this.options.nowSeconds()))
    const description = { seq: BigInt(this.openSeq), lastSeq: BigInt(lastSeq), version, uuidWord, isNoFlush: !isFlush }
    return entry.seal(description, seal, blockBytes)
  }

  /** Writes the closed entry to as many devices as there are to be copies. If all of these fail, to others. */
  private place(bytes: Uint8Array, isFlush: boolean, lastSeq: number, seq = this.openSeq): void {
    if (this.isFirst) this.eraseTorn()
    this.space.advance(this.neededSeq(), this.lastOnDisk)
    this.space.discard()
    let flushFirst: readonly FlushTarget[] = this.options.flushDevices.filter((device) => device.isWritable())
    const failed = new Set<number>()
    const flushable = new Set(flushFirst.map(({ index }) => index))
    const fail = (device: number, step: FailedStep, error: DeviceError): void => {
      failed.add(device)
      this.space.leaveBucket(device)
      this.options.onDeviceError(device, error)
      if (step === 'flush' && flushable.delete(device)) this.refuseLoss(flushable)
    }
    if (isFlush) this.refuseLoss(flushable)
    for (;;) {
      const copies = this.space.place(bytes.length / SECTOR, seq, failed)
      this.mark(copies.map(({ index }) => index))
      const headBytes = isFlush ? this.headBytes(lastSeq, copies) : 0
      const written = writeEntry({ bytes, isFlush, headBytes, copies, flushFirst }, fail)
      flushFirst = []
      if (written.length === 0) continue // these devices have failed: there are fewer now
      this.mark(written)
      if (!isFlush) this.unflushed.set(written.join(), written)
      return
    }
  }

  /** How much of an entry is its head, if that has to come last: as much as is written whole or not at all. */
  private headBytes(lastSeq: number, copies: readonly EntryCopy[]): number {
    // the first since the start: what a shutdown left needs nothing but itself
    if (!this.isFirst && lastSeq <= this.lastOnDisk) return 0
    return copies.reduce((most, { device }) => Math.max(most, device.alignment), SECTOR)
  }

  /** Refuses to write a flushed entry if one before it may be lost, as none of these devices has it. */
  private refuseLoss(flushable: ReadonlySet<number>): void {
    for (const devices of this.unflushed.values()) {
      if (devices.some((device) => flushable.has(device))) continue
      const message = `device ${devices.join(' and ')} can't be flushed: entries before it may be lost`
      throw new JournalError('EIO', `journal entry ${this.openSeq}`, message)
    }
  }

  private mark(devices: number[]): void {
    devices.sort((a, b) => a - b)
    this.newestOn = devices
    const name = devices.join()
    if (this.marked.has(name)) return
    this.options.ensureReplicas(devices)
    this.marked.add(name)
  }

  /** Torn entries of a flush that never was: found again, they would be taken for damage. */
  private eraseTorn(): void {
    const { start, devices, blockBytes } = this.options
    const zeros = new Uint8Array(blockBytes)
    for (const { device: index, offset } of start.torn) {
      const member = devices.find((each) => each.index === index)
      if (member?.isWritable() !== true) continue
      try {
        member.device.write(zeros, offset)
      } catch (error) {
        if (!(error instanceof DeviceError)) throw error
        this.options.onDeviceError(index, error)
      }
    }
  }

  private refuseHalted(): void {
    if (this.halted !== undefined) throw this.halted
  }
}
