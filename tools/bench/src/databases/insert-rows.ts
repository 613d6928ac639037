/** Entries are put into new databases: what is flushed now and then, and what is flushed at the end of each transaction. */

import { type Contender, measure } from '../measure.ts'
import type { AnyRow } from '../row.ts'
import type { EngineName } from './engine.ts'
import {
  contendersOf,
  type Entrant,
  entrantsOf,
  type Extent,
  type Running,
  timeRow,
  withProcesses,
} from './entrants.ts'
import { ENTRY_BYTES, type Order } from './entries.ts'
import type { Places } from './places.ts'

const CACHE_BYTES = 256 * 2 ** 20
const ORDERS = ['random', 'sequential'] as const
const PER_TRANSACTION = [1, 100, 1000] as const

/** Ours under the promise that the others give when they don't flush. */
const JOURNALED: Entrant = { name: 'cowherd, journaled', engine: 'cowherd', durability: 'journaled' }

interface Inserts {
  readonly order: Order
  readonly count: number
  readonly perTransaction: number
}

export async function insertRows(engines: readonly EngineName[], places: Places, extent: Extent): Promise<AnyRow[]> {
  return withProcesses([...entrantsOf(engines, 'memory'), JOURNALED], async (running) => {
    const rows: AnyRow[] = []
    for (const order of ORDERS) {
      for (const perTransaction of PER_TRANSACTION) {
        const inserts = { order, perTransaction, count: perTransaction === 1 ? extent.singles : extent.batched }
        const figures = await measure(inserters(running, places, inserts), extent.rounds)
        rows.push(timeRow(`insert, ${order}, ${perTransaction} per transaction`, figures, ENTRY_BYTES))
      }
    }
    return rows
  })
}

export async function flushedRows(engines: readonly EngineName[], places: Places, extent: Extent): Promise<AnyRow[]> {
  return withProcesses(entrantsOf(engines, 'flushed'), async (running) => {
    const rows: AnyRow[] = []
    for (const perTransaction of PER_TRANSACTION) {
      const inserts = { order: 'random', perTransaction, count: extent.flushed * perTransaction } as const
      const figures = await measure(inserters(running, places, inserts), extent.rounds)
      rows.push(timeRow(`insert, random, ${perTransaction} per transaction, flushed`, figures, ENTRY_BYTES))
    }
    return rows
  })
}

/** Each sample has a new database. */
function inserters(
  running: readonly Running[],
  places: Places,
  { order, count, perTransaction }: Inserts,
): Contender[] {
  return contendersOf(running, async ({ process, durability }) => {
    const directory = places.make()
    const options = { directory, cacheBytes: CACHE_BYTES, durability }
    await process.perform({ task: 'open', options, order, entries: 0 })
    const spent = await process.perform({ task: 'insert', order, first: 0, count, perTransaction })
    await process.perform({ task: 'close' })
    places.remove(directory)
    return spent
  })
}
