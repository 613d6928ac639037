/**
 * What follows when buckets change: their alloc keys, and the indexes that are functions of these (freespace, need_discard, lru,
 * bucket_gens), and the counters of each device. Format chapter 4, 4.5.1.
 *
 * A transaction collects what it does to buckets: sectors that pointers add and take, discards, invalidations, marks. Nothing is put
 * before `finish`, which compares each bucket as it was before the transaction with how it is left. So the order of changes within the
 * transaction doesn't matter, and a transaction that is given up leaves nothing behind.
 *
 *     begin    add, discarded, invalidate, mark ...  any number of times     finish    commit
 */

import { BPOS_WORDS, setBpos } from '../bpos.ts'
import { BtreeId } from '../btree-ids.ts'
import { DataType, dataTypeName } from '../data-types.ts'
import { KeyError } from '../errors.ts'
import type { DeviceShape, VolumeShape } from '../key-type.ts'
import { makeAllocV4 } from '../key-types/alloc-v4.ts'
import { Bucket, isEmptyType } from '../key-types/bucket.ts'
import { Key } from '../key.ts'
import type { Updates } from '../transaction/updates.ts'
import { loadBucket } from './alloc-key.ts'
import { BucketGens } from './bucket-gens.ts'
import { CounterName } from './counter-name.ts'
import { Freespace, genbitsOf } from './freespace.ts'
import { LruEntries } from './lru-entries.ts'
import { makeSet } from './set-key.ts'

/** What the triggers need to know of the volume. */
export interface SpaceContext {
  readonly shape: VolumeShape
  /** Whether the allocator holds the bucket: its generation stays as it is then, even if it is emptied. */
  isOpen(device: number, bucket: number): boolean
  /** Sectors that were read, or written, since the volume was made. */
  clock(of: 'reads' | 'writes'): number
  /** Whether freespace and need_discard of the device are complete: then what should be in them must be. */
  isFreespaceInitialized(device: number): boolean
}

/** A bucket that a transaction changes. */
export class BucketChange {
  device = 0
  bucket = 0
  readonly old = new Bucket()
  readonly new = new Bucket()
  /** Cached sectors that were given up with the bucket: the pointers to them remain, stale. */
  invalidatedSectors = 0

  /**
   * Adds sectors (less than 0: takes them away) that a pointer leads to. `dataType`: what the pointer is for. False, and nothing
   * happens, if so many can't be.
   */
  add(dataType: number, isOfStripe: boolean, isCached: boolean, sectors: number): boolean {
    const { new: now } = this
    const sum = sectors + (isOfStripe ? now.stripeSectors : isCached ? now.cachedSectors : now.dirtySectors)
    if (sum < 0 || sum > SECTORS_MAX) return false
    if (isOfStripe) now.stripeSectors = sum
    else if (isCached) now.cachedSectors = sum
    else now.dirtySectors = sum
    now.dataType = now.derivedDataType(dataType)
    return true
  }
}

const CLOCK_MODULUS = 2 ** 48
const SECTORS_MAX = 0xffffffff

export class SpaceTriggers {
  private readonly context: SpaceContext
  /** Those in front of `count` are in use. */
  private readonly changes: BucketChange[] = []
  private count = 0
  /** Indexes in `changes`, by device and bucket. */
  private readonly indexes = new Map<number, number>()
  private readonly freespace = new Freespace()
  private readonly lru = new LruEntries()
  private readonly gens = new BucketGens()
  private readonly name = new CounterName()
  private readonly key = new Key()
  private readonly pos = new Uint32Array(BPOS_WORDS)

  constructor(context: SpaceContext) {
    this.context = context
  }

  /** Forgets the transaction before. */
  begin(): void {
    this.count = 0
    if (this.indexes.size > 0) this.indexes.clear()
  }

  /**
   * The bucket's change in this transaction, which begins with what is there. Throws KeyError if there is no such bucket, or its alloc
   * key is malformed.
   */
  change(updates: Updates, device: number, bucket: number): BucketChange {
    const id = device * 0x100000000 + bucket
    const index = this.indexes.get(id)
    if (index !== undefined) return this.changes[index]
    this.memberOf(device, bucket)
    const change = this.changes[this.count] ?? (this.changes[this.count] = new BucketChange())
    change.device = device
    change.bucket = bucket
    change.invalidatedSectors = 0
    this.load(updates, change)
    this.indexes.set(id, this.count++)
    return change
  }

  /**
   * Puts space to use that no key points to: makes it a bucket of the superblock or the journal, of which so many sectors are used. With
   * 0 sectors it is given back. Throws KeyError if there is something else.
   */
  mark(updates: Updates, device: number, bucket: number, dataType: number, sectors: number): void {
    const { new: now } = this.change(updates, device, bucket)
    if (!isEmptyType(now.dataType) && now.dataType !== dataType) {
      throw wrong(device, bucket, `holds ${dataTypeName(now.dataType)}, where ${dataTypeName(dataType)} should be`)
    }
    now.dirtySectors = sectors
    now.dataType = now.derivedDataType(sectors === 0 ? DataType.free : dataType)
  }

  /** Makes an emptied bucket fit for use again. Throws KeyError if it isn't one that waits for that. Chapter 4, 4.6.1. */
  discarded(updates: Updates, device: number, bucket: number): void {
    const { new: now } = this.change(updates, device, bucket)
    if (now.dataType !== DataType.needDiscard) {
      throw wrong(device, bucket, `is ${dataTypeName(now.dataType)}, not need_discard`)
    }
    now.needDiscard = false
  }

  /** Gives up a bucket of cached data. Throws KeyError if it holds anything else. Chapter 4, 4.6.3. */
  invalidate(updates: Updates, device: number, bucket: number): void {
    const change = this.change(updates, device, bucket)
    const { new: now } = change
    if (now.dataType !== DataType.cached || now.sectorsDirty !== 0 || this.context.isOpen(device, bucket)) {
      throw wrong(device, bucket, `can't be invalidated: ${dataTypeName(now.dataType)}, ${now.sectorsDirty} sectors`)
    }
    change.invalidatedSectors += now.cachedSectors
    now.gen = (now.gen + 1) & 0xff
    now.needIncGen = false
    now.cachedSectors = 0
    now.dataType = now.derivedDataType(now.dataType)
    this.touch(now)
  }

  /** No pointer into the bucket is older than `gen`. Less than was known before changes nothing. Chapter 4, 4.6.5. */
  raiseOldestGen(updates: Updates, device: number, bucket: number, gen: number): void {
    const { new: now } = this.change(updates, device, bucket)
    const ahead = (now.gen - gen) & 0xff
    if (ahead < now.generationsAhead) now.oldestGen = gen
  }

  /** Notes that cached data of the bucket was read just now. */
  wasRead(updates: Updates, device: number, bucket: number): void {
    this.setReadTime(this.change(updates, device, bucket).new)
  }

  /** Puts all that follows. Throws KeyError if an index isn't as the bucket was. */
  finish(updates: Updates): void {
    for (let i = 0; i < this.count; i++) this.settle(updates, this.changes[i])
  }

  private load(updates: Updates, { device, bucket, old, new: now }: BucketChange): void {
    setBpos(this.pos, 0, device, 0, bucket, 0)
    if (updates.get(BtreeId.alloc, this.pos, this.key)) loadBucket(old, this.key, this.context.shape)
    else old.clear()
    now.set(old)
  }

  private settle(updates: Updates, change: BucketChange): void {
    const { device, bucket, old, new: now } = change
    const member = this.memberOf(device, bucket)
    this.derive(updates, change)
    if (now.equals(old)) return
    setBpos(this.pos, 0, device, 0, bucket, 0)
    updates.put(BtreeId.alloc, makeAllocV4(this.key, this.pos, now))
    this.putIndexes(updates, change)
    this.lru.update(updates, device, bucket, member, old, now)
    if (now.gen !== old.gen) this.gens.put(updates, device, bucket, now.gen)
    if (change.invalidatedSectors !== 0) {
      updates.account(this.name.cached(device), -change.invalidatedSectors)
    }
    this.countDevice(updates, change, member)
  }

  /** What the bucket's other fields are, from how it is left. */
  private derive(updates: Updates, { device, bucket, old, new: now }: BucketChange): void {
    now.dataType = now.derivedDataType(now.dataType)
    if (now.sectorsTotal > old.sectorsTotal) {
      this.touch(now)
      now.needIncGen = true
      now.needDiscard = true
    }
    if (isEmptyType(now.dataType) && now.needIncGen && !this.context.isOpen(device, bucket)) {
      now.gen = (now.gen + 1) & 0xff
      now.needIncGen = false
      now.dataType = now.derivedDataType(now.dataType)
    }
    if (now.dataType === DataType.cached && now.readTimeHi === 0 && now.readTimeLo === 0) this.setReadTime(now)
    if (isEmptyType(now.dataType) !== isEmptyType(old.dataType)) {
      now.journalSeqHi = Math.floor(updates.seq / 0x100000000)
      now.journalSeqLo = updates.seq >>> 0
    }
  }

  /** freespace and need_discard: where buckets are that can be allocated, now or soon. */
  private putIndexes(updates: Updates, { device, bucket, old, new: now }: BucketChange): void {
    const { free, needDiscard } = DataType
    const oldGenbits = genbitsOf(old.generationsAhead)
    const genbits = genbitsOf(now.generationsAhead)
    if (now.dataType === old.dataType && (now.dataType !== free || genbits === oldGenbits)) return
    setBpos(this.pos, 0, device, 0, bucket, 0)
    if (old.dataType === free) {
      const wasThere = this.freespace.remove(updates, device, bucket, oldGenbits)
      if (!wasThere) this.refuseMissing(device, bucket, 'freespace_key_wrong: it was free, but not in freespace')
    } else if (old.dataType === needDiscard) {
      if (!updates.get(BtreeId.needDiscard, this.pos, this.key)) {
        this.refuseMissing(device, bucket, 'need_discard_key_wrong: it was need_discard, but not in that btree')
      }
      updates.remove(BtreeId.needDiscard, this.pos)
    }
    if (now.dataType === free) this.freespace.add(updates, device, bucket, genbits)
    else if (now.dataType === needDiscard) updates.put(BtreeId.needDiscard, makeSet(this.key, this.pos))
  }

  /** Counts buckets, sectors and fragmented sectors of the device by what they hold. */
  private countDevice(updates: Updates, { device, old, new: now }: BucketChange, member: DeviceShape): void {
    const { name } = this
    const sectors = now.sectors
    const oldSectors = old.sectors
    const fragmented = now.fragmented(member)
    const oldFragmented = old.fragmented(member)
    if (now.dataType !== old.dataType) {
      updates.account(name.deviceDataType(device, now.dataType), 1, sectors, fragmented)
      updates.account(name.deviceDataType(device, old.dataType), -1, -oldSectors, -oldFragmented)
    } else if (sectors !== oldSectors) {
      const more = fragmented - oldFragmented
      updates.account(name.deviceDataType(device, now.dataType), 0, sectors - oldSectors, more)
    }
    if (now.unstriped !== old.unstriped) {
      const buckets = Number(now.unstriped !== 0) - Number(old.unstriped !== 0)
      updates.account(name.deviceDataType(device, DataType.unstriped), buckets, now.unstriped - old.unstriped, 0)
    }
  }

  private refuseMissing(device: number, bucket: number, message: string): void {
    if (this.context.isFreespaceInitialized(device)) throw wrong(device, bucket, message)
  }

  private touch(bucket: Bucket): void {
    this.setReadTime(bucket)
    const time = clockTime(this.context.clock('writes'))
    bucket.writeTimeHi = Math.floor(time / 0x100000000)
    bucket.writeTimeLo = time >>> 0
  }

  private setReadTime(bucket: Bucket): void {
    const time = clockTime(this.context.clock('reads'))
    bucket.readTimeHi = Math.floor(time / 0x100000000)
    bucket.readTimeLo = time >>> 0
  }

  private memberOf(device: number, bucket: number): DeviceShape {
    const member = this.context.shape.member(device)
    if (member !== undefined && bucket >= member.firstBucket && bucket < member.bucketCount) return member
    throw wrong(device, bucket, 'there is no such bucket')
  }
}

/** Now, as buckets store it: 48 bits, and never 0. */
export function clockTime(sectors: number): number {
  return Math.max(1, sectors % CLOCK_MODULUS)
}

function wrong(device: number, bucket: number, message: string): KeyError {
  return new KeyError('EIO', `bucket ${device}:${bucket}`, message)
}
