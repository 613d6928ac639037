import { accountingPos, AccountingType, bposText, BtreeId, KEY_WORDS } from '@cowherd/db'
import { describe, expect, test } from 'vitest'
import { EXTENTS_PER_STEP } from '../extents/overwrite.ts'
import { removeInode } from '../inode-removal.ts'
import { Inode, INODE_GENERATION, InodeFlag } from '../inode.ts'
import { extentEntries } from '../testing/extents.ts'
import { inodeValue, type InodeFields } from '../testing/keys.ts'
import { MemoryDatabase } from '../testing/memory-database.ts'
import { deleteDeadInodes } from './delete-dead-inodes.ts'

const MAX = 0xffffffff
const FILE = 5000
const UNLINKED = InodeFlag.unlinked
const NR_INODES = bposText(accountingPos(AccountingType.inodes))

/** Puts a version of an inode, and lists it if it has to be. */
function putInode(db: MemoryDatabase, number: number, snapshot: number, fields: InodeFields): MemoryDatabase {
  db.put(BtreeId.inodes, { type: 29, offset: number, snapshot, value: inodeValue(3, fields) })
  db.counters.set(NR_INODES, (db.counters.get(NR_INODES) ?? 0) + 1)
  const isDead = ((fields.flags ?? 0) & (UNLINKED | InodeFlag.hasChildSnapshot)) === UNLINKED
  return isDead ? db.put(BtreeId.deletedInodes, { type: 25, offset: number, snapshot }) : db
}

/** `count` extents of 8 sectors, one behind the other. */
function putExtents(db: MemoryDatabase, number: number, snapshot: number, count: number, first = 0): MemoryDatabase {
  for (let i = first; i < first + count; i++) {
    const value = extentEntries({ device: 0, sector: 256 * (i % 500) })
    db.put(BtreeId.extents, { type: 6, inode: number, offset: 8 * (i + 1), snapshot, size: 8, value })
  }
  return db
}

const xattr = (inode: number, offset: number, snapshot: number, type = 11) => ({
  ...{ type, inode, offset, snapshot },
  value: type === 11 ? '00 03 0300 666f6f 626172' : '',
})

const dirent = (inode: number, offset: number, snapshot: number, type = 10) => ({
  ...{ type, inode, offset, snapshot },
  value: type === 10 ? '8813000000000000 08 76' : '',
})

function single(): MemoryDatabase {
  return new MemoryDatabase().addSnapshot(MAX, 0, 1)
}

function generation(db: MemoryDatabase, snapshot = MAX): number | undefined {
  const key = db.all(BtreeId.inodes).find((each) => each.offset === FILE && each.snapshot === snapshot)
  return key?.type === INODE_GENERATION ? key.words[KEY_WORDS] : undefined
}

describe('an unlinked file', () => {
  test('goes with all that belongs to it, and leaves its generation', () => {
    const db = putInode(single(), FILE, MAX, { flags: UNLINKED, generation: 41, sectors: 24n })
    putExtents(db, FILE, MAX, 3)
      .put(BtreeId.xattrs, xattr(FILE, 7, MAX))
      .put(BtreeId.xattrs, xattr(FILE + 1, 7, MAX))
    deleteDeadInodes(db)
    expect(generation(db)).toBe(42)
    expect([db.list(BtreeId.extents), db.list(BtreeId.deletedInodes)]).toEqual([[], []])
    expect(db.list(BtreeId.xattrs)).toEqual([`${FILE + 1}:7:U32_MAX xattr`])
    expect(db.counters.get(NR_INODES)).toBe(0)
    expect(db.commits).toBe(1)
  })

  test('of many extents goes bit by bit; a crash in between changes nothing', () => {
    const extents = 3 * EXTENTS_PER_STEP + 5
    const make = (): MemoryDatabase => {
      const db = putInode(single(), FILE, MAX, { flags: UNLINKED, sectors: BigInt(8 * extents), mode: 0o100644 })
      return putExtents(db, FILE, MAX, extents).put(BtreeId.xattrs, xattr(FILE, 7, MAX))
    }
    const whole = make()
    deleteDeadInodes(whole)
    expect(whole.commits).toBe(4)
    expect(whole.changesMax).toBeLessThan(EXTENTS_PER_STEP + 5)
    for (let commits = 0; commits < whole.commits; commits++) {
      const db = make()
      db.commitsMax = commits
      expect(() => deleteDeadInodes(db)).toThrow('a crash')
      const inode = new Inode()
      inode.decode(db.all(BtreeId.inodes)[0])
      expect([inode.sectors, inode.unlinked]).toEqual([8 * db.all(BtreeId.extents).length, true])
      expect(db.list(BtreeId.deletedInodes)).toHaveLength(1)
      db.commitsMax = Infinity
      deleteDeadInodes(db)
      for (const btree of [BtreeId.inodes, BtreeId.extents, BtreeId.xattrs, BtreeId.deletedInodes]) {
        expect(db.list(btree)).toEqual(whole.list(btree))
      }
    }
  })

  test('as many keys as fit into a transaction, exactly', () => {
    const db = putExtents(putInode(single(), FILE, MAX, { flags: UNLINKED }), FILE, MAX, EXTENTS_PER_STEP)
    deleteDeadInodes(db)
    expect([db.list(BtreeId.extents), generation(db)]).toEqual([[], 1])
  })

  test('of many keys, all of them inherited', () => {
    const db = new MemoryDatabase().addSnapshot(MAX, 0).addSnapshot(10, MAX, 1).addSnapshot(9, MAX, 2)
    const count = 2 * EXTENTS_PER_STEP
    putInode(db, FILE, MAX, { flags: InodeFlag.hasChildSnapshot, sectors: BigInt(8 * count) })
    putInode(db, FILE, 10, { flags: UNLINKED, sectors: BigInt(8 * count) })
    putExtents(db, FILE, MAX, count)
    for (let i = 0; i < count + 7; i++) {
      db.put(BtreeId.xattrs, { ...xattr(FILE, i, MAX), inode: FILE })
      db.put(BtreeId.dirents, dirent(FILE, i, MAX, 4))
    }
    deleteDeadInodes(db)
    const whiteouts = (btree: number): number => db.all(btree).filter(({ type }) => type === 1).length
    expect([BtreeId.extents, BtreeId.xattrs, BtreeId.dirents].map(whiteouts)).toEqual([count, count + 7, count + 7])
    for (const btree of [BtreeId.extents, BtreeId.xattrs, BtreeId.dirents]) expect(db.seen(btree, 10)).toEqual([])
    expect(db.changesMax).toBeLessThan(EXTENTS_PER_STEP + 5)
    expect(generation(db, 10)).toBe(1)
  })

  test('goes in its snapshot only; with the last one below, the version above goes too', () => {
    const db = new MemoryDatabase().addSnapshot(MAX, 0).addSnapshot(10, MAX, 1).addSnapshot(9, MAX, 2)
    putInode(db, FILE, MAX, { flags: UNLINKED | InodeFlag.hasChildSnapshot, sectors: 16n })
    putInode(db, FILE, 10, { flags: UNLINKED, sectors: 16n })
    putExtents(db, FILE, MAX, 2)
    deleteDeadInodes(db)
    expect([generation(db, 10), generation(db)]).toEqual([1, 1])
    expect(db.seen(BtreeId.extents, 9)).toEqual([])
    expect(db.list(BtreeId.deletedInodes)).toEqual([])
    expect(db.counters.get(NR_INODES)).toBe(0)
  })

  test('that lives on above is hidden below', () => {
    const db = new MemoryDatabase().addSnapshot(MAX, 0).addSnapshot(10, MAX, 1).addSnapshot(9, MAX, 2)
    putInode(db, FILE, MAX, { flags: InodeFlag.hasChildSnapshot, sectors: 16n })
    putInode(db, FILE, 10, { flags: UNLINKED, sectors: 16n })
    putExtents(db, FILE, MAX, 2).put(BtreeId.xattrs, xattr(FILE, 7, MAX))
    deleteDeadInodes(db)
    expect([db.seen(BtreeId.extents, 10), db.seen(BtreeId.xattrs, 10)]).toEqual([[], []])
    expect([db.seen(BtreeId.extents, 9).length, db.seen(BtreeId.xattrs, 9).length]).toEqual([2, 1])
    const inode = new Inode()
    inode.decode(db.seen(BtreeId.inodes, 9)[0])
    expect([inode.flags, generation(db, 10)]).toEqual([0, 1])
  })
})

describe('what is listed by mistake stays, and is taken off the list', () => {
  test.each<[string, InodeFields | undefined]>([
    ['nothing', undefined],
    ['a file with a name', { flags: 0 }],
    ['one with versions below', { flags: UNLINKED | InodeFlag.hasChildSnapshot }],
  ])('%s', (_, fields) => {
    const db = single().put(BtreeId.deletedInodes, { type: 25, offset: FILE, snapshot: MAX })
    if (fields !== undefined) putInode(db, FILE, MAX, fields)
    const before = db.list(BtreeId.inodes)
    deleteDeadInodes(db)
    expect(db.list(BtreeId.inodes)).toEqual(before)
    expect(db.list(BtreeId.deletedInodes)).toEqual([])
  })

  test('one that does not know of the versions below', () => {
    const db = single().addSnapshot(10, MAX)
    putInode(db, FILE, MAX, { flags: UNLINKED })
    putInode(db, FILE, 10, {})
    deleteDeadInodes(db)
    const inode = new Inode()
    inode.decode(db.all(BtreeId.inodes)[1])
    expect(inode.flags).toBe(UNLINKED | InodeFlag.hasChildSnapshot)
    expect(db.list(BtreeId.deletedInodes)).toEqual([])
  })

  test('a directory that is not empty', () => {
    const db = putInode(single(), FILE, MAX, { flags: UNLINKED, mode: 0o40755 }).put(
      BtreeId.dirents,
      dirent(FILE, 9, MAX),
    )
    deleteDeadInodes(db)
    expect([generation(db), db.list(BtreeId.dirents).length]).toEqual([undefined, 1])
    expect(db.list(BtreeId.deletedInodes)).toEqual([])
  })

  test('a damaged inode', () => {
    const db = single().put(BtreeId.deletedInodes, { type: 25, offset: FILE, snapshot: MAX })
    const value = inodeValue(3, { flags: UNLINKED, atime: 1n })
    value[47 + 1] = 0xff
    db.put(BtreeId.inodes, { type: 29, offset: FILE, snapshot: MAX, value })
    deleteDeadInodes(db)
    expect([generation(db), db.list(BtreeId.deletedInodes)]).toEqual([undefined, []])
  })
})

test('an unlinked directory goes with the tombstones of its names, and names of subvolumes that are others', () => {
  const db = single().addSnapshot(10, MAX, 2)
  putInode(db, FILE, MAX, { flags: InodeFlag.hasChildSnapshot, mode: 0o40755 })
  putInode(db, FILE, 10, { flags: UNLINKED, mode: 0o40755 })
  db.put(BtreeId.dirents, dirent(FILE, 9, MAX))
    .put(BtreeId.dirents, dirent(FILE, 9, 10, 1))
    .put(BtreeId.dirents, dirent(FILE, 12, 10, 4))
    .put(BtreeId.dirents, { ...dirent(FILE, 14, MAX), value: '02000000 01000000 10 7032' })
  deleteDeadInodes(db)
  expect(generation(db, 10)).toBe(1)
  expect(db.list(BtreeId.dirents)).toEqual([
    ...[`${FILE}:9:10 whiteout`, `${FILE}:9:U32_MAX dirent`],
    ...[`${FILE}:14:10 whiteout`, `${FILE}:14:U32_MAX dirent`],
  ])
})

describe('removing an inode', () => {
  test('that a snapshot has inherited hides it there', () => {
    const db = new MemoryDatabase().addSnapshot(MAX, 0).addSnapshot(10, MAX, 1).addSnapshot(9, MAX, 2)
    putExtents(putInode(db, FILE, MAX, { sectors: 16n, generation: 3 }), FILE, MAX, 2)
    removeInode(db, { numberHi: 0, numberLo: FILE, snapshot: 10 })
    expect([generation(db, 10), db.counters.get(NR_INODES)]).toEqual([4, 1])
    expect(db.seen(BtreeId.extents, 10)).toEqual([])
    expect(db.seen(BtreeId.extents, 9)).toHaveLength(2)
  })

  test('goes on to the version above, unless somebody has it open', () => {
    for (const isOpen of [true, false]) {
      const db = new MemoryDatabase().addSnapshot(MAX, 0).addSnapshot(10, MAX, 1)
      putInode(db, FILE, MAX, { flags: UNLINKED | InodeFlag.hasChildSnapshot })
      putInode(db, FILE, 10, { flags: UNLINKED })
      const asked: number[] = []
      removeInode(db, { numberHi: 0, numberLo: FILE, snapshot: 10 }, ({ snapshot }) => {
        asked.push(snapshot)
        return isOpen && snapshot === MAX
      })
      expect(asked).toEqual([10, MAX])
      expect(db.list(BtreeId.deletedInodes)).toEqual(isOpen ? [`0:${FILE}:U32_MAX set`] : [])
    }
  })
})
