/**
 * How much room the volume has, as `df` shows it and as writes are granted it. Part of each device is held back, so that what is on it
 * can always be moved. Format chapter 4, 4.10.4 and 4.9.6. All sizes in sectors, of all copies together.
 */

import { DataType } from '../data-types.ts'
import { VolumeError } from '../errors.ts'
import type { Superblock } from '../superblock/superblock.ts'
import { sectorsForMoving } from './reserves.ts'
import type { Usage } from './usage.ts'

const SECTOR = 512

export class Capacity {
  private readonly superblock: Pick<Superblock, 'members' | 'options'>
  private readonly usage: Usage
  private readonly isRw: (device: number) => boolean
  /** Sectors that were granted to writes which are still to come. */
  private grantedSectors = 0

  /** `isRw`: whether a device can be written to. */
  constructor(superblock: Pick<Superblock, 'members' | 'options'>, usage: Usage, isRw: (device: number) => boolean) {
    this.superblock = superblock
    this.usage = usage
    this.isRw = isRw
  }

  /** What can be used of the devices, superblocks and journals included. */
  get capacitySectors(): number {
    const { members, options } = this.superblock
    const nodeSectors = options.btreeNodeSize / SECTOR
    let raw = 0
    let forMoving = 0
    for (const member of members) {
      if (!member.alive || !this.isRw(member.index)) continue
      raw += (member.bucketCount - member.firstBucket) * member.bucketSectors
      forMoving += sectorsForMoving(member, nodeSectors)
    }
    const { gcReserveBytes, gcReservePercent } = options
    const wanted = gcReserveBytes > 0 ? Math.floor(gcReserveBytes / SECTOR) : Math.floor((raw * gcReservePercent) / 100)
    return raw - Math.min(raw, Math.max(wanted, forMoving))
  }

  /** What can be used for data and btrees, whether it is or not: the size that statfs(2) shows. */
  get totalSectors(): number {
    const { usage } = this
    let hidden = 0
    for (const { alive, index, bucketSectors } of this.superblock.members) {
      if (!alive) continue
      hidden += (usage.buckets(index, DataType.sb) + usage.buckets(index, DataType.journal)) * bucketSectors
    }
    return Math.max(0, this.capacitySectors - hidden)
  }

  get usedSectors(): number {
    return this.usedOf(this.totalSectors)
  }

  get freeSectors(): number {
    const total = this.totalSectors
    return total - this.usedOf(total)
  }

  /** What can be granted. */
  get availableSectors(): number {
    return Math.floor((this.freeSectors * 64) / 65)
  }

  /** Sets sectors aside for a write that is to come: of all its copies, uncompressed. Throws VolumeError ENOSPC. */
  grant(sectors: number): void {
    const available = this.availableSectors
    if (sectors > available) {
      throw new VolumeError('ENOSPC', '', `${sectors} sectors are needed, ${available} are available`)
    }
    this.grantedSectors += sectors
  }

  /** What was granted is used, or not needed after all. */
  release(sectors: number): void {
    if (sectors > this.grantedSectors) throw new RangeError(`${sectors} sectors released of ${this.grantedSectors}`)
    this.grantedSectors -= sectors
  }

  private usedOf(total: number): number {
    const { usage } = this
    const { btree, user, parity } = DataType
    const stored = usage.copiesSectors(user) + usage.copiesSectors(parity) + usage.copiesSectors(btree)
    const reserved = usage.promisedSectors + this.grantedSectors
    return Math.max(0, Math.min(total, stored + reserved + Math.ceil(reserved / 64)))
  }
}
