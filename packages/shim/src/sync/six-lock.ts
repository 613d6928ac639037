/**
 * The six lock: shared, intent, exclusive, as bcachefs locks btree nodes. Any number of threads share it; one more may have
 * the intent to write, and keeps others from having it while the sharers go on; when it comes to writing, it makes the lock
 * exclusive, which waits for the sharers to leave and keeps new ones out. So the decision to write blocks no reader.
 *
 * Every exclusive section makes the sequence number odd when it begins and even when it ends: who remembers an even number
 * can later take the lock again if nothing was written since (`relock`), or read without a lock and ask afterwards.
 *
 * Nobody starves: intents are in the order of coming; a waiting writer keeps new sharers out, so it waits for those only that
 * are there; and when it leaves, all sharers that wait get in before the next writer. A thread that shares may share again.
 *
 *     bits 0-17 id of the intent holder | 18-27 number of sharing threads | 28 exclusive | 29 waits to be | 31 somebody is queued
 */

import { lockOrder } from './lock-order.ts'
import { newPlace, type SharedPlace } from './place.ts'
import { EXTRA, initialize, LOCK_BYTES, Mode, PrimitiveKind, QueueLock, REFUSED, STATE } from './queue-lock.ts'
import { LockUseError } from './sync-error.ts'
import { ID_MASK, self, Signal } from './threads.ts'

const SHARER = 1 << 18
const SHARERS_MASK = 0x3ff << 18
const EXCLUSIVE = 1 << 28
const EXCLUSIVE_WANTED = 1 << 29
const SEQUENCE = EXTRA

export class SixLock extends QueueLock {
  /** Word of the lock that is its sequence number, for readers that have no view of each lock: read by `Atomics`. */
  static readonly sequenceWord: number = SEQUENCE
  protected override readonly looksBehind = true

  /** Makes a six lock; `place` must be zeroed. */
  static create(place: SharedPlace = newPlace(LOCK_BYTES)): SixLock {
    return new SixLock(initialize(place, PrimitiveKind.sixLock))
  }

  /** Odd while the lock is exclusive. */
  get sequence(): number {
    return Atomics.load(this.words, SEQUENCE)
  }

  /** Whether nothing was written since `sequence`, an even number, was read. */
  isUnchanged(sequence: number): boolean {
    return (sequence & 1) === 0 && this.sequence === sequence
  }

  /** Waits to share. Throws LockUseError if this thread writes, OwnerDeadError if a holder died. */
  lockShared(): void {
    this.acquire(Mode.shared, Infinity)
  }
  tryLockShared(): boolean {
    return this.attempt(Mode.shared)
  }
  lockSharedWithin(timeoutMs: number): boolean {
    return this.acquire(Mode.shared, timeoutMs)
  }
  lockSharedAsync(timeoutMs = Infinity): Promise<boolean> {
    return this.acquireAsync(Mode.shared, timeoutMs)
  }
  unlockShared(): void {
    this.release(Mode.shared)
  }

  /** Waits for the intent. Throws LockUseError if this thread has it or shares, OwnerDeadError if a holder died. */
  lockIntent(): void {
    this.acquire(Mode.intent, Infinity)
  }
  tryLockIntent(): boolean {
    return this.attempt(Mode.intent)
  }
  lockIntentWithin(timeoutMs: number): boolean {
    return this.acquire(Mode.intent, timeoutMs)
  }
  lockIntentAsync(timeoutMs = Infinity): Promise<boolean> {
    return this.acquireAsync(Mode.intent, timeoutMs)
  }
  unlockIntent(): void {
    this.release(Mode.intent)
  }

  /** The holder of the intent waits to write. Throws LockUseError if this thread does not have the intent, or shares too. */
  lockExclusive(): void {
    this.lockExclusiveWithin(Infinity)
  }
  tryLockExclusive(): boolean {
    this.requireIntent()
    return this.begun(this.attempt(Mode.exclusive))
  }
  lockExclusiveWithin(timeoutMs: number): boolean {
    this.requireIntent()
    return this.begun(this.acquire(Mode.exclusive, timeoutMs))
  }
  async lockExclusiveAsync(timeoutMs = Infinity): Promise<boolean> {
    this.requireIntent()
    return this.begun(await this.acquireAsync(Mode.exclusive, timeoutMs))
  }
  /** Ends writing; the intent stays. */
  unlockExclusive(): void {
    const state = Atomics.load(this.words, STATE)
    if ((state & EXCLUSIVE) === 0) throw new LockUseError('unlocked, but this thread does not hold it')
    this.requireIntent()
    Atomics.add(this.words, SEQUENCE, 1)
    this.release(Mode.exclusive)
  }

  /** Shares again if nothing was written since `sequence` was read. Doesn't wait. */
  relockShared(sequence: number): boolean {
    if (!this.isUnchanged(sequence) || !this.tryLockShared()) return false
    if (this.isUnchanged(sequence)) return true
    this.unlockShared()
    return false
  }

  /** Takes the intent again if nothing was written since `sequence` was read. Doesn't wait. */
  relockIntent(sequence: number): boolean {
    if (!this.isUnchanged(sequence) || !this.tryLockIntent()) return false
    if (this.isUnchanged(sequence)) return true
    this.unlockIntent()
    return false
  }

  /** From shared to intent, without a gap, if no other thread has the intent. Doesn't wait. */
  tryUpgrade(): boolean {
    const me = self()
    const record = me.sharing(this.number)
    if (record === 0) throw new LockUseError('upgraded, but this thread does not share it')
    if (!me.isLast(record)) throw new LockUseError('upgraded while this thread shares it more than once')
    if (!this.takeNow(me, Mode.upgrade)) return false
    me.drop(record)
    return true
  }

  /** From intent to shared, without a gap. */
  downgrade(): void {
    const me = self()
    const again = me.sharing(this.number)
    if (again !== 0) {
      this.vacateNow(me, Mode.intent)
      me.counts(again)
      lockOrder?.gave(this.number)
      return
    }
    const record = me.take(this.number, Mode.shared, Signal.held)
    this.vacateNow(me, Mode.downgrade)
    me.keep(record)
  }

  protected override admit(state: number, mode: Mode, id: number): number {
    switch (mode) {
      case Mode.shared:
        return (state & (EXCLUSIVE | EXCLUSIVE_WANTED)) === 0 ? state + SHARER : REFUSED
      case Mode.intent:
        return (state & ID_MASK) === 0 ? state | id : REFUSED
      case Mode.exclusive:
        if ((state & ID_MASK) !== id) return REFUSED
        return (state & SHARERS_MASK) === 0 ? (state & ~EXCLUSIVE_WANTED) | EXCLUSIVE : REFUSED
      case Mode.upgrade:
        return (state & ID_MASK) === 0 ? (state - SHARER) | id : REFUSED
      case Mode.downgrade:
        return REFUSED
    }
  }

  protected override vacate(state: number, mode: Mode, id: number): number {
    if (mode === Mode.shared) return (state & SHARERS_MASK) !== 0 ? state - SHARER : REFUSED
    if ((state & ID_MASK) !== id) return REFUSED
    if (mode === Mode.exclusive) return state & ~EXCLUSIVE
    if ((state & (EXCLUSIVE | EXCLUSIVE_WANTED)) !== 0) return REFUSED
    return mode === Mode.downgrade ? (state & ~ID_MASK) + SHARER : state & ~ID_MASK
  }

  protected override ownerOf(state: number): number {
    return state & ID_MASK
  }

  protected override overtakes(mode: Mode): boolean {
    return mode !== Mode.intent
  }

  protected override queued(state: number, mode: Mode): number {
    return mode === Mode.exclusive ? state | EXCLUSIVE_WANTED : state
  }

  protected override gaveUp(state: number, mode: Mode): number {
    return mode === Mode.exclusive ? state & ~EXCLUSIVE_WANTED : state
  }

  protected override waitsForItself(state: number, mode: Mode, id: number): boolean {
    if ((state & ID_MASK) !== id) return false
    return mode === Mode.intent || (state & EXCLUSIVE) !== 0
  }

  private requireIntent(): void {
    if ((Atomics.load(this.words, STATE) & ID_MASK) !== self().id) {
      throw new LockUseError('made exclusive without holding the intent')
    }
  }

  private begun(taken: boolean): boolean {
    if (taken) Atomics.add(this.words, SEQUENCE, 1)
    return taken
  }
}
