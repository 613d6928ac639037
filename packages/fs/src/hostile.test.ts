/** A directory, inodes, attributes and extents of random bytes: calls end, and throw nothing but VolumeError. */

import { test } from 'vitest'
import fc from 'fast-check'
import { BtreeId, VolumeError } from '@cowherd/db'
import { openFileSystem } from './file-system.ts'
import { fsKeyTypes } from './key-types/index.ts'
import { NodeRef } from './node-ref.ts'
import type { ByteRange } from './open-file.ts'
import { MemoryVolume, TOP } from './testing/memory-volume.ts'
import { inodeValue } from './testing/keys.ts'
import { walk } from './walk.ts'

const PLACES: readonly (readonly [btree: number, types: readonly number[]])[] = [
  [BtreeId.inodes, [8, 23, 29, 9, 99]],
  [BtreeId.dirents, [10, 4, 1, 99]],
  [BtreeId.xattrs, [11, 4, 3, 99]],
  [BtreeId.extents, [6, 7, 15, 17, 2, 3, 99]],
  [BtreeId.reflink, [16, 19, 2, 99]],
  [BtreeId.subvolumes, [21, 99]],
]

const keys = fc.array(
  fc.record({
    place: fc.nat(PLACES.length - 1),
    type: fc.nat(6),
    number: fc.integer({ min: 4096, max: 4100 }),
    end: fc.oneof(fc.integer({ min: 1, max: 40 }), fc.constant(0xfffffffffffffn)),
    size: fc.integer({ min: 1, max: 16 }),
    value: fc.oneof(
      fc.uint8Array({ minLength: 48, maxLength: 96 }),
      fc
        .uint8Array({ minLength: 0, maxLength: 16 })
        .map((bytes) => Uint8Array.from({ length: 48 }, (_, i) => bytes[i] ?? 0)),
      fc
        .record({
          mode: fc.constantFrom(0o40755, 0o100644, 0o120777),
          size: fc.oneof(fc.bigInt({ min: 0n, max: 9000n }), fc.bigInt({ min: 0n, max: (1n << 64n) - 1n })),
        })
        .map((fields) => inodeValue(3, { ...fields, dir: 4096, dirOffset: 7 })),
    ),
  }),
  { maxLength: 40 },
)

/** What the database asserts of any key before it hands it out. */
function isSound(type: number, valueBytes: number): boolean {
  return valueBytes >= (fsKeyTypes.find(({ number }) => number === type)?.minValueBytes ?? 16)
}

function tolerate(action: () => void): void {
  try {
    action()
  } catch (error) {
    if (!(error instanceof VolumeError)) throw error
  }
}

test('any keys', () => {
  const target = new Uint8Array(20_000)
  fc.assert(
    fc.property(keys, (list) => {
      const volume = new MemoryVolume().putSubvolume(1, TOP, 4096)
      volume.putInode(4096, { mode: 0o40755 })
      for (const { place, type: chosen, number, end, size, value } of list) {
        const [btree, types] = PLACES[place]
        const type = types[chosen % types.length]
        if (!isSound(type, value.length)) continue
        const isExtent = btree === BtreeId.extents || btree === BtreeId.reflink
        const isInode = btree === BtreeId.inodes
        volume.put(btree, {
          type,
          inode: isInode || btree === BtreeId.subvolumes || btree === BtreeId.reflink ? 0 : number,
          offset: isInode
            ? number
            : btree === BtreeId.subvolumes
              ? 2
              : isExtent && typeof end === 'number'
                ? Math.max(end, size)
                : end,
          snapshot: btree <= BtreeId.xattrs ? TOP : 0,
          size: isExtent ? size : 0,
          value,
        })
      }
      tolerate(() => {
        const fs = openFileSystem(volume)
        const range: ByteRange = { start: 0, end: 0 }
        walk(fs, { visit: ({ ref }) => tolerate(() => void fs.pathOf(ref)), fail: () => undefined })
        for (let number = 4096; number <= 4100; number++) {
          const ref = NodeRef.of(1, 0, number)
          tolerate(() => void fs.open(ref).read(0, target))
          tolerate(() => void fs.open(ref).read(3000, target))
          tolerate(() => {
            const file = fs.open(ref)
            for (let at = 0; file.nextData(at, range); at = range.end);
          })
          tolerate(() => void fs.readlink(ref))
          tolerate(() => fs.listAttributes(ref))
          tolerate(() => void fs.getAttribute(ref, 'user.x'))
          tolerate(() => fs.forEachOptionAttribute(ref, () => undefined))
          tolerate(() => void fs.lookup(ref, 'x', new NodeRef()))
          tolerate(() => fs.parentOf(ref, new NodeRef()))
        }
        tolerate(() => void fs.resolve('a/../b'))
        fs.listSubvolumes()
        fs.space()
      })
    }),
    { numRuns: 300 },
  )
}, 60_000)
