/**
 * Which buckets are worth emptying: those of which little is used, the emptiest first. What is left in them is moved, and they can be used
 * anew. Format chapter 4, 4.9.7.
 */

import { BPOS_WORDS } from '../bpos.ts'
import { BtreeId } from '../btree-ids.ts'
import type { KeyCursor } from '../btree/cursor.ts'
import { DataType } from '../data-types.ts'
import type { VolumeShape } from '../key-type.ts'
import { FRAGMENTATION_LIST, setLruPos } from './lru-entries.ts'
import { heldBackBuckets, Watermark } from './reserves.ts'
import type { Usage } from './usage.ts'

export interface CopygcSource {
  /** Those of the volume. */
  readonly devices: readonly number[]
  readonly shape: VolumeShape
  readonly usage: Usage
  /** A walk over the committed keys of a btree. */
  cursor(btree: number): KeyCursor
  isOpen(device: number, bucket: number): boolean
  /** How many buckets of a device the allocator holds. */
  openCount(device: number): number
  /** Whether a device can be written to. */
  isRw(device: number): boolean
}

/** Fuller buckets are left alone: next to nothing is gained by moving what is in them. Full is 2^31. */
const FILL_MAX = 2 ** 31 * (15 / 16)
/** Buckets that could not be emptied; when there are more, all are tried again. */
const AVOIDED_MAX = 1024
const FRAGMENTED_TYPES = [DataType.btree, DataType.user, DataType.stripe] as const

export class Copygc {
  /** The bucket that `find` has found. */
  device = 0
  bucket = 0
  private readonly source: CopygcSource
  private readonly lru: KeyCursor
  private readonly pos = new Uint32Array(BPOS_WORDS)
  private readonly avoided = new Set<number>()

  constructor(source: CopygcSource) {
    this.source = source
    this.lru = source.cursor(BtreeId.lru)
  }

  /** Whether so much of what is used is fragmented, and so little is free, that buckets should be emptied. */
  get isDue(): boolean {
    for (const device of this.source.devices) if (this.waitSectors(device) === 0) return true
    return false
  }

  /** Sectors that are used in buckets which hold more, if they were full. */
  fragmentedSectors(device: number): number {
    const { usage } = this.source
    return FRAGMENTED_TYPES.reduce((sum, type) => sum + usage.fragmentedSectors(device, type), 0)
  }

  /** Finds the emptiest bucket of all devices that are `wanted`. False: none is worth it. Throws BtreeError. */
  find(wanted: (device: number) => boolean): boolean {
    const { lru, pos, source } = this
    const { key } = lru
    setLruPos(pos, FRAGMENTATION_LIST, 0, 0, 0)
    for (let found = lru.seek(pos); found; found = lru.next()) {
      const fill = (key.inodeHi & 0xffff) * 0x100000000 + key.inodeLo
      if (key.inodeHi >>> 16 !== FRAGMENTATION_LIST || fill > FILL_MAX) return false
      const device = key.offsetHi >>> 16
      const bucket = key.offsetLo
      if (!wanted(device) || !source.isRw(device) || source.isOpen(device, bucket)) continue
      if (this.avoided.has(idOf(device, bucket))) continue
      this.device = device
      this.bucket = bucket
      return true
    }
    return false
  }

  /** The bucket can't be emptied. */
  avoid(device: number, bucket: number): void {
    if (this.avoided.size === AVOIDED_MAX) this.avoided.clear()
    this.avoided.add(idOf(device, bucket))
  }

  /** Sectors that may be written before it is due for a device. */
  private waitSectors(device: number): number {
    const { shape, usage } = this.source
    const member = shape.member(device)
    if (member === undefined || !this.source.isRw(device)) return Infinity
    const heldBack = heldBackBuckets(member, shape.btreeNodeSectors, Watermark.stripe)
    const available = Math.max(0, usage.reclaimableBuckets(device) - this.source.openCount(device) - heldBack)
    const fragmented = this.fragmentedSectors(device)
    if (fragmented === 0) return Infinity
    return Math.max(0, Math.floor((available * member.bucketSectors) / 2) - fragmented)
  }
}

function idOf(device: number, bucket: number): number {
  return device * 0x100000000 + bucket
}
