/**
 * Pieces of memory that wait for the end of a grace period before they are given back, in a list that lies in shared memory: so
 * whichever thread comes by gives them back, and a thread that takes something out and then does nothing for hours holds
 * no memory back. (`callRcu` is for closures, which only their own thread can call.)
 *
 * A piece is linked by a word of its own, which readers don't look at. Retiring is an exchange; who looks after the list has it
 * to himself for that time, and a dead one is relieved: at most, what he was just giving back is lost.
 *
 *     word 0 who looks after the list | 1 new pieces | 2 pieces that wait | 3 for this grace period | 4 how many there are
 *     5 how many threads wait for whoever looks after it
 */

import { wordsAt, type SharedPlace } from '../sync/place.ts'
import { sliceIsOver } from '../sync/threads.ts'
import type { Rcu } from './rcu.ts'

const KEEPER = 0
const NEW = 1
const WAITING = 2
const TICKET = 3
const COUNT = 4
const DRAINING = 5
const LIST_BYTES = 32

/** Rounds of `drain`. Two are enough, but for what others do meanwhile. */
const DRAIN_ROUNDS = 8
/** How long a thread sleeps before it looks whether the keeper still lives. */
const SLICE_MS = 100

export class RetireList {
  static readonly bytes: number = LIST_BYTES
  private readonly list: Int32Array
  private readonly ints: Int32Array
  private readonly rcu: Rcu
  private readonly linkAt: number
  private readonly free: (at: number) => void

  /**
   * A view of the list at `place`, which was zeroed when it was made.
   *
   * @param ints memory of the pieces
   * @param linkAt offset of the word that links a piece
   * @param free gives back the piece that begins at word `at`
   */
  constructor(place: SharedPlace, rcu: Rcu, ints: Int32Array, linkAt: number, free: (at: number) => void) {
    this.list = wordsAt(place, LIST_BYTES)
    this.rcu = rcu
    this.ints = ints
    this.linkAt = linkAt
    this.free = free
  }

  /** About how many pieces wait. */
  get length(): number {
    return Atomics.load(this.list, COUNT)
  }

  /** The piece at word `at`, which no reader can find any more, is given back when no reader can have it any more. */
  retire(at: number): void {
    const { list } = this
    Atomics.add(list, COUNT, 1)
    let first = Atomics.load(list, NEW)
    for (;;) {
      Atomics.store(this.ints, at + this.linkAt, first)
      const seen = Atomics.compareExchange(list, NEW, first, at)
      if (seen === first) return
      first = seen
    }
  }

  /** Gives back what has waited long enough. Does not wait. Returns whether something is left. */
  reclaim(): boolean {
    const { list } = this
    if (Atomics.load(list, COUNT) === 0) return false
    const { id, registry } = this.rcu.thread
    const keeper = Atomics.load(list, KEEPER)
    if (keeper !== 0 && registry.isAlive(keeper)) return true
    if (Atomics.compareExchange(list, KEEPER, keeper, id) !== keeper) return true
    if (Atomics.load(list, TICKET) === 0 || this.rcu.isOver(Atomics.load(list, TICKET))) this.turn()
    Atomics.store(list, KEEPER, 0)
    if (Atomics.load(list, DRAINING) !== 0) Atomics.notify(list, KEEPER)
    return Atomics.load(list, COUNT) !== 0
  }

  /**
   * Blocks until what has been retired so far is given back, by whomever. The thread must hold no reference: it counts as
   * quiescent. Throws LockUseError if it is pinned.
   */
  drain(): void {
    const { list } = this
    Atomics.add(list, DRAINING, 1)
    try {
      for (let round = 0; round < DRAIN_ROUNDS; round++) {
        this.rcu.synchronizeRcu()
        this.awaitKeeper()
        if (!this.reclaim()) return
      }
    } finally {
      Atomics.sub(list, DRAINING, 1)
    }
  }

  private awaitKeeper(): void {
    const { registry } = this.rcu.thread
    for (;;) {
      const keeper = Atomics.load(this.list, KEEPER)
      if (keeper === 0 || !registry.isAlive(keeper)) return
      if (Atomics.wait(this.list, KEEPER, keeper, SLICE_MS) === 'timed-out') sliceIsOver()
    }
  }

  /** What waited is given back, what is new begins to wait. */
  private turn(): void {
    const { list } = this
    const hadWaited = Atomics.load(list, TICKET) !== 0
    Atomics.store(list, TICKET, 0) // a relief begins with a grace period of his own
    if (hadWaited) this.freeAll(Atomics.exchange(list, WAITING, 0))
    if (Atomics.load(list, WAITING) === 0) Atomics.store(list, WAITING, Atomics.exchange(list, NEW, 0))
    if (Atomics.load(list, WAITING) !== 0) Atomics.store(list, TICKET, this.rcu.startGracePeriod())
  }

  private freeAll(first: number): void {
    for (let at = first; at !== 0;) {
      const next = Atomics.load(this.ints, at + this.linkAt)
      this.free(at)
      Atomics.sub(this.list, COUNT, 1)
      at = next
    }
  }
}
