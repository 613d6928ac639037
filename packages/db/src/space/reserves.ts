/**
 * Buckets that are held back on each device, so that who is about to make room never lacks any: the more necessary an allocation is for
 * that, the deeper it may dip. Format chapter 4, 4.9.3.
 */

import type { DeviceShape } from '../key-type.ts'

/** What an allocation is for; greater ones may take more of what is left. */
export const Watermark = {
  stripe: 0,
  /** File data. */
  normal: 1,
  copygc: 2,
  btree: 3,
  /** Btree nodes on behalf of copygc. */
  btreeCopygc: 4,
  /** What the journal needs to have its oldest entries written out. */
  reclaim: 5,
  interiorUpdates: 6,
} as const

/** Nodes that one update may take at the worst: four trees of depth 4, and a node more on each level. */
const NODES_OF_AN_UPDATE = 28
const MOVING_SHARE_SHIFT = 6
/** One write point each for the btrees, copygc and file data. */
const WRITE_POINT_BUCKETS = 3

/** Buckets of the device that allocations at `watermark` leave alone. */
export function heldBackBuckets(device: DeviceShape, nodeSectors: number, watermark: number): number {
  const update = bucketsOfUpdate(device, nodeSectors)
  const forMoving = device.bucketCount >> MOVING_SHARE_SHIFT
  switch (watermark) {
    case Watermark.stripe:
      return 2 * forMoving + 2 * update
    case Watermark.normal:
      return forMoving + 2 * update
    case Watermark.copygc:
      return 2 * update
    case Watermark.btree:
      return update
    default:
      return 0
  }
}

/** Sectors of the device that are no part of the volume's capacity: room to move things. Chapter 4, 4.10.4. */
export function sectorsForMoving(device: DeviceShape, nodeSectors: number): number {
  const buckets = heldBackBuckets(device, nodeSectors, Watermark.normal) + WRITE_POINT_BUCKETS
  return 2 * buckets * device.bucketSectors
}

function bucketsOfUpdate({ bucketSectors }: DeviceShape, nodeSectors: number): number {
  return Math.ceil(NODES_OF_AN_UPDATE / Math.max(1, Math.floor(bucketSectors / nodeSectors)))
}
