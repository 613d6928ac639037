/**
 * A first-in, first-out ring of slot numbers, which any number of threads fill and empty without a lock. No thread ever waits
 * for another in it, so one that dies at any step leaves nothing half done that the next doesn't complete.
 *
 * A cell is written by a compare-and-exchange, then the tail is moved, by whoever comes first. Taking is not decided in the ring: the
 * entry's slot has a state, and who changes that from the ring's status has taken it; then the head is moved. So an entry whose slot
 * has another status was taken already, and is passed over. That the head is still where it was, between a look at the state and
 * its change, says that it is this entry that was taken, not one that the same slot has further behind.
 *
 *     head (on a line of its own) | tail | two words for a gate | cells ...          cell: lap << 12 | slot
 */

import { SLOT_WORDS, STATUS_MASK, takenBy } from './slots.ts'

const HEAD = 0
const TAIL = 16
/** Where a gate's words lie, behind a ring's first word. */
export const GATE = 32
export const RING_HEADER_WORDS = 48

const SLOT_BITS = 12
const SLOT_MASK = (1 << SLOT_BITS) - 1

export class SlotRing {
  private readonly words: Int32Array
  private readonly head: number
  private readonly tail: number
  private readonly cells: number
  private readonly size: number
  private readonly lapShift: number
  private readonly lapMask: number
  private readonly slots: number
  private readonly status: number

  /** A ring at word `at` with `size` cells, a power of two. The slots begin at `slots`; those in this ring have `status`. */
  constructor(words: Int32Array, at: number, size: number, slots: number, status: number) {
    this.words = words
    this.head = at + HEAD
    this.tail = at + TAIL
    this.cells = at + RING_HEADER_WORDS
    this.size = size
    this.lapShift = Math.log2(size)
    this.lapMask = 2 ** Math.min(32 - SLOT_BITS, 32 - this.lapShift) - 1
    this.slots = slots
    this.status = status
  }

  /** Makes the ring empty. */
  initialize(): void {
    this.words.fill(this.lapMask << SLOT_BITS, this.cells, this.cells + this.size)
  }

  /** How many entries there are; there may be fewer slots to take while others are taking them. */
  get count(): number {
    return (Atomics.load(this.words, this.tail) - Atomics.load(this.words, this.head)) | 0
  }

  /** Puts a slot at the end. It must have the ring's status already. */
  push(slot: number): void {
    const { words, tail: tailAt } = this
    for (;;) {
      const tail = Atomics.load(words, tailAt)
      const at = this.cells + (tail & (this.size - 1))
      const cell = Atomics.load(words, at)
      const lap = (tail >>> this.lapShift) & this.lapMask
      const lapThere = (cell >>> SLOT_BITS) & this.lapMask
      if (lapThere === lap) {
        Atomics.compareExchange(words, tailAt, tail, (tail + 1) | 0) // for somebody who has not come to it yet
      } else if (lapThere === ((lap - 1) & this.lapMask)) {
        const head = Atomics.load(words, this.head)
        if (((tail - head) | 0) >= this.size) {
          this.passTaken(head)
        } else if (Atomics.compareExchange(words, at, cell, (lap << SLOT_BITS) | slot) === cell) {
          Atomics.compareExchange(words, tailAt, tail, (tail + 1) | 0)
          return
        }
      } // else the tail that we saw is old
    }
  }

  /** The thread `id` takes the first slot for `status`. Returns its number, -1: there is none. */
  take(id: number, status: number): number {
    const { words, head: headAt } = this
    for (;;) {
      const head = Atomics.load(words, headAt)
      if (head === Atomics.load(words, this.tail)) return -1
      const slot = this.entryAt(head)
      if (slot < 0) continue // the head that we saw is old
      const at = this.slots + slot * SLOT_WORDS
      const state = Atomics.load(words, at)
      if ((state & STATUS_MASK) !== this.status) {
        Atomics.compareExchange(words, headAt, head, (head + 1) | 0)
      } else if (Atomics.load(words, headAt) === head) {
        if (Atomics.compareExchange(words, at, state, takenBy(state, id, status)) !== state) continue
        Atomics.compareExchange(words, headAt, head, (head + 1) | 0)
        return slot
      }
    }
  }

  /** Marks in `found` the slots that have an entry. */
  find(found: Uint8Array): void {
    const tail = Atomics.load(this.words, this.tail)
    for (let at = Atomics.load(this.words, this.head); at !== tail; at = (at + 1) | 0) {
      const slot = this.entryAt(at)
      if (slot >= 0) found[slot] = 1
    }
  }

  /** The slot of the entry at a position, -1 if the cell has been used again. */
  private entryAt(position: number): number {
    const cell = Atomics.load(this.words, this.cells + (position & (this.size - 1)))
    const lap = (position >>> this.lapShift) & this.lapMask
    return ((cell >>> SLOT_BITS) & this.lapMask) === lap ? cell & SLOT_MASK : -1
  }

  /** The ring is full only because the first entry's taker has not come to moving the head: there are more cells than slots. */
  private passTaken(head: number): void {
    const slot = this.entryAt(head)
    if (slot < 0) return // it has come to it
    const isTaken = (Atomics.load(this.words, this.slots + slot * SLOT_WORDS) & STATUS_MASK) !== this.status
    if (!isTaken) throw new Error('a ring of slots has more entries than slots')
    Atomics.compareExchange(this.words, this.head, head, (head + 1) | 0)
  }
}
