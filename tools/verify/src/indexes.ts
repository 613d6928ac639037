/**
 * The btrees that follow from the alloc keys: freespace, need_discard, lru and bucket_gens. What they should be is taken from the buckets
 * as computed again. Format chapter 4, 4.3.4, 4.3.5, 4.3.7 and 4.12.
 */

import { DATA_TYPES, DataType, KEY_BYTES, type Key } from '@cowherd/db'
import { placeOf, type Buckets, type DeviceBuckets } from './buckets.ts'
import type { Faults } from './faults.ts'

const GENS_PER_KEY = 256
const FRAGMENTATION_LRU = 0xffff

/** What was found of a bucket, bit by bit. */
const Found = { free: 1, needDiscard: 2, read: 4, fragmented: 8 } as const

export class Indexes {
  private readonly buckets: Buckets
  private readonly faults: Faults
  /** By device, a byte of `Found` for each bucket. */
  private readonly found: readonly Uint8Array[]
  /** By device, 1 for buckets whose generation a key has said. */
  private readonly generations: readonly Uint8Array[]

  /** The buckets are settled. */
  constructor(buckets: Buckets, faults: Faults) {
    this.buckets = buckets
    this.faults = faults
    const column = (device: DeviceBuckets | undefined): Uint8Array => new Uint8Array(device?.member.bucketCount ?? 0)
    this.found = buckets.devices.map(column)
    this.generations = buckets.devices.map(column)
  }

  /** A key of the freespace btree: a range of free buckets, the upper bits of its position saying how far their generations went. */
  freespace(key: Key): void {
    const end = (key.offsetHi & 0xffffff) * 0x100000000 + key.offsetLo
    const start = end - key.size
    const bits = key.offsetHi >>> 24
    const device = this.buckets.find(key.inode, start)
    if (!device?.has(end - 1)) {
      this.faults.add(
        `freespace ${key.posText}`,
        `need_discard_freespace_key_to_invalid_dev_bucket: ${start} to ${end}`,
      )
      return
    }
    for (let bucket = start; bucket < end; bucket++) {
      const type = device.seenType[bucket]
      if (type !== DataType.free) this.say(device, bucket, `in freespace, though it holds ${DATA_TYPES[type]}`)
      else if (device.generationBits(bucket) !== bits) {
        this.say(
          device,
          bucket,
          `in freespace with generation bits ${bits}, should be ${device.generationBits(bucket)}`,
        )
      }
      this.mark(device, bucket, Found.free, 'freespace')
    }
  }

  needDiscard(key: Key): void {
    const device = this.buckets.find(key.inode, key.offset)
    if (device === undefined) {
      this.faults.add(`need_discard ${key.posText}`, 'need_discard_freespace_key_to_invalid_dev_bucket')
      return
    }
    const type = device.seenType[key.offset]
    if (type !== DataType.needDiscard) this.say(device, key.offset, `in need_discard, though it is ${DATA_TYPES[type]}`)
    this.mark(device, key.offset, Found.needDiscard, 'need_discard')
  }

  /** A key of either list: of cached buckets by their age, of partly filled ones by how full they are. */
  lru(key: Key): void {
    const id = key.inodeHi >>> 16
    const time = (key.inodeHi & 0xffff) * 0x100000000 + key.inodeLo
    const index = key.offsetHi >>> 16
    const bucket = (key.offsetHi & 0xffff) * 0x100000000 + key.offsetLo
    const device = this.buckets.find(index, bucket)
    if (device === undefined) {
      this.faults.add(`lru ${key.posText}`, `lru_entry_to_invalid_bucket: ${index}:${bucket}`)
      return
    }
    const isFragmentation = id === FRAGMENTATION_LRU
    const isRead = !isFragmentation && id === index && device.seenType[bucket] === DataType.cached
    const expected = isFragmentation ? device.fragmentation(bucket) : isRead ? device.readTime[bucket] : 0
    if (expected === 0 || time !== expected) {
      this.faults.add(
        `lru ${key.posText}`,
        `lru_entry_bad: ${placeOf(index, bucket)} at ${time} of ${id}, should be ${expected}`,
      )
      return
    }
    this.mark(device, bucket, isFragmentation ? Found.fragmented : Found.read, 'lru')
  }

  bucketGens(key: Key): void {
    const first = key.offset * GENS_PER_KEY
    const device = key.inode < this.buckets.devices.length ? this.buckets.devices[key.inode] : undefined
    if (
      device === undefined ||
      first + GENS_PER_KEY <= device.member.firstBucket ||
      first >= device.member.bucketCount
    ) {
      this.faults.add(`bucket_gens ${key.posText}`, 'bucket_gens_to_invalid_buckets')
      return
    }
    for (let i = 0; i < Math.min(GENS_PER_KEY, key.valueBytes); i++) {
      const bucket = first + i
      const stored = key.bytes[KEY_BYTES + i]
      const expected = device.has(bucket) ? device.gen[bucket] : 0
      if (device.has(bucket)) this.generations[key.inode][bucket] = 1
      if (stored !== expected) this.say(device, bucket, `bucket_gens_key_wrong: ${stored}, should be ${expected}`)
    }
  }

  /** When all keys have been seen. */
  finish(): void {
    for (const device of this.buckets.devices) {
      if (device === undefined) continue
      const { firstBucket, bucketCount } = device.member
      for (let bucket = firstBucket; bucket < bucketCount; bucket++) this.lookForMissing(device, bucket)
    }
  }

  private lookForMissing(device: DeviceBuckets, bucket: number): void {
    const { index, freespaceInitialized } = device.member
    const found = this.found[index][bucket]
    const type = device.seenType[bucket]
    if (freespaceInitialized) {
      if (type === DataType.free && (found & Found.free) === 0) this.say(device, bucket, 'free, but not in freespace')
      if (type === DataType.needDiscard && (found & Found.needDiscard) === 0) {
        this.say(device, bucket, 'to be discarded, but not in need_discard')
      }
    }
    if (type === DataType.cached && device.readTime[bucket] !== 0 && (found & Found.read) === 0) {
      this.say(device, bucket, 'alloc_key_to_missing_lru_entry: cached')
    }
    if (device.fragmentation(bucket) !== 0 && (found & Found.fragmented) === 0) {
      this.say(device, bucket, 'alloc_key_to_missing_lru_entry: partly filled')
    }
    if (device.gen[bucket] !== 0 && this.generations[index][bucket] === 0) {
      this.say(device, bucket, `generation ${device.gen[bucket]}, but no key in bucket_gens`)
    }
  }

  private mark(device: DeviceBuckets, bucket: number, bit: number, btree: string): void {
    const found = this.found[device.member.index]
    if ((found[bucket] & bit) !== 0) this.say(device, bucket, `twice in ${btree}`)
    found[bucket] |= bit
  }

  private say(device: DeviceBuckets, bucket: number, what: string): void {
    this.faults.add(placeOf(device.member.index, bucket), what)
  }
}
