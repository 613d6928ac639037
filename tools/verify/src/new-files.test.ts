/** Volumes that are made with files in them are sound to the judge, and read as what was put. */

import { CHECKSUM_WORDS, Checksum, openVolume, VolumeInMaking, type NewVolumeOptions } from '@cowherd/db'
import { FileType, fsKeyTypes, NewTree, NodeRef, openFileSystem, TimeScale, type NewNode } from '@cowherd/fs'
import { fuzzCodecs as codecs, Random } from '@cowherd/fuzz'
import type { WritableBlockDevice } from '@cowherd/shim'
import { describe, expect, test } from 'vitest'
import { verifyVolume } from './index.ts'
import { memory } from './memory-device.ts'

const MIB = 2 ** 20
const SECTOR = 512
const BLOCK = 4096
const NOW_NS = 1_800_000_000_123_456_789n
const NOW = { seconds: 1_800_000_000, nanoseconds: 123_456_789 }

interface Made extends Partial<NewVolumeOptions> {
  readonly bucketBytes?: readonly number[]
  /** Files in one directory, and their sizes. */
  readonly sizes: readonly number[]
  /** Numbers of files that are given up. */
  readonly lost?: readonly number[]
}

/** A volume that is being made, and what is put into it. */
class Making {
  readonly devices: readonly WritableBlockDevice[]
  readonly volume: VolumeInMaking
  readonly tree: NewTree
  private readonly checksum = new Checksum(codecs)

  constructor({ bucketBytes = [256 << 10], sizes: _sizes, lost: _lost, ...options }: Made) {
    this.devices = bucketBytes.map((_, i) => memory(64 * MIB, `disk ${i}`))
    const source = new Random(bucketBytes.length, _sizes.length)
    const random = (target: Uint8Array): void => void source.fill(target)
    this.volume = new VolumeInMaking(
      this.devices.map((device, i) => ({ device, blockBytes: BLOCK, bucketBytes: bucketBytes[i] })),
      { codecs, random, nowNs: NOW_NS, ...options },
    )
    this.tree = new NewTree(this.volume.builder, {
      ...{ codecs, random, now: NOW, times: new TimeScale(NOW_NS, 1), acl: true, blockBytes: BLOCK },
      strHash: options.options?.strHash ?? 'siphash',
    })
  }

  node(mode: number): NewNode {
    return this.tree.make({
      mode,
      uid: 7,
      gid: 8,
      atime: NOW,
      mtime: { seconds: -2, nanoseconds: 5 },
      major: 0,
      minor: 0,
    })
  }

  /** Writes a file's data, unit by unit. */
  write(node: NewNode, bytes: Uint8Array): void {
    const { tree, volume, checksum } = this
    if (tree.fitsInline(bytes.length)) {
      tree.putInline(node, bytes)
      return
    }
    const { data, extents } = volume.builder
    const whole = new Uint8Array(Math.ceil(bytes.length / BLOCK) * BLOCK)
    whole.set(bytes)
    const sums = new Uint32Array(CHECKSUM_WORDS)
    for (let at = 0; at < whole.length;) {
      const taken = data.take(Math.min(extents.unitSectors, (whole.length - at) / SECTOR))
      if (taken === 0) throw new RangeError('no room')
      const unit = whole.subarray(at, at + taken * SECTOR)
      for (const { device, sector } of data.places) this.devices[device].write(unit, sector * SECTOR)
      checksum.compute(extents.checksumType, unit)
      sums.set(checksum.words)
      at += unit.length
      extents.addUnit(node.inode, at / SECTOR, taken, sums, 0, data.places, 0)
    }
    tree.setSize(node, bytes.length, whole.length / SECTOR)
  }
}

function content(size: number): Uint8Array {
  const bytes = new Uint8Array(size)
  new Random(size, 3).fill(bytes)
  return bytes
}

function made(options: Made): Making {
  const making = new Making(options)
  const { tree, volume } = making
  const folder = making.node(FileType.directory | 0o750)
  tree.addName(tree.root, new TextEncoder().encode('folder'), folder)
  const lost = new Set<number>()
  options.sizes.forEach((size, i) => {
    const node = making.node(FileType.regular | 0o640)
    making.write(node, content(size))
    if (options.lost?.includes(i) === true) {
      lost.add(node.inode.numberLo)
      return
    }
    tree.addName(folder, new TextEncoder().encode(`file ${i}`), node)
    if (i % 3 === 0) tree.addName(tree.lostAndFound, new TextEncoder().encode(`again ${i}`), node)
    const attribute = (name: string): Uint8Array => new TextEncoder().encode(name)
    if (i % 4 === 0) {
      tree.addAttributes(
        node,
        ['user.one', 'user.two'].map((name) => ({ name: attribute(name), value: attribute(`${name} ${i}`) })),
        (_, error) => {
          throw error
        },
      )
    }
    tree.put(node)
  })
  if (lost.size > 0) volume.builder.dropExtents(lost)
  tree.put(folder)
  tree.finish()
  volume.finish()
  return making
}

const SIZES = [0, 1, 1024, 1025, BLOCK, BLOCK + 1, 70_000, MIB + 77, 5, 300_000, 12_345, 2 * MIB, 999]

describe('files that a volume was made with', () => {
  test.each<[string, Made]>([
    ['usual', { sizes: SIZES }],
    ['none', { sizes: [] }],
    ['many small ones', { sizes: Array.from({ length: 3000 }, (_, i) => (i * 7) % 3000) }],
    ['names that hash alike', { sizes: Array.from({ length: 3000 }, () => 3), options: { strHash: 'crc32c' } }],
    ['small nodes', { sizes: Array.from({ length: 1500 }, () => 5000), btreeNodeBytes: 64 << 10 }],
    ['nodes as large as buckets', { sizes: SIZES, btreeNodeBytes: 256 << 10 }],
    ['without checksums', { sizes: SIZES, options: { dataChecksum: 'none' } }],
    ['xxhash', { sizes: SIZES, options: { dataChecksum: 'xxhash' } }],
    ['large units', { sizes: SIZES, options: { encodedExtentMax: 1 << 20 } }],
    ['two devices, one copy', { sizes: SIZES, bucketBytes: [256 << 10, 512 << 10] }],
    [
      'three devices, two copies, other buckets',
      { sizes: SIZES, bucketBytes: [256 << 10, 512 << 10, 1 << 20], options: { dataReplicas: 2, metadataReplicas: 2 } },
    ],
    ['some that are given up', { sizes: SIZES, lost: [4, 7, 11] }],
    ['all that have data are given up', { sizes: [BLOCK, 3 * MIB], lost: [0, 1] }],
  ])('%s', (_, options) => {
    const { devices } = made(options)
    expect(verifyVolume(devices, { codecs, keyTypes: fsKeyTypes })).toEqual([])
    const fs = openFileSystem(openVolume(devices, { codecs, keyTypes: fsKeyTypes }))
    const ref = new NodeRef()
    const inode = fs.newInode()
    options.sizes.forEach((size, i) => {
      const isThere = fs.lookup(fs.resolve('folder'), `file ${i}`, ref)
      expect(isThere).toBe(options.lost?.includes(i) !== true)
      if (!isThere) return
      fs.getattr(ref, inode)
      const { uid, gid, mtimeSeconds, mtimeNanoseconds, linkCount } = inode
      expect([inode.size, uid, gid, linkCount]).toEqual([size, 7, 8, i % 3 === 0 ? 2 : 1])
      expect([mtimeSeconds, mtimeNanoseconds]).toEqual([-2, 5])
      const bytes = new Uint8Array(size)
      expect(fs.open(ref).readFully(0, bytes)).toBe(size)
      expect(Buffer.compare(bytes, content(size))).toBe(0)
    })
  })
})
