/**
 * The rings of all devices that the journal is on: where the copies of an entry go, and how much room is left. Format chapter 3, 3.7.2,
 * 3.7.4 and 3.7.7.
 */

import { DeviceError, type WritableBlockDevice } from '@cowherd/shim'
import { JournalError } from '../errors.ts'
import { journalBucketAt } from '../superblock/index.ts'
import type { EntryCopy } from './entry-write.ts'
import { JournalRing, RING_BUCKETS_MAX, type RingStart } from './journal-ring.ts'
import type { JournalDevice } from './journal-scan.ts'

const SECTOR = 512

/** A device that the journal may be written to. */
export interface JournalMember extends JournalDevice {
  readonly device: WritableBlockDevice
  /** How many copies one on this device counts for; with 0 there are none. */
  readonly durability: number
  /** Whether it is told which buckets are free. */
  readonly discard: boolean
  /** Whether entries go here rather than to others. */
  readonly isPreferred: boolean
  /** False while the device takes no writes: it has failed, or is read-only. */
  isWritable(): boolean
}

/** Where writing goes on after a clean shutdown, for a member's record. */
export interface JournalPosition {
  readonly device: number
  readonly bucketIndex: number
  readonly sectorsUsed: number
}

interface Copies {
  readonly wanted: number
  readonly required: number
}

interface Track {
  readonly member: JournalMember
  readonly ring: JournalRing
}

type Mark = 'dirtyIndex' | 'dirtyIndexOnDisk'

export class JournalSpace {
  private readonly tracks: readonly Track[]
  private readonly copies: Copies
  /** Totals of `measure`, greatest first, and the largest entries that fit. */
  private readonly totals: Float64Array
  private readonly largest: Float64Array
  /** What `measure` found: sectors that can be written, and how large an entry may be. */
  private sectors = 0
  private entrySectors = 0

  /** Members without a start, without buckets or without durability are not written to. Throws JournalError EOPNOTSUPP, ENODEV. */
  constructor(members: readonly JournalMember[], starts: ReadonlyMap<number, RingStart>, copies: Copies) {
    const tracks: Track[] = []
    for (const member of members) {
      const start = starts.get(member.index)
      const { buckets, bucketSectors } = member
      if (start === undefined || buckets.count === 0 || member.durability === 0) continue
      if (buckets.count > RING_BUCKETS_MAX) {
        const message = `a journal of ${buckets.count} buckets; ${RING_BUCKETS_MAX} are written at most`
        throw new JournalError('EOPNOTSUPP', `device ${member.index}`, message)
      }
      tracks.push({ member, ring: new JournalRing(buckets.count, bucketSectors, start) })
    }
    if (tracks.length === 0) throw new JournalError('ENODEV', 'journal', 'no device to write it to')
    this.tracks = tracks
    this.copies = copies
    this.totals = new Float64Array(tracks.length)
    this.largest = new Float64Array(tracks.length)
  }

  /** Size of the smallest bucket: no entry is larger. */
  get bucketBytes(): number {
    return Math.min(...this.tracks.map(({ ring }) => ring.bucketSectors)) * SECTOR
  }

  /** Entries below `needed` are not needed any more; below `neededOnDisk` not even after a crash. */
  advance(needed: number, neededOnDisk: number): void {
    for (const { ring } of this.tracks) ring.advance(needed, neededOnDisk)
  }

  /** Frees the buckets that are not needed even after a crash. */
  discard(): void {
    for (const { member, ring } of this.tracks) {
      for (let index = ring.nextToDiscard(); index >= 0; index = ring.nextToDiscard()) discardBucket(member, index)
    }
  }

  /** Whether so little is left that what frees space comes first: a quarter, when an entry of `openSectors` will have been written. */
  isScarce(openSectors: number): boolean {
    this.measure('dirtyIndex', openSectors)
    return this.sectors * 4 <= this.totalSectors()
  }

  /** Whether there is so much room that an entry of `openSectors` need not be flushed, which would free some. */
  isAmple(openSectors: number): boolean {
    this.measure('dirtyIndex', openSectors)
    const clean = this.sectors
    this.measure('dirtyIndexOnDisk', openSectors)
    const cleanOnDisk = this.sectors
    const isMoreThanABucket = this.entrySectors < cleanOnDisk
    return isMoreThanABucket && clean - cleanOnDisk <= this.totalSectors() / 8 && cleanOnDisk * 2 > clean
  }

  /** If nothing up to this entry is needed, half of every ring is free, or more. */
  get halfwaySeq(): number {
    let seq = 0
    for (const { member, ring } of this.tracks) if (member.isWritable()) seq = Math.max(seq, ring.halfwaySeq)
    return seq
  }

  /**
   * Takes room for the copies of entry `seq`, on devices that have not `failed`. Throws JournalError EIO if there are too few devices left,
   * ENOSPC if there is no room on them.
   */
  place(sectors: number, seq: number, failed: ReadonlySet<number>): EntryCopy[] {
    const usable = this.tracks.filter(({ member }) => member.isWritable() && !failed.has(member.index))
    const preferred = usable.filter(({ member }) => member.isPreferred)
    const placed = new Map<Track, EntryCopy>()
    const isEnough = (): boolean => durabilityOf(placed.keys()) >= this.copies.wanted
    for (const group of preferred.length === 0 ? [usable] : [preferred, usable]) {
      const take = (): void => {
        for (const track of group) {
          if (isEnough()) return
          if (!placed.has(track) && track.ring.sectorsFree >= sectors) placed.set(track, copyIn(track, sectors, seq))
        }
      }
      take()
      if (isEnough()) break
      for (const track of group) if (!placed.has(track)) track.ring.step(seq)
      take()
      if (isEnough()) break
    }
    const required = Math.max(1, Math.min(this.copies.wanted, this.copies.required))
    if (durabilityOf(placed.keys()) >= required) return [...placed.values()]
    if (durabilityOf(usable) >= required)
      throw new JournalError('ENOSPC', `journal entry ${seq}`, 'the journal is full')
    const message = `too few devices are left for it: ${required} copies must be`
    throw new JournalError('EIO', `journal entry ${seq}`, message)
  }

  /** Nothing more goes to the bucket of a device that is being written: what was written there last may be missing. */
  leaveBucket(device: number): void {
    for (const { member, ring } of this.tracks) if (member.index === device) ring.leaveBucket()
  }

  get positions(): JournalPosition[] {
    return this.tracks.map(({ member, ring }) => {
      return { device: member.index, bucketIndex: ring.bucketIndex, sectorsUsed: ring.sectorsUsed }
    })
  }

  /**
   * Finds out how much can be written on the devices that hold the copies of an entry: it is the least of the emptiest ones, as many as
   * there are copies.
   */
  private measure(mark: Mark, openSectors: number): void {
    const { totals, largest } = this
    let count = 0
    for (const { member, ring } of this.tracks) {
      if (!member.isWritable()) continue
      const total = ring.measure(ring[mark], openSectors)
      count = insert(totals, largest, count, total, ring.entrySectors)
    }
    const last = Math.min(count, this.copies.wanted) - 1
    this.sectors = last < 0 ? 0 : totals[last]
    this.entrySectors = last < 0 ? 0 : largest[last]
  }

  /** What `measure` would find if nothing at all were needed. */
  private totalSectors(): number {
    const { totals, largest } = this
    let count = 0
    for (const { member, ring } of this.tracks) {
      if (!member.isWritable()) continue
      count = insert(totals, largest, count, ring.count * ring.bucketSectors, ring.bucketSectors)
    }
    const last = Math.min(count, this.copies.wanted) - 1
    return last < 0 ? 0 : totals[last]
  }
}

/** Inserts a total into `count` sorted ones. Returns how many there are then. */
function insert(totals: Float64Array, largest: Float64Array, count: number, total: number, entry: number): number {
  let at = count
  for (; at > 0 && totals[at - 1] < total; at--) {
    totals[at] = totals[at - 1]
    largest[at] = largest[at - 1]
  }
  totals[at] = total
  largest[at] = entry
  return count + 1
}

function copyIn({ member, ring }: Track, sectors: number, seq: number): EntryCopy {
  const within = ring.take(sectors, seq)
  const sector = journalBucketAt(member.buckets, ring.bucketIndex) * member.bucketSectors + within
  return { index: member.index, device: member.device, offset: sector * SECTOR }
}

function durabilityOf(tracks: Iterable<Track>): number {
  let durability = 0
  for (const { member } of tracks) durability += member.durability
  return durability
}

/** To discard is advice: that it failed is no error. */
function discardBucket(member: JournalMember, index: number): void {
  const { device } = member
  if (!member.discard || !device.canDiscard || !member.isWritable()) return
  const bucketBytes = member.bucketSectors * SECTOR
  try {
    device.discard(journalBucketAt(member.buckets, index) * bucketBytes, bucketBytes)
  } catch (error) {
    if (!(error instanceof DeviceError)) throw error
  }
}
