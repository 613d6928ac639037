/**
 * Hands out space for btree nodes and data. Nothing of this is on the devices but what comes of it: a bucket that was handed out is free
 * until a key that points into it is committed. Format chapter 4, 4.9.
 *
 *     watermark    how much of each device has to be left        reserves.ts
 *     devices      target, whose turn it is, one copy each       write-point.ts
 *     bucket       the write point's, one that was left, a free one     open-buckets.ts, bucket-search.ts
 *
 * What is handed out stays open until its holder says that it is done with it: when the transaction which refers to it is committed, or
 * will never be.
 */

import { DataType } from '../data-types.ts'
import { VolumeError } from '../errors.ts'
import type { Member } from '../superblock/sections/members.ts'
import { BucketChoice, type ChoiceSource, type Wish } from './bucket-choice.ts'
import type { Capacity } from './capacity.ts'
import { OpenBuckets, type OpenBucket } from './open-buckets.ts'
import { WritePoint } from './write-point.ts'

export interface AllocatorSource extends ChoiceSource {
  readonly capacity: Capacity
}

/** Where a copy goes. */
export interface Place {
  readonly device: number
  readonly sector: number
  /** Generation of the bucket, for the pointer. */
  readonly gen: number
  /** Whether the pointer has to be a cached one: the copy counts for nothing. */
  readonly isCached: boolean
}

export interface DataRequest {
  /** Who writes: a number for each of those whose data should lie together, or a mover. */
  readonly writer: number | 'copygc' | 'rebalance'
  readonly sectors: number
  /** Fewer are of no use; left out: a block. */
  readonly leastSectors?: number
  /** Copies that are wanted, by their durability. */
  readonly replicas: number
  /** Copies without which there is nothing; left out: the volume's option. */
  readonly required?: number
  readonly watermark: number
  /** Devices that have a copy already. */
  readonly exclude?: readonly number[]
  /** Where the data should go if there is room; left out: the volume's option. */
  readonly target?: number
}

export interface DataSpace {
  /** How many sectors there are at each place, as many as were asked for or fewer. */
  readonly sectors: number
  readonly places: readonly Place[]
}

const SECTOR = 512
const USER_POINTS_MAX = 32
/** Free space is this many times what write points hold, or there are no more of them, or fewer. */
const STRANDED_TO_GROW = 32
const STRANDED_TO_SHRINK = 8
/** Nodes' places that were given back, kept for the next. */
const SPARE_NODES_MAX = 64

export class Allocator {
  private readonly source: AllocatorSource
  private readonly open = new OpenBuckets()
  private readonly choice: BucketChoice
  private readonly nodes = new WritePoint(DataType.btree)
  private readonly copygc = new WritePoint(DataType.user)
  private readonly rebalance = new WritePoint(DataType.user)
  /** Of file data. */
  private readonly users: WritePoint[] = []
  private readonly spareNodes: (readonly Place[])[] = []
  private readonly nodeSectors: number
  private readonly blockSectors: number
  private allocations = 0

  constructor(source: AllocatorSource) {
    this.source = source
    this.choice = new BucketChoice(source, this.open)
    this.nodeSectors = source.superblock.options.btreeNodeSize / SECTOR
    this.blockSectors = source.superblock.blockSectors
  }

  /** Room for a btree node: as many copies as the volume wants. Throws VolumeError ENOSPC, with nothing changed. */
  allocateNode(watermark: number): readonly Place[] {
    const { nodes, nodeSectors } = this
    const spare = this.takeSpare()
    if (spare !== undefined) return spare
    const { options } = this.source.superblock
    const wish: Wish = {
      ...{ point: nodes, watermark, leastSectors: nodeSectors, exclude: NO_DEVICES },
      ...{ wanted: options.metadataReplicas, required: options.metadataReplicasRequired },
      target: options.metadataTarget || options.foregroundTarget,
    }
    const buckets = this.choice.make(wish)
    if (buckets === undefined) throw noRoom(wish, 'a btree node')
    return this.handOut(nodes, buckets, nodeSectors)
  }

  /** Takes the places of a node back that was not written after all, for another. */
  giveBack(places: readonly Place[]): void {
    if (this.spareNodes.length < SPARE_NODES_MAX) this.spareNodes.push(places)
    else this.done(places)
  }

  /** Contiguous room for data, at a place on each of several devices. Throws VolumeError ENOSPC, with nothing changed. */
  allocateData(request: DataRequest): DataSpace {
    const { options } = this.source.superblock
    const { writer, sectors: asked, replicas, watermark, exclude = NO_DEVICES } = request
    const point = this.pointOf(writer)
    point.usedAt = ++this.allocations
    const wish: Wish = {
      ...{ point, watermark, exclude, wanted: replicas },
      leastSectors: request.leastSectors ?? this.blockSectors,
      required: request.required ?? Math.min(replicas, options.dataReplicasRequired),
      target: request.target ?? options.foregroundTarget,
    }
    let buckets = this.choice.make(wish)
    while (buckets === undefined && this.closeOldest(point)) buckets = this.choice.make(wish)
    if (buckets === undefined) throw noRoom(wish, 'data')
    const sectors = buckets.reduce((least, { sectorsFree }) => Math.min(least, sectorsFree), asked)
    return { sectors, places: this.handOut(point, buckets, sectors) }
  }

  /** Says that those have been committed who refer to the places, or never will be. */
  done(places: readonly Pick<Place, 'device' | 'sector'>[]): void {
    for (const { device, sector } of places) {
      this.open.release(device, Math.floor(sector / this.memberOf(device).bucketSectors))
    }
  }

  /** Whether the allocator holds a bucket. */
  isOpen(device: number, bucket: number): boolean {
    return this.open.isOpen(device, bucket)
  }

  /** How many buckets it holds. */
  get openCount(): number {
    return this.open.count
  }

  /** How many of a device it holds. */
  openCountOf(device: number): number {
    return this.open.countOf(device)
  }

  /** Free buckets of a device that allocations at `watermark` may take. */
  bucketsFree(device: number, watermark: number): number {
    return this.choice.bucketsFree(device, watermark)
  }

  /** Gives up what is left of all buckets, so that these can be discarded, moved or used anew as soon as nobody refers to them. */
  closeIdle(): void {
    for (const point of [this.nodes, this.copygc, this.rebalance, ...this.users]) this.leaveAll(point)
    for (const places of this.spareNodes.splice(0)) this.done(places)
    this.open.dropLeft()
  }

  /** Places that were given back, on devices that can be written to. */
  private takeSpare(): readonly Place[] | undefined {
    for (;;) {
      const places = this.spareNodes.pop()
      if (places === undefined || places.every(({ device }) => this.source.isRw(device))) return places
      this.done(places)
    }
  }

  /** Takes the places' sectors out of the buckets. */
  private handOut(point: WritePoint, buckets: readonly OpenBucket[], sectors: number): Place[] {
    const least = this.leastSectors(point)
    return buckets.map((bucket) => {
      const { device, gen } = bucket
      const { bucketSectors, durability } = this.memberOf(device)
      const sector = (bucket.bucket + 1) * bucketSectors - bucket.sectorsFree
      bucket.sectorsFree -= sectors
      bucket.references++
      if (bucket.sectorsFree < least) {
        point.buckets = point.buckets.filter((each) => each !== bucket)
        this.open.drop(bucket)
      }
      return { device, sector, gen, isCached: durability === 0 }
    })
  }

  private pointOf(writer: DataRequest['writer']): WritePoint {
    if (writer === 'copygc') return this.copygc
    if (writer === 'rebalance') return this.rebalance
    const { users } = this
    const own = users.find(({ owner }) => owner === writer)
    if (own !== undefined) return own
    const mayGrow = users.length === 0 || (users.length < USER_POINTS_MAX && !this.isStranded(STRANDED_TO_GROW))
    const point = mayGrow ? new WritePoint(DataType.user) : oldest(users)
    if (mayGrow) users.push(point)
    point.owner = writer
    return point
  }

  /** Leaves the buckets of the write point for file data that was not used for longest to others. False if there are few. */
  private closeOldest(except: WritePoint): boolean {
    const others = this.users.filter((point) => point !== except)
    if (others.length === 0 || !this.isStranded(STRANDED_TO_SHRINK)) return false
    const point = oldest(others)
    this.leaveAll(point)
    this.users.splice(this.users.indexOf(point), 1)
    return true
  }

  /** Whether what write points for file data hold, so many times over, is more than what is free. */
  private isStranded(times: number): boolean {
    const { superblock, capacity } = this.source
    const bucketSectors = superblock.members.reduce((most, member) => Math.max(most, member.bucketSectors), 0)
    return this.users.length * bucketSectors * times > capacity.freeSectors
  }

  private leaveAll(point: WritePoint): void {
    for (const bucket of point.buckets) this.open.leave(bucket, this.leastSectors(point))
    point.buckets = []
  }

  private leastSectors({ dataType }: WritePoint): number {
    return dataType === DataType.btree ? this.nodeSectors : this.blockSectors
  }

  private memberOf(device: number): Member {
    return this.source.superblock.members[device]
  }
}

const NO_DEVICES: readonly number[] = []

function oldest(points: readonly WritePoint[]): WritePoint {
  return points.reduce((least, point) => (point.usedAt < least.usedAt ? point : least))
}

function noRoom({ required, watermark, exclude }: Wish, what: string): VolumeError {
  const others = exclude.length === 0 ? '' : `, besides those on devices ${exclude.join(', ')}`
  return new VolumeError('ENOSPC', '', `no room for ${what}: ${required} copies at watermark ${watermark}${others}`)
}
