/**
 * How much room there is: what statfs(2) tells. The counters of the accounting btree, and the geometry of the devices.
 * Format chapter 4, 4.8 and 4.10.4. All sizes in sectors.
 */

import { BtreeId, KEY_POS_AT, KEY_WORDS, POS_MIN } from '@cowherd/db'
import type { Key } from '@cowherd/db'
import type { VolumeAccess } from './volume-access.ts'

export interface Space {
  /** Room for data and btrees, used or not; reserves of the filesystem are not part of it. */
  readonly totalSectors: number
  readonly freeSectors: number
  /** What of `freeSectors` may be written. */
  readonly availableSectors: number
  /** Number of inodes, counting each version that a snapshot keeps. */
  readonly inodes: number
  /** How many more inodes there is room for, as Linux reckons: eight in a sector. */
  readonly freeInodes: number
}

/** Counters, by the first byte of the position; and types of data inside the positions. */
const COUNTED = { inodes: 0, persistentReserved: 1, replicas: 2, deviceDataType: 3 } as const
const DATA = { superblock: 1, journal: 2, btree: 3, user: 4, parity: 6 } as const

const ACCOUNTING = 34
const NAME_AT = KEY_POS_AT * 4
/** An update of a btree may take so many nodes; buckets are held back for it. */
const NODES_OF_AN_UPDATE = 28

/** Counts the room on the volume. Reads all of the accounting btree. */
export function spaceOf(volume: VolumeAccess): Space {
  const { capacity, bucketSectors } = capacityOf(volume)
  let inodes = 0
  let hidden = 0
  let stored = 0
  let reserved = 0
  const cursor = volume.cursor(BtreeId.accounting)
  const { key } = cursor
  for (let found = cursor.seek(POS_MIN); found; found = cursor.next()) {
    if (key.type !== ACCOUNTING) continue
    switch (key.bytes[NAME_AT]) {
      case COUNTED.inodes:
        inodes += counter(key)
        break
      case COUNTED.persistentReserved:
        reserved += counter(key) * key.bytes[NAME_AT + 1]
        break
      case COUNTED.replicas:
        if (isStored(key.bytes[NAME_AT + 1])) stored += counter(key)
        break
      case COUNTED.deviceDataType:
        if (isHidden(key.bytes[NAME_AT + 2])) hidden += counter(key) * (bucketSectors.get(key.bytes[NAME_AT + 1]) ?? 0)
        break
    }
  }
  const totalSectors = Math.max(0, capacity - hidden)
  const usedSectors = Math.min(totalSectors, stored + reserved + Math.ceil(reserved / 64))
  const freeSectors = totalSectors - Math.max(0, usedSectors)
  return {
    totalSectors,
    freeSectors,
    availableSectors: Math.floor((freeSectors * 64) / 65),
    inodes,
    freeInodes: freeSectors * 8,
  }
}

/** Sectors of the devices that are written to, less what is held back for moving data and for btrees. */
function capacityOf({ superblock, shape }: VolumeAccess): { capacity: number; bucketSectors: Map<number, number> } {
  const bucketSectors = new Map<number, number>()
  let raw = 0
  let heldBack = 0
  for (const member of superblock.members) {
    if (!member.alive) continue
    bucketSectors.set(member.index, member.bucketSectors)
    if (member.state !== 'rw') continue
    const nodesPerBucket = Math.max(1, Math.floor(member.bucketSectors / shape.btreeNodeSectors))
    const forUpdate = Math.ceil(NODES_OF_AN_UPDATE / nodesPerBucket)
    raw += (member.bucketCount - member.firstBucket) * member.bucketSectors
    heldBack += 2 * (2 * forUpdate + Math.floor(member.bucketCount / 64) + 3) * member.bucketSectors
  }
  const { gcReserveBytes, gcReservePercent } = superblock.options
  const forMoving = gcReserveBytes > 0 ? Math.floor(gcReserveBytes / 512) : Math.floor((raw * gcReservePercent) / 100)
  return { capacity: raw - Math.min(raw, Math.max(forMoving, heldBack)), bucketSectors }
}

/** Cached data is no use of space: it gives way. */
function isStored(dataType: number): boolean {
  return dataType === DATA.btree || dataType === DATA.user || dataType === DATA.parity
}

function isHidden(dataType: number): boolean {
  return dataType === DATA.superblock || dataType === DATA.journal
}

/** The first counter. Those of a sound volume are not negative; damaged ones count as nothing. */
function counter(key: Key): number {
  if (key.u64s * 2 <= KEY_WORDS + 1) return 0
  return Math.max(0, (key.words[KEY_WORDS + 1] | 0) * 0x100000000 + key.words[KEY_WORDS])
}
