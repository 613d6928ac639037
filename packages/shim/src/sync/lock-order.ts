/**
 * The lock-order checker, for debugging. It remembers, for all threads together, which lock was ever waited for while which
 * other was held, and where. A thread that is about to do it the other way round (through any number of locks between) gets
 * an error that shows both places, although nobody has deadlocked yet. Locks count when they are waited for by blocking;
 * what was taken by a try or by `await` counts as held (try) or not at all (`await`, where tasks of a thread mix).
 *
 * While it is on, the thread notes in the registry which locks it holds: the state dump shows them.
 *
 * The memory is shared: an array of edges "waited for `to` while holding `from`" with the stack of the first time.
 */

import { newPlace, wordsAt, type SharedPlace } from './place.ts'
import { LockUseError } from './sync-error.ts'
import { self } from './threads.ts'

const GUARD = 0
const EDGES = 1
const CAPACITY = 2
const HEADER_WORDS = 4

const STACK_BYTES_MAX = 2000
/** from | to | bytes of the stack | the stack */
const EDGE_WORDS = 3 + STACK_BYTES_MAX / 4

/** Lock `wanted` is waited for while `held` is held, and it was done the other way round before. */
export class LockOrderError extends LockUseError {
  /** Stack of the earlier place. */
  readonly earlier: string

  constructor(held: number, wanted: number, earlier: string) {
    super(
      `lock ${wanted} is wanted while lock ${held} is held; it was the other way round here:\n${earlier}\nand now here:`,
    )
    this.earlier = earlier
  }
}

/** The checker of this thread, if it was switched on. */
export let lockOrder: LockOrder | undefined

/** Switches the checker on in the calling thread, with the memory at `place`, or off. Do this before it holds a lock. */
export function checkLockOrder(place: SharedPlace | undefined): void {
  lockOrder = place === undefined ? undefined : new LockOrder(place)
}

/** Makes the memory of a lock-order checker, for so many pairs of locks. */
export function newLockOrder(pairsMax = 1000): SharedPlace {
  const place = newPlace(4 * (HEADER_WORDS + pairsMax * EDGE_WORDS))
  wordsAt(place, 4 * HEADER_WORDS)[CAPACITY] = pairsMax
  return place
}

class LockOrder {
  private readonly words: Int32Array
  private readonly bytes: Uint8Array
  private readonly held: number[] = []

  constructor(place: SharedPlace) {
    const capacity = wordsAt(place, 4 * HEADER_WORDS)[CAPACITY]
    this.words = wordsAt(place, 4 * (HEADER_WORDS + capacity * EDGE_WORDS))
    this.bytes = new Uint8Array(place.buffer, place.offset)
  }

  /** The thread is going to wait for `wanted`. Throws LockOrderError. */
  wants(wanted: number): void {
    if (this.held.length === 0 || this.held.includes(wanted)) return
    while (Atomics.compareExchange(this.words, GUARD, 0, 1) !== 0) Atomics.wait(this.words, GUARD, 1, 1)
    try {
      for (const held of this.held) this.connect(held, wanted)
    } finally {
      Atomics.store(this.words, GUARD, 0)
      Atomics.notify(this.words, GUARD)
    }
  }

  took(lock: number): void {
    this.held.push(lock)
    self().noteHeld(this.held)
  }

  gave(lock: number): void {
    const at = this.held.lastIndexOf(lock)
    if (at < 0) return
    this.held.splice(at, 1)
    self().noteHeld(this.held)
  }

  private connect(from: number, to: number): void {
    const { words } = this
    if (this.edges().some((edge) => words[edge] === from && words[edge + 1] === to)) return
    const back = this.pathStart(to, from, new Set())
    if (back !== undefined) throw new LockOrderError(from, to, this.stackOf(back))
    if (words[EDGES] === words[CAPACITY]) throw new RangeError(`more than ${words[CAPACITY]} pairs of locks`)
    const edge = HEADER_WORDS + words[EDGES]++ * EDGE_WORDS
    words[edge] = from
    words[edge + 1] = to
    const { stack = '' } = new Error()
    const text = new TextEncoder().encode(stack.split('\n').slice(1).join('\n')).subarray(0, STACK_BYTES_MAX)
    words[edge + 2] = text.length
    this.bytes.set(text, 4 * (edge + 3))
  }

  /** The first edge of a way from lock `from` to lock `to`. */
  private pathStart(from: number, to: number, seen: Set<number>): number | undefined {
    seen.add(from)
    return this.edges().find((edge) => {
      if (this.words[edge] !== from) return false
      const next = this.words[edge + 1]
      return next === to || (!seen.has(next) && this.pathStart(next, to, seen) !== undefined)
    })
  }

  private edges(): number[] {
    return Array.from({ length: this.words[EDGES] }, (_, i) => HEADER_WORDS + i * EDGE_WORDS)
  }

  private stackOf(edge: number): string {
    const at = 4 * (edge + 3)
    return new TextDecoder().decode(this.bytes.slice(at, at + this.words[edge + 2]))
  }
}
