/** The hash tables of directories key by key: what Linux leaves for the same calls. Format chapter 5, 5.4.5. */

import { BtreeId, setBpos, type Database } from '@cowherd/db'
import { expect, test } from 'vitest'
import { DIRENT_NAME_AT, direntNameEnd } from '../key-types/dirent.ts'
import { NodeRef } from '../node-ref.ts'
import { collidingNames } from '../testing/colliding-names.ts'
import { takeSnapshot } from '../testing/take-snapshot.ts'
import { bytesOf, stringOf } from '../testing/tree-driver.ts'
import { blankDisk, openDisk } from '../testing/volumes.ts'

const CALLER = { uid: 0, gid: 0, umask: 0 }
const TYPES: Readonly<Record<number, string>> = { 1: 'whiteout', 4: 'hash_whiteout' }
const [N1, N2, N3, N4] = collidingNames(0)
const KNOWN = new Map([N1, N2, N3, N4].map((name, i) => [name, `n${i + 1}`]))

/** The keys of the directory, with their distances from the first slot of all; and of which snapshot, counted from the highest id. */
function slots(db: Database, directory: Readonly<NodeRef>): string[] {
  const cursor = db.cursor(BtreeId.dirents)
  const { key } = cursor
  const found: string[] = []
  const pos = new Uint32Array(5)
  setBpos(pos, directory.inodeHi, directory.inodeLo, 0, 0, 0)
  let home: number | undefined
  for (let more = cursor.seek(pos); more && key.inodeLo === directory.inodeLo; more = cursor.next()) {
    home ??= key.offset
    const name = stringOf(key.bytes.subarray(DIRENT_NAME_AT, direntNameEnd(key)))
    const snapshot = 0xffffffff - key.snapshot
    found.push(`X+${key.offset - home}${snapshot === 0 ? '' : `@${snapshot}`} ${TYPES[key.type] ?? KNOWN.get(name)}`)
  }
  return found
}

test('names with equal hashes come and go as in Linux', () => {
  const disk = blankDisk({ options: { strHash: 'crc32c' } })
  const fs = openDisk(disk)
  const db = fs.volume as Database
  const directory = new NodeRef()
  const inode = fs.newInode()
  fs.mkdir(fs.root, 'directory', 0o755, CALLER, directory, inode)
  const create = (name: string): void => fs.create(directory, bytesOf(name), 0o644, CALLER, new NodeRef(), inode)
  for (const name of [N1, N2, N3]) create(name)
  expect(slots(db, directory)).toEqual(['X+0 n1', 'X+1 n2', 'X+2 n3'])
  fs.unlink(directory, bytesOf(N1))
  expect(slots(db, directory)).toEqual(['X+0 hash_whiteout', 'X+1 n2', 'X+2 n3'])
  create(N4)
  expect(slots(db, directory)).toEqual(['X+0 n4', 'X+1 n2', 'X+2 n3'])
  fs.unlink(directory, bytesOf(N2))
  expect(slots(db, directory)).toEqual(['X+0 n4', 'X+1 hash_whiteout', 'X+2 n3'])
  fs.rename(directory, bytesOf(N3), directory, bytesOf(N1))
  expect(slots(db, directory)).toEqual(['X+0 n4', 'X+1 n1'])
  fs.close()
})

test('and in a snapshot, which hides what it has inherited', () => {
  const disk = blankDisk({ options: { strHash: 'crc32c' } })
  const before = openDisk(disk)
  const directory = new NodeRef()
  before.mkdir(before.root, 'directory', 0o755, CALLER, directory, before.newInode())
  for (const name of [N1, N2]) {
    before.create(directory, bytesOf(name), 0o644, CALLER, new NodeRef(), before.newInode())
  }
  takeSnapshot(before.volume as Database, { source: 1, id: 2, directory: before.root, name: 'snapshot' })
  before.close()

  const fs = openDisk(disk)
  const db = fs.volume as Database
  const inSnapshot = NodeRef.of(2, directory.inodeHi, directory.inodeLo)
  fs.unlink(inSnapshot, bytesOf(N1))
  expect(slots(db, directory)).toEqual(['X+0@1 hash_whiteout', 'X+0 n1', 'X+1 n2'])
  fs.unlink(inSnapshot, bytesOf(N2))
  expect(slots(db, directory)).toEqual(['X+0@1 hash_whiteout', 'X+0 n1', 'X+1@1 whiteout', 'X+1 n2'])
  fs.rmdir(fs.resolve('snapshot'), 'directory')
  expect(slots(db, directory)).toEqual(['X+0@1 whiteout', 'X+0 n1', 'X+1@1 whiteout', 'X+1 n2'])
  fs.close()
})
