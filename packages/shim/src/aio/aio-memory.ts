/**
 * What lies in the memory of asynchronous I/O: a header, the rings, and one slot per request that may
 * be in flight.
 *
 *     header | workers | devices | free ring | submission ring | completion ring 0, 1, ... | slots
 */

import { newPlace, wordsAt, type SharedPlace } from '../sync/place.ts'
import { WorkGate, ThresholdGate } from './gates.ts'
import { GATE, RING_HEADER_WORDS, SlotRing } from './slot-ring.ts'
import { SLOT_WORDS, Status } from './slots.ts'

/** Life of the whole: only forwards. Failed: no I/O worker lives any more. */
export const Phase = { open: 0, failed: 1, closing: 2, closed: 3 } as const

/** Words of the header. */
export const PHASE = 0
const DEPTH = 1
const QUEUES = 2
export const WORKERS = 3
/** How often the devices and buffers have changed. */
export const VERSION = 4
/** The most that a thread spins before it sleeps. */
export const SPINS = 5
/** How many workers died. */
export const DEATHS = 6
const HEADER_WORDS = 16

/** Two words for each worker: its thread id, and its id in the operating system (0: not known). */
const WORKER_TABLE = HEADER_WORDS
const WORKER_WORDS = 2
const WORKERS_MAX = 32
/** A word for each device: 0 never given, 1 there, 2 removed. */
const DEVICE_TABLE = WORKER_TABLE + WORKER_WORDS * WORKERS_MAX
export const DEVICES_MAX = 128
const DeviceState = { none: 0, present: 1, removed: 2 } as const
const RINGS = DEVICE_TABLE + DEVICES_MAX

export const DEPTH_MAX = 4096
export const QUEUES_MAX = 64

/** What is chosen when the memory is made. */
export interface Geometry {
  readonly depth: number
  readonly queues: number
  readonly workers: number
  readonly spins: number
}

/** A thread's view of the memory. */
export class AioMemory {
  readonly place: SharedPlace
  readonly words: Int32Array
  readonly depth: number
  readonly free: SlotRing
  readonly submitted: SlotRing
  readonly completed: readonly SlotRing[]
  /** Where submitters wait for free slots, workers for requests, and reapers for completions. */
  readonly space: ThresholdGate
  readonly work: WorkGate
  readonly reapers: readonly ThresholdGate[]
  private readonly slots: number

  /** A view of what was created at `place`. */
  constructor(place: SharedPlace) {
    const header = wordsAt(place, 4 * HEADER_WORDS)
    const depth = header[DEPTH]
    if (depth === 0) throw new RangeError(`nothing was created at byte ${place.offset}`)
    const queues = header[QUEUES]
    const words = wordsAt(place, AioMemory.bytes(depth, queues))
    const cells = cellsFor(depth)
    const slots = RINGS + (2 + queues) * (RING_HEADER_WORDS + cells)
    const ringAt = (n: number): number => RINGS + n * (RING_HEADER_WORDS + cells)
    const ring = (n: number, status: number): SlotRing => new SlotRing(words, ringAt(n), cells, slots, status)
    const gateAt = (n: number): number => ringAt(n) + GATE
    this.place = place
    this.words = words
    this.depth = depth
    this.slots = slots
    this.free = ring(0, Status.free)
    this.submitted = ring(1, Status.queued)
    this.completed = Array.from({ length: queues }, (_, queue) => ring(2 + queue, Status.done))
    this.space = new ThresholdGate(words, gateAt(0), this.free)
    this.work = new WorkGate(words, gateAt(1), this.submitted)
    this.reapers = this.completed.map((of, queue) => new ThresholdGate(words, gateAt(2 + queue), of))
  }

  static bytes(depth: number, queues: number): number {
    return 4 * (RINGS + (2 + queues) * (RING_HEADER_WORDS + cellsFor(depth)) + depth * SLOT_WORDS)
  }

  /** Makes the memory; `place` must be zeroed. Throws RangeError if the geometry is out of bounds. */
  static create({ depth, queues, workers, spins }: Geometry, place?: SharedPlace): AioMemory {
    refuseUnless(depth, 1, DEPTH_MAX, 'requests in flight')
    refuseUnless(queues, 1, QUEUES_MAX, 'completion queues')
    refuseUnless(workers, 0, WORKERS_MAX, 'workers')
    refuseUnless(spins, 0, 1 << 20, 'spins')
    const made = place ?? newPlace(AioMemory.bytes(depth, queues))
    const words = wordsAt(made, AioMemory.bytes(depth, queues))
    words[DEPTH] = depth
    words[QUEUES] = queues
    words[WORKERS] = workers
    words[SPINS] = spins
    const memory = new AioMemory(made)
    for (const ring of [memory.free, memory.submitted, ...memory.completed]) ring.initialize()
    for (const gate of [memory.space, ...memory.reapers]) gate.initialize()
    for (let slot = 0; slot < depth; slot++) memory.free.push(slot)
    return memory
  }

  /** First word of a slot. */
  slotAt(slot: number): number {
    return this.slots + slot * SLOT_WORDS
  }

  get phase(): number {
    return Atomics.load(this.words, PHASE)
  }

  /** Says who the worker is: its thread id, and its id in the operating system, 0 if that isn't known. */
  setWorker(worker: number, id: number, task: number): void {
    Atomics.store(this.words, WORKER_TABLE + worker * WORKER_WORDS + 1, task)
    Atomics.store(this.words, WORKER_TABLE + worker * WORKER_WORDS, id)
  }

  /** Thread id of a worker, 0 when it has died. */
  workerId(worker: number): number {
    return Atomics.load(this.words, WORKER_TABLE + worker * WORKER_WORDS)
  }

  workerTask(worker: number): number {
    return Atomics.load(this.words, WORKER_TABLE + worker * WORKER_WORDS + 1)
  }

  /** Takes a dead worker off the table. True for one thread only. */
  buryWorker(worker: number, id: number): boolean {
    return Atomics.compareExchange(this.words, WORKER_TABLE + worker * WORKER_WORDS, id, 0) === id
  }

  /** The device may be used from now on. */
  addDevice(number: number): void {
    Atomics.store(this.words, DEVICE_TABLE + number, DeviceState.present)
  }

  /** Whether the device was there until now; from now on requests on it fail. */
  removeDevice(number: number): boolean {
    if (!(number >= 0 && number < DEVICES_MAX)) return false
    const seen = Atomics.compareExchange(this.words, DEVICE_TABLE + number, DeviceState.present, DeviceState.removed)
    return seen === DeviceState.present
  }

  hasDevice(number: number): boolean {
    if (!(number >= 0 && number < DEVICES_MAX)) return false
    return Atomics.load(this.words, DEVICE_TABLE + number) === DeviceState.present
  }

  /** From now on nothing is submitted; the workers end when nothing is left to be performed. */
  beginClose(): void {
    if (this.phase < Phase.closing) Atomics.store(this.words, PHASE, Phase.closing)
    this.work.wake()
  }

  /** No worker is there any more. */
  endClose(): void {
    Atomics.store(this.words, PHASE, Phase.closed)
  }
}

/** Twice the slots, so that a few entries of slots that were taken already, or are there twice after a death, don't fill a ring. */
function cellsFor(depth: number): number {
  return Math.max(4, 2 ** Math.ceil(Math.log2(2 * depth)))
}

function refuseUnless(value: number, least: number, most: number, what: string): void {
  if (Number.isInteger(value) && value >= least && value <= most) return
  throw new RangeError(`${value} ${what} where ${least} to ${most} are possible`)
}
