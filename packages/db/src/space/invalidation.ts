/**
 * Gives up buckets of cached data when free ones get scarce, those first that were read longest ago. The pointers to them stay behind,
 * stale. Format chapter 4, 4.6.3.
 */

import { BPOS_WORDS } from '../bpos.ts'
import { BtreeId } from '../btree-ids.ts'
import type { KeyCursor } from '../btree/cursor.ts'
import { DataType } from '../data-types.ts'
import { KeyError } from '../errors.ts'
import type { VolumeShape } from '../key-type.ts'
import type { Updates } from '../transaction/updates.ts'
import { clockTime, type SpaceTriggers } from './bucket-trigger.ts'
import { setLruPos } from './lru-entries.ts'
import { heldBackBuckets, Watermark } from './reserves.ts'
import type { Usage } from './usage.ts'

export interface InvalidationSource {
  readonly shape: VolumeShape
  readonly usage: Usage
  /** A walk over the committed keys of a btree. */
  cursor(btree: number): KeyCursor
  isOpen(device: number, bucket: number): boolean
  /** Sectors that were read since the volume was made. */
  clock(of: 'reads'): number
}

/** A device wants so many of its buckets free: this part of them. */
const WANTED_SHIFT = 7
const TIME_MODULUS = 2 ** 48
/** Times so far ahead of now are of before the clock wrapped. */
const TIME_AHEAD = 2 ** 32 - 1

export class Invalidation {
  private readonly source: InvalidationSource
  private readonly lru: KeyCursor
  private readonly pos = new Uint32Array(BPOS_WORDS)

  constructor(source: InvalidationSource) {
    this.source = source
    this.lru = source.cursor(BtreeId.lru)
  }

  /** How many buckets of a device should be given up. */
  wanted(device: number): number {
    const { shape, usage } = this.source
    const member = shape.member(device)
    if (member === undefined) return 0
    const heldBack = heldBackBuckets(member, shape.btreeNodeSectors, Watermark.stripe)
    const free = usage.buckets(device, DataType.free) + usage.buckets(device, DataType.needDiscard)
    const missing = (member.bucketCount >> WANTED_SHIFT) - Math.max(0, free - heldBack)
    return Math.max(0, Math.min(missing, usage.buckets(device, DataType.cached)))
  }

  /** Gives up to `most` buckets of a device up, as part of a transaction. Returns how many. Throws KeyError if the lru btree is wrong. */
  step(updates: Updates, space: SpaceTriggers, device: number, most: number): number {
    const oldest = (clockTime(this.source.clock('reads')) + TIME_AHEAD) % TIME_MODULUS
    const count = this.walk(updates, space, device, oldest, TIME_MODULUS, most)
    return count + this.walk(updates, space, device, 0, oldest, most - count)
  }

  private walk(
    updates: Updates,
    space: SpaceTriggers,
    device: number,
    fromTime: number,
    toTime: number,
    most: number,
  ): number {
    const { lru, pos, source } = this
    const { key } = lru
    let count = 0
    setLruPos(pos, device, fromTime, 0, 0)
    for (let found = count < most && lru.seek(pos); found && count < most; found = lru.next()) {
      const time = (key.inodeHi & 0xffff) * 0x100000000 + key.inodeLo
      if (key.inodeHi >>> 16 !== device || time >= toTime) break
      if (key.offsetHi !== device << 16)
        throw new KeyError('EIO', `lru key ${key.posText}`, 'lru_entry_bad: its device')
      if (source.isOpen(device, key.offsetLo)) continue
      space.invalidate(updates, device, key.offsetLo)
      count++
    }
    return count
  }
}
