/**
 * Timers in shared memory: any thread starts, changes and cancels them; they expire in the one thread that serves them, their
 * owner, by functions that it brings. Resolution: a millisecond. A timer never expires early.
 *
 * An owner that is blocked, or busy, is late: what was due meanwhile expires when it comes back, in the order of their times.
 * If the owner dies or leaves, timers stay pending, nothing expires, and no call here waits for it; when another thread
 * serves them, they expire there. A thread that dies in the middle of changing them makes all calls fail with OwnerDeadError.
 *
 *     mutex | queue of the owner | queue of who waits for the end of a function | header | names | slots | heap
 */

import { watchState } from './state-dump.ts'
import { Mutex } from '../sync/mutex.ts'
import { newPlace, wordsAt, type SharedPlace } from '../sync/place.ts'
import { LOCK_BYTES, namePrimitive } from '../sync/queue-lock.ts'
import { LockUseError } from '../sync/sync-error.ts'
import { self } from '../sync/threads.ts'
import { WaitQueue } from '../sync/wait-queue.ts'
import { nowMs } from './clock.ts'
import { functionsByNumber, numberOf, readNames, wordsForNames, writeNames } from './function-names.ts'
import type { ThreadContext } from './thread-control.ts'
import { TimerHeap } from './timer-heap.ts'

const LOCK_WORDS = LOCK_BYTES / 4
const CAPACITY = 3 * LOCK_WORDS
const FREE = CAPACITY + 1
const OWNER = CAPACITY + 2
/** 1 + slot whose function is being called. */
const RUNNING = CAPACITY + 3
/** Changes when the first one becomes due earlier, and when they are closed: the owner looks again. */
const EPOCH = CAPACITY + 4
const CLOSED = CAPACITY + 5
const EXPIRED = CAPACITY + 6
const NAMES = CAPACITY + 7

/** A slot: its generation << 1 | in use, what it calls, and 1 + the next free one. */
const GENERATION = 0
const FUNCTION = 1
const ARGUMENT = 2
const NEXT_FREE = 3
const SLOT_WORDS = 4

const CAPACITY_MAX = 2 ** 14
const SLOT_BITS = 14
const GENERATION_MASK = 2 ** 17 - 1

export interface TimersOptions {
  /** For people: the state dump. */
  readonly name: string
  /** Names of the functions that a timer can call. */
  readonly functions: readonly string[]
  /** How many timers there can be, at most 16384. */
  readonly capacity?: number
}

/** What a timer calls: with the argument it was made with, and itself. */
export type TimerFunction = (argument: number, timer: number) => void

export interface TimerServing {
  /** Ends serving when the thread is asked to stop. */
  readonly context?: ThreadContext
  /** Gets what a function throws. */
  readonly onError: (error: unknown, functionName: string) => void
}

export interface TimersState {
  readonly name: string
  readonly owner: number
  readonly isOwnerAlive: boolean
  readonly pending: number
  readonly expired: number
  /** What is being called now. */
  readonly running: string | undefined
}

export class Timers {
  readonly place: SharedPlace
  readonly name: string
  private readonly words: Int32Array
  private readonly names: readonly string[]
  private readonly mutex: Mutex
  private readonly changed: WaitQueue
  private readonly returned: WaitQueue
  private readonly heap: TimerHeap
  private readonly slotsAt: number

  /** A view of what was created at `place`. */
  constructor(place: SharedPlace) {
    this.place = place
    this.words = new Int32Array(place.buffer, place.offset)
    const [name = '', ...names] = readNames(this.words, NAMES)
    this.name = name
    this.names = names
    this.mutex = new Mutex(place)
    this.changed = new WaitQueue(partOf(place, 1))
    this.returned = new WaitQueue(partOf(place, 2))
    this.slotsAt = NAMES + wordsForNames([name, ...names])
    const capacity = this.words[CAPACITY]
    this.heap = new TimerHeap(this.words, this.slotsAt + capacity * SLOT_WORDS, capacity)
    watchState('timers', this, (timers: Timers) => timers.state())
  }

  /** Bytes of timers with these options. */
  static bytes({ name, functions, capacity = 64 }: TimersOptions): number {
    return 4 * (NAMES + wordsForNames([name, ...functions]) + capacity * SLOT_WORDS + TimerHeap.words(capacity))
  }

  /** Makes room for timers; `place` must be zeroed. */
  static create(options: TimersOptions, place: SharedPlace = newPlace(Timers.bytes(options))): Timers {
    const { name, functions, capacity = 64 } = options
    if (!(capacity >= 1 && capacity <= CAPACITY_MAX)) throw new RangeError(`${capacity} timers`)
    const words = wordsAt(place, Timers.bytes(options))
    namePrimitive(Mutex.create(place), name)
    namePrimitive(WaitQueue.create(partOf(place, 1)), 'timers: the next one')
    namePrimitive(WaitQueue.create(partOf(place, 2)), 'timers: end of a function')
    words[CAPACITY] = capacity
    writeNames(words, NAMES, [name, ...functions])
    const slotsAt = NAMES + wordsForNames([name, ...functions])
    for (let slot = 0; slot < capacity - 1; slot++) words[slotsAt + slot * SLOT_WORDS + NEXT_FREE] = slot + 2
    words[FREE] = 1
    return new Timers(place)
  }

  /** Makes a timer, which is not started. Returns its number. Throws RangeError if there are too many, or no such function. */
  add(functionName: string | number, argument = 0): number {
    const called = numberOf(this.names, functionName)
    return this.locked(() => {
      const slot = this.words[FREE] - 1
      if (slot < 0) throw new RangeError(`all ${this.words[CAPACITY]} timers of ${this.name} are in use`)
      const at = this.atSlot(slot)
      this.words[FREE] = this.words[at + NEXT_FREE]
      this.words[at + GENERATION] |= 1
      this.words[at + FUNCTION] = called
      this.words[at + ARGUMENT] = argument
      return (this.words[at + GENERATION] >>> 1) * 2 ** SLOT_BITS + slot
    })
  }

  /** Starts a timer, or changes when it expires: in `delayMs` from now. Returns whether it was pending. Throws LockUseError if it was dropped. */
  start(timer: number, delayMs: number): boolean {
    const [wasPending, isFirst] = this.locked(() => {
      const slot = this.slotOf(timer)
      const pending = this.heap.has(slot)
      const first = this.heap.firstDueMs
      this.heap.set(slot, nowMs() + delayMs)
      const isEarlier = this.heap.firstDueMs < first
      if (isEarlier) Atomics.add(this.words, EPOCH, 1)
      return [pending, isEarlier]
    })
    if (isFirst) this.changed.wakeAll()
    return wasPending
  }

  /** Whether the timer is started and has not expired yet. */
  isPending(timer: number): boolean {
    return this.locked(() => this.heap.has(this.slotOf(timer)))
  }

  /** Stops a timer. Returns whether it was pending; if not, its function may be running right now. */
  cancel(timer: number): boolean {
    return this.locked(() => this.heap.remove(this.slotOf(timer)))
  }

  /**
   * Stops a timer, and waits until its function is not running, and has not started it again. Returns whether it was
   * pending. Throws LockUseError if its function itself asks.
   */
  cancelAndWait(timer: number): boolean {
    let was = false
    this.locked(() => {
      const calls = Atomics.load(this.words, RUNNING) === this.slotOf(timer) + 1
      if (calls && Atomics.load(this.words, OWNER) === self().id) throw new LockUseError('a timer waits for itself')
    })
    this.returned.waitUntil(() => this.isStopped(timer, () => (was = true)))
    return was
  }

  /** `cancelAndWait` without blocking. */
  async cancelAndWaitAsync(timer: number): Promise<boolean> {
    let was = false
    await this.returned.waitUntilAsync(() => this.isStopped(timer, () => (was = true)))
    return was
  }

  /** Stops a timer and gives its number back. If its function is running, it goes on. */
  drop(timer: number): void {
    this.locked(() => {
      const slot = this.slotOf(timer)
      this.heap.remove(slot)
      const at = this.atSlot(slot)
      this.words[at + GENERATION] = (((this.words[at + GENERATION] >>> 1) + 1) & GENERATION_MASK) << 1
      this.words[at + NEXT_FREE] = this.words[FREE]
      this.words[FREE] = slot + 1
    })
  }

  /** Serving ends, in whichever thread. Timers stay pending. */
  close(): void {
    Atomics.store(this.words, CLOSED, 1)
    this.changed.wakeAll()
  }

  /**
   * The calling thread becomes the owner: blocks, and calls what expires, until asked to stop, or closed. Throws RangeError if a
   * function is missing, LockUseError if another thread serves already.
   */
  serve(functions: Readonly<Record<string, TimerFunction>>, serving: TimerServing): void {
    const called = this.become(functions)
    try {
      for (;;) {
        const epoch = Atomics.load(this.words, EPOCH)
        const pauseMs = this.expire(called, serving)
        if (this.isOver(serving)) return
        this.changed.waitUntilWithin(() => this.isOver(serving) || Atomics.load(this.words, EPOCH) !== epoch, pauseMs)
      }
    } finally {
      this.resign()
    }
  }

  /** `serve` in a thread whose other tasks go on. */
  async serveAsync(functions: Readonly<Record<string, TimerFunction>>, serving: TimerServing): Promise<void> {
    const called = this.become(functions)
    try {
      for (;;) {
        const epoch = Atomics.load(this.words, EPOCH)
        const pauseMs = this.expire(called, serving)
        if (this.isOver(serving)) return
        const isNew = (): boolean => this.isOver(serving) || Atomics.load(this.words, EPOCH) !== epoch
        await this.changed.waitUntilAsync(isNew, pauseMs)
      }
    } finally {
      this.resign()
    }
  }

  /** For the state dump: read without waiting, so its parts may be of different moments. */
  state(): TimersState {
    const owner = Atomics.load(this.words, OWNER)
    const running = Atomics.load(this.words, RUNNING)
    const at = this.atSlot(Math.min(Math.max(running - 1, 0), this.words[CAPACITY] - 1))
    return {
      name: this.name,
      owner,
      isOwnerAlive: owner !== 0 && self().registry.isAlive(owner),
      pending: this.heap.size,
      expired: Atomics.load(this.words, EXPIRED),
      running: running === 0 ? undefined : this.names[this.words[at + FUNCTION]],
    }
  }

  /** Calls all that is due. Returns how long it is until the next one, in ms. */
  private expire(called: readonly TimerFunction[], serving: TimerServing): number {
    const { words } = this
    for (;;) {
      let timer = 0
      let number = 0
      let argument = 0
      const pauseMs = this.locked(() => {
        const now = nowMs()
        const slot = this.isOver(serving) ? -1 : this.heap.takeDue(now)
        if (slot < 0) return Math.max(0, this.heap.firstDueMs - now)
        const at = this.atSlot(slot)
        timer = (words[at + GENERATION] >>> 1) * 2 ** SLOT_BITS + slot
        number = words[at + FUNCTION]
        argument = words[at + ARGUMENT]
        Atomics.store(words, RUNNING, slot + 1)
        Atomics.add(words, EXPIRED, 1)
        return -1
      })
      if (pauseMs >= 0) return pauseMs
      try {
        called[number]?.(argument, timer)
      } catch (error) {
        serving.onError(error, this.names[number])
      } finally {
        Atomics.store(words, RUNNING, 0)
        this.returned.wakeAll()
      }
    }
  }

  private isOver({ context }: TimerServing): boolean {
    return Atomics.load(this.words, CLOSED) !== 0 || context?.shouldStop === true
  }

  private become(functions: Readonly<Record<string, TimerFunction>>): readonly TimerFunction[] {
    const called = functionsByNumber(this.names, functions)
    const me = self()
    const owner = Atomics.load(this.words, OWNER)
    const isTaken = owner !== 0 && me.registry.isAlive(owner)
    if (isTaken || Atomics.compareExchange(this.words, OWNER, owner, me.id) !== owner)
      throw new LockUseError(`timers ${this.name} are served by another thread already`)
    Atomics.store(this.words, RUNNING, 0) // of an owner that died
    return called
  }

  private resign(): void {
    Atomics.store(this.words, OWNER, 0)
  }

  /** Whether the timer is neither pending (now) nor being called by a living owner. */
  private isStopped(timer: number, wasPending: () => void): boolean {
    return this.locked(() => {
      const slot = this.slotOf(timer)
      if (this.heap.remove(slot)) wasPending()
      if (Atomics.load(this.words, RUNNING) !== slot + 1) return true
      return !self().registry.isAlive(Atomics.load(this.words, OWNER))
    })
  }

  private slotOf(timer: number): number {
    const slot = timer % 2 ** SLOT_BITS
    const generation = slot < this.words[CAPACITY] ? this.words[this.atSlot(slot) + GENERATION] : 0
    const isIn = (generation & 1) !== 0 && generation >>> 1 === Math.floor(timer / 2 ** SLOT_BITS)
    if (!isIn) throw new LockUseError(`there is no timer ${timer} in ${this.name}`)
    return slot
  }

  private atSlot(slot: number): number {
    return this.slotsAt + slot * SLOT_WORDS
  }

  private locked<T>(action: () => T): T {
    this.mutex.lock()
    try {
      return action()
    } finally {
      this.mutex.unlock()
    }
  }
}

function partOf(place: SharedPlace, lock: number): SharedPlace {
  return { buffer: place.buffer, offset: place.offset + lock * LOCK_BYTES }
}
