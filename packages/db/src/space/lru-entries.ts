/**
 * The lru btree: buckets of cached data by when they were read last, a list for each device; and buckets that are partly filled by how
 * full they are, one list for all. Format chapter 4, 4.3.7.
 *
 *     inode: list << 48 | time or fill     offset: device << 48 | bucket
 */

import { BPOS_WORDS, setBpos } from '../bpos.ts'
import { BtreeId } from '../btree-ids.ts'
import { DataType } from '../data-types.ts'
import type { DeviceShape } from '../key-type.ts'
import type { Bucket } from '../key-types/bucket.ts'
import { Key } from '../key.ts'
import type { Updates } from '../transaction/updates.ts'
import { makeSet } from './set-key.ts'

/** The list of buckets that are partly filled; others are devices. */
export const FRAGMENTATION_LIST = 0xffff

export class LruEntries {
  private readonly key = new Key()
  private readonly pos = new Uint32Array(BPOS_WORDS)

  /** Moves the bucket's entries from where they were to where they belong. */
  update(updates: Updates, device: number, bucket: number, member: DeviceShape, old: Bucket, now: Bucket): void {
    const oldRead = readTime(old)
    const read = readTime(now)
    if (read !== oldRead) {
      if (oldRead !== 0) updates.remove(BtreeId.lru, this.at(device, oldRead, device, bucket))
      if (read !== 0) updates.put(BtreeId.lru, makeSet(this.key, this.at(device, read, device, bucket)))
    }
    const oldFill = old.fragmentation(member)
    const fill = now.fragmentation(member)
    if (fill !== oldFill) {
      if (oldFill !== 0) updates.remove(BtreeId.lru, this.at(FRAGMENTATION_LIST, oldFill, device, bucket))
      if (fill !== 0) updates.put(BtreeId.lru, makeSet(this.key, this.at(FRAGMENTATION_LIST, fill, device, bucket)))
    }
  }

  private at(list: number, value: number, device: number, bucket: number): Uint32Array {
    setLruPos(this.pos, list, value, device, bucket)
    return this.pos
  }
}

/** Sets `pos` to the entry of a bucket in a list: that of a device's cached buckets has the device's number. */
export function setLruPos(pos: Uint32Array, list: number, value: number, device: number, bucket: number): void {
  setBpos(pos, (list << 16) | Math.floor(value / 0x100000000), value >>> 0, device << 16, bucket, 0)
}

/** When the cached data of a bucket was read last, 0 for other buckets. */
function readTime(bucket: Bucket): number {
  return bucket.dataType === DataType.cached ? bucket.readTimeHi * 0x100000000 + bucket.readTimeLo : 0
}
