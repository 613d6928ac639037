import { fuzzCodecs as codecs, Random } from '@cowherd/fuzz'
import { writableMemoryStore } from '@cowherd/store'
import { verifyVolume } from '@cowherd/verify'
import { expect, test } from 'vitest'
import { bpos } from './bpos.ts'
import { DataType } from './data-types.ts'
import { openDatabase } from './database.ts'
import { Key } from './key.ts'
import { makeVolume } from './new-volume/make-volume.ts'
import { BtreeId } from './btree-ids.ts'

const STEPS = Number(process.env['STEPS'] ?? 5000)
const COMPRESS = process.env['COMPRESS'] ?? 'none'
test('nearly full', () => {
  const disk = new Uint8Array(64 << 20)
  const random = new Random(7)
  makeVolume([{ device: writableMemoryStore(disk, 'disk'), blockBytes: 4096 }], {
    ...{ codecs, nowNs: 1n },
    random: (target) => void random.fill(target),
    options: { compression: { type: COMPRESS as 'none', level: 0 } },
    ...(process.env['ENC'] ? { encryption: { passphrase: undefined } } : {}),
    fill: () => undefined,
  })
  const notes: string[] = []
  const db = openDatabase([writableMemoryStore(disk, 'disk')], {
    codecs,
    random: (t) => void random.fill(t),
    nowSeconds: () => 5n,
    note: (m) => notes.push(m),
  })
  const key = new Key()
  const started = Date.now()
  const extents = db.data.newExtents()
  const options = db.superblock.options
  const data = new Uint8Array(64 << 10)
  const show = (what: string) =>
    console.log(
      what,
      Date.now() - started,
      ['free', 'btree', 'user', 'needDiscard', 'needGcGens']
        .map((t) => `${t} ${db.usage.buckets(0, DataType[t as 'free'])}`)
        .join(),
      'normal',
      db.allocator.bucketsFree(0, 1),
      'df',
      db.capacity.freeSectors,
      db.capacity.totalSectors,
      'frag',
      db.usage.fragmentedSectors(0, DataType.user),
      db.usage.fragmentedSectors(0, DataType.btree),
      'written',
      Math.round((db as any).parts.clocks?.written ?? 0),
    )
  const content = new Map<number, number>()
  const write = (slot: number, seed: number) => {
    // slot: 8 sectors each, file 5000, one extent of 4..64 KiB at slot*128 sectors
    const r = new Random(slot, seed)
    const sectors = 8 * (1 + r.below(8))
    const bytes = data.subarray(0, sectors * 512)
    if (COMPRESS === 'none') r.fill(bytes)
    else {
      const v = new Uint8Array(256)
      r.fill(v)
      for (let i = 0; i < bytes.length; i++) bytes[i] = v[(i * 7 + (i >> 9)) & 255]
    }
    db.data.write(extents, bytes, options, { writer: slot & 3 })
    try {
      db.write((tx) => {
        for (let at = slot * 128 + 8; at <= slot * 128 + 64; at += 8)
          tx.remove(BtreeId.extents, bpos(5000, at, 0xffffffff))
        for (let i = 0; i < extents.count; i++) {
          extents.copy(i, key, { numberHi: 0, numberLo: 5000, snapshot: 0xffffffff }, slot * 128)
          tx.put(BtreeId.extents, key)
        }
      })
    } finally {
      extents.done()
    }
    content.set(slot, seed)
  }
  let slots = 0
  show('empty')
  while (db.capacity.freeSectors > db.capacity.totalSectors * Number(process.env['LEFT'] ?? 0.1)) write(slots++, 0)
  show('filled ' + slots)
  for (let i = 0; i < STEPS; i++) {
    const slot = random.below(slots)
    try {
      if (db.capacity.availableSectors > 128) write(slot, i + 1)
    } catch (e) {
      show('failed at ' + i)
      throw e
    }
    if (i % 1000 === 0) show('step ' + i)
  }
  show('end')
  const target = new Uint8Array(128 * 512)
  const cursor = db.cursor(BtreeId.extents)
  for (let f = cursor.seek(bpos(0, 0)); f; f = cursor.next()) {
    db.readExtent(cursor.key, 0, target.subarray(0, cursor.key.size * 512), 'x')
  }
  db.close()
  expect(notes).toEqual([])
  expect(verifyVolume([writableMemoryStore(disk, 'disk')], { codecs })).toEqual([])
}, 600_000)
