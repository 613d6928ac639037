/**
 * The serving side of a work queue: takes items, calls their functions, and tells who waits. Servers also put delayed items into
 * the ring when they are due, and report what the dead were running: while one server is idle, it does so within a tenth of a second.
 */

import { self, type ThreadSelf } from '../sync/threads.ts'
import { LockUseError } from '../sync/sync-error.ts'
import { nowMs } from './clock.ts'
import { functionsByNumber } from './function-names.ts'
import type { ThreadContext } from './thread-control.ts'
import { ThreadDiedError } from './thread-error.ts'
import { Head, Slot, State } from './work-items.ts'
import type { WorkMemory } from './work-memory.ts'

/** What an item calls: with its four arguments, and its own number. */
export type WorkFunction = (a: number, b: number, c: number, d: number, item: number) => void
/** The same, where it may await. */
export type AsyncWorkFunction = (a: number, b: number, c: number, d: number, item: number) => void | Promise<void>

/** An item whose function threw, or whose thread died. */
export interface FailedWork {
  readonly function: string
  readonly arguments: readonly [a: number, b: number, c: number, d: number]
  readonly item: number
}

export interface WorkServing {
  /** Ends serving, after the present item, when the thread is asked to stop. */
  readonly context?: ThreadContext
  /**
   * Gets what a function threw; and a ThreadDiedError for what another server was running when it died. The item has not ended before
   * this returns. If it throws, that ends `serve`.
   */
  readonly onError: (error: unknown, work: FailedWork) => void
}

/** Serves until the queue is shut down and empty, or the thread is asked to stop. */
export function serveWork(
  memory: WorkMemory,
  functions: Readonly<Record<string, WorkFunction>>,
  serving: WorkServing,
): void {
  const server = new WorkServer(memory, functions, serving)
  try {
    while (!server.isDone) {
      if (server.hasItem) server.runItem()
      else memory.forWork.waitUntilWithin(() => server.looksForItem(), server.pauseMs)
    }
  } finally {
    server.leave()
  }
}

/** `serveWork` for functions that may await, in a thread whose other tasks go on. One item at a time per call. */
export async function serveWorkAsync(
  memory: WorkMemory,
  functions: Readonly<Record<string, AsyncWorkFunction>>,
  serving: WorkServing,
): Promise<void> {
  const server = new WorkServer(memory, functions, serving)
  try {
    while (!server.isDone) {
      if (server.hasItem) await server.runItemAsync()
      else await memory.forWork.waitUntilAsync(() => server.looksForItem(), server.pauseMs)
    }
  } finally {
    server.leave()
  }
}

class WorkServer {
  /** Whether serving is over. */
  isDone = false
  private readonly memory: WorkMemory
  private readonly functions: readonly AsyncWorkFunction[]
  private readonly serving: WorkServing
  private readonly me: ThreadSelf
  private readonly seat: number
  /** The item that is being run, copied: its slot (-1: none), number, function and arguments. */
  private slot = -1
  private item = 0
  private called = 0
  private a = 0
  private b = 0
  private c = 0
  private d = 0
  private nextDueMs = Infinity
  private deathsSeen: number | undefined
  private readonly dead: number[] = []

  constructor(memory: WorkMemory, functions: Readonly<Record<string, AsyncWorkFunction>>, serving: WorkServing) {
    this.memory = memory
    this.functions = functionsByNumber(memory.names, functions)
    this.serving = serving
    this.me = self()
    this.seat = memory.enterServer()
  }

  get hasItem(): boolean {
    return this.slot >= 0
  }

  /** How long there is nothing to do, if nothing is queued. */
  get pauseMs(): number {
    return this.nextDueMs === Infinity ? Infinity : Math.max(0, this.nextDueMs - nowMs())
  }

  /** Whether there is something to do; takes an item if there is one. False: nothing is due before the time that was known. */
  looksForItem(): boolean {
    const known = this.nextDueMs
    this.step(false)
    return this.hasItem || this.isDone || this.nextDueMs < known
  }

  runItem(): void {
    let hasFailed = true
    try {
      const result: unknown = this.call()
      if (result instanceof Promise) throw new LockUseError('an asynchronous function in serve: use serveAsync')
      hasFailed = false
    } catch (error) {
      this.report(error)
    }
    this.step(hasFailed)
  }

  async runItemAsync(): Promise<void> {
    let hasFailed = true
    try {
      await this.call()
      hasFailed = false
    } catch (error) {
      this.report(error)
    }
    this.step(hasFailed)
  }

  /** Ends what is unfinished, which has failed then, and leaves. */
  leave(): void {
    this.isDone = true
    try {
      this.step(true)
    } finally {
      this.memory.leaveServer(this.seat)
    }
  }

  private call(): unknown {
    return this.functions[this.called]?.(this.a, this.b, this.c, this.d, this.item)
  }

  private report(error: unknown): void {
    const { a, b, c, d, item } = this
    this.serving.onError(error, { function: this.memory.names[this.called], arguments: [a, b, c, d], item })
  }

  /** Under the mutex, once: ends the item that was run, and takes the next one. Then wakes whom that concerns. */
  private step(hasFailed: boolean): void {
    const { memory } = this
    const { items } = memory
    const ran = this.slot
    let isSeen = false
    let due = 0
    memory.mutex.lock()
    try {
      if (ran >= 0) isSeen = items.end(ran, hasFailed)
      this.findDead()
      if (items.heap.size > 0) due = items.queueDue(nowMs())
      const isStopping = this.isDone || this.serving.context?.shouldStop === true
      this.slot = isStopping ? -1 : items.take(this.me.id)
      if (this.slot >= 0) this.copy(this.slot)
      this.nextDueMs = items.heap.firstDueMs
      this.isDone = isStopping || (this.slot < 0 && memory.load(Head.closed) !== 0 && memory.isIdle)
    } finally {
      memory.mutex.unlock()
    }
    if (ran >= 0) memory.forRoom.wakeOne()
    if (isSeen) memory.forEnd.wakeAll()
    if (due > 0 || (this.isDone && memory.load(Head.closed) !== 0)) memory.forWork.wakeAll()
    if (this.dead.length > 0) this.reportDead()
  }

  private copy(slot: number): void {
    const { words, items } = this.memory
    const at = items.at(slot)
    this.item = items.numberOf(slot)
    this.called = words[at + Slot.function]
    this.a = words[at + Slot.a]
    this.b = words[at + Slot.b]
    this.c = words[at + Slot.c]
    this.d = words[at + Slot.d]
  }

  /** Looks, if any thread has died since the last time, for items that the dead were running, and makes them ours. */
  private findDead(): void {
    const { words, items } = this.memory
    const { registry, id } = this.me
    const { deaths } = registry
    if (deaths === this.deathsSeen) return
    this.deathsSeen = deaths
    for (let slot = 0; slot < items.capacity; slot++) {
      if (!items.is(slot, State.running)) continue
      const at = items.at(slot)
      const runner = words[at + Slot.runner]
      if (registry.isAlive(runner)) continue
      words[at + Slot.runner] = id // nobody else reports it
      this.dead.push(slot, runner)
    }
  }

  /** Reports what the dead were running, and ends it. */
  private reportDead(): void {
    const { memory } = this
    const { words, items, names } = memory
    while (this.dead.length > 0) {
      const runner = this.dead.pop() ?? 0
      const slot = this.dead.pop() ?? 0
      const at = items.at(slot)
      const work: FailedWork = {
        function: names[words[at + Slot.function]],
        arguments: [words[at + Slot.a], words[at + Slot.b], words[at + Slot.c], words[at + Slot.d]],
        item: items.numberOf(slot),
      }
      try {
        const name = this.me.registry.nameOf(runner)
        this.serving.onError(new ThreadDiedError(name === '' ? `with id ${runner}` : name, undefined), work)
      } finally {
        memory.locked(() => items.end(slot, true))
        memory.forRoom.wakeOne()
        memory.forEnd.wakeAll()
        memory.forWork.wakeAll()
      }
    }
  }
}
