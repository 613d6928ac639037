/** What the databases have in common here: each is opened by a module of its own, which isn't loaded where its package is missing. */

import type { Durability } from '@cowherd/db'

/** A database that is open. Keys are two halves of 32 bits. */
export interface Engine {
  /** One transaction: what `fill` puts. */
  write(fill: (put: Put) => void): void | Promise<void>
  /** The value, valid until the next call; undefined if there is none. */
  get(hi: number, lo: number): Uint8Array | undefined
  /** Walks over the entries from a key on, `limit` at most, and looks at keys and values. Returns how many there were. */
  scan(hi: number, lo: number, limit: number): number | Promise<number>
  close(): void | Promise<void>
  /** Bytes of the files that hold entries; left out where the others aren't many. */
  bytesUsed?(): number
}

export type Put = (hi: number, lo: number, value: Buffer) => void

export interface EngineOptions {
  /** Where its files lie: empty for a new database. */
  readonly directory: string
  /** What it may keep in memory of its own. */
  readonly cacheBytes: number
  /** How far a transaction has come when `write` is done. Only ours tells `memory` from `journaled`. */
  readonly durability: Durability
}

/** What a database's module exports. */
export interface EngineModule {
  readonly openEngine: (options: EngineOptions) => Engine | Promise<Engine>
}

/** The modules by the names of the databases. */
export const ENGINES = {
  cowherd: () => import('./cowherd.ts'),
  lmdb: () => import('./lmdb.ts'),
  sqlite: () => import('./sqlite.ts'),
  leveldb: () => import('./leveldb.ts'),
} as const satisfies Record<string, () => Promise<EngineModule>>

export type EngineName = keyof typeof ENGINES

export function isEngineName(name: string): name is EngineName {
  return name in ENGINES
}
