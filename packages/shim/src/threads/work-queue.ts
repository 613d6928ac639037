/**
 * Work queues: functions with a few numbers as arguments, called later in the threads that serve the queue. All of it lies in
 * shared memory of a fixed size: any thread enqueues, no object is made per item, and who is faster than the servers has to wait.
 *
 * There are two kinds of work. What is `enqueue`d runs once, and is gone. What is `keep`t is an item that can be queued again and again,
 * as the kernel's work_struct: it is never pending twice, and never runs twice at the same time; queued while it runs, it runs
 * again afterwards. Items are taken in the order in which they were queued, or became due, at most `concurrency` at once.
 *
 * When threads die: the item that a server was running is reported as failed by another one. If no server is left, whoever
 * waits gets a WorkQueueError (EUNSERVED), what is queued stays, and later servers go on with it. Before the first server
 * comes, everybody waits for it. Who dies in the few instructions in which it changes the queue makes all calls fail with
 * OwnerDeadError.
 */

import { watchState } from './state-dump.ts'
import type { SharedPlace } from '../sync/place.ts'
import { LockUseError } from '../sync/sync-error.ts'
import { self } from '../sync/threads.ts'
import type { WaitQueue } from '../sync/wait-queue.ts'
import { nowMs } from './clock.ts'
import { numberOf } from './function-names.ts'
import { Head, Slot, State } from './work-items.ts'
import { WorkMemory, type WorkQueueOptions } from './work-memory.ts'
import {
  serveWork,
  serveWorkAsync,
  type AsyncWorkFunction,
  type WorkFunction,
  type WorkServing,
} from './work-server.ts'

export interface WorkQueueState {
  readonly name: string
  readonly capacity: number
  readonly concurrency: number
  readonly isShutDown: boolean
  readonly queued: number
  readonly delayed: number
  readonly ended: number
  readonly failed: number
  /** Names or ids of the threads that serve it. */
  readonly servers: readonly string[]
  readonly running: readonly { readonly function: string; readonly thread: string }[]
}

/** How many running items a state lists. */
const RUNNING_LISTED_MAX = 256

export class WorkQueue {
  readonly place: SharedPlace
  private readonly memory: WorkMemory

  /** A view of the queue at `place`. */
  constructor(place: SharedPlace) {
    this.place = place
    this.memory = new WorkMemory(place)
    watchState('work queue', this, (queue: WorkQueue) => queue.state())
  }

  /** Bytes of a queue with these options. */
  static bytes(options: WorkQueueOptions): number {
    return WorkMemory.bytes(options)
  }

  /** Makes a work queue; `place` must be zeroed. */
  static create(options: WorkQueueOptions, place?: SharedPlace): WorkQueue {
    return new WorkQueue(WorkMemory.create(options, place))
  }

  get name(): string {
    return this.memory.name
  }

  /** The number of a function: quicker than its name. Throws RangeError if there is no such function. */
  functionNumber(name: string): number {
    return numberOf(this.memory.names, name)
  }

  /**
   * Queues a call with up to four 32-bit arguments; waits while all items are in use. Returns the item's number.
   * Throws WorkQueueError, and LockUseError if only this thread serves. If all servers do this at the same time, nobody makes
   * room: within an item, rather use the forms that give up.
   */
  enqueue(called: string | number, a = 0, b = 0, c = 0, d = 0): number {
    return this.enqueueWithin(Infinity, called, a, b, c, d)
  }

  /** `enqueue` without waiting; -1: all items are in use. */
  tryEnqueue(called: string | number, a = 0, b = 0, c = 0, d = 0): number {
    return this.put(numberOf(this.memory.names, called), 0, a, b, c, d)
  }

  /** `enqueue` that waits at most `timeoutMs`; -1: all items were in use. */
  enqueueWithin(timeoutMs: number, called: string | number, a = 0, b = 0, c = 0, d = 0): number {
    let item = this.tryEnqueue(called, a, b, c, d)
    if (item >= 0 || timeoutMs <= 0) return item
    this.block(this.memory.forRoom, () => (item = this.tryEnqueue(called, a, b, c, d)) >= 0, timeoutMs)
    return item
  }

  /** `enqueue` without blocking the thread. */
  async enqueueAsync(called: string | number, a = 0, b = 0, c = 0, d = 0): Promise<number> {
    let item = -1
    await this.wait(this.memory.forRoom, () => (item = this.tryEnqueue(called, a, b, c, d)) >= 0, Infinity)
    return item
  }

  /** `tryEnqueue` of a call that is queued in `delayMs`. */
  tryEnqueueAfter(delayMs: number, called: string | number, a = 0, b = 0, c = 0, d = 0): number {
    return this.put(numberOf(this.memory.names, called), delayMs, a, b, c, d)
  }

  /** Makes an item that is queued by `queue`, any number of times. -1: all items are in use. */
  keep(called: string | number, a = 0, b = 0, c = 0, d = 0): number {
    const { memory } = this
    const number = numberOf(memory.names, called)
    return memory.locked(() => {
      const slot = memory.items.allocate(number, a, b, c, d, true)
      return slot < 0 ? -1 : memory.items.numberOf(slot)
    })
  }

  /** Queues a kept item. Returns whether it was not pending. Throws WorkQueueError if the queue is shut down, LockUseError if it isn't kept. */
  queue(item: number): boolean {
    const { memory } = this
    const isQueued = memory.locked(() => {
      memory.requireOpen()
      return memory.items.queue(this.keptSlot(item))
    })
    if (isQueued) memory.forWork.wakeOne()
    return isQueued
  }

  /** Queues a kept item in `delayMs` from now; until then it is pending. Returns whether it was not. Throws as `queue`. */
  queueAfter(item: number, delayMs: number): boolean {
    const { memory } = this
    let isFirst = false
    const isQueued = memory.locked(() => {
      memory.requireOpen()
      const first = memory.items.heap.firstDueMs
      const isNew = memory.items.queueAt(this.keptSlot(item), nowMs() + delayMs)
      isFirst = memory.items.heap.firstDueMs < first
      return isNew
    })
    if (isFirst) memory.forWork.wakeAll()
    return isQueued
  }

  /** Gives a kept item back: it is cancelled; if it is running, it goes on. */
  drop(item: number): void {
    const { memory } = this
    memory.locked(() => {
      const slot = this.keptSlot(item)
      memory.items.cancel(slot)
      memory.words[memory.items.at(slot) + Slot.state] &= ~State.kept
      if (!memory.items.is(slot, State.running)) memory.items.free(slot)
    })
    this.someEnded()
  }

  /** Whether an item is queued, delayed, or to run again. */
  isPending(item: number): boolean {
    return this.memory.locked(() => this.isIn(item, State.queued | State.delayed | State.again))
  }

  /** Takes an item back that is pending. False: it isn't; it may be running, or have ended. */
  cancel(item: number): boolean {
    const { memory } = this
    const isCancelled = memory.locked(() => {
      const slot = memory.items.slotOf(item)
      return slot >= 0 && memory.items.cancel(slot)
    })
    if (isCancelled) this.someEnded()
    return isCancelled
  }

  /**
   * Cancels an item, and waits until it doesn't run either; meanwhile it can't be queued. Returns whether it was pending.
   * Throws WorkQueueError, and LockUseError in the item itself.
   */
  cancelAndWait(item: number): boolean {
    const cancelling = this.beginCancel(item)
    try {
      if (!cancelling.isOver()) {
        this.memory.refuseWaitInItem(item)
        this.block(this.memory.forEnd, cancelling.isOver, Infinity)
      }
    } finally {
      cancelling.end()
    }
    return cancelling.wasPending()
  }

  /** `cancelAndWait` without blocking. An item that awaits its own end does so for ever. */
  async cancelAndWaitAsync(item: number): Promise<boolean> {
    const cancelling = this.beginCancel(item)
    try {
      await this.wait(this.memory.forEnd, cancelling.isOver, Infinity)
    } finally {
      cancelling.end()
    }
    return cancelling.wasPending()
  }

  /** Waits, at most `timeoutMs`, until an item has ended as often as it was queued up to now. Returns whether it has. Throws as `flush`. */
  waitFor(item: number, timeoutMs = Infinity): boolean {
    const waiting = this.beginWaitFor(item)
    try {
      if (waiting.isOver()) return true
      if (timeoutMs === Infinity) this.memory.refuseWaitInItem(item)
      return this.block(this.memory.forEnd, waiting.isOver, timeoutMs)
    } finally {
      waiting.end()
    }
  }

  /** `waitFor` without blocking. */
  async waitForAsync(item: number, timeoutMs = Infinity): Promise<boolean> {
    const waiting = this.beginWaitFor(item)
    try {
      return await this.wait(this.memory.forEnd, waiting.isOver, timeoutMs)
    } finally {
      waiting.end()
    }
  }

  /**
   * Waits, at most `timeoutMs`, until all that was queued before has ended; what is delayed counts when it is due. Returns whether
   * it has. Throws WorkQueueError, and LockUseError in an item or if only this thread serves.
   */
  flush(timeoutMs = Infinity): boolean {
    const isOver = this.beginFlush()
    if (isOver()) return true
    if (timeoutMs === Infinity) this.memory.refuseWaitInItem()
    return this.block(this.memory.forEnd, isOver, timeoutMs)
  }

  /** `flush` without blocking. An item that awaits it waits for itself, for ever. */
  flushAsync(timeoutMs = Infinity): Promise<boolean> {
    return this.wait(this.memory.forEnd, this.beginFlush(), timeoutMs)
  }

  /**
   * Shuts the queue down: nothing more can be queued; what is delayed is queued at once. Waits, at most `timeoutMs`, until all has
   * ended; then servers return. Returns whether it has. Throws as `flush`.
   */
  shutdown(timeoutMs = Infinity): boolean {
    const isOver = this.close()
    if (isOver()) return true
    if (timeoutMs === Infinity) this.memory.refuseWaitInItem()
    return this.block(this.memory.forEnd, isOver, timeoutMs)
  }

  /** `shutdown` without blocking. */
  shutdownAsync(timeoutMs = Infinity): Promise<boolean> {
    return this.wait(this.memory.forEnd, this.close(), timeoutMs)
  }

  /**
   * Runs items in the calling thread, which blocks while there are none, until the queue is shut down and empty, or the thread is asked to
   * stop. `functions` has each function of the queue by its name. Throws RangeError if not, or if there are too many servers.
   */
  serve(functions: Readonly<Record<string, WorkFunction>>, serving: WorkServing): void {
    serveWork(this.memory, functions, serving)
  }

  /** `serve` for functions that may await, one item at a time; a thread may do this several times at once. */
  serveAsync(functions: Readonly<Record<string, AsyncWorkFunction>>, serving: WorkServing): Promise<void> {
    return serveWorkAsync(this.memory, functions, serving)
  }

  /** For the state dump: read without waiting, so its parts may be of different moments. */
  state(): WorkQueueState {
    const { memory } = this
    const { words, items } = memory
    const { registry } = self()
    const nameOf = (id: number): string => registry.nameOf(id) || `thread ${id}`
    const running: { function: string; thread: string }[] = []
    for (let slot = 0; slot < items.capacity && running.length < RUNNING_LISTED_MAX; slot++) {
      const at = items.at(slot)
      const [state, runner] = [Atomics.load(words, at + Slot.state), Atomics.load(words, at + Slot.runner)]
      if ((state & State.running) === 0 || runner === 0) continue
      running.push({ function: memory.names[words[at + Slot.function]] ?? '?', thread: nameOf(runner) })
    }
    return {
      name: memory.name,
      capacity: items.capacity,
      concurrency: memory.load(Head.concurrency),
      isShutDown: memory.load(Head.closed) !== 0,
      queued: memory.load(Head.queued),
      delayed: items.heap.size,
      ended: memory.load(Head.ended),
      failed: memory.load(Head.failed),
      servers: memory.livingServers().map(nameOf),
      running,
    }
  }

  private put(called: number, delayMs: number, a: number, b: number, c: number, d: number): number {
    const { memory } = this
    const { items } = memory
    let item: number
    let isFirst: boolean
    memory.mutex.lock()
    try {
      memory.requireOpen()
      const slot = items.allocate(called, a, b, c, d, false)
      if (slot < 0) return -1
      item = items.numberOf(slot)
      const first = items.heap.firstDueMs
      if (delayMs <= 0) items.queue(slot)
      else items.queueAt(slot, nowMs() + delayMs)
      isFirst = items.heap.firstDueMs < first
    } finally {
      memory.mutex.unlock()
    }
    if (delayMs <= 0) memory.forWork.wakeOne()
    else if (isFirst) memory.forWork.wakeAll()
    return item
  }

  private keptSlot(item: number): number {
    const slot = this.memory.items.slotOf(item)
    if (slot >= 0 && this.memory.items.is(slot, State.kept)) return slot
    throw new LockUseError(`item ${item} of work queue ${this.name} is not kept`)
  }

  /** Under the mutex. */
  private isIn(item: number, state: number): boolean {
    const slot = this.memory.items.slotOf(item)
    return slot >= 0 && this.memory.items.is(slot, state)
  }

  /** An item is not pending any more: there may be room, or the end that somebody waits for. */
  private someEnded(): void {
    this.memory.forRoom.wakeOne()
    this.memory.forEnd.wakeAll()
  }

  private beginFlush(): () => boolean {
    const { memory } = this
    let epoch: number | undefined
    return () =>
      memory.locked(() => {
        epoch ??= memory.items.beginFlush()
        return epoch !== undefined && memory.items.isOver(epoch)
      })
  }

  private close(): () => boolean {
    const { memory } = this
    memory.locked(() => {
      memory.store(Head.closed, 1)
      memory.items.queueDue(Infinity)
    })
    memory.forWork.wakeAll()
    memory.forRoom.wakeAll()
    return () => memory.locked(() => memory.isIdle)
  }

  private beginWaitFor(item: number) {
    const { memory } = this
    const { words, items } = memory
    const target = memory.locked(() => {
      memory.store(Head.itemWaiters, memory.load(Head.itemWaiters) + 1)
      const slot = items.slotOf(item)
      return slot < 0 ? 0 : words[items.at(slot) + Slot.begun]
    })
    const isOver = (): boolean =>
      memory.locked(() => {
        const slot = items.slotOf(item)
        return slot < 0 || ((words[items.at(slot) + Slot.ended] - target) | 0) >= 0
      })
    return { isOver, end: () => this.endItemWait() }
  }

  private beginCancel(item: number) {
    const { memory } = this
    const { words, items } = memory
    const { id, registry } = self()
    let was = false
    memory.locked(() => memory.store(Head.itemWaiters, memory.load(Head.itemWaiters) + 1))
    const isOver = (): boolean =>
      memory.locked(() => {
        const slot = items.slotOf(item)
        if (slot < 0) return true
        const canceller = items.at(slot) + Slot.cancelling
        if (!registry.isAlive(words[canceller])) words[canceller] = id
        const isCancelled = items.cancel(slot)
        if (isCancelled) was = true
        return !this.isIn(item, State.running)
      })
    const end = (): void => {
      memory.locked(() => {
        const slot = items.slotOf(item)
        if (slot >= 0 && words[items.at(slot) + Slot.cancelling] === id) words[items.at(slot) + Slot.cancelling] = 0
      })
      this.endItemWait()
      if (was) this.someEnded()
    }
    return { isOver, end, wasPending: () => was }
  }

  private endItemWait(): void {
    const { memory } = this
    memory.locked(() => memory.store(Head.itemWaiters, memory.load(Head.itemWaiters) - 1))
  }

  private block(queue: WaitQueue, condition: () => boolean, timeoutMs: number): boolean {
    if (timeoutMs === Infinity) this.memory.refuseSelfService()
    return queue.waitUntilWithin(() => this.holdsOrIsServed(condition), timeoutMs)
  }

  private wait(queue: WaitQueue, condition: () => boolean, timeoutMs: number): Promise<boolean> {
    return queue.waitUntilAsync(() => this.holdsOrIsServed(condition), timeoutMs)
  }

  /** Whether the condition holds. Throws WorkQueueError if nobody is left to make it hold: the last server may just have done so. */
  private holdsOrIsServed(condition: () => boolean): boolean {
    return condition() || (this.memory.isUnserved && (condition() || this.memory.refuseUnserved()))
  }
}
