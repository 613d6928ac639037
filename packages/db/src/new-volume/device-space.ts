/**
 * The space of one device of a volume that is being built: which buckets hold what, and the next free one. Buckets are taken from the
 * front, so what is built lies together. Format chapter 4, 4.1.
 */

import { DataType } from '../data-types.ts'
import { superblockBuckets } from '../space/reserved-buckets.ts'
import type { WritableBlockDevice } from '@cowherd/shim'

/** A device as the builder needs it. */
export interface BulkDevice {
  readonly index: number
  readonly device: WritableBlockDevice
  readonly bucketSectors: number
  readonly bucketCount: number
  /** How many copies one on this device counts for. */
  readonly durability: number
  /** What may lie on it, bit = data type. */
  readonly dataAllowed: number
  /** Where its superblocks are, and the room of each, in sectors. */
  readonly superblockSectors: readonly number[]
  readonly superblockRoom: number
}

export interface BucketUse {
  readonly type: number
  sectors: number
}

const JOURNAL_BUCKETS_MIN = 8
const JOURNAL_BUCKETS_MAX = 8192
const JOURNAL_SECTORS_MAX = 2 ** 24
const JOURNAL_SHARE_SHIFT = 7

export class DeviceSpace {
  readonly of: BulkDevice
  /** By bucket: those that are not free. */
  readonly used = new Map<number, BucketUse>()
  /** In ring order. */
  readonly journalBuckets: number[] = []
  private next = 0
  /** Where btree nodes are put: a bucket, and the sectors that it has left. */
  private nodeBucket = 0
  private nodeSectorsLeft = 0
  /** The same, of file data. */
  private dataBucket = 0
  private dataSectorsLeft = 0

  /** Marks the superblocks, and chooses the journal's buckets: those before all others. Format chapter 4, 4.1.4 and 4.10.2. */
  constructor(of: BulkDevice) {
    this.of = of
    for (const [bucket, sectors] of superblockBuckets(of.superblockSectors, of.superblockRoom, of)) {
      this.used.set(bucket, { type: DataType.sb, sectors })
    }
    const { bucketCount, bucketSectors } = of
    const most = Math.min(JOURNAL_BUCKETS_MAX, Math.floor(JOURNAL_SECTORS_MAX / bucketSectors))
    const wanted = Math.min(most, Math.max(JOURNAL_BUCKETS_MIN, bucketCount >> JOURNAL_SHARE_SHIFT))
    for (let i = 0; i < wanted; i++) {
      const bucket = this.takeBucket()
      if (bucket < 0) break
      this.used.set(bucket, { type: DataType.journal, sectors: bucketSectors })
      this.journalBuckets.push(bucket)
    }
  }

  get freeBuckets(): number {
    return this.of.bucketCount - this.used.size
  }

  /** Sectors in buckets that are not free. */
  get usedSectors(): number {
    return this.used.size * this.of.bucketSectors
  }

  /** Takes room for a btree node. Returns its first sector, or -1 if the device is full. */
  takeNode(nodeSectors: number): number {
    const { bucketSectors } = this.of
    if (this.nodeSectorsLeft < nodeSectors) {
      const bucket = this.takeBucket()
      if (bucket < 0) return -1
      this.nodeBucket = bucket
      this.nodeSectorsLeft = bucketSectors
      this.used.set(bucket, { type: DataType.btree, sectors: 0 })
    }
    const sector = (this.nodeBucket + 1) * bucketSectors - this.nodeSectorsLeft
    this.nodeSectorsLeft -= nodeSectors
    const use = this.used.get(this.nodeBucket)
    if (use !== undefined) use.sectors += nodeSectors
    return sector
  }

  /** Sectors that file data can have without a break; a bucket is taken if there is no room in the last. 0: the device is full. */
  dataRoom(): number {
    if (this.dataSectorsLeft > 0) return this.dataSectorsLeft
    const bucket = this.takeBucket()
    if (bucket < 0) return 0
    this.dataBucket = bucket
    this.dataSectorsLeft = this.of.bucketSectors
    this.used.set(bucket, { type: DataType.user, sectors: 0 })
    return this.dataSectorsLeft
  }

  /** Takes that much of `dataRoom`. Returns the first sector. What is there counts when it is known to be (`countData`). */
  takeData(sectors: number): number {
    const sector = (this.dataBucket + 1) * this.of.bucketSectors - this.dataSectorsLeft
    this.dataSectorsLeft -= sectors
    return sector
  }

  /** Counts what an extent has at `sector`. */
  countData(sector: number, sectors: number): void {
    const use = this.used.get(Math.floor(sector / this.of.bucketSectors))
    if (use?.type !== DataType.user) throw new RangeError(`an extent at sector ${sector}, where no data is`)
    use.sectors += sectors
  }

  /** Buckets that were taken for data and got none are free. Returns how many there were. */
  dropEmptyData(): number {
    let dropped = 0
    for (const [bucket, { type, sectors }] of this.used) {
      if (type === DataType.user && sectors === 0) dropped += Number(this.used.delete(bucket))
    }
    this.dataSectorsLeft = 0
    return dropped
  }

  /** The runs of free buckets: first one, and the one behind the last. */
  freeRuns(): [start: number, end: number][] {
    const runs: [number, number][] = []
    let start = 0
    for (const bucket of [...this.used.keys()].sort((a, b) => a - b)) {
      if (bucket > start) runs.push([start, bucket])
      start = bucket + 1
    }
    if (start < this.of.bucketCount) runs.push([start, this.of.bucketCount])
    return runs
  }

  private takeBucket(): number {
    while (this.next < this.of.bucketCount && this.used.has(this.next)) this.next++
    return this.next < this.of.bucketCount ? this.next++ : -1
  }
}

/** Devices that may hold data of a type: preferred ones first, then by how full they are. */
export function devicesFor(
  spaces: readonly DeviceSpace[],
  type: number,
  isPreferred: (device: number) => boolean,
): DeviceSpace[] {
  const fill = ({ of, usedSectors }: DeviceSpace): number => usedSectors / (of.bucketCount * of.bucketSectors)
  return spaces
    .filter(({ of }) => of.durability > 0 && ((of.dataAllowed >> type) & 1) === 1)
    .sort((a, b) => Number(isPreferred(b.of.index)) - Number(isPreferred(a.of.index)) || fill(a) - fill(b))
}
