/** What one thread does with a table of integers, in loops of which each gives nanoseconds for one operation. */

import type { IntegerTable } from './integer-table.ts'
import { OPERATIONS_PER_REQUEST } from './keys.ts'

export type OneThreadWork = 'hits' | 'misses' | 'inserts' | 'removes'

/** Does the work on a table that `make` gives; `filled` is one with all keys in it. All that is found must have been expected. */
export function workOnTable(
  work: OneThreadWork,
  filled: IntegerTable,
  make: () => IntegerTable,
  keys: Int32Array,
  wanted: Int32Array,
): number {
  if (work === 'hits' || work === 'misses') return lookUp(filled, wanted, work === 'hits' ? wanted.length : 0)
  const table = make()
  const insertsNs = insertAll(table, keys)
  const ns = work === 'inserts' ? insertsNs : removeAll(table, keys)
  table.destroy()
  return ns
}

function lookUp(table: IntegerTable, wanted: Int32Array, expected: number): number {
  let found = 0
  table.online()
  const start = process.hrtime.bigint()
  for (let i = 0; i < wanted.length; i++) {
    if (table.get(wanted[i]) === 1) found++
    if (i % OPERATIONS_PER_REQUEST === 0) table.quiescent()
  }
  const ns = Number(process.hrtime.bigint() - start)
  table.offline()
  mustBe(found, expected)
  return ns / wanted.length
}

/** Makes a table full, and brings it to rest: whoever stops changing one would leave it between two sizes. */
export function fill(table: IntegerTable, keys: Int32Array): void {
  insertAll(table, keys)
  table.online()
  table.settle()
  table.offline()
}

/** Inserts all keys, with the value 1. */
function insertAll(table: IntegerTable, keys: Int32Array): number {
  table.online()
  const start = process.hrtime.bigint()
  for (let i = 0; i < keys.length; i++) {
    table.insert(keys[i], 1)
    if (i % OPERATIONS_PER_REQUEST === 0) table.quiescent()
  }
  const ns = Number(process.hrtime.bigint() - start)
  table.offline()
  mustBe(table.table.size, keys.length)
  return ns / keys.length
}

function removeAll(table: IntegerTable, keys: Int32Array): number {
  table.online()
  const start = process.hrtime.bigint()
  for (let i = 0; i < keys.length; i++) {
    table.remove(keys[i])
    if (i % OPERATIONS_PER_REQUEST === 0) table.quiescent()
  }
  const ns = Number(process.hrtime.bigint() - start)
  table.offline()
  mustBe(table.table.size, 0)
  return ns / keys.length
}

/** The same with a `Map`. */
export function workOnMap(
  work: OneThreadWork,
  filled: ReadonlyMap<number, number>,
  keys: Int32Array,
  wanted: Int32Array,
): number {
  if (work === 'hits' || work === 'misses') return lookUpInMap(filled, wanted, work === 'hits' ? wanted.length : 0)
  const map = new Map<number, number>()
  const before = process.hrtime.bigint()
  for (let i = 0; i < keys.length; i++) map.set(keys[i], 1)
  const between = process.hrtime.bigint()
  mustBe(map.size, keys.length)
  if (work === 'inserts') return Number(between - before) / keys.length
  const start = process.hrtime.bigint()
  for (let i = 0; i < keys.length; i++) map.delete(keys[i])
  const ns = Number(process.hrtime.bigint() - start)
  mustBe(map.size, 0)
  return ns / keys.length
}

function lookUpInMap(map: ReadonlyMap<number, number>, wanted: Int32Array, expected: number): number {
  let found = 0
  const start = process.hrtime.bigint()
  for (let i = 0; i < wanted.length; i++) if (map.get(wanted[i]) === 1) found++
  const ns = Number(process.hrtime.bigint() - start)
  mustBe(found, expected)
  return ns / wanted.length
}

/** What is measured must be right, too. */
export function mustBe(count: number, expected: number): void {
  if (count !== expected) throw new Error(`${count} keys where ${expected} were expected`)
}
