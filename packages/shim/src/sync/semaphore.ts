/** A counting semaphore: so many permits, given in the order of coming. Any thread may give one back: nobody owns them. */

import { newPlace, type SharedPlace } from './place.ts'
import { initialize, LOCK_BYTES, Mode, PrimitiveKind, QueueLock, REFUSED } from './queue-lock.ts'

const PERMITS_MAX = 2 ** 30

export class Semaphore extends QueueLock {
  protected override readonly isOwned = false

  /** Makes a semaphore with `permits` permits; `place` must be zeroed. */
  static create(permits: number, place: SharedPlace = newPlace(LOCK_BYTES)): Semaphore {
    if (!(permits >= 0 && permits < PERMITS_MAX)) throw new RangeError(`${permits} permits`)
    return new Semaphore(initialize(place, PrimitiveKind.semaphore, permits))
  }

  /** Waits for a permit. */
  acquirePermit(): void {
    this.acquire(Mode.exclusive, Infinity)
  }
  tryAcquirePermit(): boolean {
    return this.attempt(Mode.exclusive)
  }
  acquirePermitWithin(timeoutMs: number): boolean {
    return this.acquire(Mode.exclusive, timeoutMs)
  }
  acquirePermitAsync(timeoutMs = Infinity): Promise<boolean> {
    return this.acquireAsync(Mode.exclusive, timeoutMs)
  }
  /** One permit more. */
  releasePermit(): void {
    this.release(Mode.exclusive)
  }

  protected override admit(state: number): number {
    return state > 0 ? state - 1 : REFUSED
  }

  protected override vacate(state: number): number {
    return state + 1 < PERMITS_MAX ? state + 1 : REFUSED
  }

  protected override ownerOf(): number {
    return 0
  }
}
