/** Ours: keys of type cookie in a btree that a filesystem doesn't use, on a volume in a sparse file. */

import { randomFillSync } from 'node:crypto'
import { closeSync, existsSync, ftruncateSync, openSync } from 'node:fs'
import { join } from 'node:path'
import { bpos, DataType, Key, makeVolume, openDatabase, setBpos } from '@cowherd/db'
import { nativeCodecs } from '@cowherd/shim'
import { openWritableStore } from '@cowherd/store'
import { VALUE_BYTES } from './entries.ts'
import type { Engine, EngineOptions, Put } from './engine.ts'

const BTREE = 30
const COOKIE = 3
const BLOCK_BYTES = 4096
const SECTOR = 512
/** The file is sparse. Sizes of nodes and of the journal follow from it: 256 KiB, and a 128th. */
const VOLUME_BYTES = 2 ** 34

const codecs = nativeCodecs()
const random = (bytes: Uint8Array): void => void randomFillSync(bytes)

export function openEngine({ directory, cacheBytes, durability }: EngineOptions): Engine {
  const path = join(directory, 'volume')
  if (!existsSync(path)) makeVolumeAt(path)
  const db = openDatabase([openWritableStore(path)], { codecs, random, cacheBytes })
  const cursor = db.cursor(BTREE)
  const key = new Key()
  const pos = bpos(0, 0)
  const options = { durability }
  return {
    write(fill) {
      db.write((tx) => {
        const put: Put = (hi, lo, value) => {
          setBpos(pos, 0, 0, hi, lo, 0)
          tx.put(BTREE, key.make(COOKIE, pos, value))
        }
        fill(put)
      }, options)
    },
    get(hi, lo) {
      setBpos(pos, 0, 0, hi, lo, 0)
      if (!cursor.seek(pos)) return undefined
      const found = cursor.key
      return found.offsetLo === lo && found.offsetHi === hi ? found.value : undefined
    },
    scan(hi, lo, limit) {
      setBpos(pos, 0, 0, hi, lo, 0)
      let count = 0
      for (let more = cursor.seek(pos); more && count < limit; more = cursor.next()) {
        if (cursor.key.valueBytes === VALUE_BYTES) count++
      }
      return count
    },
    close: () => db.close(),
    bytesUsed: () => db.usage.buckets(0, DataType.btree) * db.superblock.members[0].bucketSectors * SECTOR,
  }
}

function makeVolumeAt(path: string): void {
  const file = openSync(path, 'w')
  ftruncateSync(file, VOLUME_BYTES)
  closeSync(file)
  const device = openWritableStore(path)
  try {
    const nowNs = BigInt(Date.now()) * 1_000_000n
    makeVolume([{ device, blockBytes: BLOCK_BYTES }], { codecs, random, nowNs, fill: () => undefined })
  } finally {
    device.close()
  }
}
