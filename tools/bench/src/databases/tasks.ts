/** What the processes with databases are asked for, the same for each database. */

import { readFileSync } from 'node:fs'
import type { Spent } from '../measure.ts'
import { Random } from '../tables/keys.ts'
import type { Engine, EngineOptions, Put } from './engine.ts'
import { keyHi, keyLo, type Order, Values } from './entries.ts'

/** Work that is measured. */
export type Work = OpenWork | InsertWork | GetWork | ScanWork | WalkWork | CloseWork

/** What can be told of a process: its memory in bytes, the most there was and what are pages of files now; and `Engine.bytesUsed`, or 0. */
export interface Question {
  readonly task: 'tell'
  readonly of: 'peak memory' | 'mapped memory' | 'bytes used'
}

/** A database is opened, or made, and one of its entries is looked up if there are any. */
export interface OpenWork {
  readonly task: 'open'
  readonly options: EngineOptions
  readonly order: Order
  readonly entries: number
}

/** Entries with new keys are put. Measured is one. */
export interface InsertWork {
  readonly task: 'insert'
  readonly order: Order
  readonly first: number
  readonly count: number
  readonly perTransaction: number
}

/** Some of the first `entries` keys are looked up, by chance. Measured is one. */
export interface GetWork {
  readonly task: 'get'
  readonly order: Order
  readonly entries: number
  readonly count: number
}

/** A walk over all entries. Measured is one of them. */
export interface ScanWork {
  readonly task: 'scan'
  readonly entries: number
}

/** Walks over `length` entries from places by chance on. Measured is one walk. */
export interface WalkWork {
  readonly task: 'walk'
  readonly order: Order
  readonly entries: number
  readonly count: number
  readonly length: number
}

export interface CloseWork {
  readonly task: 'close'
}

const values = new Values()
/** Goes on from task to task: what was looked up the last time may be in a cache. */
const random = new Random(1)

/** Opens a database, and returns it with what that took. */
export async function open(
  openEngine: (options: EngineOptions) => Engine | Promise<Engine>,
  { options, order, entries }: OpenWork,
): Promise<{ readonly engine: Engine; readonly spent: Spent }> {
  const stop = stopwatch()
  const engine = await openEngine(options)
  if (entries > 0) getOne(engine, order, entries >> 1)
  return { engine, spent: stop(1) }
}

export async function insert(engine: Engine, { order, first, count, perTransaction }: InsertWork): Promise<Spent> {
  let n = first
  let end = first
  const fill = (put: Put): void => {
    for (; n < end; n++) put(keyHi(order, n), keyLo(order, n), values.of(n))
  }
  const stop = stopwatch()
  while (end < first + count) {
    end = Math.min(first + count, end + perTransaction)
    const written = engine.write(fill)
    if (written !== undefined) await written
  }
  return stop(count)
}

export function get(engine: Engine, { order, entries, count }: GetWork): Spent {
  const stop = stopwatch()
  for (let i = 0; i < count; i++) getOne(engine, order, random.next() % entries)
  return stop(count)
}

function getOne(engine: Engine, order: Order, n: number): void {
  const value = engine.get(keyHi(order, n), keyLo(order, n))
  if (value === undefined || !values.isOf(n, value)) throw new Error(`entry ${n} is not there`)
}

export async function scan(engine: Engine, { entries }: ScanWork): Promise<Spent> {
  const stop = stopwatch()
  const count = await engine.scan(0, 0, Number.MAX_SAFE_INTEGER)
  const spent = stop(entries)
  if (count !== entries) throw new Error(`${count} entries of ${entries}`)
  return spent
}

export async function walk(engine: Engine, { order, entries, count, length }: WalkWork): Promise<Spent> {
  let seen = 0
  const stop = stopwatch()
  for (let i = 0; i < count; i++) {
    const n = random.next() % entries
    const walked = engine.scan(keyHi(order, n), keyLo(order, n), length)
    seen += typeof walked === 'number' ? walked : await walked
  }
  const spent = stop(count)
  if (seen < count || seen > count * length) throw new Error(`${seen} entries in ${count} walks`)
  return spent
}

export async function close(engine: Engine): Promise<Spent> {
  const stop = stopwatch()
  await engine.close()
  return stop(1)
}

export function tell(engine: Engine, { of }: Question): number {
  switch (of) {
    case 'peak memory':
      return process.resourceUsage().maxRSS * 1024
    case 'mapped memory':
      return mappedMemory()
    case 'bytes used':
      return engine.bytesUsed?.() ?? 0
  }
}

/** Starts the clocks; what is returned says what each of `count` took since. All threads of the process are counted. */
function stopwatch(): (count: number) => Spent {
  const start = process.hrtime.bigint()
  const before = process.cpuUsage()
  return (count) => {
    const ns = Number(process.hrtime.bigint() - start)
    const { user, system } = process.cpuUsage(before)
    return { ns: ns / count, processorNs: ((user + system) * 1000) / count }
  }
}

/** 0 where the system doesn't tell. */
function mappedMemory(): number {
  try {
    const kib = /^RssFile:\s*(\d+) kB$/m.exec(readFileSync('/proc/self/status', 'latin1'))
    return Number(kib?.[1] ?? 0) * 1024
  } catch {
    return 0 // no Linux
  }
}
