/**
 * A work queue's memory, as each thread sees it: its locks, its items, and the threads that serve it.
 *
 *     mutex | servers wait | who wants to enqueue waits | who waits for an end | header | names | servers | slots | heap
 */

import { Mutex } from '../sync/mutex.ts'
import { newPlace, wordsAt, type SharedPlace } from '../sync/place.ts'
import { LOCK_BYTES, namePrimitive } from '../sync/queue-lock.ts'
import { LockUseError } from '../sync/sync-error.ts'
import { self } from '../sync/threads.ts'
import { WaitQueue } from '../sync/wait-queue.ts'
import { readNames, wordsForNames, writeNames } from './function-names.ts'
import { Head, HEAD_WORDS, Slot, SLOT_BITS, State, WorkItems } from './work-items.ts'

const HEAD = 4 * (LOCK_BYTES / 4)
const NAMES = HEAD + HEAD_WORDS
const SERVERS_MAX = 256

export interface WorkQueueOptions {
  /** For people: the state dump. */
  readonly name: string
  /** Names of the functions that work can call. */
  readonly functions: readonly string[]
  /** How many items there can be at the same time, pending or running or kept: at most 16384. Left out: 256. */
  readonly capacity?: number
  /** How many of them may run at the same time; left out: as many as there are servers. */
  readonly concurrency?: number
  /** How many calls of `serve` there can be at the same time; left out: 16. */
  readonly serversMax?: number
}

/** The queue can't do that: it is shut down (ESHUTDOWN), or all threads that served it are gone (EUNSERVED). */
export class WorkQueueError extends Error {
  override readonly name = 'WorkQueueError'
  readonly code: 'ESHUTDOWN' | 'EUNSERVED'

  constructor(code: WorkQueueError['code'], message: string) {
    super(message)
    this.code = code
  }
}

export class WorkMemory {
  readonly words: Int32Array
  readonly name: string
  readonly names: readonly string[]
  readonly mutex: Mutex
  readonly forWork: WaitQueue
  readonly forRoom: WaitQueue
  readonly forEnd: WaitQueue
  readonly items: WorkItems
  private readonly servers: number

  constructor(place: SharedPlace) {
    this.words = new Int32Array(place.buffer, place.offset)
    const [name = '', ...names] = readNames(this.words, NAMES)
    this.name = name
    this.names = names
    this.mutex = new Mutex(place)
    this.forWork = new WaitQueue(partOf(place, 1))
    this.forRoom = new WaitQueue(partOf(place, 2))
    this.forEnd = new WaitQueue(partOf(place, 3))
    this.servers = NAMES + wordsForNames([name, ...names])
    this.items = new WorkItems(this.words, HEAD, this.servers + this.words[HEAD + Head.serversMax])
  }

  static bytes({ name, functions, capacity = 256, serversMax = 16 }: WorkQueueOptions): number {
    return 4 * (NAMES + wordsForNames([name, ...functions]) + serversMax + WorkItems.words(capacity))
  }

  /** Makes what the views look at; `place` must be zeroed. */
  static create(options: WorkQueueOptions, place: SharedPlace = newPlace(WorkMemory.bytes(options))): SharedPlace {
    const { name, functions, capacity = 256, concurrency = SERVERS_MAX, serversMax = 16 } = options
    if (!(capacity >= 1 && capacity <= 2 ** SLOT_BITS)) throw new RangeError(`a capacity of ${capacity} items`)
    if (!(concurrency >= 1)) throw new RangeError(`a concurrency of ${concurrency}`)
    if (!(serversMax >= 1 && serversMax <= SERVERS_MAX)) throw new RangeError(`at most ${serversMax} servers`)
    const words = wordsAt(place, WorkMemory.bytes(options))
    namePrimitive(Mutex.create(place), name)
    namePrimitive(WaitQueue.create(partOf(place, 1)), 'work queue: next item')
    namePrimitive(WaitQueue.create(partOf(place, 2)), 'work queue: room')
    namePrimitive(WaitQueue.create(partOf(place, 3)), 'work queue: end of items')
    words[HEAD + Head.capacity] = capacity
    words[HEAD + Head.concurrency] = concurrency
    words[HEAD + Head.serversMax] = serversMax
    writeNames(words, NAMES, [name, ...functions])
    new WorkMemory(place).items.initialize()
    return place
  }

  /** A word of the header, read without the mutex. */
  load(word: number): number {
    return Atomics.load(this.words, HEAD + word)
  }

  /** Stores a word of the header. */
  store(word: number, value: number): void {
    Atomics.store(this.words, HEAD + word, value)
  }

  /** Does something under the mutex. */
  locked<T>(action: () => T): T {
    this.mutex.lock()
    try {
      return action()
    } finally {
      this.mutex.unlock()
    }
  }

  /** Whether nothing is queued or running. Under the mutex. */
  get isIdle(): boolean {
    return this.load(Head.queued) === 0 && this.load(Head.running) === 0
  }

  /** Throws WorkQueueError if the queue was shut down. */
  requireOpen(): void {
    if (this.load(Head.closed) !== 0) throw new WorkQueueError('ESHUTDOWN', `work queue ${this.name} is shut down`)
  }

  /** Seats the calling thread among the servers. Returns its seat. */
  enterServer(): number {
    const { id, registry } = self()
    return this.locked(() => {
      const max = this.load(Head.serversMax)
      for (let seat = 0; seat < max; seat++) {
        const server = this.serverAt(seat)
        if (server !== 0 && registry.isAlive(server)) continue
        Atomics.store(this.words, this.servers + seat, id)
        this.store(Head.served, 1)
        return seat
      }
      throw new RangeError(`work queue ${this.name} has ${max} servers already`)
    })
  }

  /** Who waits for servers looks whether there are others; another idle one takes what this one was woken for. */
  leaveServer(seat: number): void {
    Atomics.store(this.words, this.servers + seat, 0)
    this.forWork.wakeOne()
    this.forRoom.wakeAll()
    this.forEnd.wakeAll()
  }

  /** Ids of the living servers. */
  livingServers(): number[] {
    const { registry } = self()
    const max = Math.min(Math.max(0, this.load(Head.serversMax)), SERVERS_MAX)
    const ids = Array.from({ length: max }, (_, seat) => this.serverAt(seat))
    return ids.filter((id) => id !== 0 && registry.isAlive(id))
  }

  /** Whether there were servers, but none is left. */
  get isUnserved(): boolean {
    return this.load(Head.served) !== 0 && this.livingServers().length === 0
  }

  /** Throws WorkQueueError: what is waited for would not come. */
  refuseUnserved(): never {
    throw new WorkQueueError('EUNSERVED', `no thread is left that serves work queue ${this.name}`)
  }

  /** Throws LockUseError if the calling thread would wait for itself: it is the only server. */
  refuseSelfService(): void {
    const servers = this.livingServers()
    if (servers.length > 0 && servers.every((id) => id === self().id))
      throw new LockUseError(`the only thread that serves work queue ${this.name} blocks for it`)
  }

  /** Throws LockUseError if the calling thread runs an item (that one, or any) for whose end it would block. */
  refuseWaitInItem(item?: number): void {
    this.locked(() => {
      const { id } = self()
      for (let slot = 0; slot < this.items.capacity; slot++) {
        if (!this.items.is(slot, State.running) || this.words[this.items.at(slot) + Slot.runner] !== id) continue
        if (item === undefined || this.items.numberOf(slot) === item)
          throw new LockUseError(`an item of work queue ${this.name} waits for its own end`)
      }
    })
  }

  private serverAt(seat: number): number {
    return Atomics.load(this.words, this.servers + seat)
  }
}

function partOf(place: SharedPlace, lock: number): SharedPlace {
  return { buffer: place.buffer, offset: place.offset + lock * LOCK_BYTES }
}
