/**
 * SQLite by the package `@photostructure/sqlite`: it has the interface of `node:sqlite`, comes compiled, and took as long as
 * better-sqlite3 compiled on the spot (libsql: half as long again). WAL; the key is the rowid.
 */

import { join } from 'node:path'
import { DatabaseSync } from '@photostructure/sqlite'
import { keyNumber } from './entries.ts'
import type { Engine, EngineOptions, Put } from './engine.ts'

export function openEngine({ directory, cacheBytes, durability }: EngineOptions): Engine {
  const db = new DatabaseSync(join(directory, 'sqlite'))
  db.exec(`
    pragma journal_mode = wal;
    pragma synchronous = ${durability === 'flushed' ? 'full' : 'off'};
    pragma cache_size = -${Math.floor(cacheBytes / 1024)};
    create table if not exists entries (key integer primary key, value blob not null);
  `)
  const begin = db.prepare('begin immediate')
  const insert = db.prepare('insert or replace into entries values (?, ?)')
  const commit = db.prepare('commit')
  const select = db.prepare('select value from entries where key = ?')
  const range = db.prepare('select key, value from entries where key >= ? order by key limit ?')
  const put: Put = (hi, lo, value) => void insert.run(keyNumber(hi, lo), value)
  return {
    write(fill) {
      begin.run()
      fill(put)
      commit.run()
    },
    get: (hi, lo) => valueOf(select.get(keyNumber(hi, lo))),
    scan(hi, lo, limit) {
      let count = 0
      for (const row of range.iterate(keyNumber(hi, lo), limit)) if (valueOf(row) !== undefined) count++
      return count
    },
    close: () => db.close(),
  }
}

function valueOf(row: unknown): Uint8Array | undefined {
  return (row as { value: Uint8Array } | undefined)?.value
}
