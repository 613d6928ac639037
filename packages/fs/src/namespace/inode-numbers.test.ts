import { BtreeId, Key } from '@cowherd/db'
import { describe, expect, test } from 'vitest'
import { Inode, INODE_GENERATION, INODE_V3 } from '../inode.ts'
import { inodeValue } from '../testing/keys.ts'
import { MemoryDatabase } from '../testing/memory-database.ts'
import { InodeNumbers } from './inode-numbers.ts'

const TOP = 0xffffffff
const FIRST = 4096
const END_31 = 0x7fffffff

function volume(): MemoryDatabase {
  return new MemoryDatabase(new Map()).addSnapshot(TOP, 0)
}

function addInode(db: MemoryDatabase, number: number | bigint, snapshot = TOP): void {
  db.put(BtreeId.inodes, { type: INODE_V3, offset: number, snapshot, value: inodeValue(3, {}) })
}

function addGeneration(db: MemoryDatabase, number: number | bigint, generation: number, snapshot = TOP): void {
  const value = Uint8Array.of(generation, 0, 0, 0, 0, 0, 0, 0)
  db.put(BtreeId.inodes, { type: INODE_GENERATION, offset: number, snapshot, value })
}

/** `number` or `number generation n` of so many new inodes, which are put. */
function choose(db: MemoryDatabase, numbers: InodeNumbers, count: number): string[] {
  return Array.from({ length: count }, () => {
    const inode = new Inode()
    db.write((updates) => {
      numbers.choose(updates, inode)
      inode.snapshot = TOP
      updates.put(BtreeId.inodes, inode.encode(new Key()))
    })
    return `${inode.number}${inode.generation === 0 ? '' : ` generation ${inode.generation}`}`
  })
}

describe('numbers of new inodes', () => {
  test('begin with the first one possible', () => {
    expect(choose(volume(), new InodeNumbers(31), 3)).toEqual(['4096', '4097', '4098'])
  })

  test('are behind all that were ever used, in any snapshot', () => {
    const db = volume().addSnapshot(TOP - 1, TOP)
    addInode(db, FIRST)
    addInode(db, 7000, TOP - 1)
    addGeneration(db, 8000, 1, TOP - 1)
    expect(choose(db, new InodeNumbers(31), 2)).toEqual(['8001', '8002'])
  })

  test('are passed over where somebody else has used them meanwhile', () => {
    const db = volume()
    const numbers = new InodeNumbers(31)
    choose(db, numbers, 1)
    addInode(db, 4097)
    addGeneration(db, 4098, 1)
    expect(choose(db, numbers, 1)).toEqual(['4099'])
  })

  test('come back when they are used up, those of deleted inodes with the next generation', () => {
    const db = volume().addSnapshot(TOP - 1, TOP)
    addInode(db, FIRST)
    addGeneration(db, 4097, 3)
    addGeneration(db, 4098, 1)
    addInode(db, 4098, TOP - 1)
    addGeneration(db, 4099, 2)
    addGeneration(db, 4099, 7, TOP - 1)
    addInode(db, END_31 - 2)
    expect(choose(db, new InodeNumbers(31), 4)).toEqual([
      `${END_31 - 1}`,
      '4097 generation 3',
      '4099 generation 7',
      '4100',
    ])
  })

  test('may be long', () => {
    const db = volume()
    addInode(db, 0x1_0000_0000n)
    expect(choose(db, new InodeNumbers(63), 1)).toEqual(['4294967297'])
    // Numbers that another writer made longer than ours may be are none of ours.
    expect(choose(db, new InodeNumbers(31), 1)).toEqual(['4096'])
    addInode(db, 0x7fff_ffff_ffff_fffen)
    expect(choose(db, new InodeNumbers(63), 1)).toEqual(['4097'])
  })
})
