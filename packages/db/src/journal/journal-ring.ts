/**
 * The ring of journal buckets of one device: where the next entry goes, and which buckets may be overwritten. Pure bookkeeping; buckets are
 * named by their index in the ring. Format chapter 3, 3.7.4.
 *
 * In ring order, three marks follow one another up to the bucket that is being written:
 *
 *     discardIndex <= dirtyIndexOnDisk <= dirtyIndex <= bucketIndex
 *
 * From `dirtyIndex` on buckets hold what is needed; from `dirtyIndexOnDisk` on, what is needed according to the newest flushed entry, which
 * is what a start after a crash would go by. Those between `bucketIndex` and `discardIndex` are free.
 */

/** Where writing begins. */
export interface RingStart {
  /** The bucket to be written, and how much of it is used: all of it, if the next one is to be written. */
  readonly bucketIndex: number
  readonly sectorsUsed: number
  /** Highest sequence number in each bucket, by index; undefined if nothing in the ring is needed. */
  readonly seqs: ReadonlyMap<number, number> | undefined
}

/** A device may claim a great many; so many that are needed are never seen. */
export const RING_BUCKETS_MAX = 1 << 20

export class JournalRing {
  readonly count: number
  readonly bucketSectors: number
  /** The bucket being written. */
  bucketIndex: number
  /** What is left of it. */
  sectorsFree: number
  discardIndex: number
  dirtyIndexOnDisk: number
  dirtyIndex: number
  /** Size of the largest entry that `measure` found room for. */
  entrySectors = 0
  /** Highest sequence number in each bucket, 0 if unknown: then nothing in it is needed. */
  private readonly seqs: Float64Array

  constructor(count: number, bucketSectors: number, { bucketIndex, sectorsUsed, seqs }: RingStart) {
    if (!(count > 0 && count <= RING_BUCKETS_MAX)) throw new RangeError(`a ring of ${count} buckets`)
    if (!(bucketIndex >= 0 && bucketIndex < count && sectorsUsed >= 0 && sectorsUsed <= bucketSectors)) {
      throw new RangeError(`sector ${sectorsUsed} of bucket ${bucketIndex} is outside the ring`)
    }
    this.count = count
    this.bucketSectors = bucketSectors
    this.bucketIndex = bucketIndex
    this.sectorsFree = bucketSectors - sectorsUsed
    this.seqs = new Float64Array(count)
    for (const [index, seq] of seqs ?? []) this.seqs[index] = seq
    const oldest = seqs === undefined ? bucketIndex : this.behind(bucketIndex)
    this.discardIndex = oldest
    this.dirtyIndexOnDisk = oldest
    this.dirtyIndex = oldest
  }

  /** Sectors used of the bucket being written. */
  get sectorsUsed(): number {
    return this.bucketSectors - this.sectorsFree
  }

  /** Moves the marks: entries below `needed` are not needed, and below `neededOnDisk` not even after a crash. */
  advance(needed: number, neededOnDisk: number): void {
    while (this.dirtyIndex !== this.bucketIndex && this.seqs[this.dirtyIndex] < needed) {
      this.dirtyIndex = this.behind(this.dirtyIndex)
    }
    while (this.dirtyIndexOnDisk !== this.dirtyIndex && this.seqs[this.dirtyIndexOnDisk] < neededOnDisk) {
      this.dirtyIndexOnDisk = this.behind(this.dirtyIndexOnDisk)
    }
  }

  /** The next bucket that is free but not discarded yet, -1 if there is none. */
  nextToDiscard(): number {
    if (this.discardIndex === this.dirtyIndexOnDisk) return -1
    const index = this.discardIndex
    this.discardIndex = this.behind(index)
    return index
  }

  /**
   * Buckets that may be written behind the present one, if those from the mark `from` on may not. The last one is kept for an entry that
   * frees others: one that is written when more is needed on disk than in memory.
   */
  available(from: number): number {
    const buckets = (from - this.bucketIndex - 1 + this.count) % this.count
    return buckets > 0 && this.dirtyIndexOnDisk === this.dirtyIndex ? buckets - 1 : buckets
  }

  /** Sectors that can be written if those from the mark `from` on may not, besides an entry of `openSectors`. Sets `entrySectors`. */
  measure(from: number, openSectors: number): number {
    let buckets = this.available(from)
    let sectors = this.sectorsFree
    if (openSectors > sectors) {
      if (buckets === 0) {
        this.entrySectors = 0
        return 0
      }
      buckets--
      sectors = this.bucketSectors
    }
    sectors -= openSectors
    if (sectors < this.bucketSectors && buckets > 0) {
      buckets--
      sectors = this.bucketSectors
    }
    this.entrySectors = sectors
    return sectors + buckets * this.bucketSectors
  }

  /** Goes on to the next bucket for entry `seq`, if there is a free one. */
  step(seq: number): boolean {
    if (this.available(this.discardIndex) === 0) return false
    this.bucketIndex = this.behind(this.bucketIndex)
    this.sectorsFree = this.bucketSectors
    this.seqs[this.bucketIndex] = seq
    return true
  }

  /** Places entry `seq`; there is room for it. Returns its first sector in the bucket. */
  take(sectors: number, seq: number): number {
    if (sectors > this.sectorsFree) throw new RangeError(`${sectors} of ${this.sectorsFree} sectors`)
    const at = this.sectorsUsed
    this.sectorsFree -= sectors
    this.seqs[this.bucketIndex] = seq
    return at
  }

  /** Writes no more to the present bucket: behind what wasn't written, nothing would be found. */
  leaveBucket(): void {
    this.sectorsFree = 0
  }

  /**
   * Highest sequence number in the bucket half a ring on: if nothing up to it is needed, no more than half of the ring is, the open entry
   * included.
   */
  get halfwaySeq(): number {
    return this.seqs[(this.bucketIndex + 1 + (this.count >> 1)) % this.count]
  }

  private behind(index: number): number {
    return index + 1 === this.count ? 0 : index + 1
  }
}
