/** LMDB by the package `lmdb`: keys as numbers, its quickest; values as they are. Its cache is the kernel's: it can't be made smaller. */

import { join } from 'node:path'
import { open } from 'lmdb'
import { keyNumber } from './entries.ts'
import type { Engine, EngineOptions, Put } from './engine.ts'

export function openEngine({ directory, durability }: EngineOptions): Engine {
  const db = open<Buffer, number>({
    path: join(directory, 'lmdb'),
    encoding: 'binary',
    noSync: durability !== 'flushed',
    overlappingSync: false, // with it a transaction would be flushed later
  })
  const put: Put = (hi, lo, value) => void db.putSync(keyNumber(hi, lo), value)
  return {
    write(fill) {
      db.transactionSync(() => fill(put))
    },
    get: (hi, lo) => db.getBinaryFast(keyNumber(hi, lo)),
    scan(hi, lo, limit) {
      let count = 0
      for (const { value } of db.getRange({ start: keyNumber(hi, lo), limit })) if (value.length > 0) count++
      return count
    },
    close: () => db.close(),
  }
}
