/**
 * A first-in, first-out list of waiting threads, in shared memory: the one way in which threads sleep here. Each waiter has
 * a record (in the registry) with a signal word of its own, and sleeps on that. Who lets a waiter go takes its record off the
 * list, sets its signal, and wakes exactly that thread: no wake-up is lost, because the signal stays set, and none is wasted.
 *
 * The list is changed under its guard, a lock of a few instructions. A thread that died inside the guard makes all who come
 * later fail with OwnerDeadError. Threads sleep in slices, and look after each whether somebody died.
 *
 *     word 0 guard (owner's id, contended bit) | 1 head | 2 tail | 3 number of the lock in the registry, with its kind
 */

import { OwnerDeadError } from './sync-error.ts'
import { ID_MASK, NEXT, OWNER, QUEUED, SIGNAL, Signal, sliceIsOver, type ThreadSelf } from './threads.ts'

const GUARD = 0
const HEAD = 1
const TAIL = 2
export const NUMBER = 3
/** The list's words, at the beginning of each primitive. */
export const WAIT_LIST_WORDS = 4

const CONTENDED = 1 << 30
/** How long a thread sleeps before it looks whether the one it waits for still lives. */
const SLICE_MS = 100

/** Enters the guard of the list at the beginning of `words`. */
export function enterGuard(words: Int32Array, me: ThreadSelf): void {
  if (Atomics.compareExchange(words, GUARD, 0, me.id) !== 0) enterContendedGuard(words, me)
}

/** Who has slept here can't know whether others do: it takes the guard as contended, and wakes one when it leaves. */
function enterContendedGuard(words: Int32Array, me: ThreadSelf): void {
  for (;;) {
    const seen = Atomics.load(words, GUARD)
    if (seen === 0) {
      if (Atomics.compareExchange(words, GUARD, 0, me.id | CONTENDED) === 0) return
      continue
    }
    const contended = seen | CONTENDED
    if (seen !== contended && Atomics.compareExchange(words, GUARD, seen, contended) !== seen) continue
    if (Atomics.wait(words, GUARD, contended, SLICE_MS) !== 'timed-out') continue
    sliceIsOver()
    const owner = seen & ID_MASK
    if (!me.registry.isAlive(owner) && Atomics.load(words, GUARD) === contended) throw new OwnerDeadError(owner)
  }
}

/** Leaves the guard, and wakes whom `letGo` has signalled meanwhile. */
export function leaveGuard(words: Int32Array, me: ThreadSelf): void {
  if ((Atomics.exchange(words, GUARD, 0) & CONTENDED) !== 0) Atomics.notify(words, GUARD, 1)
  if (me.toWake.length === 0) return
  for (const record of me.toWake) Atomics.notify(me.words, record + SIGNAL, 1)
  me.toWake.length = 0
}

/** The first record of the list, 0 if it is empty. Under the guard. */
export function firstOf(words: Int32Array): number {
  return words[HEAD]
}

/** Puts a record at the end. Under the guard. */
export function append(words: Int32Array, me: ThreadSelf, record: number): void {
  const records = me.words
  records[record + NEXT] = 0
  records[record + QUEUED] = 1
  if (words[HEAD] === 0) words[HEAD] = record
  else records[words[TAIL] + NEXT] = record
  words[TAIL] = record
}

/** Puts a record before all others. Under the guard. */
export function prepend(words: Int32Array, me: ThreadSelf, record: number): void {
  me.words[record + NEXT] = words[HEAD]
  me.words[record + QUEUED] = 1
  if (words[HEAD] === 0) words[TAIL] = record
  words[HEAD] = record
}

/** Takes a record off the list; `previous` is the one before it, or 0. Under the guard. */
export function unlink(words: Int32Array, me: ThreadSelf, record: number, previous: number): void {
  const next = me.words[record + NEXT]
  if (previous === 0) words[HEAD] = next
  else me.words[previous + NEXT] = next
  if (words[TAIL] === record) words[TAIL] = previous
  me.words[record + QUEUED] = 0
}

/** Takes a record off the list, wherever it is. False: it is not there any more, and has been let go. Under the guard. */
export function withdraw(words: Int32Array, me: ThreadSelf, record: number): boolean {
  if (me.words[record + QUEUED] === 0) return false
  let previous = 0
  for (let at = words[HEAD]; at !== record; at = me.words[at + NEXT]) previous = at
  unlink(words, me, record, previous)
  return true
}

/** Sets the signal of a record that was taken off; its thread is woken when the guard is left. Under the guard. */
export function letGo(me: ThreadSelf, record: number): void {
  me.toWake.push(record)
  Atomics.store(me.words, record + SIGNAL, Signal.granted)
}

/** Drops a record of a dead thread, already taken off. Under the guard. */
export function bury(me: ThreadSelf, record: number): void {
  me.words[record + SIGNAL] = Signal.free
}

/** Lets the first living waiter go. False: there is none. Under the guard. */
export function letFirstGo(words: Int32Array, me: ThreadSelf): boolean {
  for (let record = words[HEAD]; record !== 0; record = words[HEAD]) {
    unlink(words, me, record, 0)
    if (me.registry.seemsAlive(me.words[record + OWNER])) {
      letGo(me, record)
      return true
    }
    bury(me, record)
  }
  return false
}

/** Moment at which a wait that may take `timeoutMs` ends. */
export function deadlineAfter(timeoutMs: number): number {
  return timeoutMs === Infinity ? Infinity : performance.now() + timeoutMs
}

/** What ended a sleep: the signal, the deadline, or a slice of time (also by a nudge). */
export type Awakening = 'granted' | 'expired' | 'slice'

/** Sleeps until the record's signal is set, or a slice or the deadline is over. */
export function sleep(me: ThreadSelf, record: number, deadline: number): Awakening {
  for (const sleeper of me.sleepers) sleeper.fallsAsleep()
  try {
    for (;;) {
      const sleepMs = sliceBefore(deadline)
      const outcome = Atomics.wait(me.words, record + SIGNAL, Signal.waiting, sleepMs)
      const awakening = awakeningOf(me, record, deadline, outcome)
      if (awakening !== undefined) return awakening
    }
  } finally {
    for (const sleeper of me.sleepers) sleeper.wakesUp()
  }
}

/** `sleep` without blocking the thread. */
export async function sleepAsync(me: ThreadSelf, record: number, deadline: number): Promise<Awakening> {
  const keepsAlive = setInterval(() => undefined, SLICE_MS) // Node ends although a waitAsync is pending
  try {
    for (;;) {
      const sleepMs = sliceBefore(deadline)
      const { value } = Atomics.waitAsync(me.words, record + SIGNAL, Signal.waiting, sleepMs)
      const outcome = await value
      const awakening = awakeningOf(me, record, deadline, outcome)
      if (awakening !== undefined) return awakening
    }
  } finally {
    clearInterval(keepsAlive)
  }
}

function sliceBefore(deadline: number): number {
  return deadline === Infinity ? SLICE_MS : Math.min(SLICE_MS, Math.max(0, deadline - performance.now()))
}

/** undefined: woken by somebody who signalled an earlier use of this record; sleep on. */
function awakeningOf(me: ThreadSelf, record: number, deadline: number, outcome: string): Awakening | undefined {
  const signal = Atomics.load(me.words, record + SIGNAL)
  if (signal === Signal.nudged) {
    const seen = Atomics.compareExchange(me.words, record + SIGNAL, Signal.nudged, Signal.waiting)
    return seen === Signal.nudged ? 'slice' : 'granted'
  }
  if (signal !== Signal.waiting) return 'granted'
  if (outcome !== 'timed-out') return undefined
  if (deadline !== Infinity && performance.now() >= deadline) return 'expired'
  sliceIsOver()
  return 'slice'
}
