/**
 * `bench SET... [--quick]`: measures sets of work beside their peers, prints a table of each and writes it to
 * `results/SET.json`. Without a set it lists them.
 */

import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { type AnyRow, tableOf, writeResults } from './row.ts'
import { aio } from './sets/aio.ts'
import { codecs } from './sets/codecs.ts'
import { database } from './sets/database.ts'
import { format } from './sets/format.ts'
import { get } from './sets/get.ts'
import { hashtable } from './sets/hashtable.ts'
import { list } from './sets/list.ts'
import { locks } from './sets/locks.ts'
import { mountWrite } from './sets/mount-write.ts'
import { mount } from './sets/mount.ts'
import { put } from './sets/put.ts'
import { threads } from './sets/threads.ts'

/** Measures a set. `rounds` is how many samples each contender gives; `isQuick`: there is little time. */
type BenchSet = (rounds: number, isQuick: boolean) => AnyRow[] | Promise<AnyRow[]>

/** The sets by name. */
const SETS: ReadonlyMap<string, BenchSet> = new Map<string, BenchSet>([
  ['codecs', codecs],
  ['aio', aio],
  ['hashtable', hashtable],
  ['locks', locks],
  ['list', list],
  ['get', get],
  ['put', put],
  ['threads', threads],
  ['format', format],
  ['mount', mount],
  ['mount-write', mountWrite],
  ['database', database],
])

const ROUNDS = 21
const ROUNDS_QUICK = 5

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { quick: { type: 'boolean' }, rounds: { type: 'string' } },
})
if (positionals.length === 0) console.log(`bench SET... [--quick] [--rounds N]\nsets: ${[...SETS.keys()].join(', ')}`)
for (const name of positionals) {
  const set = SETS.get(name)
  if (set === undefined) throw new Error(`no set is called ${name}: there are ${[...SETS.keys()].join(', ')}`)
  const isQuick = values.quick === true
  const rows = await set(Number(values.rounds ?? (isQuick ? ROUNDS_QUICK : ROUNDS)), isQuick)
  console.log(tableOf(rows))
  writeResults(fileURLToPath(new URL(`../results/${name}.json`, import.meta.url)), name, rows)
}
