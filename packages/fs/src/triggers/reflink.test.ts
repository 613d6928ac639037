import fc from 'fast-check'
import { bpos, BtreeId, KEY_WORDS, type Key } from '@cowherd/db'
import { describe, expect, test } from 'vitest'
import { insertExtent, removeExtents } from '../extents/overwrite.ts'
import { REFLINK_P, reflinkBackPad, reflinkFrontPad, reflinkIndex } from '../key-types/reflink-p.ts'
import { extentEntries } from '../testing/extents.ts'
import { keyOf, type KeyFields } from '../testing/keys.ts'
import { MemoryDatabase } from '../testing/memory-database.ts'

const MAX = 0xffffffff
const FILE = 5000

function link(file: number, start: number, size: number, index: number, pads = [0, 0]): Key {
  const value = new Uint8Array(16)
  const view = new DataView(value.buffer)
  view.setUint32(0, index, true)
  view.setUint32(8, pads[0], true)
  view.setUint32(12, pads[1], true)
  return keyOf({ type: REFLINK_P, inode: file, offset: start + size, snapshot: MAX, size, value })
}

/** Shared extents of 16 sectors each, from 0 on; each `refcount` is 1. */
function database(count: number, fields: Partial<KeyFields> = {}): MemoryDatabase {
  const db = new MemoryDatabase().addSnapshot(MAX, 0)
  for (let i = 0; i < count; i++) {
    const value = new Uint8Array([1, 0, 0, 0, 0, 0, 0, 0, ...extentEntries({ device: 0, sector: 256 * i + 8 })])
    db.put(BtreeId.reflink, { type: 16, offset: 16 * (i + 1), size: 16, value, ...fields })
  }
  return db
}

function put(db: MemoryDatabase, key: Key): void {
  db.write((updates) => void insertExtent(updates, db, key))
}

function counts(db: MemoryDatabase): Record<number, number> {
  return Object.fromEntries(db.all(BtreeId.reflink).map((key) => [key.start, key.words[KEY_WORDS]]))
}

function pads(db: MemoryDatabase): number[][] {
  return db
    .all(BtreeId.extents)
    .filter(({ type }) => type === REFLINK_P)
    .map((key) => [key.start, key.offset, reflinkIndex(key), reflinkFrontPad(key), reflinkBackPad(key)])
}

describe('shared data', () => {
  test('counts who leads to it, in part or as a whole', () => {
    const db = database(4)
    put(db, link(FILE, 0, 30, 10))
    expect(counts(db)).toEqual({ 0: 2, 16: 2, 32: 2, 48: 1 })
    expect(pads(db)).toEqual([[0, 30, 10, 10, 8]])
    // What lies in the middle is overwritten: two keys lead to it now.
    put(db, keyOf({ type: 2, inode: FILE, offset: 20, snapshot: MAX, size: 2 }))
    expect(pads(db)).toEqual([
      [0, 18, 10, 10, 4],
      [20, 30, 30, 14, 8],
    ])
    expect(counts(db)).toEqual({ 0: 2, 16: 3, 32: 2, 48: 1 })
  })

  test('goes when nobody leads to it any more, inline data too', () => {
    const db = database(1)
      .put(BtreeId.reflink, { type: 19, offset: 24, size: 8, value: '0100000000000000 aabbcc' })
      .put(BtreeId.extents, link(FILE, 0, 24, 0))
    const version = { numberHi: 0, numberLo: FILE, snapshot: MAX }
    db.write((updates) => void removeExtents(updates, db, version, 8, 24))
    expect(db.list(BtreeId.reflink)).toEqual(['0:16:0 len 16 reflink_v'])
    db.write((updates) => void removeExtents(updates, db, version, 0, Infinity))
    expect(db.list(BtreeId.reflink)).toEqual([])
  })

  test('stays when it is given up in one place and taken in another by one transaction', () => {
    const db = database(1).put(BtreeId.extents, link(FILE, 0, 16, 0))
    db.write((updates) => {
      updates.remove(BtreeId.extents, bpos(FILE, 16, MAX))
      updates.put(BtreeId.extents, link(FILE, 100, 16, 0))
    })
    expect(counts(db)).toEqual({ 0: 1 })
  })

  test('is held in full by who held it before it was split', () => {
    const db = database(2).put(BtreeId.extents, link(FILE, 0, 4, 14, [14, 14]))
    const version = { numberHi: 0, numberLo: FILE, snapshot: MAX }
    db.write((updates) => void removeExtents(updates, db, version, 0, Infinity))
    expect(counts(db)).toEqual({})
  })

  test('counts beyond 32 bits', () => {
    const db = database(1).put(BtreeId.reflink, {
      ...{ type: 16, offset: 16, size: 16 },
      value: new Uint8Array([0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, ...extentEntries({ device: 0, sector: 8 })]),
    })
    put(db, link(FILE, 0, 16, 0))
    const [shared] = db.all(BtreeId.reflink)
    expect([shared.words[KEY_WORDS], shared.words[KEY_WORDS + 1]]).toEqual([0, 1])
    db.write((updates) => updates.remove(BtreeId.extents, bpos(FILE, 16, MAX)))
    expect(db.all(BtreeId.reflink)[0].words[KEY_WORDS]).toBe(0xffffffff)
  })

  test('that is missing can not be led to; a key that did can be removed', () => {
    const db = database(1)
    expect(() => put(db, link(FILE, 0, 17, 0))).toThrow(/leads to shared sector 16, which is missing/)
    db.put(BtreeId.extents, link(FILE, 0, 17, 0)).put(BtreeId.extents, link(FILE, 50, 10, 900))
    const version = { numberHi: 0, numberLo: FILE, snapshot: MAX }
    db.write((updates) => void removeExtents(updates, db, version, 0, Infinity))
    expect([db.list(BtreeId.extents), db.list(BtreeId.reflink)]).toEqual([[], []])
  })
})

test('each count is that of the keys that lead there, whatever is written over', () => {
  const write = fc.record({
    file: fc.integer({ min: FILE, max: FILE + 1 }),
    start: fc.nat(40),
    size: fc.integer({ min: 1, max: 40 }),
    index: fc.nat(100),
    isLink: fc.boolean(),
  })
  fc.assert(
    fc.property(fc.array(fc.array(write, { maxLength: 2 }), { maxLength: 12 }), (transactions) => {
      // One key holds all shared data, so that it is there whatever else is removed.
      const db = database(9).put(BtreeId.extents, link(FILE + 9, 0, 144, 0))
      for (const writes of transactions) {
        db.write((updates) => {
          for (const { file, start, size, index, isLink } of writes) {
            const other = keyOf({ type: 2, inode: file, offset: start + size, snapshot: MAX, size })
            insertExtent(updates, db, isLink ? link(file, start, size, index) : other)
          }
        })
        const links = db.all(BtreeId.extents).filter(({ type }) => type === REFLINK_P)
        for (const shared of db.all(BtreeId.reflink)) {
          const holders = links.filter((key) => {
            const start = reflinkIndex(key) - reflinkFrontPad(key)
            return start < shared.offset && reflinkIndex(key) + key.size + reflinkBackPad(key) > shared.start
          })
          expect(shared.words[KEY_WORDS]).toBe(holders.length)
        }
      }
    }),
    { numRuns: 200 },
  )
})
