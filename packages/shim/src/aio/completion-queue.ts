/**
 * A completion queue: threads take from it what has become of requests, as pairs of words in an array of theirs: the request's
 * cookie, and its result; that is the number of bytes (0 for flush and discard), or a negative errno (`errnoName`). Each
 * completion is taken once. The order is that in which requests completed, which is not that of submission.
 */

import { self } from '../sync/threads.ts'
import { deadlineAfter } from '../sync/wait-list.ts'
import { type AioMemory, Phase, SPINS, WORKERS } from './aio-memory.ts'
import { performNext, reapInto, rescue } from './aio-core.ts'
import { Spinner } from './gates.ts'
import type { Performer } from './performer.ts'

export class CompletionQueue {
  /** Its number: a `RequestBatch` is made for one. */
  readonly number: number
  private readonly memory: AioMemory
  private readonly performer: () => Performer | undefined
  private readonly spinner: Spinner

  /** @internal `performer` is what this thread may perform requests by while it waits. */
  constructor(memory: AioMemory, number: number, performer: () => Performer | undefined) {
    this.memory = memory
    this.number = number
    this.performer = performer
    this.spinner = new Spinner(memory.words[SPINS])
  }

  /** How many completions there are to take. */
  get length(): number {
    return this.memory.completed[this.number].count
  }

  /** Takes the completions that are there, as many as `events` has room for: half its length. Returns how many. */
  take(events: Int32Array): number {
    return reapInto(this.memory, this.number, events, 0)
  }

  /**
   * Takes at least `least` completions, waiting for them, and at most as many as `events` has room for. Returns how many.
   * They come from requests of this thread or of others. A thread that waits for everything in flight lends a hand.
   */
  wait(events: Int32Array, least = 1): number {
    return this.waitWithin(events, least, Infinity)
  }

  /** `wait`, at most `timeoutMs`. Returns how many were taken, fewer than `least` if time was over. */
  waitWithin(events: Int32Array, least: number, timeoutMs: number): number {
    const gate = this.memory.reapers[this.number]
    let count = this.begin(events, least)
    if (count >= least) return count
    if (timeoutMs === Infinity) count = this.lendHand(events, count, least)
    const deadline = deadlineAfter(timeoutMs)
    while (count < least && !this.isIdle) {
      if (!this.spinner.awaits(this.memory.completed[this.number], least - count)) {
        const sleepMs = deadline - performance.now()
        const isWoken = sleepMs > 0 && gate.sleep(least - count, sleepMs)
        if (!isWoken) rescue(this.memory)
      }
      count = reapInto(this.memory, this.number, events, count)
      if (deadline !== Infinity && performance.now() >= deadline) break
    }
    return count
  }

  /** `waitWithin` without blocking the thread. */
  async waitAsync(events: Int32Array, least = 1, timeoutMs = Infinity): Promise<number> {
    const gate = this.memory.reapers[this.number]
    let count = this.begin(events, least)
    if (count >= least) return count
    const keepsAlive = setInterval(() => undefined, 1000) // Node ends although a waitAsync is pending
    try {
      const deadline = deadlineAfter(timeoutMs)
      while (count < least && !this.isIdle) {
        const sleepMs = deadline - performance.now()
        const isWoken = sleepMs > 0 && (await gate.sleepAsync(least - count, sleepMs))
        if (!isWoken) rescue(this.memory)
        count = reapInto(this.memory, this.number, events, count)
        if (deadline !== Infinity && performance.now() >= deadline) break
      }
    } finally {
      clearInterval(keepsAlive)
    }
    return count
  }

  private begin(events: Int32Array, least: number): number {
    self() // throws if this thread has entered no registry
    if (!(least >= 0 && least <= events.length >> 1 && least <= this.memory.depth)) {
      throw new RangeError(
        `${least} completions are wanted, with room for ${events.length >> 1} of ${this.memory.depth}`,
      )
    }
    return reapInto(this.memory, this.number, events, 0)
  }

  /** Nothing comes any more: it was closed, or requests are performed when they are submitted. */
  private get isIdle(): boolean {
    return this.length === 0 && (this.memory.phase === Phase.closed || this.memory.words[WORKERS] === 0)
  }

  /**
   * Performs requests in this thread, if it has to wait for all that are in flight anyway: a request handed to another thread and
   * back takes ten times as long as a read from memory. Returns how many completions there are then.
   */
  private lendHand(events: Int32Array, count: number, least: number): number {
    const { memory } = this
    const performer = this.performer()
    if (performer === undefined) return count
    while (least - count >= inFlight(memory) && performNext(memory, performer));
    return reapInto(memory, this.number, events, count)
  }
}

/** How many slots are not free: an estimate, which may be too low while other threads are busy. */
export function inFlight(memory: AioMemory): number {
  return memory.depth - memory.free.count
}
