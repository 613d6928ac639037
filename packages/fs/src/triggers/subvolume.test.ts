import { bpos, BtreeId } from '@cowherd/db'
import { expect, test } from 'vitest'
import { subvolume, SubvolumeValue } from '../key-types/subvolume.ts'
import { keyOf } from '../testing/keys.ts'
import { MemoryDatabase } from '../testing/memory-database.ts'

function put(db: MemoryDatabase, id: number, fsPathParent: number, bytes = 40): void {
  const value = SubvolumeValue.bytes({
    ...{ flags: { readOnly: 0, snapshot: 0, unlinked: 0 }, snapshot: 7, inode: 4096n, creationParent: 0 },
    ...{ fsPathParent, otime: 0n, otimeHi: undefined },
  })
  const key = keyOf({ type: subvolume.number, offset: id, value: value.subarray(0, bytes) })
  db.write((updates) => updates.put(BtreeId.subvolumes, key))
}

test('subvolumes are listed below those that hold their names', () => {
  const db = new MemoryDatabase()
  put(db, 1, 0)
  expect(db.list(BtreeId.subvolumeChildren)).toEqual([])
  put(db, 2, 1)
  put(db, 3, 2)
  expect(db.list(BtreeId.subvolumeChildren)).toEqual(['1:2:0 set', '2:3:0 set'])
  put(db, 3, 1)
  put(db, 3, 1)
  expect(db.list(BtreeId.subvolumeChildren)).toEqual(['1:2:0 set', '1:3:0 set'])
  db.write((updates) => updates.remove(BtreeId.subvolumes, bpos(0, 2)))
  expect(db.list(BtreeId.subvolumeChildren)).toEqual(['1:3:0 set'])
  put(db, 3, 0)
  expect(db.list(BtreeId.subvolumeChildren)).toEqual([])
})

test('a short value of an old volume names no parent', () => {
  const db = new MemoryDatabase()
  put(db, 2, 1, 16)
  expect(db.list(BtreeId.subvolumeChildren)).toEqual([])
})
