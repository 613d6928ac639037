import fc from 'fast-check'
import { BtreeId, ExtentPointers, KEY_BYTES, type Key } from '@cowherd/db'
import { describe, expect, test } from 'vitest'
import { reflinkIndex } from '../key-types/reflink-p.ts'
import { extentEntries } from '../testing/extents.ts'
import { keyOf } from '../testing/keys.ts'
import { MemoryDatabase } from '../testing/memory-database.ts'
import { insertExtent, removeExtents } from './overwrite.ts'

const FILE = 5000
const MAX = 0xffffffff
const [P, L, M] = [MAX, MAX - 1, MAX - 2]
const SECTORS = 24

/** No triggers: what the extents themselves become. */
function database(): MemoryDatabase {
  return new MemoryDatabase(new Map())
}

/** P with two children, L and M, and O of 128 sectors in P. */
function family(): MemoryDatabase {
  return database()
    .addSnapshot(P, 0)
    .addSnapshot(L, P)
    .addSnapshot(M, P)
    .put(BtreeId.extents, extent(P, 0, 128, 1024))
}

function extent(snapshot: number, start: number, end: number, sector: number): Key {
  const crc = { kind: 'crc64', compressed: 200, uncompressed: 200, offset: 3, csumType: 5, compressionType: 0 } as const
  const value = extentEntries({ crc }, { device: 0, sector })
  return keyOf({ type: 6, inode: FILE, offset: end, snapshot, size: end - start, value })
}

function insert(db: MemoryDatabase, key: Key): number {
  let sectors = 0
  db.write((updates) => (sectors = insertExtent(updates, db, key)))
  return sectors
}

function remove(db: MemoryDatabase, snapshot: number, from: number, to: number, keysMax?: number) {
  let removal = { end: -1, sectors: 0, keys: 0 }
  const version = { numberHi: 0, numberLo: FILE, snapshot }
  db.write((updates) => (removal = removeExtents(updates, db, version, from, to, keysMax)))
  return removal
}

const NAMES: Record<number, string> = { [P]: 'P', [L]: 'L', [M]: 'M' }

/** The keys as the format chapter writes them. */
function keys(db: MemoryDatabase): string[] {
  return db.all(BtreeId.extents).map((key) => {
    const name = NAMES[key.snapshot]
    return key.type === 1 ? `whiteout ${key.offset}@${name}` : `[${key.start},${key.offset})@${name}`
  })
}

describe('as the format chapter has it (5.1.5)', () => {
  test('a write in a child, then a truncation in the other', () => {
    const db = family()
    expect(insert(db, extent(L, 64, 96, 5120))).toBe(0)
    expect(keys(db)).toEqual(['[0,64)@P', '[64,96)@L', '[64,96)@P', '[96,128)@P'])
    expect(remove(db, M, 16, Infinity)).toEqual({ end: Infinity, sectors: 112, keys: 3 })
    expect(keys(db)).toEqual([
      ...['[0,16)@P', 'whiteout 64@M', '[16,64)@P', 'whiteout 96@M', '[64,96)@L', '[64,96)@P'],
      ...['whiteout 128@M', '[96,128)@P'],
    ])
  })

  test('a removal that ends inside an extent of the parent is hidden at its end', () => {
    const db = family()
    remove(db, L, 0, 58)
    expect(keys(db)).toEqual(['whiteout 58@L', '[0,58)@P', '[58,128)@P'])
  })

  test('a removal up to the end of an extent splits nothing', () => {
    const db = family()
    remove(db, L, 0, 128)
    expect(keys(db)).toEqual(['whiteout 128@L', '[0,128)@P'])
  })

  test('who had hidden all of an extent sees no piece of it', () => {
    const db = family()
    remove(db, M, 0, 128)
    insert(db, extent(L, 8, 16, 7168))
    expect(keys(db)).toEqual([
      ...['whiteout 8@M', '[0,8)@P', 'whiteout 16@M', '[8,16)@L', '[8,16)@P', 'whiteout 128@M', '[16,128)@P'],
    ])
  })

  test('what is its own is cut, and gone', () => {
    const db = database()
      .addSnapshot(P, 0)
      .put(BtreeId.extents, extent(P, 0, 128, 1024))
    expect(remove(db, P, 8, 16)).toEqual({ end: 16, sectors: 8, keys: 1 })
    expect(keys(db)).toEqual(['[0,8)@P', '[16,128)@P'])
    expect(remove(db, P, 0, Infinity)).toEqual({ end: Infinity, sectors: 120, keys: 2 })
    expect(keys(db)).toEqual([])
  })

  test('other files are let alone', () => {
    const db = family()
    const other = { type: 2, inode: FILE + 1, offset: 8, snapshot: P, size: 8 }
    db.put(BtreeId.extents, other).put(BtreeId.extents, { ...other, inode: FILE - 1 })
    remove(db, P, 0, Infinity)
    expect(db.list(BtreeId.extents)).toEqual([`${FILE - 1}:8:U32_MAX len 8 error`, `${FILE + 1}:8:U32_MAX len 8 error`])
  })

  test('at the end of what there can be', () => {
    const db = database().addSnapshot(P, 0)
    const end = 2n ** 64n - 1n
    db.put(BtreeId.extents, { type: 2, inode: FILE, offset: end, snapshot: P, size: 8 })
    db.put(BtreeId.extents, { type: 2, inode: FILE + 1, offset: 8, snapshot: P, size: 8 })
    remove(db, P, 0, Infinity)
    expect(db.list(BtreeId.extents)).toHaveLength(1)
  })
})

/** What a snapshot has in each sector, worked out from the keys. Throws if extents overlap. */
function sectorsSeen(db: MemoryDatabase, snapshot: number): string[] {
  const seen: string[] = Array.from({ length: SECTORS }, () => '')
  for (const key of db.seen(BtreeId.extents, snapshot)) {
    for (let i = 0; i < key.size; i++) {
      if (seen[key.start + i] !== '') throw new Error(`overlap at ${key.start + i} in ${snapshot}`)
      seen[key.start + i] = identity(key, i)
    }
  }
  return seen
}

const pointers = new ExtentPointers()

/** What is in sector `i` of a key: where it is stored, or its bytes. */
function identity(key: Key, i: number): string {
  switch (key.type) {
    case 6: {
      const count = pointers.decode(key, KEY_BYTES)
      return Array.from({ length: count }, (_, p) =>
        pointers.hasCrc[p] === 1
          ? `unit ${pointers.sector[p]} + ${pointers.crcOffset[p] + i}`
          : `sector ${pointers.sector[p] + i}`,
      ).join()
    }
    case 15:
      return `shared ${reflinkIndex(key) + i}`
    case 17:
      return `bytes ${key.value.subarray(512 * i, 512 * (i + 1)).join()}`
    default:
      return `type ${key.type}`
  }
}

const isAllocated = (sector: string): boolean => sector !== '' && sector !== 'type 3'

/** A new extent; `number` makes what is in it its own. */
function anyExtent(kind: number, number: number, snapshot: number, start: number, size: number): Key {
  const fields = { inode: FILE, offset: start + size, snapshot, size }
  const sector = 1024 * number
  const crc = { compressed: 40, uncompressed: 40, offset: number % 5, csumType: 0, compressionType: 0 }
  switch (kind) {
    case 0:
      return keyOf({ ...fields, type: 6, value: extentEntries({ device: 0, sector }) })
    case 1:
      return keyOf({
        ...fields,
        type: 6,
        value: extentEntries({ crc: { ...crc, kind: 'crc32' } }, { device: 0, sector }),
      })
    case 2: {
      const second = { crc: { ...crc, kind: 'crc128', compressed: 9, compressionType: 4 } } as const
      const value = extentEntries({ device: 0, sector, cached: true }, second, { device: 1, sector })
      return keyOf({ ...fields, type: 6, value })
    }
    case 3: {
      const value = new Uint8Array(16)
      new DataView(value.buffer).setUint32(0, sector, true)
      return keyOf({ ...fields, type: 15, value })
    }
    case 4: {
      const value = new Uint8Array(Math.min(size, 3) * 512 - 8).map((_, i) => (number + (i >> 7)) & 0xff)
      return keyOf({ ...fields, size: Math.min(size, 3), offset: start + Math.min(size, 3), type: 17, value })
    }
    case 5:
      return keyOf({ ...fields, type: 7, value: '00000000 01000000' })
    default:
      return keyOf({ ...fields, type: kind === 6 ? 2 : 3, value: kind === 6 ? '' : '0000000000000000' })
  }
}

interface Step {
  what: 'insert' | 'remove' | 'snapshot'
  who: number
  start: number
  size: number
  kind: number
  keysMax: number
}

const steps = fc.array(
  fc.record<Step>({
    what: fc.constantFrom('insert', 'insert', 'remove', 'snapshot'),
    who: fc.nat(20),
    start: fc.nat(SECTORS - 1),
    size: fc.integer({ min: 1, max: SECTORS }),
    kind: fc.nat(7),
    keysMax: fc.constantFrom(1, 2, 100),
  }),
  { maxLength: 30 },
)

test('every snapshot sees what it should, whatever is written and removed where', () => {
  fc.assert(
    fc.property(steps, (list) => {
      const db = database().addSnapshot(MAX, 0)
      let leaves = [MAX]
      const all = [MAX]
      let lowest = MAX
      const model = new Map([[MAX, Array.from({ length: SECTORS }, () => '')]])
      list.forEach(({ what, who, start, size: wanted, kind, keysMax }, number) => {
        const snapshot = leaves[who % leaves.length]
        const size = Math.min(wanted, SECTORS - start)
        const sectors = model.get(snapshot) ?? []
        if (what === 'snapshot') {
          if (all.length > 7) return
          for (const child of [lowest - 1, lowest - 2]) {
            db.addSnapshot(child, snapshot)
            model.set(child, [...sectors])
            all.push(child)
            leaves.push(child)
          }
          lowest -= 2
          leaves = leaves.filter((leaf) => leaf !== snapshot)
          return
        }
        const before = sectors.filter(isAllocated).length
        let change = 0
        if (what === 'insert') {
          const key = anyExtent(kind, number + 1, snapshot, start, size)
          for (let i = 0; i < key.size; i++) sectors[key.start + i] = identity(key, i)
          change = insert(db, key)
        } else {
          const end = start + size
          sectors.fill('', start, end)
          for (let at = start; at < end;) {
            const removal = remove(db, snapshot, at, end, keysMax)
            change -= removal.sectors
            expect(removal.keys).toBeLessThanOrEqual(keysMax)
            at = removal.end
          }
        }
        expect(change).toBe(sectors.filter(isAllocated).length - before)
        for (const id of all) expect(sectorsSeen(db, id)).toEqual(model.get(id))
      })
    }),
    { numRuns: 400 },
  )
})
