/**
 * A completion: threads wait until another says that something is done. `complete` lets one waiter go (the next one, if none
 * waits yet), `completeAll` all of them, now and later.
 */

import { newPlace, type SharedPlace } from './place.ts'
import { initialize, LOCK_BYTES, Mode, PrimitiveKind, QueueLock, REFUSED, STATE } from './queue-lock.ts'
import { self } from './threads.ts'

/** Of the state: done for everybody. Below it: for how many. */
const ALL = 2 ** 30

export class Completion extends QueueLock {
  protected override readonly isOwned = false

  /** Makes a completion that is not done; `place` must be zeroed. */
  static create(place: SharedPlace = newPlace(LOCK_BYTES)): Completion {
    return new Completion(initialize(place, PrimitiveKind.completion))
  }

  /** Waits until it is done. */
  wait(): void {
    this.acquire(Mode.shared, Infinity)
  }
  /** Whether it is done; uses up one `complete`. */
  tryWait(): boolean {
    return this.attempt(Mode.shared)
  }
  waitWithin(timeoutMs: number): boolean {
    return this.acquire(Mode.shared, timeoutMs)
  }
  waitAsync(timeoutMs = Infinity): Promise<boolean> {
    return this.acquireAsync(Mode.shared, timeoutMs)
  }

  /** Done, for one waiter. */
  complete(): void {
    this.vacateNow(self(), Mode.shared)
  }
  /** Done, for everybody and for good. */
  completeAll(): void {
    this.vacateNow(self(), Mode.exclusive)
  }
  /** Whether `wait` would return at once. */
  get isDone(): boolean {
    return this.admit(Atomics.load(this.words, STATE)) !== REFUSED
  }

  protected override admit(state: number): number {
    if (state >= ALL) return ALL
    return state > 0 ? state - 1 : REFUSED
  }

  protected override vacate(state: number, mode: Mode): number {
    if (mode === Mode.exclusive || state >= ALL) return ALL
    return state + 1
  }

  protected override ownerOf(): number {
    return 0
  }
}
