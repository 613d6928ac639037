/**
 * The buckets of all devices: what their alloc keys say, and beside it what superblocks, journals and pointers make of them. Format
 * chapter 4, 4.1.4, 4.3.1, 4.3.2 and 4.11.2.
 */

import { DATA_TYPES, DataType, KEY_WORDS, type Key, type Member, type Superblock } from '@cowherd/db'
import type { Counters } from './counters.ts'
import { named } from './counters.ts'
import type { Faults } from './faults.ts'
import { Type } from './key-types.ts'

/** Fields of the value of alloc_v4, in words. */
const AT = {
  journalSeq: KEY_WORDS,
  flags: KEY_WORDS + 2,
  types: KEY_WORDS + 3, // gen, oldest_gen, data_type, stripe_redundancy
  dirty: KEY_WORDS + 4,
  cached: KEY_WORDS + 5,
  readTime: KEY_WORDS + 6,
  stripe: KEY_WORDS + 10,
  stripeSectors: KEY_WORDS + 14,
} as const
const FLAG_NEED_DISCARD = 1
/** Both flags are set when a bucket is first used: NEED_DISCARD and NEED_INC_GEN. */
const FLAGS_IN_USE = 3
/** Length in u64s of the fixed part of the oldest form, which doesn't say it. */
const OLDEST_START = 6
const GENERATIONS_AHEAD_MAX = 96
/** A full bucket's place in the list of partly filled ones. */
const FULL = 0x80000000
const FIRST_SUPERBLOCK = 8

/** Whether pointers to data of a type may lie in a bucket beside those of another. */
const kindOf = (type: number): number => (type === DataType.cached || type === DataType.stripe ? DataType.user : type)

/** One device's buckets, a column each. */
export class DeviceBuckets {
  readonly member: Member
  /** 1 where there is an alloc key. */
  readonly present: Uint8Array
  readonly gen: Uint8Array
  readonly oldestGen: Uint8Array
  readonly flags: Uint8Array
  readonly type: Uint8Array
  readonly dirty: Uint32Array
  readonly cached: Uint32Array
  readonly stripeSectors: Uint32Array
  readonly stripe: Uint32Array
  /** 48 bits. */
  readonly readTime: Float64Array
  /** The same, computed again. `seenType` is the kind of what lies there until `settle` derives the type of the bucket. */
  readonly seenType: Uint8Array
  readonly seenDirty: Float64Array
  readonly seenCached: Float64Array
  readonly seenStripeSectors: Float64Array

  constructor(member: Member) {
    const { bucketCount } = member
    this.member = member
    this.present = new Uint8Array(bucketCount)
    this.gen = new Uint8Array(bucketCount)
    this.oldestGen = new Uint8Array(bucketCount)
    this.flags = new Uint8Array(bucketCount)
    this.type = new Uint8Array(bucketCount)
    this.dirty = new Uint32Array(bucketCount)
    this.cached = new Uint32Array(bucketCount)
    this.stripeSectors = new Uint32Array(bucketCount)
    this.stripe = new Uint32Array(bucketCount)
    this.readTime = new Float64Array(bucketCount)
    this.seenType = new Uint8Array(bucketCount)
    this.seenDirty = new Float64Array(bucketCount)
    this.seenCached = new Float64Array(bucketCount)
    this.seenStripeSectors = new Float64Array(bucketCount)
  }

  /** Whether the number is one of a bucket that the device has. */
  has(bucket: number): boolean {
    return bucket >= this.member.firstBucket && bucket < this.member.bucketCount
  }

  /** Upper bits of a free bucket's place in the freespace btree. */
  generationBits(bucket: number): number {
    return ((this.gen[bucket] - this.oldestGen[bucket]) & 0xff) >>> 4
  }

  /** Place in the list of partly filled buckets, 0 for others; of what the bucket should be. */
  fragmentation(bucket: number): number {
    const type = this.seenType[bucket]
    if (type !== DataType.btree && type !== DataType.user && type !== DataType.stripe) return 0
    const { bucketSectors } = this.member
    const dirty = this.seenDirty[bucket] + this.seenStripeSectors[bucket]
    return dirty === 0 || dirty >= bucketSectors ? 0 : Math.floor((dirty * FULL) / bucketSectors)
  }

  /** Derives what type the bucket should have from what was seen in it. */
  derive(bucket: number): number {
    const kind = this.seenType[bucket]
    if (this.stripe[bucket] !== 0) return kind === DataType.parity ? DataType.parity : DataType.stripe
    if (this.seenDirty[bucket] + this.seenStripeSectors[bucket] !== 0) return kind
    if (this.seenCached[bucket] !== 0) return DataType.cached
    if ((this.flags[bucket] & FLAG_NEED_DISCARD) !== 0) return DataType.needDiscard
    const ahead = (this.gen[bucket] - this.oldestGen[bucket]) & 0xff
    return ahead >= GENERATIONS_AHEAD_MAX ? DataType.needGcGens : DataType.free
  }
}

export class Buckets {
  /** By device; undefined where there is none. */
  readonly devices: readonly (DeviceBuckets | undefined)[]
  private readonly faults: Faults
  private readonly newestSeq: number

  constructor(members: readonly Member[], faults: Faults, newestSeq: number) {
    this.devices = members.map((member) => (member.alive ? new DeviceBuckets(member) : undefined))
    this.faults = faults
    this.newestSeq = newestSeq
  }

  /** The device, if it has that bucket. */
  find(device: number, bucket: number): DeviceBuckets | undefined {
    const found = device < this.devices.length ? this.devices[device] : undefined
    return found?.has(bucket) === true ? found : undefined
  }

  /** Takes an alloc key. */
  load(key: Key): void {
    const { words } = key
    const bucket = key.offset
    const place = placeOf(key.inode, bucket)
    const device = this.find(key.inode, bucket)
    if (device === undefined) {
      this.faults.add(`alloc ${key.posText}`, 'alloc_key_to_missing_dev_bucket')
      return
    }
    if (key.type !== Type.allocV4) {
      this.faults.add(place, `a key of type ${key.type}: only alloc_v4 can be judged`)
      return
    }
    const flags = words[AT.flags]
    const start = 2 * ((flags >>> 2) & 0x3f || OLDEST_START)
    const field = (at: number): number => (at - KEY_WORDS < start && at < key.u64s * 2 ? words[at] : 0)
    const types = words[AT.types]
    device.present[bucket] = 1
    device.flags[bucket] = flags
    device.gen[bucket] = types
    device.oldestGen[bucket] = types >>> 8
    device.type[bucket] = types >>> 16
    device.dirty[bucket] = field(AT.dirty)
    device.cached[bucket] = field(AT.cached)
    device.readTime[bucket] = field(AT.readTime + 1) * 0x100000000 + field(AT.readTime)
    device.stripe[bucket] = field(AT.stripe)
    device.stripeSectors[bucket] = field(AT.stripeSectors)
    const seq = words[AT.journalSeq + 1] * 0x100000000 + words[AT.journalSeq]
    this.checkFlags(place, device, bucket)
    if (flags >>> 2 !== 8) this.faults.add(place, `flags ${flags}`)
    if (seq > this.newestSeq) this.faults.add(place, `journal_seq ${seq}, the last is ${this.newestSeq}`)
  }

  /** Flags that no check compares, but that decide what happens to the bucket when it is emptied. */
  private checkFlags(place: string, device: DeviceBuckets, bucket: number): void {
    const flags = device.flags[bucket] & FLAGS_IN_USE
    const type = device.type[bucket]
    const isEmpty = type === DataType.free || type === DataType.needGcGens || type === DataType.needDiscard
    if (!isEmpty && flags !== FLAGS_IN_USE) this.faults.add(place, `${DATA_TYPES[type]} with flags ${flags}`)
    if (isEmpty && type !== DataType.needDiscard && flags !== 0) this.faults.add(place, `empty with flags ${flags}`)
  }

  /** Takes the places of a device's superblocks and its journal; undefined if the device isn't there. */
  reserve(index: number, own: Superblock | undefined): void {
    const device = this.devices[index]
    if (device === undefined) return
    if (own === undefined) {
      takeAsStored(device)
      return
    }
    const { bucketSectors } = device.member
    for (const sector of own.layout.sectors.map(Number)) {
      if (sector === FIRST_SUPERBLOCK) this.reserveSectors(device, 0, FIRST_SUPERBLOCK)
      this.reserveSectors(device, sector, sector + own.layout.maxSectors)
    }
    for (const { start, count } of own.journalBuckets.runs) {
      for (let bucket = start; bucket < start + count; bucket++) {
        this.use(device, bucket, DataType.journal, bucketSectors, device.seenDirty)
      }
    }
  }

  /** Takes `sectors` of a pointer to data of a type. `column` is one of the seen ones. */
  use(device: DeviceBuckets, bucket: number, type: number, sectors: number, column: Float64Array): void {
    const kind = kindOf(type)
    const seen = device.seenType[bucket]
    if (seen !== DataType.free && kindOf(seen) !== kind) {
      const what = `${DATA_TYPES[type]} beside ${DATA_TYPES[seen]}`
      this.faults.add(placeOf(device.member.index, bucket), `ptr_bucket_data_type_mismatch: ${what}`)
    }
    device.seenType[bucket] = type === DataType.cached ? DataType.user : type
    column[bucket] += sectors
  }

  /** Compares the alloc keys with what was seen, when everything was, and counts the buckets by their types. */
  settle(counters: Counters): void {
    for (const device of this.devices) if (device !== undefined) this.settleDevice(device, counters)
  }

  private settleDevice(device: DeviceBuckets, counters: Counters): void {
    const { index, firstBucket, bucketCount, bucketSectors } = device.member
    const sums = DATA_TYPES.map(() => [0, 0, 0])
    for (let bucket = firstBucket; bucket < bucketCount; bucket++) {
      const type = device.derive(bucket)
      device.seenType[bucket] = type
      this.compare(device, bucket)
      const dirty = device.seenDirty[bucket] + device.seenStripeSectors[bucket]
      const sectors = type === DataType.cached ? device.seenCached[bucket] : dirty
      const sum = sums[type]
      sum[0]++
      sum[1] += sectors
      if (sectors !== 0) sum[2] += Math.max(0, bucketSectors - sectors)
      if (type !== DataType.stripe || device.seenDirty[bucket] === 0) continue
      sums[DataType.unstriped][0]++
      sums[DataType.unstriped][1] += device.seenDirty[bucket]
    }
    sums.forEach(([buckets, sectors, fragmented], type) => {
      counters.add(named.deviceDataType(index, type), buckets, sectors, fragmented)
    })
  }

  private compare(device: DeviceBuckets, bucket: number): void {
    const { present, seenType } = device
    const type = seenType[bucket]
    if (present[bucket] === 0 && type === DataType.free) return
    const place = placeOf(device.member.index, bucket)
    if (present[bucket] === 0) {
      this.faults.add(place, `without alloc key, though it holds ${DATA_TYPES[type]}`)
      return
    }
    if (device.type[bucket] !== type) {
      this.faults.add(
        place,
        `alloc_key_data_type_wrong: ${DATA_TYPES[device.type[bucket]]}, should be ${DATA_TYPES[type]}`,
      )
    }
    this.compareField(place, 'dirty_sectors', device.dirty[bucket], device.seenDirty[bucket])
    this.compareField(place, 'cached_sectors', device.cached[bucket], device.seenCached[bucket])
    this.compareField(place, 'stripe_sectors', device.stripeSectors[bucket], device.seenStripeSectors[bucket])
    if (type === DataType.cached && device.readTime[bucket] === 0) {
      this.faults.add(place, 'alloc_key_cached_but_read_time_zero')
    }
  }

  private compareField(place: string, name: string, stored: number, seen: number): void {
    if (stored !== seen) this.faults.add(place, `alloc_key_${name}_wrong: ${stored}, should be ${seen}`)
  }

  private reserveSectors(device: DeviceBuckets, start: number, end: number): void {
    const { bucketSectors, bucketCount } = device.member
    for (let at = start; at < end;) {
      const bucket = Math.floor(at / bucketSectors)
      const next = Math.min(end, (bucket + 1) * bucketSectors)
      if (bucket < bucketCount) this.use(device, bucket, DataType.sb, next - at, device.seenDirty)
      at = next
    }
  }
}

/** Of a device that isn't there nothing is known but what its alloc keys say. */
function takeAsStored(device: DeviceBuckets): void {
  for (let bucket = 0; bucket < device.type.length; bucket++) {
    const type = device.type[bucket]
    if (type !== DataType.sb && type !== DataType.journal) continue
    device.seenType[bucket] = type
    device.seenDirty[bucket] = device.dirty[bucket]
  }
}

/** `bucket 0:51`. */
export function placeOf(device: number, bucket: number): string {
  return `bucket ${device}:${bucket}`
}
