/**
 * `HashTable` and `SharedMap` of @cowherd/rhashtable: on one thread beside `Map`, with two threads beside a mutex around a plain table, and
 * both beside liburcu's hashtable in C and the maps in shared memory that npm has. And how long lookups take during a resize.
 */

import { SharedMap } from '@cowherd/rhashtable'
import { Arena, Rcu, ThreadRegistry } from '@cowherd/shim'
import datastructures from 'shared-memory-datastructures'
import SharedMapOfNpm from 'sharedmap'
import { compileC } from '../compile.ts'
import { type Contender, measure, ofPrinted } from '../measure.ts'
import { LockedTable } from '../peers/locked-table.ts'
import type { Row } from '../row.ts'
import { IntegerTable } from '../tables/integer-table.ts'
import { keyOf, keysOf, someOf } from '../tables/keys.ts'
import type { Disturbance } from '../tables/latencies.ts'
import type { StringMap } from '../tables/mixes.ts'
import { fill, mustBe, type OneThreadWork, workOnMap, workOnTable } from '../tables/one-thread.ts'
import type { TableOfTeam, TableTask } from '../tables/table.worker.ts'
import { scaling, type Scaled } from '../threads/scaling.ts'
import { Team } from '../threads/team.ts'

const SIZES = [100_000, 1_000_000]
const LOOKUPS = 200_000
const ARENA_BYTES = 512 << 20
const WORKER = new URL('../tables/table.worker.js', import.meta.url)

/** Rounds of what takes seconds. */
const ROUNDS_OF_SECONDS = 5

/** Of the maps with strings, which take microseconds. */
const STRING_KEYS = 100_000
const STRING_LOOKUPS = 10_000

const MIX_KEYS = 200_000
const MIX_OPERATIONS = 300_000
const MIX_OPERATIONS_OF_STRINGS = 50_000
const MIX_OPERATIONS_OF_NPM = 3000

const LATENCIES = 50_000
const LATENCY_KEYS = 100_000

export async function hashtable(rounds: number): Promise<Row[]> {
  ThreadRegistry.create().enter()
  const program = compileC('hashtable', 'liburcu-cds', 'liburcu-qsbr')
  const team = new Team<TableTask>(WORKER, 2)
  try {
    const rows: Row[] = []
    for (const keys of SIZES) rows.push(...(await oneThread(keys, team, program, rounds)))
    rows.push(...(await strings(rounds)))
    for (const writesPerCent of [1, 10]) rows.push(await twoThreads(writesPerCent, team, program, rounds))
    rows.push(await duringResize(team, rounds))
    return rows
  } finally {
    await team.stop()
  }
}

const WORKS: readonly (readonly [OneThreadWork, string])[] = [
  ['hits', 'lookup, found'],
  ['misses', 'lookup, not found'],
  ['inserts', 'insert'],
  ['removes', 'remove'],
]

/** Integers on one thread: a table for one thread here, one that is ready for many in a worker. */
async function oneThread(
  count: number,
  team: Team<TableTask>,
  program: string | undefined,
  rounds: number,
): Promise<Row[]> {
  const keys = keysOf(0, count)
  const map = new Map(Array.from(keys, (key) => [key, 1]))
  const arena = Arena.create(ARENA_BYTES, { shared: false })
  const make = (): IntegerTable => IntegerTable.create(arena)
  const filled = make()
  fill(filled, keys)
  const rows: Row[] = []
  for (const [work, what] of WORKS) {
    const wanted = someOf(work === 'misses' ? keysOf(count, 2 * count) : keys, LOOKUPS)
    const contenders: Contender[] = [
      { name: 'HashTable, for one thread', sample: () => workOnTable(work, filled, make, keys, wanted) },
      {
        name: 'HashTable, for many',
        async sample() {
          const [{ result }] = await team.run([{ task: 'alone', work, keys: count, lookups: LOOKUPS }])
          return result[0]
        },
      },
      { name: 'Map', sample: () => workOnMap(work, map, keys, wanted) },
    ]
    if (program !== undefined) contenders.push(ofPrinted('liburcu', program, [work, String(count), String(LOOKUPS)]))
    const isSlow = count > SIZES[0] && (work === 'inserts' || work === 'removes')
    const figures = await measure(contenders, isSlow ? Math.min(rounds, ROUNDS_OF_SECONDS) : rounds)
    rows.push({ what: `${what}, ${count} integers`, figures, peer: 'Map' })
  }
  return rows
}

/** Maps with strings as keys and values, on one thread. */
async function strings(rounds: number): Promise<Row[]> {
  const keys = Array.from({ length: STRING_KEYS }, (_, i) => String(keyOf(i)))
  const wanted = Array.from(someOf(keysOf(0, STRING_KEYS), STRING_LOOKUPS), String)
  const makers: readonly (readonly [string, () => Omit<StringMap, 'delete'>])[] = [
    ['SharedMap', () => SharedMap.create<string, string>({ bytes: 64 << 20 })],
    ['Map', () => new Map<string, string>()],
    ['sharedmap of npm', () => new SharedMapOfNpm(2 * STRING_KEYS, 12, 12)],
    ['shared-memory-datastructures', () => new datastructures.ShareableMap<string, string>(STRING_KEYS, 32)],
  ]
  const lookups: Contender[] = []
  const inserts: Contender[] = []
  for (const [name, make] of makers) {
    const filled = make()
    for (const key of keys) filled.set(key, key)
    lookups.push({ name, sample: () => lookUpStrings(filled, wanted) })
    inserts.push({ name, sample: () => insertStrings(make(), keys) })
  }
  const what = `${STRING_KEYS} strings`
  return [
    { what: `lookup, found, ${what}`, figures: await measure(lookups, rounds), peer: 'Map' },
    { what: `insert, ${what}`, figures: await measure(inserts, Math.min(rounds, ROUNDS_OF_SECONDS)), peer: 'Map' },
  ]
}

function lookUpStrings(map: Pick<StringMap, 'get'>, wanted: readonly string[]): number {
  let found = 0
  const start = process.hrtime.bigint()
  for (const key of wanted) if (map.get(key) === key) found++
  const ns = Number(process.hrtime.bigint() - start)
  mustBe(found, wanted.length)
  return ns / wanted.length
}

function insertStrings(map: Pick<StringMap, 'set'>, keys: readonly string[]): number {
  const start = process.hrtime.bigint()
  for (const key of keys) map.set(key, key)
  return Number(process.hrtime.bigint() - start) / keys.length
}

/** The same mix on one thread and on two at the same time, with each kind of table. */
async function twoThreads(
  writesPerCent: number,
  team: Team<TableTask>,
  program: string | undefined,
  rounds: number,
): Promise<Row> {
  const tables: readonly (readonly [string, TableOfTeam, number])[] = [
    ['HashTable', filledTable(MIX_KEYS), MIX_OPERATIONS],
    ['SharedMap', filledSharedMap(), MIX_OPERATIONS_OF_STRINGS],
    ['mutex around a table', filledLockedTable(), MIX_OPERATIONS],
    ['sharedmap of npm', filledSharedMapOfNpm(), MIX_OPERATIONS_OF_NPM],
    ['no table, only numbers', { kind: 'none' }, MIX_OPERATIONS],
  ]
  const scaled: Scaled[] = tables.map(([name, table, operations]) =>
    scaling(name, team, operations, (member): TableTask => ({
      task: 'mix',
      table,
      mix: { keys: MIX_KEYS, operations, writesPerCent, seed: 1000 + member },
    })),
  )
  const contenders = scaled.flatMap((each) => each.contenders)
  if (program !== undefined) {
    const args = [writesPerCent, MIX_KEYS, MIX_OPERATIONS].map(String)
    const inC = [1, 2].map((n) =>
      ofPrinted(`liburcu, ${n} ${n === 1 ? 'thread' : 'threads'}`, program, ['mix', String(n), ...args]),
    )
    contenders.push(...inC)
  }
  const figures = await measure(contenders, rounds)
  return {
    what: `${100 - writesPerCent} lookups, ${writesPerCent} changes`,
    figures,
    peer: 'mutex around a table, 2 threads',
    note: scaled.map((each) => each.note(figures)).join('; '),
  }
}

/** A table for many threads with every second one of the keys. */
function filledTable(keys: number): TableOfTeam {
  const rcu = Rcu.create(ThreadRegistry.entered)
  const table = IntegerTable.create(Arena.create(ARENA_BYTES), rcu)
  fill(
    table,
    keysOf(0, keys).filter((_, i) => i % 2 === 0),
  )
  return { kind: 'HashTable', descriptor: table.descriptor }
}

function filledLockedTable(): TableOfTeam {
  const table = LockedTable.create(MIX_KEYS)
  for (let i = 0; i < MIX_KEYS; i += 2) table.insert(keyOf(i), 1)
  return { kind: 'LockedTable', descriptor: table.descriptor }
}

function filledSharedMap(): TableOfTeam {
  const map = SharedMap.create<string, string>({ bytes: 128 << 20 })
  for (let i = 0; i < MIX_KEYS; i += 2) map.set(String(keyOf(i)), '1')
  return { kind: 'SharedMap', descriptor: map.descriptor }
}

function filledSharedMapOfNpm(): TableOfTeam {
  const map = new SharedMapOfNpm(2 * MIX_KEYS, 12, 12)
  for (let i = 0; i < MIX_KEYS; i += 2) map.set(String(keyOf(i)), '1')
  return { kind: 'sharedmap', descriptor: map }
}

const DISTURBANCES: readonly (readonly [Disturbance, string])[] = [
  ['none', 'nobody changes the table'],
  ['changes', 'changes without a resize'],
  ['resizes', 'during a resize'],
]

/** Single lookups, at the 99th percentile, beside a thread that does this or that. */
async function duringResize(team: Team<TableTask>, rounds: number): Promise<Row> {
  const rcu = Rcu.create(ThreadRegistry.entered)
  const table = IntegerTable.create(Arena.create(ARENA_BYTES), rcu)
  fill(table, keysOf(0, LATENCY_KEYS))
  const { descriptor } = table
  const medians = new Map<Disturbance, number[]>(DISTURBANCES.map(([disturbance]) => [disturbance, []]))
  const contenders = DISTURBANCES.map(([disturbance, name]): Contender => {
    return {
      name,
      async sample() {
        const stop = new Int32Array(new SharedArrayBuffer(4))
        const common = { table: descriptor, keys: LATENCY_KEYS, samples: LATENCIES, disturbance, stop }
        const [{ result }] = await team.run([
          { task: 'measure', ...common },
          { task: 'disturb', ...common },
        ])
        medians.get(disturbance)?.push(result[0])
        return result[1]
      },
    }
  })
  const figures = await measure(contenders, rounds)
  const half = DISTURBANCES.map(([disturbance, name]) => {
    const sorted = (medians.get(disturbance) ?? []).sort((a, b) => a - b)
    return `${name} ${Math.round(sorted[sorted.length >> 1])} ns`
  })
  const what = `99th percentile of a lookup, ${LATENCY_KEYS} integers`
  return { what, figures, peer: DISTURBANCES[0][1], note: `half of the lookups take less than: ${half.join(', ')}` }
}
