/**
 * The threads that share locks. A registry is a piece of shared memory with one seat for each thread: a word that says who
 * sits there and whether he lives, and a few records that say what he waits for and which locks he shares with others. So a
 * waiter can tell that an owner has died, and finds the dead among the many holders of a shared lock.
 *
 * Who starts a thread reserves its seat, hands over its id with the registry's place, and calls `markDead` when the thread has
 * ended; a worker's `exit` event is the one place that sees every way of ending. There is one registry in a process.
 *
 * What lies where is in registry-layout.ts.
 *
 * A thread id is a seat number (8 bits) and how often the seat was given (10 bits), so that ids of the dead aren't given
 * again soon. Seats of those who died holding or waiting stay empty: their records are evidence.
 */

import { newPlace, wordsAt, type SharedPlace } from './place.ts'
import {
  Header,
  HEADER_WORDS,
  HELD_MAX,
  LABEL_WORDS,
  layoutFor,
  Note,
  NOTE_WORDS,
  readText,
  RECORD_WORDS,
  RECORDS_MAX,
  type RegistryLayout,
  timeWord,
  writeText,
} from './registry-layout.ts'
import { LockUseError } from './sync-error.ts'

/** 8 bits of seat, 10 of generation. */
export const ID_MASK = 0x3ffff
const SEAT_MASK = 0xff
const GENERATION_UNIT = 0x100
/** In a seat's word, beside the id of who sat there. */
const DEAD = 1 << 30

/**
 * Words of a record. `signal` is what the thread sleeps on; the others are written by its thread or under the list's guard.
 * The last three are for the state dump only, and may be old: when the wait began, who was seen owning, the lock's label.
 */
export const SIGNAL = 0
export const LOCK = 1
export const MODE = 2
export const OWNER = 3
export const NEXT = 4
export const QUEUED = 5
export const COUNT = 6
export const SINCE = 7
export const SEEN = 8
export const LABEL = 9

/** Values of a record's signal. Nudged: waiting, but the thread shall look around. */
export const Signal = { free: 0, waiting: 1, granted: 2, held: 3, nudged: 4 } as const

/** Lock numbers carry the kind of lock in their upper bits: so it costs nothing to tell what somebody waits for. */
export const KIND_SHIFT = 28

/** What must know when its thread sleeps: a view of RCU. */
export interface Sleeper {
  fallsAsleep(): void
  wakesUp(): void
}

/** A thread's own side of the registry. */
export class ThreadSelf {
  readonly id: number
  readonly registry: ThreadRegistry
  /** The registry's words: records are offsets into them. */
  readonly words: Int32Array
  /** Records whose signal was set under the guard of a list, to be woken when it is free again. */
  readonly toWake: number[] = []
  /** Told before and after each blocking sleep. */
  readonly sleepers: Sleeper[] = []
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

  /** Notes when the wait of `record` begins, and for what. */
  noteWait(record: number, label: number, owner: number): void {
    this.words[record + SINCE] = timeWord()
    this.words[record + LABEL] = label
    this.words[record + SEEN] = owner
  }

  /** Notes which locks this thread holds, for the state dump. */
  noteHeld(locks: readonly number[]): void {
    const note = this.registry.noteOf(this.id)
    const count = Math.min(locks.length, HELD_MAX)
    for (let i = 0; i < count; i++) Atomics.store(this.words, note + Note.held + i, locks[i])
    Atomics.store(this.words, note + Note.heldCount, count)
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

let reap: (() => void) | undefined

/** Sets what this thread does, about ten times a second, while it waits: looking for threads that died unnoticed. */
export function reapWhileWaiting(reaping: () => void): void {
  reap = reaping
}

/** A slice of sleep is over. */
export function sliceIsOver(): void {
  reap?.()
}

/** The registry of the threads of a process. */
export class ThreadRegistry {
  readonly place: SharedPlace
  /** @internal */
  readonly words: Int32Array
  /** @internal */
  readonly layout: RegistryLayout

  /** A view of the registry at `place`. */
  constructor(place: SharedPlace) {
    this.place = place
    const seats = new Int32Array(place.buffer, place.offset, HEADER_WORDS)[Header.seats]
    this.words = wordsAt(place, ThreadRegistry.bytes(seats))
    this.layout = layoutFor(seats)
  }

  /** Bytes of a registry for `seats` threads, at most 255. */
  static bytes(seats: number): number {
    return 4 * layoutFor(seats).words
  }

  /** The registry that the calling thread has entered. Throws LockUseError if there is none. */
  static get entered(): ThreadRegistry {
    return self().registry
  }

  /** Makes a registry for `seats` threads; `place` must be zeroed. */
  static create(seats = 64, place: SharedPlace = newPlace(ThreadRegistry.bytes(seats))): ThreadRegistry {
    if (!(seats >= 1 && seats <= SEAT_MASK)) throw new RangeError(`${seats} seats where 1 to ${SEAT_MASK} are possible`)
    const words = wordsAt(place, ThreadRegistry.bytes(seats))
    words[Header.seats] = seats
    words[Header.nextLock] = 1
    return new ThreadRegistry(place)
  }

  /** How many threads can have a seat at the same time. */
  get seats(): number {
    return this.words[Header.seats]
  }

  /** Reserves a seat for a thread that is going to be started. Returns its thread id. Throws RangeError if none is free. */
  reserve(): number {
    for (let seat = 1; seat <= this.seats; seat++) {
      const word = Atomics.load(this.words, HEADER_WORDS + seat - 1)
      if (word !== 0 && ((word & DEAD) === 0 || !this.isClean(seat))) continue
      const id = ((((word & ID_MASK) | SEAT_MASK) + GENERATION_UNIT) & ID_MASK & ~SEAT_MASK) | seat
      if (Atomics.compareExchange(this.words, HEADER_WORDS + seat - 1, word, id) !== word) continue
      this.nameThread(id, '') // nor has it anything else of who sat there before
      Atomics.store(this.words, this.noteOf(id) + Note.heldCount, 0)
      Atomics.store(this.words, this.noteOf(id) + Note.since, timeWord())
      return id
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
    const seat = HEADER_WORDS + (id & SEAT_MASK) - 1
    if (Atomics.compareExchange(this.words, seat, id, id | DEAD) === id) Atomics.add(this.words, Header.deaths, 1)
  }

  /** How many threads have been marked dead, modulo 2^32: as long as it stays the same, nobody died. */
  get deaths(): number {
    return Atomics.load(this.words, Header.deaths)
  }

  /** Marks the thread dead when its worker has ended, in whichever way. */
  watch(worker: { once(event: 'exit', listener: () => void): unknown }, id: number): void {
    worker.once('exit', () => this.markDead(id))
  }

  isAlive(id: number): boolean {
    return id !== 0 && Atomics.load(this.words, HEADER_WORDS + (id & SEAT_MASK) - 1) === id
  }

  /** As `isAlive`, without an atomic: may be late. */
  seemsAlive(id: number): boolean {
    return this.words[HEADER_WORDS + (id & SEAT_MASK) - 1] === id
  }

  /** A number for a new lock of the kind (0 to 15), never 0. */
  numberLock(kind = 0): number {
    return (kind << KIND_SHIFT) | (Atomics.add(this.words, Header.nextLock, 1) & ((1 << KIND_SHIFT) - 1))
  }

  /** Names a thread, in at most 28 bytes of UTF-8; the rest is cut off. */
  nameThread(id: number, name: string): void {
    writeText(this.words, this.noteOf(id), name)
  }

  /** The name of the thread with the id, alive or dead; empty if it has none. */
  nameOf(id: number): string {
    return readText(this.words, this.noteOf(id))
  }

  /**
   * Ends the current slice of sleep of all waits of the thread, as if a tenth of a second were over: who waits on a wait queue
   * looks at its condition again.
   */
  nudge(id: number): void {
    const first = this.recordsOf(id & SEAT_MASK)
    for (let i = 0; i < RECORDS_MAX; i++) {
      const signal = first + i * RECORD_WORDS + SIGNAL
      if (Atomics.load(this.words, signal) !== Signal.waiting) continue
      if (Atomics.compareExchange(this.words, signal, Signal.waiting, Signal.nudged) === Signal.waiting)
        Atomics.notify(this.words, signal)
    }
  }

  /** @internal Number of the label with the text; 0: there is no room for another. `lock` is the first one called so. */
  labelFor(text: string, lock: number): number {
    const used = Math.min(Atomics.load(this.words, Header.labels), this.layout.labelsMax)
    for (let label = 1; label <= used; label++) if (this.labelText(label) === text) return label
    if (used === this.layout.labelsMax) return 0
    const label = Atomics.add(this.words, Header.labels, 1) + 1
    if (label > this.layout.labelsMax) return 0
    const at = this.layout.labels + (label - 1) * LABEL_WORDS
    Atomics.store(this.words, at, lock)
    writeText(this.words, at + 1, text)
    return label
  }

  /** @internal The text of a label; empty if there is no such label. */
  labelText(label: number): string {
    if (!(label >= 1 && label <= this.layout.labelsMax)) return ''
    return readText(this.words, this.layout.labels + (label - 1) * LABEL_WORDS + 1)
  }

  /** @internal First word of the note on a thread's seat. */
  noteOf(id: number): number {
    return this.layout.notes + ((id & SEAT_MASK) - 1) * NOTE_WORDS
  }

  /** @internal Id of who sits or sat on a seat, 0 if nobody did. */
  idOf(seat: number): number {
    return Atomics.load(this.words, HEADER_WORDS + seat - 1) & ID_MASK
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
    return this.layout.records + (seat - 1) * RECORDS_MAX * RECORD_WORDS
  }

  /** Whether nobody looks at the records of a seat any more. */
  private isClean(seat: number): boolean {
    for (let i = 0; i < RECORDS_MAX; i++) {
      if (this.words[this.recordsOf(seat) + i * RECORD_WORDS + SIGNAL] !== Signal.free) return false
    }
    return true
  }
}
