/**
 * A mutex: one thread at a time, in the order of coming. The state word is the owner's id, 0 if it is free; locking and
 * unlocking what nobody else wants is one atomic each.
 */

import { lockOrder } from './lock-order.ts'
import { newPlace, type SharedPlace } from './place.ts'
import { initialize, LOCK_BYTES, Mode, PrimitiveKind, QueueLock, REFUSED, STATE } from './queue-lock.ts'
import { ID_MASK, self } from './threads.ts'

export class Mutex extends QueueLock {
  /** Makes a mutex; `place` must be zeroed. */
  static create(place: SharedPlace = newPlace(LOCK_BYTES)): Mutex {
    return new Mutex(initialize(place, PrimitiveKind.mutex))
  }

  /** Waits for the mutex. Throws LockUseError if this thread has it, OwnerDeadError if the owner died. */
  lock(): void {
    if (lockOrder === undefined && Atomics.compareExchange(this.words, STATE, 0, self().id) === 0) return
    this.acquire(Mode.exclusive, Infinity)
  }

  /** Takes the mutex if it is free. */
  tryLock(): boolean {
    return this.attempt(Mode.exclusive)
  }

  /** Waits for the mutex, at most `timeoutMs`. Returns whether it was taken. */
  lockWithin(timeoutMs: number): boolean {
    return this.acquire(Mode.exclusive, timeoutMs)
  }

  /** Waits without blocking the thread: another task of it may be the owner. Resolves to whether it was taken in time. */
  lockAsync(timeoutMs = Infinity): Promise<boolean> {
    return this.acquireAsync(Mode.exclusive, timeoutMs)
  }

  /** Throws LockUseError if this thread does not have it. */
  unlock(): void {
    const { id } = self()
    if (lockOrder === undefined && Atomics.compareExchange(this.words, STATE, id, 0) === id) return
    this.release(Mode.exclusive)
  }

  /** Whether the calling thread has it. */
  get isHeld(): boolean {
    return this.ownerOf(Atomics.load(this.words, STATE)) === self().id
  }

  protected override admit(state: number, _mode: Mode, id: number): number {
    return state === 0 ? id : REFUSED
  }

  protected override vacate(state: number, _mode: Mode, id: number): number {
    return state === id ? 0 : REFUSED
  }

  protected override ownerOf(state: number): number {
    return state & ID_MASK
  }
}
