import fc from 'fast-check'
import { BtreeId, ExtentPointers, KEY_BYTES, type Key } from '@cowherd/db'
import { describe, expect, test } from 'vitest'
import { EXTENTS_PER_STEP, insertExtent } from '../extents/overwrite.ts'
import { Inode } from '../inode.ts'
import { LoggedOpFinsertValue } from '../key-types/logged-op-finsert.ts'
import { LoggedOpTruncateValue } from '../key-types/logged-op-truncate.ts'
import { reflinkIndex } from '../key-types/reflink-p.ts'
import { subvolume, SubvolumeValue } from '../key-types/subvolume.ts'
import { extentEntries } from '../testing/extents.ts'
import { inodeValue, keyOf } from '../testing/keys.ts'
import { MemoryDatabase } from '../testing/memory-database.ts'
import { resumeLoggedOps } from './resume-logged-ops.ts'

const MAX = 0xffffffff
const FILE = 5000

/** Subvolume 1, which sees the volume through `snapshot`, with a file of so many sectors. */
function volumeWith(size: number, snapshot = MAX): MemoryDatabase {
  const value = SubvolumeValue.bytes({
    ...{ flags: { readOnly: 0, snapshot: 0, unlinked: 0 }, snapshot, inode: 4096n, creationParent: 0 },
    ...{ fsPathParent: 0, otime: 0n, otimeHi: undefined },
  })
  return new MemoryDatabase()
    .addSnapshot(MAX, 0)
    .put(BtreeId.subvolumes, { type: subvolume.number, offset: 1, value })
    .put(BtreeId.inodes, { type: 29, offset: FILE, snapshot: MAX, value: inodeValue(3, { size: BigInt(512 * size) }) })
}

function insert(db: MemoryDatabase, snapshot: number, key: Key): void {
  db.write((updates) => void insertExtent(updates, db, key))
  expect(key.snapshot).toBe(snapshot)
}

function extent(snapshot: number, start: number, size: number, sector: number, isUnwritten = false): Key {
  const crc = { kind: 'crc32', compressed: 64, uncompressed: 64, offset: 1, csumType: 0, compressionType: 0 } as const
  const pointer = { device: 0, sector, unwritten: isUnwritten }
  const value = isUnwritten ? extentEntries(pointer) : extentEntries({ crc }, pointer)
  return keyOf({ type: 6, inode: FILE, offset: start + size, snapshot, size, value })
}

function truncateOp(db: MemoryDatabase, newSize: bigint, subvolumeId = 1): MemoryDatabase {
  const value = LoggedOpTruncateValue.bytes({ subvolume: subvolumeId, pad: undefined, inode: BigInt(FILE), newSize })
  return db.put(BtreeId.loggedOps, { type: 32, offset: 1, value })
}

interface Shift {
  state?: number
  source: number
  destination: number
  pos: bigint
}

function shiftOp(db: MemoryDatabase, { state = 0, source, destination, pos }: Shift): MemoryDatabase {
  const value = LoggedOpFinsertValue.bytes({
    ...{ state, pad: undefined, subvolume: 1, inode: BigInt(FILE), destination: BigInt(destination) },
    ...{ source: BigInt(source), pos },
  })
  return db.put(BtreeId.loggedOps, { type: 33, offset: 1, value })
}

const insertOp = (db: MemoryDatabase, at: number, length: number): MemoryDatabase =>
  shiftOp(db, { source: at, destination: at + length, pos: 2n ** 64n - 1n })

const collapseOp = (db: MemoryDatabase, at: number, length: number): MemoryDatabase =>
  shiftOp(db, { source: at, destination: at - length, pos: BigInt(at) })

function inodeOf(db: MemoryDatabase, snapshot: number): Inode {
  const inode = new Inode()
  expect(inode.decode(db.seen(BtreeId.inodes, snapshot)[0])).toBe(undefined)
  return inode
}

/** What a snapshot has in each sector of the file: where it is stored. */
function contentOf(db: MemoryDatabase, snapshot: number): string[] {
  const content: string[] = []
  const pointers = new ExtentPointers()
  const stored = (key: Key, at: number, i: number): string => {
    pointers.decode(key, at)
    if (pointers.unwritten[0] === 1) return ''
    return `${pointers.sector[0]} + ${pointers.crcOffset[0] + i}`
  }
  for (const key of db.seen(BtreeId.extents, snapshot)) {
    for (let i = 0; i < key.size; i++) {
      if (content[key.start + i] !== undefined) throw new Error(`overlap at sector ${key.start + i}`)
      const address = key.type === 15 ? reflinkIndex(key) + i : -1
      const shared = db.all(BtreeId.reflink).find(({ start, offset }) => start <= address && address < offset)
      if (key.type === 15 && shared === undefined) throw new Error(`shared sector ${address} is missing`)
      content[key.start + i] =
        shared !== undefined ? stored(shared, KEY_BYTES + 8, address - shared.start) : stored(key, KEY_BYTES, i)
    }
  }
  while (content.length > 0 && (content.at(-1) ?? '') === '') content.length--
  return Array.from(content, (sector: string | undefined) => sector ?? '')
}

/** Checks that no two keys point to the same sectors, and that the inode counts its own. */
function checkSound(db: MemoryDatabase, snapshot: number): void {
  const seen = new Set<string>()
  const pointers = new ExtentPointers()
  for (const [btree, at] of [
    [BtreeId.extents, KEY_BYTES],
    [BtreeId.reflink, KEY_BYTES + 8],
  ]) {
    for (const key of db.all(btree)) {
      if (key.type !== 6 && key.type !== 16) continue
      pointers.decode(key, at)
      for (let i = 0; i < key.size; i++) {
        const name = `${pointers.sector[0] + (pointers.hasCrc[0] === 1 ? 0 : i)} + ${pointers.hasCrc[0] === 1 ? pointers.crcOffset[0] + i : ''}`
        if (seen.has(name)) throw new Error(`two keys point to ${name}`)
        seen.add(name)
      }
    }
  }
  const sectors = db.seen(BtreeId.extents, snapshot).reduce((sum, { size }) => sum + size, 0)
  expect(inodeOf(db, snapshot).sectors).toBe(sectors)
}

describe('a truncation', () => {
  test('is finished, in steps', () => {
    const db = volumeWith(4000)
    for (let i = 0; i < 3 * EXTENTS_PER_STEP; i++) {
      db.put(BtreeId.extents, keyOf({ type: 2, inode: FILE, offset: 16 * (i + 1), snapshot: MAX, size: 16 }))
    }
    truncateOp(db, 5000n)
    resumeLoggedOps(db)
    expect(db.list(BtreeId.extents)).toEqual([`${FILE}:16:U32_MAX len 16 error`])
    expect(inodeOf(db, MAX).size).toBe(5000)
    expect(db.list(BtreeId.loggedOps)).toEqual([])
    expect(db.changesMax).toBeLessThan(EXTENTS_PER_STEP + 5)
  })

  test('cuts at a block, in the snapshot of the subvolume alone', () => {
    const db = volumeWith(64, 10).addSnapshot(10, MAX, 1).addSnapshot(9, MAX, 2)
    db.put(BtreeId.extents, extent(MAX, 0, 32, 256))
    truncateOp(db, 5000n)
    resumeLoggedOps(db)
    expect(contentOf(db, 10)).toHaveLength(16)
    expect(contentOf(db, 9)).toHaveLength(32)
    expect(inodeOf(db, 10).size).toBe(5000)
    expect(inodeOf(db, 9).size).toBe(64 * 512)
  })

  test.each<[string, (db: MemoryDatabase) => MemoryDatabase]>([
    [
      'of a file that is gone',
      (db) => truncateOp(db, 0n).put(BtreeId.inodes, { type: 9, offset: FILE, snapshot: MAX }),
    ],
    ['in a subvolume that is gone', (db) => truncateOp(db, 0n, 7)],
    ['of no known kind', (db) => db.put(BtreeId.loggedOps, { type: 99, offset: 5 })],
  ])('%s is dropped', (_, make) => {
    const db = make(volumeWith(8).put(BtreeId.extents, extent(MAX, 0, 8, 256)))
    resumeLoggedOps(db)
    expect([db.list(BtreeId.loggedOps), db.list(BtreeId.extents).length]).toEqual([[], 1])
  })
})

describe('an insertion or a collapse', () => {
  test('that makes no sense is dropped', () => {
    for (const op of [
      { source: 8, destination: 8, pos: 0n },
      { source: 80, destination: 88, pos: 2n ** 64n - 1n },
    ]) {
      const db = shiftOp(volumeWith(16), op)
      insert(db, MAX, extent(MAX, 0, 16, 256))
      resumeLoggedOps(db)
      expect([db.list(BtreeId.loggedOps), db.list(BtreeId.extents)]).toEqual([[], [`${FILE}:16:U32_MAX len 16 extent`]])
      expect(inodeOf(db, MAX).size).toBe(16 * 512)
    }
  })

  test('at the front', () => {
    const inserted = insertOp(volumeWith(16), 0, 8)
    insert(inserted, MAX, extent(MAX, 0, 16, 256))
    resumeLoggedOps(inserted)
    expect(inserted.list(BtreeId.extents)).toEqual([`${FILE}:24:U32_MAX len 16 extent`])
    expect(inodeOf(inserted, MAX).size).toBe(24 * 512)

    const collapsed = collapseOp(volumeWith(16), 0, 8)
    insert(collapsed, MAX, extent(MAX, 0, 16, 256))
    resumeLoggedOps(collapsed)
    expect(collapsed.list(BtreeId.extents)).toEqual([`${FILE}:8:U32_MAX len 8 extent`])
    expect(inodeOf(collapsed, MAX).size).toBe(8 * 512)
  })

  test('the feature is there before data is shared', () => {
    const db = insertOp(volumeWith(16, 10).addSnapshot(10, MAX, 1).addSnapshot(9, MAX, 2), 4, 8)
    db.put(BtreeId.extents, extent(MAX, 0, 16, 256))
    resumeLoggedOps(db)
    expect([...db.features]).toEqual(['reflink'])
    expect(db.list(BtreeId.reflink)).toEqual(['0:16:0 len 16 reflink_v'])
    expect(contentOf(db, 9)).toHaveLength(16)
    expect(contentOf(db, 10)).toHaveLength(24)
  })
})

interface Piece {
  snapshot: boolean
  start: number
  size: number
  isUnwritten: boolean
}

const scenario = fc.record({
  pieces: fc.array(
    fc.record<Piece>({
      snapshot: fc.boolean(),
      start: fc.nat(40),
      size: fc.integer({ min: 1, max: 20 }),
      isUnwritten: fc.constantFrom(false, false, true),
    }),
    { maxLength: 6 },
  ),
  isInsert: fc.boolean(),
  at: fc.nat(40),
  length: fc.integer({ min: 1, max: 20 }),
  /** After how many transactions it is interrupted, each time. */
  crashes: fc.array(fc.nat(6), { maxLength: 4 }),
})

test('a range is inserted or collapsed, however often that is interrupted, and for nobody else', () => {
  fc.assert(
    fc.property(scenario, ({ pieces, isInsert, at, length, crashes }) => {
      const [parent, child, sibling] = [MAX, 10, 9]
      const db = volumeWith(64, child).addSnapshot(child, parent, 1).addSnapshot(sibling, parent, 2)
      const inParent = pieces.filter(({ snapshot }) => !snapshot)
      const inChild = pieces.filter(({ snapshot }) => snapshot)
      let sector = 0
      const put = (snapshot: number, { start, size, isUnwritten }: Piece): void =>
        insert(db, snapshot, extent(snapshot, start, size, (sector += 256), isUnwritten))
      for (const piece of inParent) put(parent, piece)
      for (const piece of inChild) put(child, piece)
      const sectorsOf = (snapshot: number): bigint =>
        BigInt(db.seen(BtreeId.extents, snapshot).reduce((sum, { size }) => sum + size, 0))
      for (const snapshot of [parent, child]) {
        const value = inodeValue(3, {
          size: 64n * 512n,
          sectors: sectorsOf(snapshot),
          flags: snapshot === parent ? 512 : 0,
        })
        db.put(BtreeId.inodes, { type: 29, offset: FILE, snapshot, value })
      }
      const before = contentOf(db, child)
      const others = contentOf(db, sibling)
      const expected = Array.from({ length: 64 }, (_, i) => before[i] ?? '')
      if (isInsert) expected.splice(at, 0, ...Array.from({ length }, () => ''))
      else expected.splice(at, length)
      const size = expected.length
      while (expected.length > 0 && expected.at(-1) === '') expected.length--

      if (isInsert) insertOp(db, at, length)
      else collapseOp(db, at, length)
      for (const commits of crashes) {
        db.commitsMax = db.commits + commits
        try {
          resumeLoggedOps(db)
        } catch (error) {
          expect(error).toMatchObject({ message: 'a crash, as the test wants it' })
        }
        checkSound(db, child)
        expect(contentOf(db, sibling)).toEqual(others)
      }
      db.commitsMax = Infinity
      resumeLoggedOps(db)
      checkSound(db, child)
      checkSound(db, parent)
      expect(contentOf(db, child)).toEqual(expected)
      expect(contentOf(db, sibling)).toEqual(others)
      expect(inodeOf(db, child).size).toBe(512 * size)
      expect(db.list(BtreeId.loggedOps)).toEqual([])
    }),
    { numRuns: 300 },
  )
})
