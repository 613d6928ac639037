/**
 * A real volume, looked through once: its images in memory, and where everything lies that is worth breaking. Cases lay their
 * changes over it.
 */

import {
  BTREE_PTR_V2_TYPE,
  BtreePtrV2,
  BtreeId,
  ExtentPointers,
  Key,
  KEY_BYTES,
  POS_MIN,
  entriesStart,
  openVolume,
  readSuperblock,
  unlock,
  type Superblock,
  type Volume,
} from '@cowherd/db'
import { fixture } from '@cowherd/fixtures'
import { fuzzCodecs } from './codecs.ts'
import type { NodeCopy } from './node-edit.ts'
import { OverlayDevice } from './overlay-device.ts'
import { Sealer } from './seal.ts'
import { SparseImage } from './sparse-image.ts'

const SECTOR = 512

/** One btree node. */
export interface NodeSite {
  readonly btree: number
  readonly level: number
  readonly isRoot: boolean
  /** The key that points to it. */
  readonly pointer: Key
  readonly copies: readonly NodeCopy[]
  /** Bytes of it that are valid. */
  readonly length: number
}

/** A row of bytes on a device. */
export interface Site {
  readonly device: number
  readonly at: number
  readonly length: number
}

/** A stored unit of file data. */
export interface DataSite extends Site {
  readonly compressionType: number
  /** Size in bytes of what it decodes to. */
  readonly decodedLength: number
}

/** The superblock copies of one device. */
export interface SuperblockSite {
  readonly device: number
  readonly sectors: readonly number[]
  /** What they contain. */
  readonly bytes: Uint8Array
}

export interface Specimen {
  readonly name: string
  readonly images: readonly SparseImage[]
  readonly deviceNames: readonly string[]
  readonly passphrase: Uint8Array | undefined
  readonly sealer: Sealer
  readonly superblock: Superblock
  readonly blockBytes: number
  readonly nodeBytes: number
  readonly superblocks: readonly SuperblockSite[]
  readonly nodes: readonly NodeSite[]
  /** Journal entries, those no longer needed too. */
  readonly entries: readonly Site[]
  /** Journal buckets. */
  readonly buckets: readonly Site[]
  /** Stored units of file data. */
  readonly data: readonly DataSite[]
  /** Keys of every btree: values to start from. Some of each type only. */
  readonly keys: readonly Uint8Array[]
  /** What an undamaged walk costs. */
  readonly keyCount: number
}

const KEYS_KEPT_PER_TYPE = 200

const specimens = new Map<string, Specimen>()

/** The golden volume `name` as a specimen, loaded at first use. */
export function specimen(name: string): Specimen {
  let found = specimens.get(name)
  if (found === undefined) specimens.set(name, (found = load(name)))
  return found
}

/** Fresh devices over the specimen's images. */
export function devicesOf({ images, deviceNames }: Specimen): OverlayDevice[] {
  return images.map((image, index) => new OverlayDevice(image, deviceNames[index]))
}

function load(name: string): Specimen {
  const { devices, passphrase } = fixture(name)
  const images = devices.map((path) => new SparseImage(path))
  const deviceNames = devices.map((_, index) => (devices.length === 1 ? name : `${name}.${index}`))
  const typed = passphrase === undefined ? undefined : new TextEncoder().encode(passphrase)
  const overlays = images.map((image, index) => new OverlayDevice(image, deviceNames[index]))
  const volume = openVolume(overlays, { codecs: fuzzCodecs, passphrase: () => typed, cacheBytes: 0 })
  const { superblock } = volume
  const keys: Uint8Array[] = []
  const keyCount = collectKeys(volume, keys)
  return {
    name,
    images,
    deviceNames,
    passphrase: typed,
    sealer: new Sealer(
      fuzzCodecs,
      unlock(superblock, fuzzCodecs, () => typed),
    ),
    superblock,
    blockBytes: superblock.blockSectors * SECTOR,
    nodeBytes: superblock.options.btreeNodeSize,
    superblocks: overlays.map((device, index) => superblockSite(device, index)),
    nodes: nodesOf(volume),
    entries: entriesOf(volume),
    buckets: bucketsOf(overlays),
    data: dataOf(volume),
    keys,
    keyCount,
  }
}

function superblockSite(device: OverlayDevice, index: number): SuperblockSite {
  const superblock = readSuperblock(device, fuzzCodecs)
  return { device: index, sectors: superblock.layout.sectors.map(Number), bytes: superblock.bytes }
}

function nodesOf(volume: Volume): NodeSite[] {
  const sites: NodeSite[] = []
  for (const btree of volume.btreeIds) {
    const root = volume.rootPointer(btree)
    const rootLevel = volume.rootLevel(btree)
    if (root === undefined) continue
    sites.push(nodeSite(btree, rootLevel, true, root))
    for (let level = rootLevel; level > 0; level--) {
      const cursor = volume.cursor(btree, level)
      for (let found = cursor.seek(POS_MIN); found; found = cursor.next()) {
        sites.push(nodeSite(btree, level - 1, false, cursor.key))
      }
    }
  }
  return sites
}

function nodeSite(btree: number, level: number, isRoot: boolean, key: Key): NodeSite {
  if (key.type !== BTREE_PTR_V2_TYPE) throw new Error('specimens have pointers with lengths')
  const pointer = new Key()
  pointer.set(key.words, 0)
  const pointers = new ExtentPointers()
  const count = pointers.decode(pointer, entriesStart(pointer.type))
  return {
    btree,
    level,
    isRoot,
    pointer,
    copies: Array.from({ length: count }, (_, i) => ({
      device: pointers.device[i],
      at: pointers.sector[i] * SECTOR,
    })),
    length: pointer.view.getUint16(KEY_BYTES + BtreePtrV2.offsets.sectorsWritten, true) * SECTOR,
  }
}

function entriesOf(volume: Volume): Site[] {
  return volume
    .journalEntries(true)
    .flatMap(({ places, bytes }) =>
      places.map(({ device, sector }) => ({ device, at: sector * SECTOR, length: bytes })),
    )
}

function bucketsOf(devices: readonly OverlayDevice[]): Site[] {
  return devices.flatMap((device, index) => {
    const { members, journalBuckets } = readSuperblock(device, fuzzCodecs)
    const length = members[index].bucketSectors * SECTOR
    return journalBuckets.runs.flatMap(({ start, count }) =>
      Array.from({ length: count }, (_, i) => ({ device: index, at: (start + i) * length, length })),
    )
  })
}

function dataOf(volume: Volume): DataSite[] {
  const sites: DataSite[] = []
  const pointers = new ExtentPointers()
  for (const btree of [BtreeId.extents, BtreeId.reflink]) {
    const cursor = volume.cursor(btree)
    for (let found = cursor.seek(POS_MIN); found; found = cursor.next()) {
      const start = entriesStart(cursor.key.type)
      if (start < 0 || pointers.load(cursor.key, start, undefined) !== undefined) continue
      for (let i = 0; i < pointers.count; i++) {
        sites.push({
          device: pointers.device[i],
          at: pointers.sector[i] * SECTOR,
          length: pointers.compressedSectors[i] * SECTOR,
          compressionType: pointers.compressionType[i],
          decodedLength: pointers.uncompressedSectors[i] * SECTOR,
        })
      }
    }
  }
  return sites
}

/** Keeps some keys of each type in `kept`; returns how many keys there are at all levels. */
function collectKeys(volume: Volume, kept: Uint8Array[]): number {
  const seen = new Map<number, number>()
  let count = 0
  for (const btree of volume.btreeIds) {
    for (let level = volume.rootLevel(btree); level >= 0; level--) {
      const cursor = volume.cursor(btree, level)
      const { key } = cursor
      for (let found = cursor.seek(POS_MIN); found; found = cursor.next()) {
        count++
        const before = seen.get(key.type) ?? 0
        seen.set(key.type, before + 1)
        if (before < KEYS_KEPT_PER_TYPE) kept.push(key.bytes.slice(0, key.u64s * 8))
      }
    }
  }
  return count
}
