/**
 * Something that is done once, by whichever thread comes first; all others wait until it is done. When it fails, the error
 * goes to the one who tried, and the next one tries again. Afterwards it costs one load.
 */

import { Mutex } from './mutex.ts'
import { newPlace, wordsAt, type SharedPlace } from './place.ts'
import { EXTRA, initialize, LOCK_BYTES, PrimitiveKind } from './queue-lock.ts'

const DONE = 1

export class Once {
  static readonly bytes: number = LOCK_BYTES
  readonly place: SharedPlace
  private readonly words: Int32Array
  private readonly mutex: Mutex

  /** A view of what was created at `place`. */
  constructor(place: SharedPlace) {
    this.place = place
    this.words = wordsAt(place, LOCK_BYTES)
    this.mutex = new Mutex(place)
  }

  /** Makes a `Once`; `place` must be zeroed. */
  static create(place: SharedPlace = newPlace(LOCK_BYTES)): Once {
    return new Once(initialize(place, PrimitiveKind.once))
  }

  get isDone(): boolean {
    return Atomics.load(this.words, EXTRA) === DONE
  }

  /** Returns when `action` has been done, by this thread or another. Throws OwnerDeadError if that one died doing it. */
  run(action: () => void): void {
    if (this.isDone) return
    this.mutex.lock()
    try {
      if (this.isDone) return
      action()
      Atomics.store(this.words, EXTRA, DONE)
    } finally {
      this.mutex.unlock()
    }
  }

  /** `run` without blocking the thread; `action` may be asynchronous. */
  async runAsync(action: () => void | Promise<void>): Promise<void> {
    if (this.isDone) return
    await this.mutex.lockAsync()
    try {
      if (this.isDone) return
      await action()
      Atomics.store(this.words, EXTRA, DONE)
    } finally {
      this.mutex.unlock()
    }
  }
}
