/**
 * Jobs of copying data to devices, in memory that threads share: who finds one that nobody has taken performs it. A job reads a stretch of a file, or
 * finds it in memory, gives each unit of it its checksum, and writes it to one place on each of several devices.
 *
 *     words      SUBMITTED TAKEN STOP | state of each job
 *     numbers    of each job: what it is, and what came of it
 *     units      of each job: how long they are, in sectors
 *     sums       of each job: their checksums, four words each
 *     memory     pieces of data, in slots
 *
 * Jobs are numbered as they are submitted, and `number % JOBS` is where they lie: there is room for a new one when the one before it there was
 * collected.
 */

import { Checksum, CHECKSUM_WORDS } from '@cowherd/db'
import { nativeCodecs, readFully, TransferError, writeFully } from '@cowherd/shim'
import { constants } from 'node:os'
import { COPIES_MAX } from './plain-volume.ts'

/** The most jobs that are submitted and not collected. */
export const JOBS = 64
/** What a job has at most: bytes, units. */
export const JOB_BYTES = 1 << 20
export const UNITS_MAX = 512
/** Slots of memory, of `JOB_BYTES` each. */
export const SLOTS = 8

const SECTOR = 512

const Word = { submitted: 0, taken: 1, stop: 2, states: 4 } as const
/** Rows of `numbers`. Targets: a descriptor and an offset each. */
const Column = { fd: 0, at: 1, bytes: 2, units: 3, targets: 4, outcome: 5, errno: 6, read: 7, target: 8 } as const
const COLUMNS = Column.target + 2 * COPIES_MAX

const State = { open: 0, done: 1 } as const
export const Outcome = { done: 0, notRead: 1, notWritten: 2 } as const

/** What threads need to have it in common; it can be posted. */
export interface JobMemory {
  readonly words: SharedArrayBuffer
  readonly numbers: SharedArrayBuffer
  readonly units: SharedArrayBuffer
  readonly sums: SharedArrayBuffer
  readonly memory: SharedArrayBuffer
  /** Type of the checksums, as stored. */
  readonly checksumType: number
  /** What is read is filled up to so many bytes. */
  readonly blockBytes: number
}

export function newJobMemory(checksumType: number, blockBytes: number): JobMemory {
  return {
    words: new SharedArrayBuffer(4 * (Word.states + JOBS)),
    numbers: new SharedArrayBuffer(8 * COLUMNS * JOBS),
    units: new SharedArrayBuffer(2 * UNITS_MAX * JOBS),
    sums: new SharedArrayBuffer(4 * CHECKSUM_WORDS * UNITS_MAX * JOBS),
    memory: new SharedArrayBuffer(SLOTS * JOB_BYTES),
    ...{ checksumType, blockBytes },
  }
}

/** Where data is read, and how much there should be: from a file, or (`fd` less than 0) from `memory`, where it is whole blocks. */
export interface JobSource {
  readonly fd: number
  readonly at: number
  readonly bytes: number
}

export interface JobTarget {
  readonly fd: number
  readonly offset: number
}

export class DataJobs {
  readonly memory: Uint8Array
  readonly sums: Uint32Array
  private readonly words: Int32Array
  private readonly numbers: Float64Array
  private readonly units: Uint16Array
  private readonly checksumType: number
  private readonly blockBytes: number
  private readonly checksum = new Checksum(nativeCodecs())
  private buffer: Uint8Array | undefined

  constructor({ words, numbers, units, sums, memory, checksumType, blockBytes }: JobMemory) {
    this.words = new Int32Array(words)
    this.numbers = new Float64Array(numbers)
    this.units = new Uint16Array(units)
    this.sums = new Uint32Array(sums)
    this.memory = new Uint8Array(memory)
    this.checksumType = checksumType
    this.blockBytes = blockBytes
  }

  /** Submits a job, for which there is room. Returns its number. */
  submit(source: JobSource, unitSectors: readonly number[], targets: readonly JobTarget[]): number {
    const { words, numbers, units } = this
    const number = Atomics.load(words, Word.submitted)
    const slot = number % JOBS
    const row = slot * COLUMNS
    numbers[row + Column.fd] = source.fd
    numbers[row + Column.at] = source.at
    numbers[row + Column.bytes] = source.bytes
    numbers[row + Column.units] = unitSectors.length
    numbers[row + Column.targets] = targets.length
    targets.forEach(({ fd, offset }, i) => {
      numbers[row + Column.target + 2 * i] = fd
      numbers[row + Column.target + 2 * i + 1] = offset
    })
    units.set(unitSectors, slot * UNITS_MAX)
    Atomics.store(words, Word.states + slot, State.open)
    Atomics.store(words, Word.submitted, number + 1)
    Atomics.notify(words, Word.submitted, 1)
    return number
  }

  isDone(number: number): boolean {
    return Atomics.load(this.words, Word.states + (number % JOBS)) === State.done
  }

  /** Waits until a job is done, or for `timeoutMs`. Returns whether it is. */
  wait(number: number, timeoutMs: number): boolean {
    Atomics.wait(this.words, Word.states + (number % JOBS), State.open, timeoutMs)
    return this.isDone(number)
  }

  /** What came of a job that is done; `errno` is positive. */
  outcomeOf(number: number): { readonly outcome: number; readonly errno: number; readonly readBytes: number } {
    const row = (number % JOBS) * COLUMNS
    const { numbers } = this
    return {
      outcome: numbers[row + Column.outcome],
      errno: numbers[row + Column.errno],
      readBytes: numbers[row + Column.read],
    }
  }

  /** Index in `sums` of the checksum of a job's first unit. */
  sumsAt(number: number): number {
    return (number % JOBS) * UNITS_MAX * CHECKSUM_WORDS
  }

  /** Performs the next job that nobody has taken. False if there is none. */
  performNext(): boolean {
    const { words } = this
    for (;;) {
      const number = Atomics.load(words, Word.taken)
      if (number === Atomics.load(words, Word.submitted)) return false
      if (Atomics.compareExchange(words, Word.taken, number, number + 1) !== number) continue
      this.perform(number % JOBS)
      Atomics.store(words, Word.states + (number % JOBS), State.done)
      Atomics.notify(words, Word.states + (number % JOBS))
      return true
    }
  }

  /** Performs jobs until `stop`. */
  serve(): void {
    const { words } = this
    while (Atomics.load(words, Word.stop) === 0) {
      const submitted = Atomics.load(words, Word.submitted)
      if (this.performNext()) continue
      if (Atomics.load(words, Word.stop) === 0) Atomics.wait(words, Word.submitted, submitted)
    }
  }

  /** Has the threads that serve end. */
  stop(): void {
    const { words } = this
    Atomics.store(words, Word.stop, 1)
    // Those that sleep do so on the number of jobs, which has to be another.
    Atomics.add(words, Word.submitted, 1)
    Atomics.add(words, Word.taken, 1)
    Atomics.notify(words, Word.submitted)
  }

  private perform(slot: number): void {
    const { numbers } = this
    const row = slot * COLUMNS
    numbers[row + Column.outcome] = Outcome.notRead
    try {
      const bytes = this.find(row)
      numbers[row + Column.outcome] = Outcome.notWritten
      this.sum(slot, bytes)
      for (let i = 0; i < numbers[row + Column.targets]; i++) {
        const fd = numbers[row + Column.target + 2 * i]
        const done = writeFully(fd, bytes, 0, bytes.length, numbers[row + Column.target + 2 * i + 1])
        if (done < bytes.length) throw new TransferError('EIO', done, undefined)
      }
      numbers[row + Column.outcome] = Outcome.done
    } catch (error) {
      if (!(error instanceof TransferError)) throw error
      numbers[row + Column.errno] = new Map(Object.entries(constants.errno)).get(error.code) ?? constants.errno.EIO
    }
  }

  /** The data, in whole blocks. Throws TransferError. */
  private find(row: number): Uint8Array {
    const { numbers, memory, blockBytes } = this
    const [fd, at, bytes] = numbers.subarray(row, row + 3)
    if (fd < 0) {
      numbers[row + Column.read] = bytes
      return memory.subarray(at, at + bytes)
    }
    const buffer = (this.buffer ??= new Uint8Array(JOB_BYTES))
    const read = readFully(fd, buffer, 0, bytes, at)
    numbers[row + Column.read] = read
    const end = Math.ceil(read / blockBytes) * blockBytes
    buffer.fill(0, read, end)
    return buffer.subarray(0, end)
  }

  private sum(slot: number, bytes: Uint8Array): void {
    const { numbers, units, sums, checksum, checksumType } = this
    if (checksumType === 0) return
    const count = numbers[slot * COLUMNS + Column.units]
    for (let i = 0, at = 0; i < count && at < bytes.length; i++) {
      const end = at + units[slot * UNITS_MAX + i] * SECTOR
      checksum.compute(checksumType, bytes.subarray(at, Math.min(end, bytes.length)))
      sums.set(checksum.words, (slot * UNITS_MAX + i) * CHECKSUM_WORDS)
      at = end
    }
  }
}
