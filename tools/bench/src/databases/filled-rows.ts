/** Databases filled with entries whose keys come by chance: what they take, and how they are opened, looked up and walked over. */

import { type Figure, figureOf, measure, type Spent } from '../measure.ts'
import type { AnyRow, Row, SizeFigure, SizeRow } from '../row.ts'
import type { EngineName } from './engine.ts'
import {
  contendersOf,
  type Entrant,
  entrantsOf,
  type Extent,
  type Running,
  sizeRow,
  timeRow,
  withProcesses,
} from './entrants.ts'
import { ENTRY_BYTES } from './entries.ts'
import { bytesOnDisk, type Places } from './places.ts'
import type { OpenWork } from './tasks.ts'

/** A database that was closed. */
export interface Filled extends Entrant {
  readonly directory: string
  readonly entries: number
}

const ORDER = 'random'
const PER_TRANSACTION = 1000
const WALK_ENTRIES = 100
const MIB = 2 ** 20

/** Makes a database of each engine. */
export async function fill(
  engines: readonly EngineName[],
  places: Places,
  entries: number,
  cacheBytes: number,
): Promise<{ readonly filled: readonly Filled[]; readonly rows: AnyRow[] }> {
  const filled = entrantsOf(engines, 'memory').map((who) => ({ ...who, entries, directory: places.make() }))
  const what = `${named(entries)}, ${cacheNamed(cacheBytes)}`
  const figures: Figure[] = []
  const rows: AnyRow[] = []
  const used: string[] = []
  await withProcesses(filled, async (running) => {
    for (const who of running) {
      figures.push(await fillOne(who, cacheBytes))
      const bytes = await who.process.tell('bytes used')
      if (bytes > 0) used.push(`nodes of ${who.name} take ${mebibytes(bytes)}`)
    }
    rows.push(timeRow(`fill and close, ${what}`, figures, ENTRY_BYTES))
    rows.push(await memoryRow(`peak memory of filling, ${what}`, running))
  })
  const sizes = filled.map(({ name, directory }) => ({ name, bytes: bytesOnDisk(directory) }))
  rows.push(sizeRow(`on disk, ${named(entries)}`, sizes, `of that, ${used.join(', ')}`))
  return { filled, rows }
}

async function fillOne(who: Running<Filled>, cacheBytes: number): Promise<Figure> {
  const { name, process, entries } = who
  await process.perform(opening(who, cacheBytes, 0))
  const work = { order: ORDER, first: 0, count: entries, perTransaction: PER_TRANSACTION } as const
  const insert = await process.perform({ task: 'insert', ...work })
  const close = await process.perform({ task: 'close' })
  const ns = insert.ns + close.ns / entries
  return figureOf(name, [{ ns, processorNs: insert.processorNs + close.processorNs / entries }])
}

/** Opening, with the first lookup, in a new process each time. */
export async function openRow(filled: readonly Filled[], cacheBytes: number, rounds: number): Promise<Row> {
  const contenders = filled.map((who) => ({
    name: who.name,
    sample: () => withOpen([who], cacheBytes, (_, [spent]) => Promise.resolve(spent)),
  }))
  return timeRow(`open and get one, ${named(filled[0].entries)}`, await measure(contenders, rounds))
}

/** All that only reads, with a cache that may hold everything. */
export async function readRows(filled: readonly Filled[], cacheBytes: number, extent: Extent): Promise<AnyRow[]> {
  const { entries } = filled[0]
  const what = `${named(entries)}, ${cacheNamed(cacheBytes)}`
  const walk = { task: 'walk', order: ORDER, entries, count: extent.walks, length: WALK_ENTRIES } as const
  return withOpen(filled, cacheBytes, async (running) => {
    const scans = contendersOf(running, ({ process }) => process.perform({ task: 'scan', entries }))
    const scanned = await measure(scans, extent.rounds)
    const walks = contendersOf(running, ({ process }) => process.perform(walk))
    const walked = await measure(walks, extent.rounds)
    return [
      timeRow(`scan, ${what}`, scanned, ENTRY_BYTES),
      timeRow(`scan of ${WALK_ENTRIES} by chance, ${what}`, walked, WALK_ENTRIES * ENTRY_BYTES),
      await getRow(running, cacheBytes, extent.gets, extent.rounds),
      await memoryRow(`peak memory of reading, ${what}`, running),
    ]
  })
}

/** Lookups in databases that were not read before. */
export async function missRow(filled: readonly Filled[], cacheBytes: number, extent: Extent): Promise<Row> {
  return withOpen(filled, cacheBytes, (running) => getRow(running, cacheBytes, extent.misses, extent.rounds))
}

async function getRow(
  running: readonly Running<Filled>[],
  cacheBytes: number,
  count: number,
  rounds: number,
): Promise<Row> {
  const { entries } = running[0]
  const gets = contendersOf(running, ({ process }) => process.perform({ task: 'get', order: ORDER, entries, count }))
  const what = `get by chance, ${named(entries)}, ${cacheNamed(cacheBytes)}`
  return timeRow(what, await measure(gets, rounds), ENTRY_BYTES)
}

async function memoryRow(what: string, running: readonly Running[]): Promise<SizeRow> {
  const sizes: SizeFigure[] = []
  const mapped: string[] = []
  for (const { name, process } of running) {
    sizes.push({ name, bytes: await process.tell('peak memory') })
    mapped.push(`${name} ${mebibytes(await process.tell('mapped memory'))}`)
  }
  return sizeRow(what, sizes, `of that, pages of files at the end: ${mapped.join(', ')}`)
}

/** Processes with the databases open; `work` is also given what opening each took. */
async function withOpen<R>(
  filled: readonly Filled[],
  cacheBytes: number,
  work: (running: readonly Running<Filled>[], opened: readonly Spent[]) => Promise<R>,
): Promise<R> {
  return withProcesses(filled, async (running) => {
    const opened: Spent[] = []
    for (const who of running) opened.push(await who.process.perform(opening(who, cacheBytes, who.entries)))
    const result = await work(running, opened)
    for (const { process } of running) await process.perform({ task: 'close' })
    return result
  })
}

/** `entries`: how many there are to be looked up. */
function opening({ directory, durability }: Filled, cacheBytes: number, entries: number): OpenWork {
  return { task: 'open', options: { directory, cacheBytes, durability }, order: ORDER, entries }
}

function named(entries: number): string {
  return `${entries.toLocaleString('en')} entries`
}

function cacheNamed(bytes: number): string {
  return `cache of ${mebibytes(bytes)}`
}

function mebibytes(bytes: number): string {
  return `${Math.round(bytes / MIB)} MiB`
}
