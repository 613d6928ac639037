/**
 * The items of a work queue, in shared memory: what is queued, delayed and running, and what a flush must wait for. Everything
 * here is done under the queue's mutex, so accesses are plain; counters that the state dump reads are stored by Atomics.
 *
 * An item is pending (in the ring, delayed, or to run again when its present run ends), running, both, or neither. It never runs
 * twice at the same time, and is never pending twice.
 *
 * A flush waits for what was queued before it. Each item carries the epoch in which it was queued; a flush begins a new epoch, and
 * waits until no item of an older one is left. So the ring needs no order by age, and a flush costs nothing per item.
 */

import { self } from '../sync/threads.ts'
import { TimerHeap } from './timer-heap.ts'

/** Words of the header, behind the queue's locks. */
export const Head = {
  capacity: 0,
  concurrency: 1,
  serversMax: 2,
  /** 1 + the first free slot. */
  free: 3,
  /** 1 + the first and last slot of the ring. */
  first: 4,
  last: 5,
  queued: 6,
  running: 7,
  epoch: 8,
  oldestEpoch: 9,
  closed: 10,
  /** Whether any thread has ever served. */
  served: 11,
  ended: 12,
  failed: 13,
  /** How many wait for the end of one item. */
  itemWaiters: 14,
  /** How many items there are of each epoch, by its lower bits. */
  counts: 16,
} as const
const EPOCHS = 16
export const HEAD_WORDS = Head.counts + EPOCHS

/** Words of a slot. */
export const Slot = {
  state: 0,
  generation: 1,
  function: 2,
  a: 3,
  b: 4,
  c: 5,
  d: 6,
  next: 7,
  previous: 8,
  /** Epoch of the pending and of the running instance. */
  epoch: 9,
  runningEpoch: 10,
  /** Id of the thread that runs it. */
  runner: 11,
  /** How often it became pending, and how often that came to an end. */
  begun: 12,
  ended: 13,
  /** Id of a thread in `cancelAndWait`: as long as it lives, the item can't become pending. */
  cancelling: 14,
} as const
export const SLOT_WORDS = 16

/** Bits of a slot's state. */
export const State = { used: 1, kept: 2, queued: 4, delayed: 8, again: 16, running: 32 } as const
const PENDING = State.queued | State.delayed | State.again

export const SLOT_BITS = 14
const GENERATION_MASK = 2 ** 17 - 1

export class WorkItems {
  readonly capacity: number
  readonly heap: TimerHeap
  private readonly words: Int32Array
  private readonly head: number
  private readonly slots: number

  /** The items with their header at word `head`, and the slots, then the heap, at word `slots`. */
  constructor(words: Int32Array, head: number, slots: number) {
    this.words = words
    this.head = head
    this.slots = slots
    this.capacity = words[head + Head.capacity]
    this.heap = new TimerHeap(words, slots + this.capacity * SLOT_WORDS, this.capacity)
  }

  static words(capacity: number): number {
    return capacity * SLOT_WORDS + TimerHeap.words(capacity)
  }

  /** Makes all slots free, in zeroed memory. */
  initialize(): void {
    for (let slot = 0; slot < this.capacity - 1; slot++) this.words[this.at(slot) + Slot.next] = slot + 2
    this.words[this.head + Head.free] = 1
    this.words[this.head + Head.epoch] = 1
    this.words[this.head + Head.oldestEpoch] = 1
  }

  /** First word of a slot. */
  at(slot: number): number {
    return this.slots + slot * SLOT_WORDS
  }

  /** Number of an item: its slot and generation. */
  numberOf(slot: number): number {
    return this.words[this.at(slot) + Slot.generation] * 2 ** SLOT_BITS + slot
  }

  /** Slot of an item, -1 if it is not there any more. */
  slotOf(item: number): number {
    const slot = item % 2 ** SLOT_BITS
    if (!(slot >= 0 && slot < this.capacity)) return -1
    const isSame = this.words[this.at(slot) + Slot.generation] === Math.floor(item / 2 ** SLOT_BITS)
    return isSame && this.is(slot, State.used) ? slot : -1
  }

  is(slot: number, state: number): boolean {
    return (this.words[this.at(slot) + Slot.state] & state) !== 0
  }

  /** A new item; `kept`: until it is dropped, else until it has run. -1: all slots are in use. */
  allocate(called: number, a: number, b: number, c: number, d: number, kept: boolean): number {
    const { words } = this
    const slot = words[this.head + Head.free] - 1
    if (slot < 0) return -1
    const at = this.at(slot)
    words[this.head + Head.free] = words[at + Slot.next]
    words[at + Slot.state] = kept ? State.used | State.kept : State.used
    words[at + Slot.function] = called
    words[at + Slot.a] = a
    words[at + Slot.b] = b
    words[at + Slot.c] = c
    words[at + Slot.d] = d
    words[at + Slot.next] = 0
    words[at + Slot.previous] = 0
    words[at + Slot.cancelling] = 0
    return slot
  }

  /** Gives a slot back that is neither pending nor running. */
  free(slot: number): void {
    const { words } = this
    const at = this.at(slot)
    words[at + Slot.state] = 0
    words[at + Slot.generation] = (words[at + Slot.generation] + 1) & GENERATION_MASK
    words[at + Slot.next] = words[this.head + Head.free]
    words[this.head + Head.free] = slot + 1
  }

  /** Makes an item pending. False: it is already, or is being cancelled. */
  queue(slot: number): boolean {
    if (!this.begin(slot)) return false
    this.makeReady(slot)
    return true
  }

  /** Makes an item pending, from `dueMs` on. False: it is already, or is being cancelled. */
  queueAt(slot: number, dueMs: number): boolean {
    if (!this.begin(slot)) return false
    this.words[this.at(slot) + Slot.state] |= State.delayed
    this.heap.set(slot, dueMs)
    return true
  }

  /** Puts delayed items into the ring that are due. Returns how many. */
  queueDue(now: number): number {
    let due = 0
    for (let slot = this.heap.takeDue(now); slot >= 0; slot = this.heap.takeDue(now), due++) {
      this.words[this.at(slot) + Slot.state] &= ~State.delayed
      this.makeReady(slot)
    }
    return due
  }

  /** The next item of the ring, which `runner` is going to run; -1: none, or as many run as may. */
  take(runner: number): number {
    const { words, head } = this
    const slot = words[head + Head.first] - 1
    if (slot < 0 || words[head + Head.running] >= words[head + Head.concurrency]) return -1
    this.unlink(slot)
    const at = this.at(slot)
    words[at + Slot.state] = (words[at + Slot.state] & ~State.queued) | State.running
    words[at + Slot.runningEpoch] = words[at + Slot.epoch]
    words[at + Slot.runner] = runner
    Atomics.add(words, head + Head.running, 1)
    return slot
  }

  /** A run has ended. Returns whether somebody may be waiting for that. */
  end(slot: number, hasFailed: boolean): boolean {
    const { words, head } = this
    const at = this.at(slot)
    words[at + Slot.state] &= ~State.running
    words[at + Slot.ended]++
    words[at + Slot.runner] = 0
    Atomics.sub(words, head + Head.running, 1)
    Atomics.add(words, head + Head.ended, 1)
    if (hasFailed) Atomics.add(words, head + Head.failed, 1)
    if (this.is(slot, State.again)) {
      words[at + Slot.state] &= ~State.again
      this.append(slot)
    }
    const isSeen = this.leaveEpoch(words[at + Slot.runningEpoch]) || words[head + Head.itemWaiters] > 0
    if (!this.is(slot, State.kept | PENDING)) this.free(slot)
    return isSeen || words[head + Head.closed] !== 0
  }

  /** Takes back that an item is pending. False: it isn't. If it isn't kept, and does not run, its slot is free then. */
  cancel(slot: number): boolean {
    const { words } = this
    const at = this.at(slot)
    if (!this.is(slot, PENDING)) return false
    if (this.is(slot, State.delayed)) this.heap.remove(slot)
    else this.leaveEpoch(words[at + Slot.epoch])
    if (this.is(slot, State.queued)) this.unlink(slot)
    words[at + Slot.state] &= ~PENDING
    words[at + Slot.ended]++
    if (!this.is(slot, State.kept | State.running)) this.free(slot)
    return true
  }

  /** Begins a flush. Returns the epoch that must be over, or undefined: too many flushes are under way. */
  beginFlush(): number | undefined {
    const { words, head } = this
    const epoch = words[head + Head.epoch]
    const isIdle = words[head + Head.oldestEpoch] === epoch && words[this.countAt(epoch)] === 0
    if (isIdle) return (epoch - 1) | 0
    if (((epoch - words[head + Head.oldestEpoch]) | 0) >= EPOCHS - 1) return undefined
    words[head + Head.epoch] = (epoch + 1) | 0
    this.forgetEmptyEpochs()
    return epoch
  }

  /** Whether nothing of this epoch or an older one is left. */
  isOver(epoch: number): boolean {
    return ((this.words[this.head + Head.oldestEpoch] - epoch) | 0) > 0
  }

  private begin(slot: number): boolean {
    const at = this.at(slot)
    if (this.is(slot, PENDING) || self().registry.isAlive(this.words[at + Slot.cancelling])) return false
    this.words[at + Slot.begun]++
    return true
  }

  /** Counts the item in the present epoch, and puts it into the ring, or marks it to be put there when it has ended. */
  private makeReady(slot: number): void {
    const { words, head } = this
    const at = this.at(slot)
    const epoch = words[head + Head.epoch]
    words[at + Slot.epoch] = epoch
    words[this.countAt(epoch)]++
    if (this.is(slot, State.running)) words[at + Slot.state] |= State.again
    else this.append(slot)
  }

  private append(slot: number): void {
    const { words, head } = this
    const at = this.at(slot)
    const last = words[head + Head.last]
    words[at + Slot.state] |= State.queued
    words[at + Slot.previous] = last
    words[at + Slot.next] = 0
    if (last === 0) words[head + Head.first] = slot + 1
    else words[this.at(last - 1) + Slot.next] = slot + 1
    words[head + Head.last] = slot + 1
    Atomics.add(words, head + Head.queued, 1)
  }

  private unlink(slot: number): void {
    const { words, head } = this
    const at = this.at(slot)
    const previous = words[at + Slot.previous]
    const next = words[at + Slot.next]
    if (previous === 0) words[head + Head.first] = next
    else words[this.at(previous - 1) + Slot.next] = next
    if (next === 0) words[head + Head.last] = previous
    else words[this.at(next - 1) + Slot.previous] = previous
    Atomics.sub(words, head + Head.queued, 1)
  }

  private countAt(epoch: number): number {
    return this.head + Head.counts + (epoch & (EPOCHS - 1))
  }

  /** One item less in an epoch. Returns whether an epoch is over. */
  private leaveEpoch(epoch: number): boolean {
    this.words[this.countAt(epoch)]--
    return this.forgetEmptyEpochs()
  }

  private forgetEmptyEpochs(): boolean {
    const { words, head } = this
    const before = words[head + Head.oldestEpoch]
    let oldest = before
    while (oldest !== words[head + Head.epoch] && words[this.countAt(oldest)] === 0) oldest = (oldest + 1) | 0
    words[head + Head.oldestEpoch] = oldest
    return oldest !== before
  }
}
