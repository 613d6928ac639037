/**
 * What the scenarios of the hashtable have in common: a room (see room.ts) with a domain of RCU, a few objects, and a small heap
 * behind them, which overwrites what is freed: it must not be read any more.
 *
 * With the seed used here, keys 1, 2, 3 and 6 fall into one bucket of the first table (of four), and keys 1, 3 and 6 into one
 * of the second (of eight), 2 and 4 into another. Four objects are one too many for the first table.
 */

import { HashTable, type HashMemory } from '@cowherd/rhashtable'
import { Rcu, ThreadRegistry } from '@cowherd/shim'
import type { Body } from '../scenario.ts'
import { firstId, inRoom, must, placeOf, prepareRoom } from './room.ts'

/** What freed memory is overwritten with, and links that are not set. */
const FREED = 0x0bad0bad
/** More than a thread reads in any scenario: who reads more goes round in circles. */
const READS_MAX = 200_000
const SEED = 1282
/** Words of the memory: objects, and the heap up to the end. The heap's first word is where it is free. */
const OBJECTS_AT = 3088
const OBJECT_WORDS = 4
const OBJECTS = 32
const HEAP_AT = OBJECTS_AT + OBJECTS * OBJECT_WORDS
/** Of an object: link | key | value. */
const KEY = 1
const VALUE = 2

let reads = 0

/** Every word that the hashtable reads of what others write goes through here (see ../rhashtable-text.ts). */
export function trapped(word: number): number {
  must(word !== FREED, 'what was freed is not read')
  must(++reads < READS_MAX, 'chains have an end')
  return word
}

/** A heap that never gives out again what was given back. */
class Heap implements HashMemory {
  readonly ints: Int32Array

  constructor(memory: SharedArrayBuffer) {
    this.ints = new Int32Array(memory)
  }

  allocate(words: number): number {
    const at = HEAP_AT + 2 + trapped(this.ints[HEAP_AT])
    if (at + words + 1 > this.ints.length) return -1
    this.ints[HEAP_AT] += words + 1
    this.ints[at - 1] = words
    return at
  }

  deallocate(at: number): void {
    const words = this.ints[at - 1]
    must(words > 0, 'freed once')
    this.ints.fill(FREED, at, at + words)
    this.ints[at - 1] = -1
  }
}

/** A thread's view of it all. */
export interface Hashing {
  readonly table: HashTable
  readonly rcu: Rcu
  readonly ints: Int32Array
  /** Words to play with, accessed by Atomics. */
  readonly words: Int32Array
  /** The n-th object, with this key. Its value is its number. */
  readonly object: (n: number, key: number) => number
  /** Overwrites an object that nobody may be looking at. */
  readonly free: (object: number) => void
  /** The object with the key, which must be whole, or 0. */
  readonly find: (key: number) => number
  /** Works at resizing until there is nothing to do now, or `steps` are over. */
  readonly resize: (steps: number) => void
}

function viewOf(memory: SharedArrayBuffer, words: Int32Array): Hashing {
  const heap = new Heap(memory)
  const { ints } = heap
  reads = 0
  const rcu = new Rcu(placeOf(memory))
  const table = new HashTable(heap, HEAP_AT + 2, rcu)
  return {
    table,
    rcu,
    ints,
    words,
    object(n, key) {
      const at = OBJECTS_AT + n * OBJECT_WORDS
      ints[at] = FREED
      ints[at + KEY] = key
      ints[at + VALUE] = n + 1
      return at
    },
    free: (object) => void ints.fill(FREED, object, object + OBJECT_WORDS),
    find(key) {
      const found = table.lookup(key)
      if (found === 0) return 0
      must(ints[found + KEY] === key, 'what is found has the key')
      must(ints[found + VALUE] === (found - OBJECTS_AT) / OBJECT_WORDS + 1, 'what is found is whole')
      return found
    },
    resize(steps) {
      for (let i = 0; i < steps && table.maintenance.step(2); i++);
    },
  }
}

/** Makes the table with objects 0, 1, ... of these keys. */
export function prepareTable(memory: SharedArrayBuffer, threads: number, keys: readonly number[]): void {
  reads = 0
  prepareRoom(memory, threads)
  const rcu = Rcu.create(new ThreadRegistry({ buffer: memory, offset: 0 }), placeOf(memory))
  rcu.online()
  const table = HashTable.create(new Heap(memory), { keyAt: KEY, keyWords: 1, rcu, seed: SEED })
  must(table.address === HEAP_AT + 2, 'first in the heap')
  rcu.offline()
  new ThreadRegistry({ buffer: memory, offset: 0 }).enter(firstId) // anew: with a view of its own
  const view = viewOf(memory, new Int32Array(memory))
  view.rcu.online()
  keys.forEach((key, n) => must(view.table.insert(view.object(n, key)), 'inserted'))
  view.rcu.offline()
}

/** A thread: makes its view, goes online, acts, and goes offline. */
export function hashing(thread: number, act: (view: Hashing) => void) {
  return inRoom(thread, (memory, words): Body => {
    const view = viewOf(memory, words)
    view.rcu.online()
    return () => {
      act(view)
      view.rcu.offline()
    }
  })
}

/**
 * In the end: exactly these keys are there, and any of `perhaps`, each where a lookup, a walk and the size say so, also after
 * all resizing.
 */
export function checkKeys(memory: SharedArrayBuffer, keys: readonly number[], perhaps: readonly number[] = []): void {
  new ThreadRegistry({ buffer: memory, offset: 0 }).enter()
  const view = viewOf(memory, new Int32Array(memory))
  view.rcu.online()
  const there = [...keys, ...perhaps.filter((key) => view.find(key) !== 0)]
  holdsExactly(view, there)
  for (let i = 0; i < 100 && view.table.state().work !== 'idle'; i++) {
    view.table.maintenance.step()
    view.rcu.quiescent()
  }
  must(view.table.state().work === 'idle', 'resizing comes to an end')
  holdsExactly(view, there)
  view.rcu.offline()
}

function holdsExactly({ table, ints, find }: Hashing, keys: readonly number[]): void {
  for (let key = 1; key < 10; key++) must((find(key) !== 0) === keys.includes(key), `key ${key} in the end`)
  const walked = [...table.walk()].map((object) => ints[object + KEY])
  must(
    keys.every((key) => walked.includes(key)),
    'walked over in the end',
  )
  must(
    walked.every((key) => keys.includes(key)),
    'nothing else is walked over',
  )
  if (table.state().futureBuckets === 0) must(walked.length === keys.length, 'each is there once')
}
