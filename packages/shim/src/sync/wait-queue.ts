/**
 * A wait queue: threads wait until something becomes true, and whoever makes it true wakes one of them or all. What is waited
 * for lies in shared memory and is changed and read by Atomics; the queue looks at it only after it has queued up, so a change
 * in between is not missed. Waking when nobody waits is one load.
 */

import { newPlace, wordsAt, type SharedPlace } from './place.ts'
import { initialize, labelOf, LOCK_BYTES, Mode, PrimitiveKind, STATE } from './queue-lock.ts'
import { self, Signal, type ThreadSelf } from './threads.ts'
import {
  append,
  deadlineAfter,
  enterGuard,
  leaveGuard,
  letFirstGo,
  NUMBER,
  sleep,
  sleepAsync,
  withdraw,
} from './wait-list.ts'

export class WaitQueue {
  static readonly bytes: number = LOCK_BYTES
  readonly place: SharedPlace
  /** The state word is the number of threads that queued up and were not let go yet, the dead included. */
  private readonly words: Int32Array

  /** A view of the queue at `place`. */
  constructor(place: SharedPlace) {
    this.place = place
    this.words = wordsAt(place, LOCK_BYTES)
  }

  /** Makes a wait queue; `place` must be zeroed. `kind` is what the state dump calls it. */
  static create(place: SharedPlace = newPlace(LOCK_BYTES), kind: PrimitiveKind = PrimitiveKind.waitQueue): WaitQueue {
    return new WaitQueue(initialize(place, kind))
  }

  /** Blocks until `condition` holds. It is called often, also without a wake-up, and may take what it finds, or throw. */
  waitUntil(condition: () => boolean): void {
    this.waitUntilWithin(condition, Infinity)
  }

  /** Blocks until `condition` holds, at most `timeoutMs`. Returns whether it does. */
  waitUntilWithin(condition: () => boolean, timeoutMs: number): boolean {
    if (condition()) return true
    const me = self()
    const deadline = deadlineAfter(timeoutMs)
    for (;;) {
      const record = this.queueUp(me)
      if (this.holds(condition, me, record)) return this.leave(me, record)
      const awakening = sleep(me, record, deadline)
      if (awakening === 'granted') me.giveBack(record)
      else this.leave(me, record)
      if (condition()) return true
      if (awakening === 'expired') return false
    }
  }

  /** `waitUntilWithin` without blocking the thread. */
  async waitUntilAsync(condition: () => boolean, timeoutMs = Infinity): Promise<boolean> {
    if (condition()) return true
    const me = self()
    const deadline = deadlineAfter(timeoutMs)
    for (;;) {
      const record = this.queueUp(me)
      if (this.holds(condition, me, record)) return this.leave(me, record)
      const awakening = await sleepAsync(me, record, deadline)
      if (awakening === 'granted') me.giveBack(record)
      else this.leave(me, record)
      if (condition()) return true
      if (awakening === 'expired') return false
    }
  }

  /** Wakes the one who has waited longest. */
  wakeOne(): void {
    if (Atomics.load(this.words, STATE) === 0) return
    const me = self()
    enterGuard(this.words, me)
    this.wakeFirst(me)
    leaveGuard(this.words, me)
  }

  /** Wakes everybody. */
  wakeAll(): void {
    if (Atomics.load(this.words, STATE) === 0) return
    const me = self()
    enterGuard(this.words, me)
    while (this.wakeFirst(me));
    leaveGuard(this.words, me)
  }

  /** @internal Queues the thread up; whoever wakes it from now on is noticed. */
  queueUp(me: ThreadSelf): number {
    const record = me.take(this.words[NUMBER], Mode.exclusive, Signal.waiting)
    me.noteWait(record, labelOf(this.words), 0)
    enterGuard(this.words, me)
    append(this.words, me, record)
    Atomics.add(this.words, STATE, 1)
    leaveGuard(this.words, me)
    return record
  }

  /** @internal Leaves the queue. False: has been woken already. Gives the record back. */
  withdraw(me: ThreadSelf, record: number): boolean {
    enterGuard(this.words, me)
    const left = withdraw(this.words, me, record)
    if (left) Atomics.sub(this.words, STATE, 1)
    leaveGuard(this.words, me)
    me.giveBack(record)
    return left
  }

  /** Whether the condition holds; leaves the queue if it throws. */
  private holds(condition: () => boolean, me: ThreadSelf, record: number): boolean {
    try {
      return condition()
    } catch (error) {
      this.leave(me, record)
      throw error
    }
  }

  /** Leaves without having needed the wake-up: if it came, it is passed on. */
  private leave(me: ThreadSelf, record: number): true {
    if (!this.withdraw(me, record)) this.wakeOne()
    return true
  }

  private wakeFirst(me: ThreadSelf): boolean {
    if (letFirstGo(this.words, me)) {
      Atomics.sub(this.words, STATE, 1)
      return true
    }
    Atomics.store(this.words, STATE, 0) // only the dead were left
    return false
  }
}
