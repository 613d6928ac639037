/**
 * A reader/writer semaphore: many readers or one writer, in the order of coming, so that neither kind starves. A thread that
 * reads may lock for reading again, also while a writer waits.
 *
 *     bits 0-17 id of the writer | 18-27 number of reading threads | 31 somebody is queued
 */

import { newPlace, type SharedPlace } from './place.ts'
import { initialize, LOCK_BYTES, Mode, PrimitiveKind, QueueLock, REFUSED } from './queue-lock.ts'
import { ID_MASK } from './threads.ts'

const READER = 1 << 18

export class RwSemaphore extends QueueLock {
  /** Makes a reader/writer semaphore; `place` must be zeroed. */
  static create(place: SharedPlace = newPlace(LOCK_BYTES)): RwSemaphore {
    return new RwSemaphore(initialize(place, PrimitiveKind.rwSemaphore))
  }

  /** Waits to read. Throws LockUseError if this thread writes, OwnerDeadError if a holder died. */
  lockShared(): void {
    this.acquire(Mode.shared, Infinity)
  }
  tryLockShared(): boolean {
    return this.attempt(Mode.shared)
  }
  lockSharedWithin(timeoutMs: number): boolean {
    return this.acquire(Mode.shared, timeoutMs)
  }
  lockSharedAsync(timeoutMs = Infinity): Promise<boolean> {
    return this.acquireAsync(Mode.shared, timeoutMs)
  }
  unlockShared(): void {
    this.release(Mode.shared)
  }

  /** Waits to write. Throws LockUseError if this thread reads or writes, OwnerDeadError if a holder died. */
  lockExclusive(): void {
    this.acquire(Mode.exclusive, Infinity)
  }
  tryLockExclusive(): boolean {
    return this.attempt(Mode.exclusive)
  }
  lockExclusiveWithin(timeoutMs: number): boolean {
    return this.acquire(Mode.exclusive, timeoutMs)
  }
  lockExclusiveAsync(timeoutMs = Infinity): Promise<boolean> {
    return this.acquireAsync(Mode.exclusive, timeoutMs)
  }
  unlockExclusive(): void {
    this.release(Mode.exclusive)
  }

  protected override admit(state: number, mode: Mode, id: number): number {
    if (mode === Mode.exclusive) return state === 0 ? id : REFUSED
    return (state & ID_MASK) === 0 ? state + READER : REFUSED
  }

  protected override vacate(state: number, mode: Mode, id: number): number {
    if (mode === Mode.exclusive) return state === id ? 0 : REFUSED
    return state >= READER ? state - READER : REFUSED
  }

  protected override ownerOf(state: number): number {
    return state & ID_MASK
  }
}
