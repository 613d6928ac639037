/**
 * The threads that share locks. A registry is a piece of shared memory with one seat for each thread: a word that says who
 * sits there and whether he lives, and a few records that say what he waits for and which locks he shares with others. So a
 * waiter can tell that an owner has died, and finds the dead among the many holders of a shared lock.
 *
 * Who starts a thread reserves its seat, hands over its id with the registry's place, and calls `markDead` when the thread has
 * ended; a worker's `exit` event is the one place that sees every way of ending. There is one registry in a process.
 *
 *     header: next lock number | seats | word of seat 1..n | records of seat 1 | records of seat 2 | ...
 *
 * A thread id is a seat number (8 bits) and how often the seat was given (10 bits), so that ids of the dead aren't given
 * again soon. Seats of those who died holding or waiting stay empty: their records are evidence.
 */

import { newPlace, wordsAt, type SharedPlace } from './place.ts'
import { LockUseError } from './sync-error.ts'

/** 8 bits of seat, 10 of generation. */
export const ID_MASK = 0x3ffff
const SEAT_MASK = 0xff
const GENERATION_UNIT = 0x100
/** In a seat's word, beside the id of who sat there. */
const DEAD = 1 << 30

const NEXT_LOCK_NUMBER = 0
const SEATS = 1
const HEADER_WORDS = 2

/** What one thread can wait for and hold shared at the same time. */
const RECORDS_MAX = 32
const RECORD_WORDS = 8

/** Words of a record. `signal` is what the thread sleeps on; the others are written by its thread or under the list's guard. */
export const SIGNAL = 0
export const LOCK = 1
export const MODE = 2
export const OWNER = 3
export const NEXT = 4
export const QUEUED = 5
export const COUNT = 6

/** Values of a record's signal. */
export const Signal = { free: 0, waiting: 1, granted: 2, held: 3 } as const

/** A thread's own side of the registry. */
export class ThreadSelf {
  readonly id: number
  readonly registry: ThreadRegistry
  /** The registry's words: records are offsets into them. */
  readonly words: Int32Array
  /** Records whose signal was set under the guard of a list, to be woken when it is free again. */
  readonly toWake: number[] = []
  private readonly free: number[] = []
  private readonly shared: number[] = []

  constructor(registry: ThreadRegistry, id: number) {
    this.registry = registry
    this.id = id
    this.words = registry.words
    const first = registry.recordsOf(id & SEAT_MASK)
    for (let i = RECORDS_MAX - 1; i >= 0; i--) this.free.push(first + i * RECORD_WORDS)
  }

  /** Takes a record for lock `lock`. */
  take(lock: number, mode: number, signal: number): number {
    const record = this.free.pop()
    if (record === undefined)
      throw new LockUseError(`more than ${RECORDS_MAX} locks shared or waited for by one thread`)
    const { words } = this
    words[record + LOCK] = lock
    words[record + MODE] = mode
    words[record + OWNER] = this.id
    words[record + NEXT] = 0
    words[record + QUEUED] = 0
    words[record + COUNT] = 1
    words[record + SIGNAL] = signal
    return record
  }

  giveBack(record: number): void {
    this.words[record + SIGNAL] = Signal.free
    this.free.push(record)
  }

  /** The record says from now on that its lock is held in shared mode. */
  keep(record: number): void {
    this.words[record + SIGNAL] = Signal.held
    this.shared.push(record)
  }

  /** The record by which this thread holds `lock` in shared mode, or 0. */
  sharing(lock: number): number {
    for (const record of this.shared) if (this.words[record + LOCK] === lock) return record
    return 0
  }

  /** One more hold of the same lock. */
  counts(record: number): void {
    this.words[record + COUNT]++
  }

  /** Whether the lock is held once only. */
  isLast(record: number): boolean {
    return this.words[record + COUNT] === 1
  }

  /** One hold less. True: that was the last one. */
  lessens(record: number): boolean {
    return --this.words[record + COUNT] === 0
  }

  /** Ends `keep`. */
  drop(record: number): void {
    const last = this.shared.pop()
    if (last !== undefined && last !== record) this.shared[this.shared.indexOf(record)] = last
    this.giveBack(record)
  }
}

let current: ThreadSelf | undefined

/** The calling thread. Throws LockUseError if it has not entered a registry. */
export function self(): ThreadSelf {
  if (current === undefined) throw new LockUseError('this thread has not entered a ThreadRegistry')
  return current
}

/** The registry of the threads of a process. */
export class ThreadRegistry {
  readonly place: SharedPlace
  /** @internal */
  readonly words: Int32Array

  /** A view of the registry at `place`. */
  constructor(place: SharedPlace) {
    this.place = place
    const seats = new Int32Array(place.buffer, place.offset, HEADER_WORDS)[SEATS]
    this.words = wordsAt(place, ThreadRegistry.bytes(seats))
  }

  /** Bytes of a registry for `seats` threads, at most 255. */
  static bytes(seats: number): number {
    return 4 * (HEADER_WORDS + seats + seats * RECORDS_MAX * RECORD_WORDS)
  }

  /** Makes a registry for `seats` threads; `place` must be zeroed. */
  static create(seats = 64, place: SharedPlace = newPlace(ThreadRegistry.bytes(seats))): ThreadRegistry {
    if (!(seats >= 1 && seats <= SEAT_MASK)) throw new RangeError(`${seats} seats where 1 to ${SEAT_MASK} are possible`)
    const words = wordsAt(place, ThreadRegistry.bytes(seats))
    words[SEATS] = seats
    words[NEXT_LOCK_NUMBER] = 1
    return new ThreadRegistry(place)
  }

  /** How many threads can have a seat at the same time. */
  get seats(): number {
    return this.words[SEATS]
  }

  /** Reserves a seat for a thread that is going to be started. Returns its thread id. Throws RangeError if none is free. */
  reserve(): number {
    for (let seat = 1; seat <= this.seats; seat++) {
      const word = Atomics.load(this.words, HEADER_WORDS + seat - 1)
      if (word !== 0 && ((word & DEAD) === 0 || !this.isClean(seat))) continue
      const id = ((((word & ID_MASK) | SEAT_MASK) + GENERATION_UNIT) & ID_MASK & ~SEAT_MASK) | seat
      if (Atomics.compareExchange(this.words, HEADER_WORDS + seat - 1, word, id) === word) return id
    }
    throw new RangeError(`all ${this.seats} seats of the thread registry are taken`)
  }

  /** The calling thread takes the seat that was reserved as `id`; left out, one that is free. Returns the thread's id. */
  enter(id: number = this.reserve()): number {
    if (!this.isAlive(id)) throw new LockUseError(`thread id ${id} is not reserved`)
    current = new ThreadSelf(this, id)
    return id
  }

  /** Says that the thread has ended. Waiters for what it holds find out. Does nothing the second time. */
  markDead(id: number): void {
    Atomics.compareExchange(this.words, HEADER_WORDS + (id & SEAT_MASK) - 1, id, id | DEAD)
  }

  /** Marks the thread dead when its worker has ended, in whichever way. */
  watch(worker: { once(event: 'exit', listener: () => void): unknown }, id: number): void {
    worker.once('exit', () => this.markDead(id))
  }

  isAlive(id: number): boolean {
    return Atomics.load(this.words, HEADER_WORDS + (id & SEAT_MASK) - 1) === id
  }

  /** As `isAlive`, without an atomic: may be late. */
  seemsAlive(id: number): boolean {
    return this.words[HEADER_WORDS + (id & SEAT_MASK) - 1] === id
  }

  /** A number for a new lock, never 0. */
  numberLock(): number {
    return Atomics.add(this.words, NEXT_LOCK_NUMBER, 1)
  }

  /** Id of a dead thread that holds lock `lock` in shared mode, or was given it; 0 if there is none. */
  deadSharer(lock: number): number {
    for (let seat = 1; seat <= this.seats; seat++) {
      const word = Atomics.load(this.words, HEADER_WORDS + seat - 1)
      if ((word & DEAD) === 0) continue
      for (let i = 0; i < RECORDS_MAX; i++) {
        const record = this.recordsOf(seat) + i * RECORD_WORDS
        const signal = this.words[record + SIGNAL]
        const holds = signal === Signal.held || signal === Signal.granted
        if (holds && this.words[record + LOCK] === lock) return word & ID_MASK
      }
    }
    return 0
  }

  /** @internal First record of a seat. */
  recordsOf(seat: number): number {
    return HEADER_WORDS + this.seats + (seat - 1) * RECORDS_MAX * RECORD_WORDS
  }

  /** Whether nobody looks at the records of a seat any more. */
  private isClean(seat: number): boolean {
    for (let i = 0; i < RECORDS_MAX; i++) {
      if (this.words[this.recordsOf(seat) + i * RECORD_WORDS + SIGNAL] !== Signal.free) return false
    }
    return true
  }
}
