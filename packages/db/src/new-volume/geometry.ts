/**
 * The sizes of a new volume: blocks, buckets, btree nodes, and where the superblock's copies go. Format chapter 1, 2.3 and 2.4.
 */

import { humanSize } from '@cowherd/kernel-lib'
import { SuperblockError } from '../errors.ts'
import { BUCKETS_MAX, BUCKETS_MIN } from '../superblock/sections/members.ts'
import { SUPERBLOCK_SECTOR } from '../superblock/superblock.ts'

const SECTOR = 512
const BLOCK_BYTES_MAX = 4096
/** Buckets and btree nodes are no smaller where the device allows it. */
const BUCKET_BYTES_USUAL = 128 << 10
const BUCKET_BYTES_MAX = 1 << 20
const BTREE_NODE_BYTES_USUAL = 256 << 10
const SUPERBLOCK_BYTES_USUAL = 1 << 20

/** A device as far as sizes depend on it. */
export interface DeviceSize {
  /** For messages. */
  readonly name: string
  readonly sizeBytes: number
  /** Least unit that it writes without reading, in bytes: 512 or 4096; that of its filesystem for a file. */
  readonly blockBytes: number
  /** Left out: chosen. */
  readonly bucketBytes?: number
}

export interface WantedSizes {
  readonly blockBytes?: number
  readonly btreeNodeBytes?: number
  /** Room for each copy of the superblock. */
  readonly superblockBytes?: number
}

export interface Geometry {
  readonly blockBytes: number
  readonly btreeNodeBytes: number
  readonly superblockBytes: number
  /** Per device, in the order given. */
  readonly devices: readonly DeviceGeometry[]
}

export interface DeviceGeometry {
  readonly bucketBytes: number
  readonly bucketCount: number
  /** Sectors at which the copies of the superblock begin. */
  readonly superblockSectors: readonly number[]
}

/** Chooses what is not wanted in particular, and checks the rest. Throws SuperblockError (EINVAL, ENOSPC). */
export function chooseGeometry(devices: readonly DeviceSize[], wanted: WantedSizes = {}): Geometry {
  const blockBytes = chooseBlock(devices, wanted.blockBytes)
  const superblockBytes = checkedSuperblockSize(wanted.superblockBytes ?? SUPERBLOCK_BYTES_USUAL)
  const chosen = Math.min(
    ...devices
      .filter((device) => device.bucketBytes === undefined)
      .map((device) => chooseBucket(device, blockBytes, wanted.btreeNodeBytes)),
  )
  const buckets = devices.map((device) => device.bucketBytes ?? chosen)
  const btreeNodeBytes = wanted.btreeNodeBytes ?? Math.min(BTREE_NODE_BYTES_USUAL, ...buckets)
  return {
    blockBytes,
    btreeNodeBytes,
    superblockBytes,
    devices: devices.map((device, i) => {
      const bucketBytes = buckets[i]
      checkBucket(device, bucketBytes, blockBytes, wanted.btreeNodeBytes ?? 0)
      return {
        bucketBytes,
        bucketCount: Math.floor(device.sizeBytes / bucketBytes),
        superblockSectors: placeSuperblocks(device, blockBytes, bucketBytes, superblockBytes),
      }
    }),
  }
}

function chooseBlock(devices: readonly DeviceSize[], wanted: number | undefined): number {
  const least = Math.max(...devices.map((device) => device.blockBytes))
  const blockBytes = wanted ?? least
  if (!isPowerOfTwo(blockBytes) || blockBytes < SECTOR || blockBytes > BLOCK_BYTES_MAX) {
    throw new SuperblockError(
      'EINVAL',
      '',
      `blocks of ${humanSize(blockBytes)}: 512 B to 4 KiB, a power of two, can be`,
    )
  }
  if (blockBytes < least) {
    const { name } = devices.find((device) => device.blockBytes > blockBytes) ?? devices[0]
    throw new SuperblockError(
      'EINVAL',
      name,
      `its blocks of ${humanSize(least)} are larger than ${humanSize(blockBytes)}`,
    )
  }
  return blockBytes
}

function chooseBucket({ name, sizeBytes }: DeviceSize, blockBytes: number, nodeBytes = 0): number {
  if (sizeBytes < BUCKETS_MIN * blockBytes) {
    throw new SuperblockError('ENOSPC', name, `${humanSize(sizeBytes)} are not enough for ${BUCKETS_MIN} buckets`)
  }
  let bytes = Math.max(blockBytes, nodeBytes, BUCKET_BYTES_USUAL)
  if (sizeBytes >= BUCKETS_MIN * bytes) {
    const scale = Math.max(1, Math.floor(Math.floor(Math.log2(sizeBytes / (BUCKETS_MIN * bytes))) / 4))
    return Math.min(bytes * 2 ** Math.floor(Math.log2(scale)), BUCKET_BYTES_MAX)
  }
  while (BUCKETS_MIN * bytes > sizeBytes) bytes /= 2
  return bytes
}

function checkBucket({ name, sizeBytes }: DeviceSize, bytes: number, blockBytes: number, nodeBytes: number): void {
  const complain = (why: string): never => {
    throw new SuperblockError('EINVAL', name, `buckets of ${humanSize(bytes)} ${why}`)
  }
  if (!isPowerOfTwo(bytes)) complain('are no power of two')
  if (bytes < blockBytes) complain(`are smaller than a block (${humanSize(blockBytes)})`)
  if (bytes < nodeBytes) complain(`are smaller than a btree node (${humanSize(nodeBytes)})`)
  if (bytes / SECTOR > 0xffff) complain('are too large')
  const count = Math.floor(sizeBytes / bytes)
  if (count < BUCKETS_MIN)
    complain(`are too large: ${count} on ${humanSize(sizeBytes)}, at least ${BUCKETS_MIN} are needed`)
  if (count > BUCKETS_MAX) complain(`are too small: ${count} on ${humanSize(sizeBytes)}`)
}

/** Two copies at the beginning, one near the end. */
function placeSuperblocks(
  { name, sizeBytes }: DeviceSize,
  blockBytes: number,
  bucketBytes: number,
  superblockBytes: number,
): number[] {
  const room = superblockBytes / SECTOR
  const blockSectors = blockBytes / SECTOR
  const second = Math.ceil((SUPERBLOCK_SECTOR + room) / blockSectors) * blockSectors
  const bucketSectors = bucketBytes / SECTOR
  const last = Math.floor((Math.floor(sizeBytes / SECTOR) - room) / bucketSectors) * bucketSectors
  if (last < second + room) {
    throw new SuperblockError(
      'ENOSPC',
      name,
      `${humanSize(sizeBytes)} are not enough for three superblocks of ${humanSize(superblockBytes)}`,
    )
  }
  return [SUPERBLOCK_SECTOR, second, last]
}

function checkedSuperblockSize(bytes: number): number {
  const rounded = SECTOR * 2 ** Math.floor(Math.log2(bytes / SECTOR))
  if (!(rounded >= 8 * SECTOR && rounded <= 32 << 20)) {
    throw new SuperblockError('EINVAL', '', `superblocks of ${humanSize(bytes)}: 4 KiB to 32 MiB can be`)
  }
  return rounded
}

function isPowerOfTwo(value: number): boolean {
  return Number.isInteger(Math.log2(value))
}
