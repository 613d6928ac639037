/**
 * What threads ask of a thread: to stop, to park, whether it is gone. It lies in shared memory, so that any thread can ask, and
 * can block for the answer; the thread itself answers in `ThreadContext`. Kernel threads are asked in the same way.
 *
 * A parked thread waits in a place of its own choice until it is unparked, or asked to stop. Requests to park are counted: it
 * goes on when each has been taken back. All waits here end when the thread is gone, however it went.
 *
 *     words 0-7 wait queue, woken at each change | 8 asked to stop | 9 park requests, parked bit | 10 1 + exit code
 */

import { wordsAt, newPlace, type SharedPlace } from '../sync/place.ts'
import { LOCK_BYTES, namePrimitive } from '../sync/queue-lock.ts'
import { LockUseError, OwnerDeadError } from '../sync/sync-error.ts'
import { self, ThreadRegistry } from '../sync/threads.ts'
import { WaitQueue } from '../sync/wait-queue.ts'

const STOP = LOCK_BYTES / 4
const PARK = STOP + 1
const EXIT_CODE = STOP + 2
const CONTROL_BYTES = LOCK_BYTES + 4 * 3

/** Of the park word, whose lower bits count the requests. */
const PARKED = 1 << 30

/** What a thread needs to ask another one: can be posted. */
export interface ThreadDescriptor {
  readonly id: number
  readonly name: string
  readonly registry: SharedPlace
  readonly control: SharedPlace
}

/**
 * Makes the words that a thread with the reserved seat `id` is asked by; `place` must be zeroed. For threads that are not started by
 * `startThread`: they make a ThreadContext of it, and call `isLeaving` of a ThreadControl at their end.
 */
export function newThreadControl(
  registry: ThreadRegistry,
  id: number,
  name: string,
  place: SharedPlace = newPlace(CONTROL_BYTES),
): ThreadDescriptor {
  namePrimitive(WaitQueue.create(place), 'state of a thread')
  registry.nameThread(id, name)
  return { id, name, registry: registry.place, control: place }
}

/** Both sides' view of a thread's control words. */
abstract class ControlView {
  readonly id: number
  readonly name: string
  readonly registry: ThreadRegistry
  /** What a thread needs to ask this one. */
  readonly descriptor: ThreadDescriptor
  protected readonly words: Int32Array
  protected readonly changed: WaitQueue

  constructor(descriptor: ThreadDescriptor) {
    this.descriptor = descriptor
    this.id = descriptor.id
    this.name = descriptor.name
    this.registry = new ThreadRegistry(descriptor.registry)
    this.words = wordsAt(descriptor.control, CONTROL_BYTES)
    this.changed = new WaitQueue(descriptor.control)
  }

  protected get isAskedToStop(): boolean {
    return Atomics.load(this.words, STOP) !== 0
  }
}

/** A thread, as others see it. */
export class ThreadControl extends ControlView {
  /** Whether it has ended, or is so near its end that it runs nothing of its own any more. */
  get isGone(): boolean {
    return !this.registry.isAlive(this.id)
  }

  /** Whether it has been asked to stop. */
  get isStopping(): boolean {
    return this.isAskedToStop
  }

  get isParked(): boolean {
    return (Atomics.load(this.words, PARK) & PARKED) !== 0
  }

  /** The exit code, if the thread is gone and left one. */
  get exitCode(): number | undefined {
    const word = Atomics.load(this.words, EXIT_CODE)
    return word === 0 ? undefined : word - 1
  }

  /**
   * Asks the thread to stop; does not wait. If it is parked, or waits on a wait queue, it is woken, to look at `shouldStop`; a wait
   * for a lock goes on. Does nothing if the thread is gone.
   */
  requestStop(): void {
    Atomics.store(this.words, STOP, 1)
    this.registry.nudge(this.id)
  }

  /**
   * Asks the thread to park, and waits until it has, at most `timeoutMs`. False: it is gone, or did not park in time, and the
   * request has been taken back. True: `unpark` must follow. If who parked it dies, the thread stays parked until
   * another thread unparks it or asks it to stop. Throws LockUseError if the calling thread would wait for itself.
   */
  park(timeoutMs = Infinity): boolean {
    this.requestPark()
    return this.parkedOrTakenBack(this.waitUntil(() => this.isParked || this.isGone, timeoutMs))
  }

  /** `park` without blocking the calling thread. */
  async parkAsync(timeoutMs = Infinity): Promise<boolean> {
    this.requestPark()
    return this.parkedOrTakenBack(await this.waitUntilAsync(() => this.isParked || this.isGone, timeoutMs))
  }

  /** Takes one request to park back. Throws LockUseError if there is none. */
  unpark(): void {
    for (let word = Atomics.load(this.words, PARK); ;) {
      if ((word & ~PARKED) === 0) throw new LockUseError(`thread ${this.name} is unparked more often than parked`)
      const seen = Atomics.compareExchange(this.words, PARK, word, word - 1)
      if (seen === word) break
      word = seen
    }
    this.registry.nudge(this.id)
  }

  /** Blocks until the thread is gone, at most `timeoutMs`. Returns whether it is. */
  waitUntilGone(timeoutMs = Infinity): boolean {
    if (this.id === self().id) throw new LockUseError('a thread waits for its own end')
    return this.waitUntil(() => this.isGone, timeoutMs)
  }

  /** `waitUntilGone` without blocking the calling thread. */
  waitUntilGoneAsync(timeoutMs = Infinity): Promise<boolean> {
    return this.waitUntilAsync(() => this.isGone, timeoutMs)
  }

  /** The thread has come to its end. Called in it, last, or in its starter when it noticed. */
  isLeaving(exitCode: number): void {
    Atomics.compareExchange(this.words, EXIT_CODE, 0, exitCode + 1)
    this.registry.markDead(this.id)
    try {
      this.changed.wakeAll()
    } catch (error) {
      if (!(error instanceof OwnerDeadError)) throw error // it died while it changed the queue: waiters look by themselves
    }
  }

  private requestPark(): void {
    if (this.id === self().id) throw new LockUseError('a thread waits until it is parked itself')
    Atomics.add(this.words, PARK, 1)
    this.registry.nudge(this.id)
  }

  private parkedOrTakenBack(isOver: boolean): boolean {
    if (isOver && !this.isGone) return true
    this.unpark()
    return false
  }

  private waitUntil(condition: () => boolean, timeoutMs: number): boolean {
    try {
      return this.changed.waitUntilWithin(condition, timeoutMs)
    } catch (error) {
      return this.isGoneBy(error)
    }
  }

  private async waitUntilAsync(condition: () => boolean, timeoutMs: number): Promise<boolean> {
    try {
      return await this.changed.waitUntilAsync(condition, timeoutMs)
    } catch (error) {
      return this.isGoneBy(error)
    }
  }

  /** A thread that dies while it changes its wait queue, or is slow to leave it at its end, ends all waits there. */
  private isGoneBy(error: unknown): true {
    if (error instanceof OwnerDeadError && this.isGone) return true
    throw error
  }
}

/** A thread's own side: what it was asked, and places to wait in that it leaves when asked to stop. */
export class ThreadContext<Data = unknown> extends ControlView {
  /** What its starter gave it. */
  readonly data: Data

  /** The side of the calling thread, which has entered the registry as `descriptor.id`. */
  constructor(descriptor: ThreadDescriptor, data: Data) {
    super(descriptor)
    this.data = data
  }

  /** Whether somebody has asked the thread to stop. One atomic load. */
  get shouldStop(): boolean {
    return this.isAskedToStop
  }

  /** Whether somebody has asked the thread to park. One atomic load. */
  get shouldPark(): boolean {
    return (Atomics.load(this.words, PARK) & ~PARKED) !== 0
  }

  /** If asked to, parks: blocks until unparked or asked to stop. Returns whether it did. Hold no lock here. */
  parkIfAsked(): boolean {
    if (!this.beginPark()) return false
    this.changed.waitUntil(() => this.endPark())
    return true
  }

  /** `parkIfAsked` for a thread that must not block: its other tasks go on. */
  async parkIfAskedAsync(): Promise<boolean> {
    if (!this.beginPark()) return false
    await this.changed.waitUntilAsync(() => this.endPark())
    return true
  }

  /** Blocks for `ms`, or until asked to stop. Returns whether the time is over and nobody has asked. */
  sleep(ms: number): boolean {
    return !this.changed.waitUntilWithin(() => this.shouldStop, ms)
  }

  /** `sleep` without blocking. */
  async sleepAsync(ms: number): Promise<boolean> {
    return !(await this.changed.waitUntilAsync(() => this.shouldStop, ms))
  }

  /** Blocks until asked to stop. */
  waitForStop(): void {
    this.changed.waitUntil(() => this.shouldStop)
  }

  /** Resolves when asked to stop. */
  async waitForStopAsync(): Promise<void> {
    await this.changed.waitUntilAsync(() => this.shouldStop)
  }

  /** Waits on `queue` until `condition` holds: true. Or until asked to stop, or `timeoutMs` is over: false. */
  waitUntil(queue: WaitQueue, condition: () => boolean, timeoutMs = Infinity): boolean {
    let holds = false
    queue.waitUntilWithin(() => (holds = condition()) || this.shouldStop, timeoutMs)
    return holds
  }

  /** `waitUntil` without blocking. */
  async waitUntilAsync(queue: WaitQueue, condition: () => boolean, timeoutMs = Infinity): Promise<boolean> {
    let holds = false
    await queue.waitUntilAsync(() => (holds = condition()) || this.shouldStop, timeoutMs)
    return holds
  }

  private beginPark(): boolean {
    if (!this.shouldPark || this.shouldStop) return false
    Atomics.or(this.words, PARK, PARKED)
    this.changed.wakeAll()
    return true
  }

  /** Leaves the parked state if that may be: in one step, so that nobody who asks meanwhile takes it for parked still. */
  private endPark(): boolean {
    if (this.shouldStop) {
      Atomics.and(this.words, PARK, ~PARKED)
      return true
    }
    return Atomics.compareExchange(this.words, PARK, PARKED, 0) === PARKED
  }
}
