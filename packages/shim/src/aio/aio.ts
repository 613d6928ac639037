/**
 * Asynchronous I/O, in the manner of io_submit and io_getevents: threads submit requests in batches and go on; I/O threads perform them
 * on block devices; what became of them is taken from completion queues. This is what a thread sees of it; `AioService` is what
 * starts it.
 *
 * As on a disk, requests in flight are performed in any order, also on the same bytes. A flush covers the writes that had completed when
 * it was submitted, and a write through covers itself. A request is in flight until its completion has been taken, and there is room
 * for `depth` of them: who submits more without anybody taking completions waits for ever.
 *
 * Nothing is allocated for a request on its way, except a view per segment of vectored ones.
 */

import { watchState } from '../threads/state-dump.ts'
import { LockUseError } from '../sync/sync-error.ts'
import type { SharedPlace } from '../sync/place.ts'
import { deadlineAfter } from '../sync/wait-list.ts'
import { AioMemory, DEATHS, Phase, VERSION, WORKERS } from './aio-memory.ts'
import { enqueue, livingWorkers, performNext, rescue } from './aio-core.ts'
import { CompletionQueue, inFlight } from './completion-queue.ts'
import { Performer, type IoNews } from './performer.ts'
import type { RequestBatch } from './request-batch.ts'

/** What another thread needs to make a view of its own; it can be posted. */
export interface AioDescriptor {
  readonly place: SharedPlace
  /** The devices and buffers at the time: a thread that knows all of them can lend a hand while it waits. */
  readonly news: readonly IoNews[]
  readonly version: number
}

/** How it goes, for printing. */
export interface AioState {
  readonly phase: 'open' | 'failed' | 'closing' | 'closed'
  readonly depth: number
  /** Requests from submission until their completion is taken. */
  readonly inFlight: number
  /** Of these: waiting for a worker. */
  readonly submitted: number
  /** Completions to be taken, of each queue. */
  readonly completed: readonly number[]
  readonly workers: number
  readonly livingWorkers: number
  /** Workers that ended unasked. */
  readonly deaths: number
}

const PHASES = ['open', 'failed', 'closing', 'closed'] as const

export class Aio {
  /** The completion queues. */
  readonly queues: readonly CompletionQueue[]
  private readonly memory: AioMemory
  private readonly performer: Performer
  private readonly version: number | undefined
  /** Performs each request when it is submitted. */
  private readonly isInline: boolean

  /** A view for the calling thread. */
  constructor({ place, news, version }: AioDescriptor)
  /** @internal The view of the thread that started it. */
  constructor(memory: AioMemory, performer: Performer)
  constructor(of: AioDescriptor | AioMemory, performer?: Performer) {
    if (of instanceof AioMemory) {
      this.memory = of
      this.version = undefined
    } else {
      this.memory = new AioMemory(of.place)
      this.version = of.news.some(isModule) ? -1 : of.version
      if (this.memory.words[WORKERS] === 0) throw new LockUseError('without workers only one thread can use it')
    }
    this.performer = performer ?? new Performer(this.memory)
    if (!(of instanceof AioMemory)) for (const piece of of.news) if (!isModule(piece)) this.performer.learn(piece)
    this.isInline = this.memory.words[WORKERS] === 0
    watchState('aio', this, (aio: Aio) => aio.state)
    this.queues = this.memory.completed.map((_, queue) => new CompletionQueue(this.memory, queue, () => this.hand))
  }

  /** The most requests in flight. */
  get depth(): number {
    return this.memory.depth
  }

  get state(): AioState {
    const { memory } = this
    return {
      phase: PHASES[memory.phase],
      depth: memory.depth,
      inFlight: inFlight(memory),
      submitted: memory.submitted.count,
      completed: memory.completed.map((ring) => ring.count),
      workers: memory.words[WORKERS],
      livingWorkers: livingWorkers(memory),
      deaths: Atomics.load(memory.words, DEATHS),
    }
  }

  /**
   * Submits as many requests of the batch as there is room for, from its beginning; the others stay in it. Returns how many.
   * @throws LockUseError after it was closed
   */
  trySubmit(batch: RequestBatch): number {
    const count = this.enqueue(batch)
    if (count > 0 && !this.isInline) this.memory.work.wake(1) // a worker that sees more wakes the next
    return count
  }

  /** Submits the whole batch, waiting for room. */
  submit(batch: RequestBatch): number {
    return this.submitWithin(batch, Infinity)
  }

  /** `submit`, within `timeoutMs`. Returns how many requests were submitted. */
  submitWithin(batch: RequestBatch, timeoutMs: number): number {
    let count = this.trySubmit(batch)
    if (batch.length === 0) return count
    const deadline = deadlineAfter(timeoutMs)
    while (!this.isInline && batch.length > 0) {
      const sleepMs = deadline - performance.now()
      if (sleepMs <= 0) break
      if (!this.memory.space.sleep(1, sleepMs)) rescue(this.memory)
      count += this.trySubmit(batch)
    }
    return count
  }

  /** `submitWithin` without blocking the thread. */
  async submitAsync(batch: RequestBatch, timeoutMs = Infinity): Promise<number> {
    let count = this.trySubmit(batch)
    if (batch.length === 0) return count
    const deadline = deadlineAfter(timeoutMs)
    const keepsAlive = setInterval(() => undefined, 1000) // Node ends although a waitAsync is pending
    try {
      while (!this.isInline && batch.length > 0) {
        const sleepMs = deadline - performance.now()
        if (sleepMs <= 0) break
        if (!(await this.memory.space.sleepAsync(1, sleepMs))) rescue(this.memory)
        count += this.trySubmit(batch)
      }
    } finally {
      clearInterval(keepsAlive)
    }
    return count
  }

  /**
   * Submits what there is room for, then waits as `CompletionQueue.wait` does, on the batch's queue. Saves waking a worker for a
   * single request that this thread can as well perform itself.
   */
  submitAndWait(batch: RequestBatch, events: Int32Array, least = 1): number {
    const { memory } = this
    const count = this.enqueue(batch)
    const queue = this.queues[batch.queue]
    const isOurs = this.hand !== undefined && least >= inFlight(memory)
    if (!this.isInline && count > (isOurs ? 1 : 0)) memory.work.wake(1)
    return queue.wait(events, least)
  }

  /**
   * Looks for threads that have died, and completes or frees what they had on. All that wait do this by themselves, ten times in a
   * second; who only polls should, now and then.
   */
  rescue(): void {
    rescue(this.memory)
  }

  private enqueue(batch: RequestBatch): number {
    if (!(batch.queue >= 0 && batch.queue < this.queues.length)) throw new RangeError(`completion queue ${batch.queue}`)
    if (this.memory.phase >= Phase.closing) throw new LockUseError('submitted to asynchronous I/O that was closed')
    const count = enqueue(this.memory, batch)
    if (this.isInline) while (performNext(this.memory, this.performer));
    return count
  }

  /** What this thread performs requests by: it must know all devices and buffers. */
  private get hand(): Performer | undefined {
    const isCurrent = this.version === undefined || this.version === Atomics.load(this.memory.words, VERSION)
    return isCurrent ? this.performer : undefined
  }
}

/** @internal Whether it is of a device that must be imported. */
export function isModule(piece: IoNews): boolean {
  return piece.kind === 'device' && piece.handle.kind === 'module'
}
