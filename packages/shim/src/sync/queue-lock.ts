/**
 * What all locks here have in common: one state word, and a queue of those who wait for it to change.
 *
 * The fast path is a compare-and-exchange of the state word. When that isn't possible, the thread sets the WAITERS bit,
 * queues up under the list's guard, and sleeps. Whoever changes the state and sees the bit looks through the queue under the
 * guard and hands the lock over to those whose turn it is: they own it before they wake. So nothing is lost between "looked"
 * and "slept", nobody wakes in vain, and newcomers can't overtake.
 *
 * A kind of lock is three functions over the state word: `admit` (the state with one more holder), `vacate` (with one
 * less), `ownerOf` (who holds it alone). Holders of shared modes are found by their records in the registry.
 */

import { lockOrder } from './lock-order.ts'
import { wordsAt, type SharedPlace } from './place.ts'
import { LockUseError, OwnerDeadError } from './sync-error.ts'
import { MODE, NEXT, OWNER, SEEN, self, SIGNAL, Signal, type ThreadSelf } from './threads.ts'
import {
  append,
  type Awakening,
  bury,
  deadlineAfter,
  enterGuard,
  firstOf,
  leaveGuard,
  letGo,
  NUMBER,
  prepend,
  sleep,
  sleepAsync,
  unlink,
  WAIT_LIST_WORDS,
  withdraw,
} from './wait-list.ts'

export const STATE = WAIT_LIST_WORDS
/** One more for what a primitive adds: the sequence number of the six lock, the mark of `Once`. */
export const EXTRA = STATE + 1
/** The label that tells its name, 0 if it has none. */
const NAME = EXTRA + 1
export const LOCK_BYTES = 4 * 8

/** Kinds of primitives, in their numbers. */
export const PrimitiveKind = {
  mutex: 1,
  rwSemaphore: 2,
  semaphore: 3,
  condition: 4,
  completion: 5,
  waitQueue: 6,
  sequenceLock: 7,
  once: 8,
  sixLock: 9,
} as const
export type PrimitiveKind = (typeof PrimitiveKind)[keyof typeof PrimitiveKind]

/** Makes what every primitive has: an empty queue, free, with a number of its own. The words must be zero. */
export function initialize(place: SharedPlace, kind: PrimitiveKind, state = 0): SharedPlace {
  const words = wordsAt(place, LOCK_BYTES)
  words[STATE] = state
  words[NUMBER] = self().registry.numberLock(kind)
  return place
}

/**
 * Gives a primitive a name that the state dump shows, of at most 28 bytes of UTF-8. Any number of them may have the same;
 * there is room for four different names per seat of the registry: what comes later stays nameless.
 */
export function namePrimitive(primitive: { readonly place: SharedPlace }, name: string): void {
  const words = wordsAt(primitive.place, LOCK_BYTES)
  Atomics.store(words, NAME, self().registry.labelFor(name, words[NUMBER]))
}

/** The label of the primitive in these words, for notes on who waits for it. */
export function labelOf(words: Int32Array): number {
  return words[NAME] // written once, before anybody else sees the lock; an older value is no harm
}

/** Of the state word: somebody is queued. A kind of lock never sees it. */
export const WAITERS = 1 << 31
const STATE_MASK = ~WAITERS

/** How a lock is held. The last two are exchanges: one hold for another in the same step. */
export const Mode = { shared: 0, intent: 1, exclusive: 2, upgrade: 3, downgrade: 4 } as const
export type Mode = (typeof Mode)[keyof typeof Mode]

/** The changes that the state goes through for somebody in the queue. */
const Change = { admit: 0, queue: 1, giveUp: 2 } as const
type Change = (typeof Change)[keyof typeof Change]

/** `admit` and `vacate` say this when it can't be. */
export const REFUSED = -1

export abstract class QueueLock {
  /** Bytes of a primitive of this kind. */
  static readonly bytes: number = LOCK_BYTES
  /** What another thread needs to make a view of its own. */
  readonly place: SharedPlace
  protected readonly words: Int32Array
  protected readonly number: number

  /** A view of what was created at `place`. */
  constructor(place: SharedPlace) {
    this.place = place
    this.words = wordsAt(place, LOCK_BYTES)
    this.number = this.words[NUMBER]
    if (this.number === 0) throw new LockUseError(`nothing was created at byte ${place.offset}`)
  }

  /** The state with one more holder, or REFUSED. */
  protected abstract admit(state: number, mode: Mode, id: number): number
  /** The state without this holder, or REFUSED if he holds nothing. */
  protected abstract vacate(state: number, mode: Mode, id: number): number
  /** Who holds it so that others must wait; 0: nobody in particular. */
  protected abstract ownerOf(state: number): number

  /** Whether a newcomer may be admitted although others are queued. */
  protected overtakes(_mode: Mode): boolean {
    return false
  }
  /** Whether those behind one who must wait may be admitted. */
  protected readonly looksBehind: boolean = false
  /** Whether holders are known: by their id in the state, or by their records. */
  protected readonly isOwned: boolean = true
  /** The state while somebody is queued for `mode`, and when he has given up. */
  protected queued(state: number, _mode: Mode): number {
    return state
  }
  protected gaveUp(state: number, _mode: Mode): number {
    return state
  }

  /** Whether the thread holds the lock in a way that keeps it from getting it in `mode`, for ever. */
  protected waitsForItself(state: number, _mode: Mode, id: number): boolean {
    return this.ownerOf(state) === id
  }

  /** Takes the lock if that is possible without waiting. */
  protected attempt(mode: Mode): boolean {
    const me = self()
    if (mode === Mode.shared && this.isOwned && this.recurse(me)) return true
    const record = this.prepare(me, mode)
    const taken = this.takeNow(me, mode)
    this.conclude(me, record, taken)
    if (taken && this.isOwned) lockOrder?.took(this.number)
    return taken
  }

  /** Takes the lock; false: not within `timeoutMs`. */
  protected acquire(mode: Mode, timeoutMs: number): boolean {
    const me = self()
    if (mode === Mode.shared && this.isOwned && this.recurse(me)) return true
    if (this.isOwned) lockOrder?.wants(this.number)
    const record = this.prepare(me, mode)
    let taken = this.takeNow(me, mode)
    if (!taken) {
      this.refuseDeadlock(me, mode, record)
      const deadline = deadlineAfter(timeoutMs)
      const waiting = this.enqueue(me, mode, record)
      let awakening: Awakening
      do awakening = sleep(me, waiting, deadline)
      while (awakening === 'slice' && this.mayWaitOn(me, waiting))
      taken = this.settle(me, mode, record, waiting, awakening)
    }
    this.conclude(me, record, taken)
    if (taken && this.isOwned) lockOrder?.took(this.number)
    return taken
  }

  /** `acquire` without blocking the thread. */
  protected async acquireAsync(mode: Mode, timeoutMs: number): Promise<boolean> {
    const me = self()
    if (mode === Mode.shared && this.isOwned && this.recurse(me)) return true
    const record = this.prepare(me, mode)
    let taken = this.takeNow(me, mode)
    if (!taken) {
      const deadline = deadlineAfter(timeoutMs)
      const waiting = this.enqueue(me, mode, record)
      let awakening: Awakening
      do awakening = await sleepAsync(me, waiting, deadline)
      while (awakening === 'slice' && this.mayWaitOn(me, waiting))
      taken = this.settle(me, mode, record, waiting, awakening)
    }
    this.conclude(me, record, taken)
    return taken
  }

  /** Gives the lock back. Throws LockUseError if the thread doesn't hold it in this mode. */
  protected release(mode: Mode): void {
    const me = self()
    let record = 0
    if (mode === Mode.shared && this.isOwned) {
      record = me.sharing(this.number)
      if (record === 0) throw notHeld()
      if (!me.lessens(record)) return
    }
    this.vacateNow(me, mode)
    if (record !== 0) me.drop(record)
    if (this.isOwned) lockOrder?.gave(this.number)
  }

  /** One holder less in the state; hands the lock to those whose turn it is then. */
  protected vacateNow(me: ThreadSelf, mode: Mode): void {
    const { words } = this
    let state = Atomics.load(words, STATE)
    for (;;) {
      const next = this.vacate(state & STATE_MASK, mode, me.id)
      if (next === REFUSED) throw notHeld()
      const seen = Atomics.compareExchange(words, STATE, state, next | (state & WAITERS))
      if (seen === state) break
      state = seen
    }
    if ((state & WAITERS) !== 0) this.handOver(me)
  }

  /** One holder more in the state, if that can be now. */
  protected takeNow(me: ThreadSelf, mode: Mode): boolean {
    const { words } = this
    const overtakes = this.overtakes(mode)
    let state = Atomics.load(words, STATE)
    for (;;) {
      if ((state & WAITERS) !== 0 && !overtakes) return false
      const next = this.admit(state & STATE_MASK, mode, me.id)
      if (next === REFUSED) return false
      const seen = Atomics.compareExchange(words, STATE, state, next | (state & WAITERS))
      if (seen === state) return true
      state = seen
    }
  }

  /** Called by those who found the WAITERS bit set: gives the lock to whoever's turn it is. */
  private handOver(me: ThreadSelf): void {
    enterGuard(this.words, me)
    this.admitQueued(me)
    leaveGuard(this.words, me)
  }

  private recurse(me: ThreadSelf): boolean {
    const record = me.sharing(this.number)
    if (record === 0) return false
    me.counts(record)
    return true
  }

  /** A shared holder's record is written before he holds: should he die in between, he is taken for a holder. */
  private prepare(me: ThreadSelf, mode: Mode): number {
    return mode === Mode.shared && this.isOwned ? me.take(this.number, mode, Signal.held) : 0
  }

  private conclude(me: ThreadSelf, record: number, taken: boolean): void {
    if (record === 0) return
    if (!taken) me.giveBack(record)
    else if (!this.mergesInto(me, record)) me.keep(record)
  }

  /** Two tasks of one thread that waited for the same shared lock have got it twice: one hold is counted, one given back. */
  private mergesInto(me: ThreadSelf, record: number): boolean {
    const held = me.sharing(this.number)
    if (held === 0) return false
    me.counts(held)
    me.giveBack(record)
    this.vacateNow(me, Mode.shared)
    return true
  }

  private refuseDeadlock(me: ThreadSelf, mode: Mode, record: number): void {
    if (!this.isOwned) return
    const state = Atomics.load(this.words, STATE) & STATE_MASK
    if (!this.waitsForItself(state, mode, me.id) && me.sharing(this.number) === 0) return
    if (record !== 0) me.giveBack(record)
    throw new LockUseError('locked again by the thread that holds it: it would wait for itself')
  }

  /** Queues up. The lock may come at once: who left meanwhile did not see us, so we look for him. */
  private enqueue(me: ThreadSelf, mode: Mode, record: number): number {
    const { words } = this
    const waiting = record === 0 ? me.take(this.number, mode, Signal.waiting) : record
    me.words[waiting + SIGNAL] = Signal.waiting
    me.noteWait(waiting, labelOf(words), this.seenOwner())
    enterGuard(words, me)
    this.changeQueued(Change.queue, mode, me.id)
    if (mode !== Mode.shared && this.overtakes(mode)) prepend(words, me, waiting)
    else append(words, me, waiting)
    this.admitQueued(me)
    leaveGuard(words, me)
    return waiting
  }

  /** After a slice of sleep: false if a holder has died. Who died between leaving and handing over is helped out. */
  private mayWaitOn(me: ThreadSelf, waiting: number): boolean {
    me.words[waiting + SEEN] = this.seenOwner()
    this.handOver(me)
    return this.deadOwner(me) === 0
  }

  /** After the last sleep: whether the lock is ours. */
  private settle(me: ThreadSelf, mode: Mode, record: number, waiting: number, awakening: Awakening): boolean {
    const taken = awakening === 'granted' || !this.giveUp(me, mode, waiting)
    if (record === 0) me.giveBack(waiting)
    if (taken || awakening === 'expired') return taken
    if (record !== 0) me.giveBack(record)
    throw new OwnerDeadError(this.deadOwner(me))
  }

  /** Leaves the queue; false: the lock has been handed to us already. */
  private giveUp(me: ThreadSelf, mode: Mode, waiting: number): boolean {
    enterGuard(this.words, me)
    const left = withdraw(this.words, me, waiting)
    if (left) {
      this.changeQueued(Change.giveUp, mode, me.id)
      this.admitQueued(me)
    }
    leaveGuard(this.words, me)
    return left
  }

  /** Id of a dead thread that holds the lock, or 0. */
  private deadOwner(me: ThreadSelf): number {
    if (!this.isOwned) return 0
    const owner = this.ownerOf(Atomics.load(this.words, STATE) & STATE_MASK)
    // Looked at twice: it may have let the lock go before it died, but not afterwards.
    const isDead = owner !== 0 && !me.registry.isAlive(owner)
    if (isDead && this.ownerOf(Atomics.load(this.words, STATE) & STATE_MASK) === owner) return owner
    return me.registry.deadSharer(this.number)
  }

  /** Who seems to own it, for the state dump: a plain look, which may be late. */
  private seenOwner(): number {
    return this.isOwned ? this.ownerOf(this.words[STATE] & STATE_MASK) : 0
  }

  /** Admits whom it is the turn of. Under the guard. */
  private admitQueued(me: ThreadSelf): void {
    const { words } = this
    let previous = 0
    for (let record = firstOf(words); record !== 0;) {
      const next = me.words[record + NEXT]
      const owner = me.words[record + OWNER]
      const mode = me.words[record + MODE] as Mode
      if (!me.registry.seemsAlive(owner)) {
        unlink(words, me, record, previous)
        bury(me, record)
        this.changeQueued(Change.giveUp, mode, owner)
      } else if (this.changeQueued(Change.admit, mode, owner)) {
        unlink(words, me, record, previous)
        letGo(me, record)
      } else if (this.looksBehind) {
        previous = record
      } else {
        return
      }
      record = next
    }
    if (firstOf(words) === 0) Atomics.and(words, STATE, STATE_MASK)
  }

  /** Changes the state for somebody in the queue. False: he can't be admitted yet. Under the guard. */
  private changeQueued(change: Change, mode: Mode, id: number): boolean {
    const { words } = this
    let state = Atomics.load(words, STATE)
    for (;;) {
      const next = this.changed(change, state & STATE_MASK, mode, id)
      if (next === REFUSED) return false
      const kept = change === Change.queue ? WAITERS : state & WAITERS
      const seen = Atomics.compareExchange(words, STATE, state, next | kept)
      if (seen === state) return true
      state = seen
    }
  }

  private changed(change: Change, state: number, mode: Mode, id: number): number {
    if (change === Change.admit) return this.admit(state, mode, id)
    if (change === Change.queue) return this.queued(state, mode)
    return this.gaveUp(state, mode)
  }
}

function notHeld(): LockUseError {
  return new LockUseError('unlocked, but this thread does not hold it')
}
