/**
 * What the scenarios of locks have in common: a registry with a seat for each thread, the primitives behind it in the same
 * memory, and a few words to play with, accessed by Atomics so that their accesses are steps.
 */

import { newThreadControl, ThreadRegistry, type SharedPlace, type ThreadDescriptor } from '@cowherd/shim'
import type { Body } from '../scenario.ts'

const SEATS = 4
const PRIMITIVES_AT = 8 * 1024
const WORDS_AT = 12 * 1024
const WORDS = 16

/** The place of the n-th primitive. */
export function placeOf(memory: SharedArrayBuffer, n = 0): SharedPlace {
  return { buffer: memory, offset: PRIMITIVES_AT + 64 * n }
}

/** The words to play with. */
export function wordsOf(memory: SharedArrayBuffer): Int32Array {
  return new Int32Array(memory, WORDS_AT, WORDS)
}

/** Makes the registry, enters it (for making primitives), and reserves a seat for each thread. */
export function prepareRoom(memory: SharedArrayBuffer, threads: number): void {
  const registry = ThreadRegistry.create(SEATS, { buffer: memory, offset: 0 })
  const ids = Array.from({ length: threads }, () => registry.reserve())
  if (ids.some((id, thread) => id !== idOf(thread))) throw new Error('seats are given in another order than expected')
  registry.enter(idOf(0))
}

/** Thread ids as the registry gives them: first generation, seats from 1. */
function idOf(thread: number): number {
  return 0x100 + thread + 1
}

/** Makes what a thread is asked by, at the first two places. */
export function prepareControl(memory: SharedArrayBuffer, thread: number): void {
  newThreadControl(new ThreadRegistry({ buffer: memory, offset: 0 }), idOf(thread), controlName, placeOf(memory))
}

/** What others need to ask that thread. */
export function controlOf(memory: SharedArrayBuffer, thread: number): ThreadDescriptor {
  return { id: idOf(thread), name: controlName, registry: { buffer: memory, offset: 0 }, control: placeOf(memory) }
}
const controlName = 'asked'

/** The id of thread 0. */
export const firstId = idOf(0)

/** A thread of the room: takes its seat, makes its views, and returns what it does. */
export function inRoom(thread: number, act: (memory: SharedArrayBuffer, words: Int32Array) => Body) {
  return (memory: SharedArrayBuffer): Body => {
    new ThreadRegistry({ buffer: memory, offset: 0 }).enter(idOf(thread))
    return act(memory, wordsOf(memory))
  }
}

/** The first `count` threads, all doing the same. */
export function crowd(count: number, act: (memory: SharedArrayBuffer, words: Int32Array, thread: number) => Body) {
  return Array.from({ length: count }, (_, thread) => inRoom(thread, (memory, words) => act(memory, words, thread)))
}

/** Throws if `holds` is false. */
export function must(holds: boolean, what: string): void {
  if (!holds) throw new Error(`violated: ${what}`)
}

/** Alone here: nobody else is inside while `act` is, by word 0. */
export function alone(words: Int32Array, act: () => void = () => undefined): void {
  must(Atomics.add(words, 0, 1) === 0, 'mutual exclusion')
  act()
  Atomics.sub(words, 0, 1)
}
