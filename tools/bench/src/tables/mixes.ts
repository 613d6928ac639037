/**
 * Reads and writes mixed, as several threads do it: keys come by chance, half of them are in the table. A write takes a key out, or
 * puts one in, by chance. The loops are the same for each kind of table, but each has its own, which is compiled for it alone.
 */

import type { LockedTable } from '../peers/locked-table.ts'
import type { IntegerTable } from './integer-table.ts'
import { keyOf, OPERATIONS_PER_REQUEST, Random } from './keys.ts'

/** So that it takes about as long as with a table. */
const ROUNDS_PER_OPERATION = 16

export interface Mix {
  /** Keys in the game; about half are in the table. */
  readonly keys: number
  readonly operations: number
  readonly writesPerCent: number
  readonly seed: number
}

/** Returns how many keys were found. */
export function mixIntegerTable(table: IntegerTable, { keys, operations, writesPerCent, seed }: Mix): number {
  const random = new Random(seed)
  let found = 0
  table.online()
  for (let i = 0; i < operations; i++) {
    const number = random.next()
    const key = keyOf(number % keys)
    if (random.next() % 100 >= writesPerCent) found += table.get(key) === 0 ? 0 : 1
    else if (number < 2 ** 30) table.insert(key, 1 + number)
    else table.remove(key)
    if (i % OPERATIONS_PER_REQUEST === 0) table.quiescent()
  }
  table.offline()
  return found
}

/** The same with a mutex around the table. */
export function mixLockedTable(table: LockedTable, { keys, operations, writesPerCent, seed }: Mix): number {
  const random = new Random(seed)
  let found = 0
  for (let i = 0; i < operations; i++) {
    const number = random.next()
    const key = keyOf(number % keys)
    if (random.next() % 100 >= writesPerCent) found += table.get(key) === 0 ? 0 : 1
    else if (number < 2 ** 30) table.insert(key, 1 + number)
    else table.remove(key)
  }
  return found
}

/** The same without any table: what two threads can do more than one on this machine, at this time. */
export function mixNothing({ keys, operations }: Mix): number {
  const random = new Random(1)
  let found = 0
  for (let i = 0; i < operations * ROUNDS_PER_OPERATION; i++) found += keyOf(random.next() % keys) & 1
  return found
}

/** What maps with keys of any kind have in common. */
export interface StringMap {
  get(key: string): unknown
  set(key: string, value: string): unknown
  delete(key: string): unknown
}

/** The same with strings. */
export function mixStringMap(map: StringMap, { keys, operations, writesPerCent, seed }: Mix): number {
  const random = new Random(seed)
  let found = 0
  for (let i = 0; i < operations; i++) {
    const number = random.next()
    const key = String(keyOf(number % keys))
    if (random.next() % 100 >= writesPerCent) found += map.get(key) === undefined ? 0 : 1
    else if (number < 2 ** 30) map.set(key, String(number))
    else map.delete(key)
  }
  return found
}
