/** LevelDB by the package `classic-level`: it writes and walks in threads of libuv's, which is waited for; it gets in this one. */

import { join } from 'node:path'
import { ClassicLevel } from 'classic-level'
import type { Engine, EngineOptions } from './engine.ts'

/** Entries that an iterator fetches at once. */
const BATCH = 1000

export async function openEngine({ directory, cacheBytes, durability }: EngineOptions): Promise<Engine> {
  const db = new ClassicLevel<Buffer, Buffer>(join(directory, 'leveldb'), {
    keyEncoding: 'buffer',
    valueEncoding: 'buffer',
    cacheSize: cacheBytes,
  })
  await db.open()
  const options = { sync: durability === 'flushed' }
  const key = Buffer.alloc(8)
  const keyOf = (hi: number, lo: number): Buffer => {
    key.writeUInt32BE(hi, 0)
    key.writeUInt32BE(lo, 4)
    return key
  }
  return {
    write(fill) {
      const batch = db.batch()
      fill((hi, lo, value) => void batch.put(keyOf(hi, lo), value)) // it copies them
      return batch.write(options)
    },
    get: (hi, lo) => db.getSync(keyOf(hi, lo)),
    async scan(hi, lo, limit) {
      const iterator = db.iterator({ gte: keyOf(hi, lo), limit })
      let count = 0
      for (let left = limit; left > 0; left = limit - count) {
        const entries = await iterator.nextv(Math.min(left, BATCH))
        if (entries.length === 0) break
        count += entries.length
      }
      await iterator.close()
      return count
    },
    close: () => db.close(),
  }
}
