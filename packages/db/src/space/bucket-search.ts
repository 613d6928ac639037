/**
 * Finds free buckets: walks over the freespace btree from where it stopped the last time, once around. Btree nodes go where the member's
 * bitmap says that nodes are already, data goes elsewhere, as long as there is a choice. Format chapter 4, 4.9.1.
 *
 * It reads what is committed. A bucket that is free there can be written to: it passed through need_discard, and left that only after
 * the journal entry that emptied it was flushed.
 */

import { BPOS_WORDS, compareBpos, setBpos } from '../bpos.ts'
import { BtreeId } from '../btree-ids.ts'
import type { KeyCursor } from '../btree/cursor.ts'
import { DataType, dataTypeName } from '../data-types.ts'
import { KeyError } from '../errors.ts'
import type { DeviceShape, VolumeShape } from '../key-type.ts'
import { Bucket } from '../key-types/bucket.ts'
import { KEY_POS_AT } from '../key.ts'
import type { BtreeBitmap } from '../superblock/btree-bitmap.ts'
import { MEMBERS_MAX } from '../superblock/sections/members.ts'
import { loadBucket } from './alloc-key.ts'
import { GENBITS_SHIFT, genbitsOf, isRange, startOf } from './freespace.ts'

export interface SearchSource {
  readonly shape: VolumeShape
  /** A walk over the committed keys of a btree. */
  cursor(btree: number): KeyCursor
  /** Where the superblock says that btree nodes may lie. */
  btreeBitmap(device: number): BtreeBitmap
}

const BITMAP_BITS = 64
const ALL_COVERED = 0xffffffffffffffffn
const NOWHERE = -1

export class BucketSearch {
  /** Generation of the bucket that was found last. */
  gen = 0
  private readonly source: SearchSource
  private readonly isOpen: (device: number, bucket: number) => boolean
  private readonly freespace: KeyCursor
  private readonly alloc: KeyCursor
  private readonly pos = new Uint32Array(BPOS_WORDS)
  private readonly bucket = new Bucket()
  /** Where to go on, by kind and device: genbits, bucket. */
  private readonly nextGenbits = new Uint8Array(2 * MEMBERS_MAX)
  private readonly nextBucket = new Float64Array(2 * MEMBERS_MAX)

  constructor(source: SearchSource, isOpen: (device: number, bucket: number) => boolean) {
    this.source = source
    this.isOpen = isOpen
    this.freespace = source.cursor(BtreeId.freespace)
    this.alloc = source.cursor(BtreeId.alloc)
  }

  /**
   * A free bucket of the device that is not open, or -1. Throws KeyError if the freespace btree and the alloc keys contradict each
   * other, BtreeError if they can't be read.
   */
  find(device: number, isForNodes: boolean): number {
    const member = this.source.shape.member(device)
    if (member === undefined) return NOWHERE
    const bitmap = this.source.btreeBitmap(device)
    const isVain = isForNodes ? bitmap.bits === 0n : coversAll(bitmap, member)
    const preferred = isVain
      ? NOWHERE
      : this.around(device, member, isForNodes, new Coverage(bitmap, isForNodes, member))
    return preferred === NOWHERE ? this.around(device, member, isForNodes, undefined) : preferred
  }

  private around(device: number, member: DeviceShape, isForNodes: boolean, wanted: Coverage | undefined): number {
    const at = Number(isForNodes) * MEMBERS_MAX + device
    const genbits = this.nextGenbits[at]
    const bucket = this.nextBucket[at]
    const found = this.walk(device, member, wanted, genbits, bucket, Infinity, Infinity)
    const other = found === NOWHERE ? this.walk(device, member, wanted, 0, 0, genbits, bucket) : found
    if (other === NOWHERE) return NOWHERE
    this.nextGenbits[at] = genbitsOf(this.bucket.generationsAhead)
    this.nextBucket[at] = other + 1
    return other
  }

  /** The first bucket that will do from one place of the device to another. */
  private walk(
    device: number,
    member: DeviceShape,
    wanted: Coverage | undefined,
    fromGenbits: number,
    from: number,
    toGenbits: number,
    to: number,
  ): number {
    const { freespace } = this
    const { key } = freespace
    let genbits = fromGenbits
    let next = from
    let found = this.seek(device, genbits, next)
    while (found && key.inodeHi === 0 && key.inodeLo === device) {
      const end = key.offsetLo
      const keyGenbits = key.offsetHi >>> GENBITS_SHIFT
      if (!isRange(key) || startOf(key) < member.firstBucket || end > member.bucketCount) {
        throw new KeyError('EIO', `freespace key ${key.posText}`, `no range of buckets of device ${device}`)
      }
      let bucket = keyGenbits === genbits ? Math.max(startOf(key), next) : startOf(key)
      while (bucket < end) {
        if (keyGenbits > toGenbits || (keyGenbits === toGenbits && bucket >= to)) return NOWHERE
        const step = wanted?.step(bucket) ?? 0
        if (step === 0 && !this.isOpen(device, bucket)) {
          this.load(device, bucket, keyGenbits)
          return bucket
        }
        bucket = Math.min(bucket + Math.max(step, 1), member.bucketCount)
      }
      genbits = keyGenbits
      next = bucket
      found = bucket > end ? this.seek(device, genbits, next) : freespace.next()
    }
    return NOWHERE
  }

  private seek(device: number, genbits: number, bucket: number): boolean {
    setBpos(this.pos, 0, device, genbits << GENBITS_SHIFT, bucket + 1, 0)
    return this.freespace.seek(this.pos)
  }

  /** Holds a bucket of the freespace btree against its alloc key. */
  private load(device: number, bucket: number, genbits: number): void {
    const { alloc, pos, bucket: loaded } = this
    setBpos(pos, 0, device, 0, bucket, 0)
    const hasKey = alloc.seek(pos) && compareBpos(alloc.key.words, KEY_POS_AT, pos, 0) === 0
    if (hasKey) loadBucket(loaded, alloc.key, this.source.shape)
    else loaded.clear()
    if (loaded.dataType !== DataType.free || genbitsOf(loaded.generationsAhead) !== genbits) {
      const what = `${dataTypeName(loaded.dataType)}, ${loaded.generationsAhead} generations ahead, in freespace at ${genbits}`
      throw new KeyError('EIO', `bucket ${device}:${bucket}`, `need_discard_freespace_key_bad: ${what}`)
    }
    this.gen = loaded.gen
  }
}

function coversAll({ bits, shift }: BtreeBitmap, { bucketCount, bucketSectors }: DeviceShape): boolean {
  return bits === ALL_COVERED && BITMAP_BITS * 2 ** shift >= bucketCount * bucketSectors
}

/** Which buckets of a device the bitmap of btree nodes covers, or doesn't. */
class Coverage {
  private readonly bits: bigint
  private readonly unitSectors: number
  private readonly bucketSectors: number
  private readonly wanted: boolean

  constructor({ bits, shift }: BtreeBitmap, wanted: boolean, { bucketSectors }: DeviceShape) {
    this.bits = bits
    this.unitSectors = 2 ** shift
    this.bucketSectors = bucketSectors
    this.wanted = wanted
  }

  /** 0 if the bucket is one that is wanted, else how many buckets further on the next one may be. */
  step(bucket: number): number {
    const { unitSectors, bucketSectors } = this
    const first = Math.floor((bucket * bucketSectors) / unitSectors)
    const end = (bucket + 1) * bucketSectors
    const last = Math.ceil(end / unitSectors) - 1
    let isCovered = false
    for (let unit = first; unit <= last && unit < BITMAP_BITS && !isCovered; unit++) isCovered = this.isMarked(unit)
    if (isCovered === this.wanted) return 0
    if (this.isMarked(last) === this.wanted) return 1
    // all buckets up to the end of the last unit are like this one; behind the bitmap nothing is covered
    return last >= BITMAP_BITS ? Infinity : Math.floor(((last + 1) * unitSectors) / bucketSectors) - bucket
  }

  private isMarked(unit: number): boolean {
    return unit < BITMAP_BITS && ((this.bits >> BigInt(unit)) & 1n) === 1n
  }
}
