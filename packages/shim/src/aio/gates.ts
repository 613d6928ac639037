/**
 * Where threads sleep until a ring has entries. No thread is counted on to come back: one that dies asleep costs a wake-up in vain
 * at worst, and submitters and reapers sleep in slices of time, after each of which they look for the dead.
 *
 * A waiter reads the sequence number, says that it waits, and looks at the ring once more; then it sleeps if the number is still
 * the same. Who adds entries looks afterwards whether somebody waits. One of the two sees the other.
 */

import type { SlotRing } from './slot-ring.ts'

/** How long a thread sleeps before it looks whether somebody died. */
const SLICE_MS = 100
const NOBODY = 0x7fffffff
const SPINS_LEAST = 16

/** Words of a gate. */
const WAITING = 0
const SEQUENCE = 1

/** For waiters that want so many entries at once: all are woken when the least of their numbers is reached. */
export class ThresholdGate {
  private readonly words: Int32Array
  private readonly waiting: number
  private readonly sequence: number
  private readonly ring: SlotRing

  constructor(words: Int32Array, at: number, ring: SlotRing) {
    this.words = words
    this.waiting = at + WAITING
    this.sequence = at + SEQUENCE
    this.ring = ring
  }

  initialize(): void {
    this.words[this.waiting] = NOBODY
  }

  /** Called after entries were added. */
  wake(): void {
    const wanted = Atomics.load(this.words, this.waiting)
    if (wanted !== NOBODY && wanted <= this.ring.count) this.wakeAll()
  }

  wakeAll(): void {
    Atomics.store(this.words, this.waiting, NOBODY)
    Atomics.add(this.words, this.sequence, 1)
    Atomics.notify(this.words, this.sequence)
  }

  /** Sleeps until there may be `wanted` entries. False: a slice of time is over, or `sleepMs`. */
  sleep(wanted: number, sleepMs: number): boolean {
    const sequence = this.announce(wanted)
    if (this.ring.count >= wanted) return true
    return Atomics.wait(this.words, this.sequence, sequence, Math.min(sleepMs, SLICE_MS)) !== 'timed-out'
  }

  /** `sleep` without blocking the thread. */
  async sleepAsync(wanted: number, sleepMs: number): Promise<boolean> {
    const sequence = this.announce(wanted)
    if (this.ring.count >= wanted) return true
    const { value } = Atomics.waitAsync(this.words, this.sequence, sequence, Math.min(sleepMs, SLICE_MS))
    return (await value) !== 'timed-out'
  }

  private announce(wanted: number): number {
    const sequence = Atomics.load(this.words, this.sequence)
    let least = Atomics.load(this.words, this.waiting)
    while (wanted < least) {
      const seen = Atomics.compareExchange(this.words, this.waiting, least, wanted)
      if (seen === least) break
      least = seen
    }
    return sequence
  }
}

/** For workers, of which so many are woken as there is work. */
export class WorkGate {
  private readonly words: Int32Array
  private readonly waiting: number
  private readonly sequence: number
  private readonly ring: SlotRing

  constructor(words: Int32Array, at: number, ring: SlotRing) {
    this.words = words
    this.waiting = at + WAITING
    this.sequence = at + SEQUENCE
    this.ring = ring
  }

  /** Wakes at most `count` workers; called after entries were added. */
  wake(count = Infinity): void {
    if (Atomics.load(this.words, this.waiting) <= 0) return
    Atomics.add(this.words, this.sequence, 1)
    Atomics.notify(this.words, this.sequence, count)
  }

  /**
   * Sleeps until there may be an entry, or `isOver` may hold. For ever, if need be: should the worker that was woken for an entry
   * die, then whoever waits for that entry's completion finds it out, and wakes all.
   */
  sleep(isOver: () => boolean): void {
    const sequence = Atomics.load(this.words, this.sequence)
    Atomics.add(this.words, this.waiting, 1)
    if (this.ring.count === 0 && !isOver()) Atomics.wait(this.words, this.sequence, sequence)
    Atomics.sub(this.words, this.waiting, 1)
  }
}

/**
 * Looks for entries for a moment before sleeping, which takes longer than many a read. How long is learnt: where it was in vain
 * (the other thread needs this very processor), next time it is less.
 */
export class Spinner {
  private readonly most: number
  private budget: number

  constructor(most: number) {
    this.most = most
    this.budget = most
  }

  /** Whether there are `wanted` entries, now or in a moment. */
  awaits(ring: SlotRing, wanted: number): boolean {
    for (let spins = this.budget; spins > 0; spins--) {
      if (ring.count < wanted) continue
      this.budget = Math.min(2 * this.budget, this.most)
      return true
    }
    this.budget = Math.min(Math.max(this.budget >> 1, SPINS_LEAST), this.most)
    return ring.count >= wanted
  }
}
