/**
 * The database of @cowherd/db beside LMDB, SQLite and LevelDB: the same entries (keys of 64 bits, values of 64 bytes) put in transactions of
 * several sizes, looked up, and walked over. Each database has processes of its own; those take turns.
 */

import { loadableEngines, type Extent } from '../databases/entrants.ts'
import { fill, missRow, openRow, readRows } from '../databases/filled-rows.ts'
import { flushedRows, insertRows } from '../databases/insert-rows.ts'
import { Places } from '../databases/places.ts'
import type { AnyRow } from '../row.ts'

const MIB = 2 ** 20
const FEW = 10_000

/** A database that is filled and looked at. Caches of a fraction of it are for lookups that miss. */
interface Filling {
  readonly entries: number
  readonly cacheBytes: number
  readonly smallCacheBytes: number
}

const QUICK: Extent = {
  rounds: 3,
  singles: 10_000,
  batched: 50_000,
  flushed: 50,
  gets: 50_000,
  misses: 1000,
  walks: 500,
}
const FULL: Extent = {
  rounds: 5,
  singles: 100_000,
  batched: 300_000,
  flushed: 300,
  gets: 300_000,
  misses: 5000,
  walks: 3000,
}
const MILLION: Filling = { entries: 1_000_000, cacheBytes: 256 * MIB, smallCacheBytes: 32 * MIB }
const TEN_MILLION: Filling = { entries: 10_000_000, cacheBytes: 2048 * MIB, smallCacheBytes: 256 * MIB }

export async function database(_rounds: number, isQuick: boolean): Promise<AnyRow[]> {
  const extent = isQuick ? QUICK : FULL
  const engines = await loadableEngines()
  const places = new Places()
  try {
    const rows = [...(await insertRows(engines, places, extent)), ...(await flushedRows(engines, places, extent))]
    const few = await fill(engines, places, FEW, MILLION.cacheBytes)
    rows.push(await openRow(few.filled, MILLION.cacheBytes, extent.rounds))
    for (const { entries, cacheBytes, smallCacheBytes } of isQuick ? [MILLION] : [MILLION, TEN_MILLION]) {
      const { filled, rows: ofFilling } = await fill(engines, places, entries, cacheBytes)
      rows.push(...ofFilling, await openRow(filled, cacheBytes, extent.rounds))
      rows.push(...(await readRows(filled, cacheBytes, extent)), await missRow(filled, smallCacheBytes, extent))
      for (const { directory } of filled) places.remove(directory)
    }
    return rows
  } finally {
    places.remove()
  }
}
