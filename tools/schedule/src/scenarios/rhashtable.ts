/** Scenarios of the hashtable in `@cowherd/rhashtable`. */

import type { Scenario } from '../scenario.ts'
import { checkKeys, hashing, prepareTable, type Hashing } from './hashing.ts'
import { must } from './room.ts'

/** Threads that do something with a table of the keys `before`; in the end it has the keys `after`. */
function on(
  before: readonly number[],
  after: readonly number[],
  acts: readonly ((view: Hashing) => void)[],
  more: Partial<Scenario> = {},
): Scenario {
  return {
    prepare: (memory) => prepareTable(memory, acts.length, before),
    threads: acts.map((act, thread) => hashing(thread, act)),
    check: (memory) => checkKeys(memory, after),
    ...more,
  }
}

/** Keys that are there all the time, and one that never is. */
function finds(...keys: readonly number[]) {
  return ({ find }: Hashing): void => {
    for (const key of keys) must(find(key) !== 0, `key ${key} is found`)
    must(find(9) === 0, 'a key that never was is not found')
  }
}

function inserts(n: number, key: number) {
  return ({ table, object, words, find }: Hashing): void => {
    if (table.insert(object(n, key))) Atomics.add(words, 1, 1)
    must(find(key) !== 0, 'who inserted finds it')
  }
}

function removes(key: number) {
  return ({ table, words, find }: Hashing): void => {
    if (table.removeKey(key) !== 0) Atomics.add(words, 2, 1)
    must(find(key) === 0, 'who removed finds it no more')
  }
}

/** Takes out, waits for a grace period, and frees. */
function frees(key: number) {
  return ({ table, rcu, free }: Hashing): void => {
    const object = table.removeKey(key)
    must(object !== 0, 'removed')
    rcu.synchronizeRcu()
    free(object)
  }
}

function replaces(n: number, key: number) {
  return ({ table, object, find, rcu, free }: Hashing): void => {
    const old = find(key)
    must(table.replace(old, object(n, key)), 'replaced')
    rcu.synchronizeRcu()
    free(old)
  }
}

function resizes({ resize }: Hashing): void {
  resize(8)
}

/** Walks; what is there all the time is seen, and nothing that never was. */
function walks(...keys: readonly number[]) {
  return ({ table, ints }: Hashing): void => {
    const seen = new Set<number>()
    for (const object of table.walk()) seen.add(ints[object + 1])
    for (const key of keys) must(seen.has(key), `a walk sees key ${key}`)
    must(!seen.has(9), 'a walk sees nothing else')
  }
}

function then(...acts: readonly ((view: Hashing) => void)[]) {
  return (view: Hashing): void => {
    for (const act of acts) act(view)
  }
}

function count(memory: SharedArrayBuffer, word: number): number {
  return new Int32Array(memory, 12 * 1024, 16)[word]
}

/** Two threads change the same key: one of them is first. */
function race(before: readonly number[], after: readonly number[], act: (thread: number) => (view: Hashing) => void) {
  return on(before, after, [act(0), act(1)])
}

/** Exactly one of several insertions took place. */
function insertedOnce(scenario: Scenario): Scenario {
  return {
    ...scenario,
    check(memory) {
      must(count(memory, 1) === 1, 'one insertion of a key succeeds')
      scenario.check?.(memory)
    },
  }
}

function removedOnce(scenario: Scenario): Scenario {
  return {
    ...scenario,
    check(memory) {
      must(count(memory, 2) === 1, 'one removal of a key succeeds')
      scenario.check?.(memory)
    },
  }
}

/** An object is taken out and put in again at once under another key, as in memory that is always of such objects. */
function reuses({ table, ints }: Hashing): void {
  const object = table.removeKey(2)
  must(object !== 0, 'removed')
  ints[object + 1] = 5
  must(table.insert(object), 'inserted under another key')
}

/** Finds keys 1 and 3 whatever happens to 2, which is between them. */
function findsAround({ table, ints }: Hashing): void {
  for (const key of [1, 3]) {
    const found = table.lookup(key)
    must(found !== 0 && ints[found + 1] === key, `key ${key} is found`)
  }
}

/** Sleeps until there is something to do for a maintainer, as long as nothing was resized. */
function maintains({ table }: Hashing): void {
  table.maintenance.maintain(() => table.state().resizes > 0)
}

/** Tells the maintainer, who waits for two, that this one is done. */
function stops({ table, words }: Hashing): void {
  Atomics.add(words, 7, 1)
  table.maintenance.wake()
}

/** Of a larger scenario: each thread has keys of its own, of which it knows the truth, and looks at all others'. */
function bustle(thread: number, rounds: number) {
  return ({ table, object, find, rcu, free }: Hashing): void => {
    const mine = [1 + thread, 4 + thread, 7 + thread].filter((key) => key < 9)
    for (let round = 0; round < rounds; round++) {
      for (const [i, key] of mine.entries()) {
        const n = thread * 8 + i * 2 + (round % 2)
        must(find(key) === 0, 'not there')
        must(table.insert(object(n, key)), 'inserted')
        must(find(key) !== 0, 'there')
      }
      for (let key = 1; key < 9; key++) find(key)
      for (const key of mine) {
        const taken = table.removeKey(key)
        must(taken !== 0, 'removed')
        rcu.callRcu(() => free(taken))
      }
      rcu.rcuBarrier()
    }
  }
}

const three = [1, 2, 3]
/** One too many: there is a second table, and nothing has been moved. */
const four = [1, 2, 3, 4]

export const scenarios: Readonly<Record<string, Scenario>> = {
  'lookup, insert': on([1, 2], [1, 2, 3], [finds(1, 2), inserts(8, 3)]),
  'lookup, remove': on(three, [1, 3], [finds(1, 3), removes(2)]),
  'lookup, remove the first and the last': on(three, [2], [finds(2), then(removes(3), removes(1))]),
  'lookup, replace': on(three, three, [finds(1, 2, 3), replaces(8, 2)]),
  'lookup, free': on(three, [1, 3], [then(findsAround, ({ rcu }) => rcu.quiescent(), findsAround), frees(2)]),
  'lookup, reuse': on(three, [1, 3, 5], [findsAround, reuses]),
  'lookup, resize': on(four, four, [finds(1, 2, 3), resizes]),
  'lookups between two requests, resize': on(four, four, [
    then(
      finds(1),
      ({ rcu }) => rcu.quiescent(),
      finds(2),
      ({ rcu }) => rcu.quiescent(),
      finds(3),
    ),
    resizes,
  ]),
  'lookup, insert that grows': on(three, [1, 2, 3, 4, 5], [finds(1, 2, 3), then(inserts(8, 4), inserts(9, 5))]),
  'insert, insert': insertedOnce(race([1], [1, 2], (thread) => inserts(8 + thread, 2))),
  'insert, insert another': race([1], [1, 2, 3], (thread) => inserts(8 + thread, 2 + thread)),
  'insert, insert, resize': insertedOnce(on(four, [...four, 6], [inserts(8, 6), inserts(9, 6), resizes])),
  'insert, resize': on(four, [...four, 6], [inserts(8, 6), resizes]),
  'insert what is there, resize': on(four, four, [
    ({ table, object, find }) => must(table.lookupOrInsert(object(8, 1)) === find(1), 'found'),
    resizes,
  ]),
  'remove, remove': removedOnce(race(three, [1, 3], () => removes(2))),
  'remove, remove a neighbour': race(three, [3], (thread) => removes(1 + thread)),
  'remove, resize': on(four, [2, 3, 4], [removes(1), resizes]),
  'replace, resize': on(four, four, [replaces(8, 1), resizes]),
  'insert, remove': race(three, [2, 3, 6], (thread) => (thread === 0 ? inserts(8, 6) : removes(1))),
  'resize, resize': on(four, four, [then(resizes, finds(1, 2, 3, 4)), resizes]),
  'resize, resize, lookup': on(four, four, [resizes, resizes, finds(1, 2)]),
  'walk, insert, remove': on(three, [1, 3, 6], [walks(1, 3), then(inserts(8, 6), removes(2))]),
  'walk, resize': on(four, four, [walks(1, 2, 3, 4), resizes]),
  'maintainer, insert that grows': on(three, four, [maintains, inserts(8, 4)]),
  'maintainer, stopped': on(three, three, [
    ({ table, words }) => table.maintenance.maintain(() => Atomics.load(words, 7) === 1),
    stops,
  ]),
  'everything, 3 threads': on([], [], [bustle(0, 2), bustle(1, 2), bustle(2, 2)], { isLarge: true }),
  'everything, 2 threads and a maintainer': on(
    [],
    [],
    [
      then(bustle(0, 3), stops),
      then(bustle(1, 3), stops),
      ({ table, words }) => {
        table.maintenance.maintain(() => Atomics.load(words, 7) === 2)
      },
    ],
    { isLarge: true },
  ),
}
