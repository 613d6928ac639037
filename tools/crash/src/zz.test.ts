import { bpos, BtreeId, Key, VolumeError } from '@cowherd/db'
import { test } from 'vitest'
import { commit, devicesOf, newDisks, openRun } from './database-run.ts'
const MIB = 2 ** 20
test('x', () => {
  const shape = { devices: 1, sizeBytes: 16 * MIB, nodeBytes: 65536, blockBytes: 4096, copies: 1 }
  const images = newDisks(shape, 1, false)
  const db = openRun(devicesOf(images), 1)
  const n = Number(process.env['COUNT'])
  const key = new Key()
  for (let c = 0; c < n; c++) {
    commit(db, Array.from({ length: 8 }, (_, i) => { const pos = bpos(0, c * 8 + i); return { btree: BtreeId.quotas, pos, key: new Key().make(13, pos, new Uint8Array(1900).fill(c)) } }))
  }
  db.flush(); db.abandon()
  images[0].save('/tmp/v/full/0.img')
})
