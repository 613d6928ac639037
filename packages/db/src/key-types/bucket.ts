/**
 * What the four alloc key types say about a bucket, in one form: the values of `alloc_v4`, to which the older types
 * convert. One `Bucket` serves any number of keys. Format chapter 4, 4.3.1 to 4.3.3.
 */

import { u64Decimal } from '@cowherd/kernel-lib'
import type { Key } from '../key.ts'
import type { DeviceShape, VolumeShape } from '../key-type.ts'
import { plainHalves } from './plain.ts'
import { DataType, dataTypeName } from '../data-types.ts'

/** An empty bucket whose generation is so far ahead of its oldest pointer's may not be used before a scan. */
export const GENERATIONS_AHEAD_MAX = 96

/** The word index at which the obsolete embedded backpointers would begin: the text shows it, always the same. */
const BACKPOINTERS_START = 8
const FRAGMENTATION_ONE = 0x80000000

/** Whether a bucket of this type holds nothing. */
export function isEmptyType(dataType: number): boolean {
  return dataType === DataType.free || dataType === DataType.needGcGens || dataType === DataType.needDiscard
}

export class Bucket {
  /** No journal entry before this one may be needed for the bucket to be used again; 0 = no constraint. */
  journalSeqHi = 0
  journalSeqLo = 0
  needDiscard = false
  needIncGen = false
  gen = 0
  oldestGen = 0
  dataType = 0
  stripeRedundancy = 0
  dirtySectors = 0
  cachedSectors = 0
  /** Clock of the last read and of the last write, 48 bits. */
  readTimeHi = 0
  readTimeLo = 0
  writeTimeHi = 0
  writeTimeLo = 0
  /** 0 = not in a stripe. */
  stripe = 0
  stripeSectors = 0

  clear(): void {
    this.journalSeqHi = 0
    this.journalSeqLo = 0
    this.needDiscard = false
    this.needIncGen = false
    this.gen = 0
    this.oldestGen = 0
    this.dataType = 0
    this.stripeRedundancy = 0
    this.dirtySectors = 0
    this.cachedSectors = 0
    this.readTimeHi = 0
    this.readTimeLo = 0
    this.writeTimeHi = 0
    this.writeTimeLo = 0
    this.stripe = 0
    this.stripeSectors = 0
  }

  /** Makes it say the same as `from`. */
  set(from: Bucket): void {
    this.journalSeqHi = from.journalSeqHi
    this.journalSeqLo = from.journalSeqLo
    this.needDiscard = from.needDiscard
    this.needIncGen = from.needIncGen
    this.gen = from.gen
    this.oldestGen = from.oldestGen
    this.dataType = from.dataType
    this.stripeRedundancy = from.stripeRedundancy
    this.dirtySectors = from.dirtySectors
    this.cachedSectors = from.cachedSectors
    this.readTimeHi = from.readTimeHi
    this.readTimeLo = from.readTimeLo
    this.writeTimeHi = from.writeTimeHi
    this.writeTimeLo = from.writeTimeLo
    this.stripe = from.stripe
    this.stripeSectors = from.stripeSectors
  }

  equals(other: Bucket): boolean {
    return (
      this.dirtySectors === other.dirtySectors &&
      this.cachedSectors === other.cachedSectors &&
      this.stripeSectors === other.stripeSectors &&
      this.dataType === other.dataType &&
      this.gen === other.gen &&
      this.oldestGen === other.oldestGen &&
      this.needDiscard === other.needDiscard &&
      this.needIncGen === other.needIncGen &&
      this.journalSeqHi === other.journalSeqHi &&
      this.journalSeqLo === other.journalSeqLo &&
      this.readTimeHi === other.readTimeHi &&
      this.readTimeLo === other.readTimeLo &&
      this.writeTimeHi === other.writeTimeHi &&
      this.writeTimeLo === other.writeTimeLo &&
      this.stripe === other.stripe &&
      this.stripeRedundancy === other.stripeRedundancy
    )
  }

  /** Sectors that live pointers lead to, other than cached ones. This and what follows: format chapter 4, 4.3.2. */
  get sectorsDirty(): number {
    return this.dirtySectors + this.stripeSectors
  }

  get sectorsTotal(): number {
    return this.dirtySectors + this.stripeSectors + this.cachedSectors
  }

  /** Sectors as they are counted for the bucket's data type. */
  get sectors(): number {
    return this.dataType === DataType.cached ? this.cachedSectors : this.sectorsDirty
  }

  /** Sectors of a bucket in use that nothing leads to. */
  fragmented({ bucketSectors }: DeviceShape): number {
    const { sectors } = this
    return sectors === 0 ? 0 : Math.max(0, bucketSectors - sectors)
  }

  /** Of a bucket of a stripe: sectors that don't belong to the stripe. */
  get unstriped(): number {
    return this.dataType === DataType.stripe ? this.dirtySectors : 0
  }

  /** By how many steps the generation is ahead of that of the oldest pointer. */
  get generationsAhead(): number {
    return (this.gen - this.oldestGen) & 0xff
  }

  /** The data type that follows from the rest; `hint` says what dirty sectors are. Format chapter 4, 4.3.2. */
  derivedDataType(hint: number): number {
    if (this.stripe !== 0) return hint === DataType.parity ? DataType.parity : DataType.stripe
    if (this.dirtySectors + this.stripeSectors !== 0) return hint
    if (this.cachedSectors !== 0) return DataType.cached
    if (this.needDiscard) return DataType.needDiscard
    if (this.generationsAhead >= GENERATIONS_AHEAD_MAX) return DataType.needGcGens
    return DataType.free
  }

  /** As `list` prints it, several lines. `key` gives the position: device and bucket. */
  text(key: Key, shape: VolumeShape): string {
    const member = shape.member(key.inode)
    return (
      '\n  gen ' +
      this.gen +
      ' oldest_gen ' +
      this.oldestGen +
      ' data_type ' +
      dataTypeName(this.dataType) +
      '\n  journal_seq       ' +
      u64Decimal(this.journalSeqHi, this.journalSeqLo) +
      '\n  need_discard      ' +
      (this.needDiscard ? 1 : 0) +
      '\n  need_inc_gen      ' +
      (this.needIncGen ? 1 : 0) +
      '\n  dirty_sectors     ' +
      this.dirtySectors +
      '\n  stripe_sectors    ' +
      this.stripeSectors +
      '\n  cached_sectors    ' +
      this.cachedSectors +
      '\n  stripe            ' +
      this.stripe +
      '\n  stripe_redundancy ' +
      this.stripeRedundancy +
      '\n  io_time[READ]     ' +
      u64Decimal(this.readTimeHi, this.readTimeLo) +
      '\n  io_time[WRITE]    ' +
      u64Decimal(this.writeTimeHi, this.writeTimeLo) +
      (member === undefined || key.offset < member.firstBucket || key.offset >= member.bucketCount
        ? ''
        : '\n  fragmentation     ' + this.fragmentation(member)) +
      '\n  bp_start          ' +
      BACKPOINTERS_START +
      '\n'
    )
  }

  /** The same for JSON. */
  describe(): Record<string, unknown> {
    return {
      gen: this.gen,
      oldest_gen: this.oldestGen,
      data_type: dataTypeName(this.dataType),
      journal_seq: plainHalves(this.journalSeqHi, this.journalSeqLo),
      need_discard: this.needDiscard,
      need_inc_gen: this.needIncGen,
      dirty_sectors: this.dirtySectors,
      stripe_sectors: this.stripeSectors,
      cached_sectors: this.cachedSectors,
      stripe: this.stripe,
      stripe_redundancy: this.stripeRedundancy,
      io_time_read: plainHalves(this.readTimeHi, this.readTimeLo),
      io_time_write: plainHalves(this.writeTimeHi, this.writeTimeLo),
    }
  }

  /** How full a partly filled bucket is, 2^31 being full; 0 for full ones and types that are not moved. Chapter 4, 4.3.7. */
  fragmentation(member: DeviceShape): number {
    const { dataType } = this
    if (dataType !== DataType.btree && dataType !== DataType.user && dataType !== DataType.stripe) return 0
    const dirty = this.dirtySectors + this.stripeSectors
    if (dirty === 0 || dirty >= member.bucketSectors) return 0
    return Math.floor((dirty * FRAGMENTATION_ONE) / member.bucketSectors)
  }
}
