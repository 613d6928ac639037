/**
 * The buckets that no key points to: those of the superblocks and of the journal, with the sectors of them that are used. Their alloc keys
 * are written directly (`SpaceTriggers.mark`). Format chapter 4, 4.1.4.
 */

import { DataType } from '../data-types.ts'
import type { DeviceShape } from '../key-type.ts'
import type { Superblock } from '../superblock/superblock.ts'

export interface ReservedBucket {
  readonly bucket: number
  readonly dataType: number
  readonly sectors: number
}

/** The first superblock's place; what lies before it belongs to it. */
const SUPERBLOCK_SECTOR = 8

/** Those of the device whose superblock it is. */
export function reservedBuckets({ layout, deviceIndex, members, journalBuckets }: Superblock): ReservedBucket[] {
  const member = members[deviceIndex]
  const buckets: ReservedBucket[] = []
  for (const [bucket, sectors] of superblockBuckets(layout.sectors.map(Number), layout.maxSectors, member)) {
    buckets.push({ bucket, dataType: DataType.sb, sectors })
  }
  for (const { start, count } of journalBuckets.runs) {
    for (let i = 0; i < count; i++) {
      buckets.push({ bucket: start + i, dataType: DataType.journal, sectors: member.bucketSectors })
    }
  }
  return buckets
}

/** The sectors of buckets that superblocks at these sectors take, `room` sectors each. Copies may lie behind the last bucket. */
export function superblockBuckets(
  superblockSectors: readonly number[],
  room: number,
  { bucketSectors, bucketCount }: Pick<DeviceShape, 'bucketSectors' | 'bucketCount'>,
): Map<number, number> {
  const used = new Map<number, number>()
  const reserve = (start: number, end: number): void => {
    for (let at = start; at < end;) {
      const bucket = Math.floor(at / bucketSectors)
      if (bucket >= bucketCount) return
      const pieceEnd = Math.min(end, (bucket + 1) * bucketSectors)
      used.set(bucket, (used.get(bucket) ?? 0) + pieceEnd - at)
      at = pieceEnd
    }
  }
  for (const sector of superblockSectors) {
    if (sector === SUPERBLOCK_SECTOR) reserve(0, SUPERBLOCK_SECTOR)
    reserve(sector, sector + room)
  }
  return used
}
