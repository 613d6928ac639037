/**
 * Golden volumes in which files lose their names while somebody has them open, and then the power: the next start deletes them, and the
 * real fsck finds nothing to say.
 */

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { bpos, BtreeId, Key, openDatabase, openVolume, removeVisible } from '@cowherd/db'
import type { Database, Updates } from '@cowherd/db'
import { fixture, fixtureNames } from '@cowherd/fixtures'
import { referee } from '@cowherd/referee'
import { nativeCodecs } from '@cowherd/shim'
import { openStore, writableMemoryStore } from '@cowherd/store'
import { describe, expect, test } from 'vitest'
import { fsDatabaseParts } from '../database-parts.ts'
import { openFileSystem } from '../file-system.ts'
import { Inode, InodeFlag } from '../inode.ts'
import { Field } from '../inode-fields.ts'
import { loadInode, storeInode } from '../inode-versions.ts'
import { FinsertState, loggedOpFinsert, LoggedOpFinsertValue } from '../key-types/logged-op-finsert.ts'
import { loggedOpTruncate, LoggedOpTruncateValue } from '../key-types/logged-op-truncate.ts'
import { NodeRef } from '../node-ref.ts'
import type { Subvolume } from '../subvolumes.ts'
import { walk } from '../walk.ts'

const codecs = nativeCodecs()
const HASH_WHITEOUT = 4

/** The driver that made this volume left a tree of snapshots with a master that is gone: format chapter 5, 5.7.7. */
const FAULTY = 'snapshots'

async function disksOf(name: string): Promise<Uint8Array[]> {
  const disks = fixture(name).devices.map((path) => {
    const store = openStore(path, { lock: false })
    const bytes = new Uint8Array(store.size)
    store.read(bytes, 0)
    store.close()
    return bytes
  })
  if (name !== FAULTY || !referee.available()) return disks
  return await inFiles(disks, async (images) => {
    await referee.bcachefs(['fsck', '-y', ...images])
    return images.map((image) => new Uint8Array(readFileSync(image)))
  })
}

async function inFiles<T>(disks: readonly Uint8Array[], use: (images: string[]) => Promise<T>): Promise<T> {
  const folder = mkdtempSync(join(tmpdir(), 'cowherd-test-'))
  try {
    const images = disks.map((_, i) => join(folder, `${i}.img`))
    images.forEach((image, i) => writeFileSync(image, disks[i]))
    return await use(images)
  } finally {
    rmSync(folder, { recursive: true })
  }
}

const devicesOf = (disks: readonly Uint8Array[]) => disks.map((disk, i) => writableMemoryStore(disk, `disk ${i}`))

function optionsOf(name: string) {
  const { passphrase } = fixture(name)
  const typed = passphrase === undefined ? undefined : new TextEncoder().encode(passphrase)
  return { codecs, passphrase: () => typed }
}

function open(name: string, disks: readonly Uint8Array[]): Database {
  return openDatabase(devicesOf(disks), {
    ...fsDatabaseParts,
    ...optionsOf(name),
    random: (target) => void globalThis.crypto.getRandomValues(target),
  })
}

interface File {
  readonly subvolume: Subvolume
  readonly numberHi: number
  readonly numberLo: number
  readonly size: number
}

/** The regular files with one name in a volume, in all subvolumes that can be written. */
function filesOf(name: string, disks: readonly Uint8Array[]): File[] {
  const fs = openFileSystem(openVolume(devicesOf(disks), { ...optionsOf(name), keyTypes: fsDatabaseParts.keyTypes }))
  const files: File[] = []
  for (const subvolume of fs.listSubvolumes()) {
    if (subvolume.readOnly) continue
    walk(
      fs,
      {
        visit({ ref, inode, depth }) {
          if (depth > 0 && ref.subvolume !== subvolume.id) return false
          if (inode.isRegular && inode.linkCount === 1) {
            files.push({ subvolume, numberHi: ref.inodeHi, numberLo: ref.inodeLo, size: inode.size })
          }
          return true
        },
        fail: (_, error) => {
          throw error
        },
      },
      subvolume.root,
    )
  }
  return files
}

const inode = new Inode()
const key = new Key()

/** Takes the file's only name. */
function unlink(db: Database, updates: Updates, { subvolume, numberHi, numberLo }: File): void {
  const { snapshot } = subvolume
  const { snapshots } = db
  expect(loadInode(updates, snapshots, { numberHi, numberLo }, snapshot, inode)).toBe(true)
  const directory = (BigInt(inode.dirHi) << 32n) | BigInt(inode.dirLo)
  const offset = (BigInt(inode.dirOffsetHi) << 32n) | BigInt(inode.dirOffsetLo)
  const pos = bpos(directory, offset, snapshot)
  removeVisible(updates, BtreeId.dirents, pos, snapshots.ancestorsOf(snapshot))
  // Names behind it may have been put there because of it.
  if (updates.peek(BtreeId.dirents, bpos(directory, offset + 1n), key) && BigInt(key.offset) === offset + 1n) {
    updates.put(BtreeId.dirents, key.make(HASH_WHITEOUT, pos, new Uint8Array(0)))
  }
  inode.flagsWord |= InodeFlag.unlinked
  for (const field of [Field.dir, Field.dirOffset]) inode.fields.fill(0, 2 * field, 2 * field + 2)
  storeInode(updates, inode)
}

/** Throws what the real fsck has to say. */
async function judge(name: string, disks: readonly Uint8Array[]): Promise<void> {
  if (!referee.available()) return
  const { passphrase } = fixture(name)
  const verdict = await inFiles(disks, (images) =>
    referee.fsck(images, passphrase === undefined ? {} : { input: `${passphrase}\n` }),
  )
  expect(verdict).toMatchObject({ complaints: [], clean: true })
}

function listed(db: Database, btree: number): number {
  const cursor = db.cursor(btree)
  let count = 0
  for (let found = cursor.seek(bpos(0, 0)); found; found = cursor.next()) count++
  return count
}

describe.each(fixtureNames())('%s', (name) => {
  test('files without names are deleted by the next start', { timeout: 300_000 }, async () => {
    const disks = await disksOf(name)
    const files = filesOf(name, disks)
    expect(files.length).toBeGreaterThan(0)
    const db = open(name, disks)
    for (const file of files) db.write((updates) => unlink(db, updates, file))
    expect(listed(db, BtreeId.deletedInodes)).toBeGreaterThan(0)
    db.flush()
    db.abandon()

    const again = open(name, disks)
    expect(listed(again, BtreeId.deletedInodes)).toBe(0)
    again.close()
    expect(filesOf(name, disks)).toEqual([])
    await judge(name, disks)
  })
})

/** Those whose extents differ most. */
describe.each(['default', 'compressed', 'crc64', 'encrypted', 'reflink', 'snapshots', 'striped'])('%s', (name) => {
  test('a truncation that was interrupted is finished by the next start', { timeout: 300_000 }, async () => {
    const disks = await disksOf(name)
    const file = largest(filesOf(name, disks))
    // Whole blocks: what lies behind the end in the last one would have been cleared before.
    const newSize = Math.floor(file.size / 2 / BLOCK) * BLOCK
    const before = contentOf(name, disks, file)
    interrupt(name, disks, (at) => {
      const value = LoggedOpTruncateValue.bytes({ ...opOf(file), pad: undefined, newSize: BigInt(newSize) })
      return key.make(loggedOpTruncate.number, at, value)
    })
    expect(contentOf(name, disks, file).equals(before.subarray(0, newSize))).toBe(true)
    await judge(name, disks)
  })

  test.each([
    ['an insertion', 3],
    ['a collapse', -3],
  ])('%s that was interrupted is finished by the next start', { timeout: 300_000 }, async (_, blocks) => {
    const disks = await disksOf(name)
    const all = filesOf(name, disks)
    const file = largest(all)
    const before = contentOf(name, disks, file)
    const others = all.filter((each) => each !== file && each.numberLo === file.numberLo)
    const othersBefore = others.map((other) => contentOf(name, disks, other))
    const at = 5 * BLOCK
    interrupt(name, disks, (pos) => {
      const source = BigInt(at / SECTOR)
      const value = LoggedOpFinsertValue.bytes({
        ...{ ...opOf(file), pad: undefined, state: FinsertState.start, source },
        destination: source + BigInt((blocks * BLOCK) / SECTOR),
        pos: blocks > 0 ? 2n ** 64n - 1n : source,
      })
      return key.make(loggedOpFinsert.number, pos, value)
    })
    const [front, hole, back] =
      blocks > 0
        ? [before.subarray(0, at), Buffer.alloc(blocks * BLOCK), before.subarray(at)]
        : [before.subarray(0, at), Buffer.alloc(0), before.subarray(at - blocks * BLOCK)]
    expect(contentOf(name, disks, file).equals(Buffer.concat([front, hole, back]))).toBe(true)
    others.forEach((other, i) => expect(contentOf(name, disks, other).equals(othersBefore[i])).toBe(true))
    await judge(name, disks)
  })
})

const SECTOR = 512
const BLOCK = 4096

/** The largest file; of several, the last: one that a snapshot has got from another. */
function largest(files: readonly File[]): File {
  const file = files.reduce((best, each) => (each.size >= best.size ? each : best))
  expect(file.size).toBeGreaterThan(10 * BLOCK)
  return file
}

function contentOf(name: string, disks: readonly Uint8Array[], { subvolume, numberHi, numberLo }: File): Buffer {
  const fs = openFileSystem(openVolume(devicesOf(disks), { ...optionsOf(name), keyTypes: fsDatabaseParts.keyTypes }))
  const ref = NodeRef.of(subvolume.id, numberHi, numberLo)
  const file = fs.open(ref)
  const content = Buffer.alloc(file.size)
  file.readFully(0, content)
  return content
}

function opOf({ subvolume, numberHi, numberLo }: File): { subvolume: number; inode: bigint } {
  return { subvolume: subvolume.id, inode: (BigInt(numberHi) << 32n) | BigInt(numberLo) }
}

/** An operation is noted, then the power is cut; the volume is opened once more, and shut down. */
function interrupt(name: string, disks: readonly Uint8Array[], make: (at: Uint32Array) => Key): void {
  const db = open(name, disks)
  db.write((updates) => updates.put(BtreeId.loggedOps, make(bpos(0, 1))))
  db.flush()
  db.abandon()
  const again = open(name, disks)
  expect(listed(again, BtreeId.loggedOps)).toBe(0)
  again.close()
}
