import fc from 'fast-check'
import { accountingPos, AccountingType, bpos, bposText, BtreeId } from '@cowherd/db'
import { describe, expect, test } from 'vitest'
import { Inode, InodeFlag } from '../inode.ts'
import { isInode } from '../inode-versions.ts'
import { inodeValue, keyOf } from '../testing/keys.ts'
import { MemoryDatabase } from '../testing/memory-database.ts'

const MAX = 0xffffffff
const FILE = 5000
const NR_INODES = bposText(accountingPos(AccountingType.inodes))

interface Version {
  type?: 8 | 9 | 23 | 29
  flags?: number
}

function put(db: MemoryDatabase, snapshot: number, { type = 29, flags = 0 }: Version = {}): void {
  const version = ({ 8: 1, 23: 2, 29: 3 } as const)[type as 8 | 23 | 29]
  const value = type === 9 ? '01000000 00000000' : inodeValue(version, { flags, mode: 0o100644, nlink: 0 })
  db.write((updates) => updates.put(BtreeId.inodes, keyOf({ type, offset: FILE, snapshot, value })))
}

function remove(db: MemoryDatabase, snapshot: number): void {
  db.write((updates) => updates.remove(BtreeId.inodes, bpos(0, FILE, snapshot)))
}

function hasChild(db: MemoryDatabase): Record<number, boolean> {
  const inode = new Inode()
  return Object.fromEntries(
    db.all(BtreeId.inodes).flatMap((key) => {
      if (!isInode(key.type)) return []
      expect(inode.decode(key)).toBe(undefined)
      return [[key.snapshot, (inode.flags & InodeFlag.hasChildSnapshot) !== 0]]
    }),
  )
}

describe('versions of an inode', () => {
  test('the one above knows of one below, until that is gone', () => {
    const db = new MemoryDatabase().addSnapshot(MAX, 0).addSnapshot(10, MAX).addSnapshot(9, MAX)
    put(db, MAX)
    put(db, 10, { flags: InodeFlag.hasChildSnapshot }) // copied from the one above
    expect(hasChild(db)).toEqual({ [MAX]: true, 10: false })
    put(db, 9)
    put(db, 10, { type: 9 })
    expect(hasChild(db)).toEqual({ [MAX]: true, 9: false })
    remove(db, 9)
    expect(hasChild(db)).toEqual({ [MAX]: false })
    expect(db.counters.get(NR_INODES)).toBe(1)
  })

  test('one that is put above others knows of them', () => {
    const db = new MemoryDatabase().addSnapshot(MAX, 0).addSnapshot(10, MAX)
    put(db, 10)
    put(db, MAX)
    expect(hasChild(db)).toEqual({ [MAX]: true, 10: false })
  })

  test('a snapshot that is made in the same transaction', () => {
    const db = new MemoryDatabase().addSnapshot(MAX, 0)
    put(db, MAX)
    const other = new MemoryDatabase().addSnapshot(10, MAX)
    db.write((updates) => {
      updates.put(BtreeId.inodes, keyOf({ type: 29, offset: FILE, snapshot: 10, value: inodeValue(3, {}) }))
      updates.put(BtreeId.snapshots, other.all(BtreeId.snapshots)[0])
    })
    expect(hasChild(db)).toEqual({ [MAX]: true, 10: false })
  })

  test('unlinked ones are listed unless there is one below', () => {
    const db = new MemoryDatabase().addSnapshot(MAX, 0).addSnapshot(10, MAX)
    put(db, MAX, { flags: InodeFlag.unlinked })
    expect(db.list(BtreeId.deletedInodes)).toEqual([`0:${FILE}:U32_MAX set`])
    put(db, 10, { flags: InodeFlag.unlinked })
    expect(db.list(BtreeId.deletedInodes)).toEqual([`0:${FILE}:10 set`])
    put(db, 10, { type: 9 })
    expect(db.list(BtreeId.deletedInodes)).toEqual([`0:${FILE}:U32_MAX set`])
    put(db, MAX)
    expect(db.list(BtreeId.deletedInodes)).toEqual([])
  })
})

const change = fc.record({
  snapshot: fc.nat(6),
  what: fc.constantFrom<'put' | 'remove'>('put', 'put', 'remove'),
  type: fc.constantFrom<8 | 9 | 23 | 29>(8, 9, 23, 29, 29),
  unlinked: fc.boolean(),
  /** Whatever it says: the flag is set right. */
  isMarked: fc.boolean(),
})

test('counters, flags and the list are right after every transaction', () => {
  const parents = fc.tuple(...Array.from({ length: 6 }, (_, i) => fc.nat(i + 1)))
  fc.assert(
    fc.property(parents, fc.array(fc.array(change, { maxLength: 4 }), { maxLength: 12 }), (tree, transactions) => {
      const db = new MemoryDatabase()
      const ids = [MAX, ...tree.map((_, i) => 100 - i)]
      db.addSnapshot(MAX, 0)
      // The parent of each is one of those before it, or it is the root of another tree.
      tree.forEach((parent, i) => db.addSnapshot(ids[i + 1], parent === i + 1 ? 0 : ids[parent]))
      for (const changes of transactions) {
        db.write((updates) => {
          for (const { snapshot, what, type, unlinked, isMarked } of changes) {
            const pos = bpos(0, FILE, ids[snapshot])
            if (what === 'remove') updates.remove(BtreeId.inodes, pos)
            else {
              const flags = (unlinked ? InodeFlag.unlinked : 0) | (isMarked ? InodeFlag.hasChildSnapshot : 0)
              const version = type === 29 ? 3 : type === 23 ? 2 : 1
              const value = type === 9 ? '01000000 00000000' : inodeValue(version, { flags })
              updates.put(BtreeId.inodes, keyOf({ type, offset: FILE, snapshot: ids[snapshot], value }))
            }
          }
        })
        const versions = db.all(BtreeId.inodes).filter((key) => isInode(key.type))
        const inode = new Inode()
        const dead: string[] = []
        for (const key of versions) {
          inode.decode(key)
          const isAbove = versions.some(
            ({ snapshot }) => snapshot !== key.snapshot && db.isAncestor(snapshot, key.snapshot),
          )
          expect((inode.flags & InodeFlag.hasChildSnapshot) !== 0).toBe(isAbove)
          if (inode.unlinked && !isAbove) dead.push(`${key.posText} set`)
        }
        expect(db.list(BtreeId.deletedInodes)).toEqual(dead)
        expect(db.counters.get(NR_INODES) ?? 0).toBe(versions.length)
      }
    }),
    { numRuns: 300 },
  )
})
