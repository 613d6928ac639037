/**
 * A sequence lock: readers take nothing, and read again if a writer was there meanwhile. Writers exclude each other by a
 * mutex, and make the sequence number odd while they write. A reader that is disturbed again and again takes the mutex for
 * one reading: so readers don't starve, and a writer that died is found out.
 *
 * What is protected must be read and written by Atomics: plain accesses may be moved across the sequence number.
 */

import { Mutex } from './mutex.ts'
import { newPlace, wordsAt, type SharedPlace } from './place.ts'
import { EXTRA, initialize, LOCK_BYTES, PrimitiveKind } from './queue-lock.ts'

/** How often a reader tries without the mutex. */
const TRIES_MAX = 4

export class SequenceLock {
  static readonly bytes: number = LOCK_BYTES
  readonly place: SharedPlace
  private readonly words: Int32Array
  private readonly writers: Mutex

  /** A view of the sequence lock at `place`. */
  constructor(place: SharedPlace) {
    this.place = place
    this.words = wordsAt(place, LOCK_BYTES)
    this.writers = new Mutex(place)
  }

  /** Makes a sequence lock; `place` must be zeroed. */
  static create(place: SharedPlace = newPlace(LOCK_BYTES)): SequenceLock {
    return new SequenceLock(initialize(place, PrimitiveKind.sequenceLock))
  }

  /** What `reading` returns for data that no writer changed meanwhile. It is called until that is so; it must not keep or throw. */
  read<T>(reading: () => T): T {
    for (let tries = 0; tries < TRIES_MAX; tries++) {
      const before = Atomics.load(this.words, EXTRA)
      if ((before & 1) !== 0) continue
      const value = reading()
      if (Atomics.load(this.words, EXTRA) === before) return value
    }
    this.writers.lock()
    try {
      return reading()
    } finally {
      this.writers.unlock()
    }
  }

  /** Waits for other writers, and writes. An exception of `writing` passes through; what it wrote counts. */
  write(writing: () => void): void {
    this.beginWrite()
    try {
      writing()
    } finally {
      this.endWrite()
    }
  }

  /** `write` in two halves. */
  beginWrite(): void {
    this.writers.lock()
    this.begun()
  }
  tryBeginWrite(): boolean {
    return this.begunIf(this.writers.tryLock())
  }
  beginWriteWithin(timeoutMs: number): boolean {
    return this.begunIf(this.writers.lockWithin(timeoutMs))
  }
  async beginWriteAsync(timeoutMs = Infinity): Promise<boolean> {
    return this.begunIf(await this.writers.lockAsync(timeoutMs))
  }
  endWrite(): void {
    Atomics.add(this.words, EXTRA, 1)
    this.writers.unlock()
  }

  private begun(): void {
    Atomics.add(this.words, EXTRA, 1)
  }

  private begunIf(taken: boolean): boolean {
    if (taken) this.begun()
    return taken
  }
}
