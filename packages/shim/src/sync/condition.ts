/**
 * A condition variable: under a mutex, a thread waits for what another changes under the same mutex. The thread queues up
 * before it lets the mutex go, so a signal given under the mutex is never missed. There are no wake-ups without a signal,
 * but the mutex is taken again afterwards like by anybody else: look at the data again.
 */

import type { Mutex } from './mutex.ts'
import { newPlace, type SharedPlace } from './place.ts'
import { LOCK_BYTES, PrimitiveKind } from './queue-lock.ts'
import { LockUseError } from './sync-error.ts'
import { self } from './threads.ts'
import { deadlineAfter, sleep, sleepAsync } from './wait-list.ts'
import { WaitQueue } from './wait-queue.ts'

export class Condition {
  static readonly bytes: number = LOCK_BYTES
  readonly place: SharedPlace
  private readonly queue: WaitQueue

  /** A view of the condition variable at `place`. */
  constructor(place: SharedPlace) {
    this.place = place
    this.queue = new WaitQueue(place)
  }

  /** Makes a condition variable; `place` must be zeroed. */
  static create(place: SharedPlace = newPlace(LOCK_BYTES)): Condition {
    return new Condition(WaitQueue.create(place, PrimitiveKind.condition).place)
  }

  /** Lets `mutex` go, waits for a signal, and takes `mutex` again. Throws LockUseError if this thread doesn't have it. */
  wait(mutex: Mutex): void {
    this.waitWithin(mutex, Infinity)
  }

  /** `wait`, for a signal within `timeoutMs`. Returns whether there was one; `mutex` is held again in any case. */
  waitWithin(mutex: Mutex, timeoutMs: number): boolean {
    const me = self()
    const deadline = deadlineAfter(timeoutMs)
    const record = this.queueUp(mutex)
    let awakening = sleep(me, record, deadline)
    while (awakening === 'slice') awakening = sleep(me, record, deadline)
    const signalled = awakening === 'granted' || !this.queue.withdraw(me, record)
    if (awakening === 'granted') me.giveBack(record)
    mutex.lock()
    return signalled
  }

  /** `waitWithin` without blocking the thread. */
  async waitAsync(mutex: Mutex, timeoutMs = Infinity): Promise<boolean> {
    const me = self()
    const deadline = deadlineAfter(timeoutMs)
    const record = this.queueUp(mutex)
    let awakening = await sleepAsync(me, record, deadline)
    while (awakening === 'slice') awakening = await sleepAsync(me, record, deadline)
    const signalled = awakening === 'granted' || !this.queue.withdraw(me, record)
    if (awakening === 'granted') me.giveBack(record)
    await mutex.lockAsync()
    return signalled
  }

  /** Lets one waiter go, if there is one. */
  signal(): void {
    this.queue.wakeOne()
  }

  /** Lets all waiters go. */
  broadcast(): void {
    this.queue.wakeAll()
  }

  private queueUp(mutex: Mutex): number {
    if (!mutex.isHeld) throw new LockUseError('waited on a condition without holding its mutex')
    const record = this.queue.queueUp(self())
    mutex.unlock()
    return record
  }
}
