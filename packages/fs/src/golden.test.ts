/** The golden volumes, looked at in every way that leads to a file: each must show the same. */

import { expect, test } from 'vitest'
import { openVolume } from '@cowherd/db'
import { fixture, fixtureNames } from '@cowherd/fixtures'
import { decodeUtf8 } from '@cowherd/kernel-lib'
import { nativeCodecs } from '@cowherd/shim'
import { openStore } from '@cowherd/store'
import type { FileSystem } from './file-system.ts'
import { openFileSystem } from './file-system.ts'
import { fsKeyTypes } from './key-types/index.ts'
import { NodeRef } from './node-ref.ts'
import type { ByteRange, OpenFile } from './open-file.ts'
import { walk } from './walk.ts'

function openFixture(name: string): FileSystem {
  const { devices, passphrase } = fixture(name)
  const typed = passphrase === undefined ? undefined : new TextEncoder().encode(passphrase)
  const volume = openVolume(
    devices.map((path) => openStore(path)),
    { codecs: nativeCodecs(), keyTypes: fsKeyTypes, passphrase: () => typed },
  )
  return openFileSystem(volume)
}

/** Deriving the key of an encrypted volume alone takes a second or two. */
const SLOW = 60_000
const NOTHING = Uint8Array.of(0xff)

const fail = (path: Uint8Array, error: Error): void => {
  throw new Error(`${decodeUtf8(path)}: ${error.message}`, { cause: error })
}

/** Hundreds of files and more in each volume: checked without the cost of an expectation for each. */
function check(holds: boolean, path: Uint8Array, what: string): void {
  if (!holds) throw new Error(`${decodeUtf8(path)}: ${what}`)
}

test.each(fixtureNames())('%s: every name is found where its hash says, and leads back', { timeout: SLOW }, (name) => {
  const fs = openFixture(name)
  const parents: NodeRef[] = []
  const found = new NodeRef()
  let files = 0
  walk(fs, {
    visit({ path, name: last, depth, ref, inode }) {
      files++
      parents.length = depth
      if (depth > 0) {
        check(fs.lookup(parents[depth - 1], last, found) && found.equals(ref), path, 'not found by its name')
        check(fs.resolve(path, { followLast: false }).equals(ref), path, 'not found by its path')
      }
      // Of a file with several names, one is recorded, or none.
      const recorded = fs.pathOf(ref)
      if (inode.isDirectory || inode.linkCount === 1) {
        check(recorded !== undefined && same(recorded, path), path, 'has another path by its back pointers')
      }
      if (inode.isDirectory) {
        fs.parentOf(ref, found)
        check(found.equals(depth === 0 ? ref : parents[depth - 1]), path, 'has another parent')
      }
      for (const { name: attribute, value } of fs.listAttributes(ref)) {
        check(same(fs.getAttribute(ref, attribute) ?? NOTHING, value), path, `attribute ${decodeUtf8(attribute)}`)
      }
      parents.push(new NodeRef().copy(ref))
    },
    fail,
  })
  expect(files).toBeGreaterThan(5)
})

test.each(fixtureNames())(
  '%s: files read the same in any pieces; what is not data is zero',
  { timeout: SLOW },
  (name) => {
    const fs = openFixture(name)
    let files = 0
    walk(fs, {
      visit({ path, ref, inode }) {
        if (!inode.isRegular || inode.size === 0) return
        const whole = new Uint8Array(inode.size)
        const file = fs.open(ref)
        check(file.read(0, whole) === whole.length, path, 'ends early')
        // Small files are all alike: a part of them will do.
        files++
        if (inode.size > 1000 || files % 10 === 0) check(readsInPieces(fs.open(ref), whole), path, 'reads differently')
        check(hasHoles(file, whole), path, 'has data in a hole')
      },
      fail,
    })
    expect(files).toBeGreaterThan(0)
  },
)

/** A fixed walk over the file: small reads, large ones, back and forth. */
function readsInPieces(file: OpenFile, whole: Uint8Array): boolean {
  for (let i = 0, at = 0; i < 21; i++) {
    const target = new Uint8Array([1, 511, 512, 4096, 5000, 70_000, 100_000][i % 7])
    const count = file.read(at, target)
    if (!same(target.subarray(0, count), whole.subarray(at, at + target.length))) return false
    at = i % 3 === 2 ? (i * 7919 * 61) % whole.length : (at + count) % whole.length
  }
  return true
}

/** What is not data must have read as zeros. */
function hasHoles(file: OpenFile, whole: Uint8Array): boolean {
  const range: ByteRange = { start: 0, end: 0 }
  let behind = 0
  while (file.nextData(behind, range)) {
    if (!isZero(whole.subarray(behind, range.start))) return false
    behind = range.end
  }
  return isZero(whole.subarray(behind))
}

function isZero(bytes: Uint8Array): boolean {
  return same(bytes, new Uint8Array(bytes.length))
}

function same(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0
}

test('snapshots: each subvolume can be opened by itself', () => {
  const fs = openFixture('snapshots')
  for (const { id } of fs.listSubvolumes()) {
    const alone = openFileSystem(fs.volume, { subvolume: id })
    const inside = fs.pathOf(alone.root)
    expect(inside).toBeDefined()
    const names = (from: FileSystem, start: Readonly<NodeRef>): string[] => {
      const found: string[] = []
      walk(from, { visit: ({ path, ref }) => void found.push(`${decodeUtf8(path)} ${ref.toString()}`), fail }, start)
      return found
    }
    expect(names(alone, alone.root)).toEqual(names(fs, fs.resolve(inside ?? '')))
  }
})

/** What statfs(2) told of the volumes in Linux 6.12, in blocks of 4 KiB. */
test.each([
  ['default', 11040, 9864, 9712, 631296],
  ['full', 5136, 318, 313, 20352],
  ['replicas', 14144, 11792, 11610, 754696],
  ['tiered', 14144, 13016, 12816, 833040],
  ['small-nodes', 13072, 11864, 11681, 759296],
  ['unclean', 11040, 9815, 9664, 628160],
])('%s: room', (name, blocks, free, available, freeInodes) => {
  const space = openFixture(name).space()
  expect(Math.floor(space.totalSectors / 8)).toBe(blocks)
  expect(Math.floor(space.freeSectors / 8)).toBe(free)
  expect(Math.floor(space.availableSectors / 8)).toBe(available)
  expect(space.freeInodes).toBe(freeInodes)
})
