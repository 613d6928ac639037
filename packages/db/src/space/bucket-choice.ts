/**
 * Chooses the buckets that copies go to: first those of the write point, then, by whose turn it is, of other devices: what was left there
 * of an open bucket, or a free one. First on the devices of the target, then on all. Format chapter 4, 4.9.4.
 */

import { DataType } from '../data-types.ts'
import type { Member } from '../superblock/sections/members.ts'
import type { Superblock } from '../superblock/superblock.ts'
import { targetDevices } from '../superblock/targets.ts'
import { BucketSearch, type SearchSource } from './bucket-search.ts'
import { OPEN_BUCKETS_MAX, type OpenBucket, type OpenBuckets } from './open-buckets.ts'
import { heldBackBuckets } from './reserves.ts'
import type { Usage } from './usage.ts'
import type { WritePoint } from './write-point.ts'

export interface ChoiceSource extends SearchSource {
  readonly superblock: Pick<Superblock, 'members' | 'options' | 'diskGroups' | 'blockSectors'>
  readonly usage: Usage
  /** Whether a device can be written to. */
  isRw(device: number): boolean
}

/** What is looked for. */
export interface Wish {
  readonly point: WritePoint
  readonly watermark: number
  /** Sectors that a bucket has to have left. */
  readonly leastSectors: number
  /** Sums of the devices' durability. */
  readonly wanted: number
  readonly required: number
  readonly exclude: readonly number[]
  readonly target: number
}

const SECTOR = 512
/** Buckets of a write point on one device. */
const POINT_BUCKETS_MAX = 4

export class BucketChoice {
  private readonly source: ChoiceSource
  private readonly open: OpenBuckets
  private readonly search: BucketSearch
  private readonly targets = new Map<number, ReadonlySet<number>>()
  private readonly nodeSectors: number
  /** Of the choice that is being made. */
  private chosen: OpenBucket[] = []
  private taken: OpenBucket[] = []
  private durability = 0

  constructor(source: ChoiceSource, open: OpenBuckets) {
    this.source = source
    this.open = open
    this.search = new BucketSearch(source, (device, bucket) => open.isOpen(device, bucket))
    this.nodeSectors = source.superblock.options.btreeNodeSize / SECTOR
  }

  /**
   * Open buckets of the write point, on different devices. Undefined, with nothing changed, if there is no room for all copies that are
   * required. Throws KeyError, BtreeError.
   */
  make(wish: Wish): readonly OpenBucket[] | undefined {
    this.leaveReadOnly(wish.point)
    this.chosen = []
    this.taken = []
    this.durability = 0
    let isComplete = false
    try {
      this.gather(wish)
      isComplete = this.durability >= wish.required && this.chosen.length > 0
    } finally {
      if (isComplete) this.keep(wish.point)
      else this.undo()
    }
    return isComplete ? this.chosen : undefined
  }

  /** Free buckets of a device that allocations at `watermark` may take. */
  bucketsFree(device: number, watermark: number): number {
    const { superblock, usage } = this.source
    const heldBack = heldBackBuckets(superblock.members[device], this.nodeSectors, watermark)
    return Math.max(0, usage.buckets(device, DataType.free) - this.open.countOf(device) - heldBack)
  }

  private gather(wish: Wish): void {
    const target = this.targetOf(wish.target)
    if (target.size > 0) this.gatherOn(wish, target, wish.point.dataType === DataType.user)
    // Outside the target there are no copies that count for nothing.
    if (this.durability >= wish.wanted) return
    this.gatherOn(wish, undefined, target.size === 0 && wish.point.dataType === DataType.user)
  }

  private gatherOn(wish: Wish, target: ReadonlySet<number> | undefined, mayBeCached: boolean): void {
    const { point, wanted, leastSectors } = wish
    for (const bucket of point.buckets) {
      if (this.durability >= wanted) return
      const isEligible = this.isEligible(wish, bucket.device, target, mayBeCached)
      if (isEligible && bucket.sectorsFree >= leastSectors) this.add(bucket)
    }
    const devices = this.source.superblock.members.map(({ index }) => index)
    for (const device of point.sort(devices)) {
      if (this.durability >= wanted) return
      if (!this.isEligible(wish, device, target, mayBeCached)) continue
      const bucket = this.take(wish, device)
      if (bucket === undefined) continue
      this.taken.push(bucket)
      this.add(bucket)
    }
  }

  private isEligible(
    { point, exclude }: Wish,
    device: number,
    target: ReadonlySet<number> | undefined,
    mayBeCached: boolean,
  ): boolean {
    const { alive, dataAllowed, durability } = this.memberOf(device)
    if (!alive || !this.source.isRw(device) || ((dataAllowed >> point.dataType) & 1) === 0) return false
    if (target?.has(device) === false || exclude.includes(device)) return false
    if (this.chosen.some((bucket) => bucket.device === device)) return false
    return (
      durability > 0 || (mayBeCached && !this.chosen.some((bucket) => this.memberOf(bucket.device).durability === 0))
    )
  }

  private add(bucket: OpenBucket): void {
    this.chosen.push(bucket)
    this.durability += this.memberOf(bucket.device).durability
  }

  /** What was left of an open bucket, or a free one. */
  private take({ point, watermark, leastSectors }: Wish, device: number): OpenBucket | undefined {
    const { open, search } = this
    const left = open.findLeft(device, point.dataType, leastSectors)
    if (left !== undefined) return left
    if (this.bucketsFree(device, watermark) === 0) return undefined
    if (open.count >= OPEN_BUCKETS_MAX) open.dropLeft()
    if (open.count >= OPEN_BUCKETS_MAX) return undefined
    const bucket = search.find(device, point.dataType === DataType.btree)
    if (bucket < 0) return undefined
    return open.open(device, bucket, search.gen, point.dataType, this.memberOf(device).bucketSectors)
  }

  /** Makes those that were taken the write point's. */
  private keep(point: WritePoint): void {
    for (const bucket of this.taken) {
      const { device } = bucket
      if (!this.open.takeLeft(bucket)) {
        point.hasTaken(device, this.source.usage.reclaimableBuckets(device) - this.open.countOf(device))
      }
      point.buckets.push(bucket)
      this.thinOut(point, device)
    }
  }

  /** What was too small for a wish stays for smaller ones, as long as it isn't too many. */
  private thinOut(point: WritePoint, device: number): void {
    const there = point.buckets.filter((bucket) => bucket.device === device && !this.chosen.includes(bucket))
    if (there.length < POINT_BUCKETS_MAX) return
    const least = there.reduce((a, b) => (b.sectorsFree < a.sectorsFree ? b : a))
    point.buckets = point.buckets.filter((bucket) => bucket !== least)
    this.open.leave(least, 1)
  }

  private undo(): void {
    for (const bucket of this.taken) if (!this.open.isLeft(bucket)) this.open.drop(bucket)
  }

  /** Nothing can be added to buckets of devices that have become read only. */
  private leaveReadOnly(point: WritePoint): void {
    const isRw = ({ device }: OpenBucket): boolean => this.source.isRw(device)
    if (point.buckets.every(isRw)) return
    for (const bucket of point.buckets) if (!isRw(bucket)) this.open.drop(bucket)
    point.buckets = point.buckets.filter(isRw)
  }

  private targetOf(target: number): ReadonlySet<number> {
    let devices = this.targets.get(target)
    if (devices === undefined) {
      const { diskGroups, members } = this.source.superblock
      this.targets.set(target, (devices = targetDevices(target, diskGroups, members)))
    }
    return devices
  }

  private memberOf(device: number): Member {
    return this.source.superblock.members[device]
  }
}
