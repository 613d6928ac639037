/** Who takes part: the databases that can be loaded here, each in a process of its own; and the rows of what they did. */

import type { Durability } from '@cowherd/db'
import type { Contender, Figure, Spent } from '../measure.ts'
import type { Row, SizeFigure, SizeRow } from '../row.ts'
import { EngineProcess } from './engine-process.ts'
import { ENGINES, type EngineName, isEngineName } from './engine.ts'

const PEER = 'lmdb'

/** A database under one of the promises that it gives. */
export interface Entrant {
  readonly name: string
  readonly engine: EngineName
  readonly durability: Durability
}

/** An entrant at work. */
export type Running<T extends Entrant = Entrant> = T & { readonly process: EngineProcess }

/** How much is measured. */
export interface Extent {
  readonly rounds: number
  /** Entries of a sample that are put one by one. */
  readonly singles: number
  /** Entries of a sample that are put many at a time. */
  readonly batched: number
  /** Transactions of a sample that are flushed one by one. */
  readonly flushed: number
  readonly gets: number
  /** Lookups most of which miss the cache. */
  readonly misses: number
  /** Walks from places by chance. */
  readonly walks: number
}

/** Who is known best, and can't take part. */
const NO_BETTER_SQLITE =
  'better-sqlite3 (version 12 downloads its binary when it is installed, 13 needs Node 22; sqlite is @photostructure/sqlite)'

/** The databases that are here. Of those that aren't it is said why. */
export async function loadableEngines(): Promise<EngineName[]> {
  process.stderr.write(`left out: ${NO_BETTER_SQLITE}\n`)
  const found: EngineName[] = []
  for (const name of Object.keys(ENGINES).filter(isEngineName)) {
    try {
      await (await EngineProcess.start(name)).stop()
      found.push(name)
    } catch (error) {
      if (name === 'cowherd') throw error
      process.stderr.write(`left out: ${name} (${error instanceof Error ? error.message : String(error)})\n`)
    }
  }
  return found
}

export function entrantsOf(engines: readonly EngineName[], durability: Durability): Entrant[] {
  return engines.map((engine) => ({ name: engine, engine, durability }))
}

/** A process for each, as long as `work` goes on. */
export async function withProcesses<T extends Entrant, R>(
  entrants: readonly T[],
  work: (running: readonly Running<T>[]) => Promise<R>,
): Promise<R> {
  const running: Running<T>[] = []
  try {
    for (const entrant of entrants) running.push({ ...entrant, process: await EngineProcess.start(entrant.engine) })
    return await work(running)
  } finally {
    for (const { process } of running) await process.stop()
  }
}

/** One for each of those who run, each of whose samples is what `work` says. */
export function contendersOf<T extends Entrant>(
  running: readonly Running<T>[],
  work: (who: Running<T>) => Promise<Spent>,
): Contender[] {
  return running.map((who) => ({ name: who.name, sample: () => work(who) }))
}

export function timeRow(what: string, figures: readonly Figure[], bytes?: number): Row {
  return { what, figures, peer: peerOf(figures), ...(bytes === undefined ? {} : { bytes }) }
}

export function sizeRow(what: string, sizes: readonly SizeFigure[], note?: string): SizeRow {
  return { what, sizes, peer: peerOf(sizes), ...(note === undefined ? {} : { note }) }
}

/** LMDB, or the first one where it is missing. */
function peerOf(figures: readonly { readonly name: string }[]): string {
  return (figures.find(({ name }) => name === PEER) ?? figures[0]).name
}
