/**
 * What follows from keys that point to space: sectors in buckets, back pointers, counters, work for the background. Format chapter 4, 4.4
 * and 4.5.2 to 4.5.4, each key taken as if it were inserted.
 */

import {
  btreeName,
  DataType,
  entriesStart,
  ExtentPointers,
  INVALID_DEVICE,
  isCompressed,
  KEY_BYTES,
  type Key,
  type VolumeShape,
} from '@cowherd/db'
import type { Backpointers, Pointing } from './backpointers.ts'
import { placeOf, type Buckets, type DeviceBuckets } from './buckets.ts'
import { named, type Counters } from './counters.ts'
import type { Faults } from './faults.ts'
import { Type } from './key-types.ts'
import type { RebalanceWork } from './rebalance.ts'

const STALE_MAX = 96

/** Where what was learned goes. */
export interface Ledger {
  readonly faults: Faults
  readonly buckets: Buckets
  readonly backpointers: Backpointers
  readonly counters: Counters
  readonly rebalance: RebalanceWork
}

export class Pointers {
  private readonly ledger: Ledger
  private readonly shape: VolumeShape
  private readonly pointers = new ExtentPointers()
  private readonly pointing: Pointing
  /** Devices of the pointers of a key that are neither cached nor part of a stripe, and their sectors. */
  private readonly dirtyDevices: number[] = []
  private total = 0
  /** A run of pointers of one compression type. */
  private runType = 0
  private runUncompressed = 0
  private runCompressed = 0
  /** Counters of the inode at hand: keys of one follow each other. */
  private readonly inum = { hi: 0, lo: 0, keys: 0, sectors: 0, total: 0 }

  constructor(ledger: Ledger, shape: VolumeShape, key: Key) {
    this.ledger = ledger
    this.shape = shape
    this.pointing = { btree: 0, level: 0, dataType: 0, key }
  }

  /**
   * Takes a key of a leaf (level 0), or one that points to a node: `level` is that of the node which holds it, of a root's pointer the
   * root's level + 1.
   */
  take(key: Key, btree: number, level: number): void {
    if (level === 0 && key.type === Type.reservation) this.takeReservation(key)
    else if (level === 0 && isInode(key.type)) this.ledger.counters.add(named.inodes, 1)
    else if (entriesStart(key.type) >= 0) this.takeEntries(key, btree, level)
    else if (key.type === Type.stripe) this.ledger.faults.add(`stripes ${key.posText}`, 'stripes can not be judged')
  }

  /** When all keys have been seen. */
  finish(): void {
    this.endInum()
  }

  private takeReservation(key: Key): void {
    this.ledger.counters.add(named.reserved(key.bytes[KEY_BYTES + 4]), key.size)
  }

  private takeEntries(key: Key, btree: number, level: number): void {
    const { pointers, pointing, ledger } = this
    // What is malformed was said by the key's own check.
    if (pointers.load(key, entriesStart(key.type), undefined) !== undefined) return
    pointing.btree = btree
    pointing.level = level
    pointing.key = key
    this.dirtyDevices.length = 0
    this.total = 0
    this.runType = 0
    for (let i = 0; i < pointers.count; i++) this.takePointer(i)
    this.endRun()
    const devices = this.dirtyDevices.sort((a, b) => a - b)
    const isNode = level > 0
    if (devices.length > 0) {
      ledger.counters.add(named.replicas(isNode ? DataType.btree : DataType.user, 1, devices), this.total)
      if (!isNode && key.snapshot !== 0) ledger.counters.add(named.snapshot(key.snapshot), this.total)
    }
    if (isNode) {
      ledger.counters.add(named.btree(btree), this.total)
      return
    }
    this.countInum(key)
    ledger.rebalance.take(key, pointers)
  }

  private takePointer(i: number): void {
    const { pointers, ledger } = this
    const isCached = pointers.cached[i] === 1
    const sectors = this.sectorsOnDisk(i)
    const device = this.bucketsOf(i)
    if (device !== undefined) {
      if (!this.isCurrent(i, device)) return
      this.useBucket(i, device, sectors)
    }
    if (pointers.hasStripe[i] === 1) {
      ledger.faults.add(this.keyPlace(), 'part of a stripe, which can not be judged')
    } else if (isCached) {
      ledger.counters.add(named.replicas(DataType.cached, 1, [pointers.device[i]]), sectors)
    } else {
      this.total += sectors
      this.dirtyDevices.push(pointers.device[i])
    }
    this.takeCompression(i)
  }

  /** What the pointer takes of the device, for accounting: compressed data in proportion to what is alive of it. */
  private sectorsOnDisk(i: number): number {
    const { pointers, pointing } = this
    if (pointing.level > 0) return this.shape.btreeNodeSectors
    const { size } = pointing.key
    if (!isCompressed(pointers.compressionType[i])) return size
    return Math.ceil((size * pointers.compressedSectors[i]) / pointers.uncompressedSectors[i])
  }

  /** The buckets of the pointer's device; undefined if it has none, or not that one. */
  private bucketsOf(i: number): DeviceBuckets | undefined {
    const { pointers, ledger } = this
    const index = pointers.device[i]
    if (index === INVALID_DEVICE) return undefined
    const member = this.shape.member(index)
    const bucket = member === undefined ? -1 : Math.floor(pointers.sector[i] / member.bucketSectors)
    const found = ledger.buckets.find(index, bucket)
    if (found === undefined)
      ledger.faults.add(this.keyPlace(), `ptr_to_invalid_device: device ${index} bucket ${bucket}`)
    return found
  }

  /** Compares the pointer's generation with that of its bucket. Only a cached pointer may be stale, and counts for nothing then. */
  private isCurrent(i: number, device: DeviceBuckets): boolean {
    const { pointers, ledger } = this
    const bucket = Math.floor(pointers.sector[i] / device.member.bucketSectors)
    const place = placeOf(device.member.index, bucket)
    if (device.present[bucket] === 0) ledger.faults.add(this.keyPlace(), `ptr_to_missing_alloc_key: ${place}`)
    const stale = ((device.gen[bucket] - pointers.gen[i]) << 24) >> 24
    if (stale === 0) return true
    const generations = `${place} has generation ${device.gen[bucket]}, the pointer ${pointers.gen[i]}`
    if (stale < 0) ledger.faults.add(this.keyPlace(), `ptr_gen_newer_than_bucket_gen: ${generations}`)
    else if (stale > STALE_MAX) ledger.faults.add(this.keyPlace(), `ptr_too_stale: ${generations}`)
    else if (pointers.cached[i] === 0) ledger.faults.add(this.keyPlace(), `stale_dirty_ptr: ${generations}`)
    return false
  }

  private useBucket(i: number, device: DeviceBuckets, sectors: number): void {
    const { pointers, pointing, ledger } = this
    const { bucketSectors, index } = device.member
    const sector = pointers.sector[i]
    const bucket = Math.floor(sector / bucketSectors)
    if (pointers.cached[i] === 1) {
      ledger.buckets.use(device, bucket, DataType.cached, sectors, device.seenCached)
      return
    }
    pointing.dataType = pointing.level > 0 ? DataType.btree : DataType.user
    ledger.buckets.use(device, bucket, pointing.dataType, sectors, device.seenDirty)
    const crcOffset = pointing.level > 0 ? 0 : pointers.crcOffset[i]
    const row = ledger.backpointers.expect(pointing, index, bucketSectors, sector, crcOffset, sectors)
    const compressed = isCompressed(pointers.compressionType[i])
    const start = compressed ? sector : sector + crcOffset
    const end = compressed ? sector + pointers.compressedSectors[i] : start + sectors
    ledger.backpointers.claim(index, start, end, compressed, row)
  }

  private takeCompression(i: number): void {
    const { pointers } = this
    const type = pointers.compressionType[i]
    if (this.runType !== type) this.endRun()
    this.runType = type
    if (type === 0) return
    this.runUncompressed += pointers.uncompressedSectors[i]
    this.runCompressed += pointers.compressedSectors[i]
  }

  private endRun(): void {
    if (this.runType === 0) return
    this.ledger.counters.add(named.compression(this.runType), 1, this.runUncompressed, this.runCompressed)
    this.runType = 0
    this.runUncompressed = this.runCompressed = 0
  }

  private countInum(key: Key): void {
    const { inum } = this
    if (key.inodeLo !== inum.lo || key.inodeHi !== inum.hi) {
      this.endInum()
      inum.lo = key.inodeLo
      inum.hi = key.inodeHi
    }
    inum.keys++
    inum.sectors += key.size
    inum.total += this.total
  }

  private endInum(): void {
    const { inum } = this
    if (inum.keys > 0) this.ledger.counters.add(named.inum(inum.hi, inum.lo), inum.keys, inum.sectors, inum.total)
    inum.keys = inum.sectors = inum.total = 0
  }

  private keyPlace(): string {
    const { btree, level, key } = this.pointing
    return `${btreeName(btree)}${level === 0 ? '' : ` level ${level}`} ${key.posText}`
  }
}

const isInode = (type: number): boolean => type === Type.inode || type === Type.inodeV2 || type === Type.inodeV3
