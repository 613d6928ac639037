/**
 * Sees to it that there are free buckets, as long as there is anything on the volume that can be made room of. Format chapter 4, 4.9.7.
 *
 *     emptied buckets       the journal is flushed, then they are free                      space/discards.ts
 *     held buckets          the allocator lets go of what it has left of them               space/allocator.ts
 *     cached data           is given up, what was read longest ago first                    space/invalidation.ts
 *     generations           are looked for in all pointers, so that they can go on          space/oldest-gens.ts
 *     fragmented buckets    what is left in them is moved together                          space/copygc.ts, space/evacuation.ts
 *
 * While there is room, a little of each is done now and then, before it is urgent. When there is none, all is done until there is, in this
 * order: the cheap things first.
 */

import { DataType } from './data-types.ts'
import { VolumeError } from './errors.ts'
import type { Journal } from './journal/journal.ts'
import type { Allocator } from './space/allocator.ts'
import type { SpaceTriggers } from './space/bucket-trigger.ts'
import type { Copygc } from './space/copygc.ts'
import type { Discards, DiscardProgress } from './space/discards.ts'
import type { Evacuation } from './space/evacuation.ts'
import type { Invalidation } from './space/invalidation.ts'
import type { OldestGens } from './space/oldest-gens.ts'
import { Watermark } from './space/reserves.ts'
import type { Usage } from './space/usage.ts'
import type { Member, Superblock } from './superblock/index.ts'
import type { Transaction } from './transaction/transaction.ts'

export interface SpaceReclaimParts {
  readonly superblock: Pick<Superblock, 'members'>
  readonly journal: Pick<Journal, 'flush' | 'flushedSeq' | 'capacityBytes'>
  /** Sectors written since the volume was made. */
  readonly clocks: { readonly written: number }
  readonly usage: Usage
  readonly allocator: Allocator
  readonly buckets: SpaceTriggers
  readonly discards: Discards
  readonly invalidation: Invalidation
  readonly oldestGens: OldestGens
  readonly copygc: Copygc
  readonly evacuation: Evacuation
  readonly isWritable: (device: number) => boolean
  /** Commits a transaction of the database's own. */
  readonly commit: (change: (tx: Transaction) => void) => void
}

/** A device has too few free buckets when there are fewer for file data. */
const FREE_MIN = 4
/** Buckets that are changed in one transaction, at most; and bytes of the journal that each may take. */
const BUCKETS_AT_ONCE = 256
const BUCKET_RECORD_BYTES = 1024
/** Part of a journal entry that the database's own transactions may take: there has to be room for those of others. */
const OWN_PART = 1 / 4
/** So many emptied buckets, and they are made free although there are others. */
const EMPTIED_MIN = 64
/** One bucket in so many waits for its generation: then all pointers are looked through. */
const GENS_SHARE_SHIFT = 7
/** Fragmented buckets that are emptied at once, at most, when there is no other way; and when there is time. */
const EVACUATED_AT_ONCE = 32
const EVACUATED_IN_BACKGROUND = 4
/** Steps of a look through all pointers in a second, when there is time. */
const STEPS_IN_BACKGROUND = 16
/** Sectors that may be moved for those that were written: so many buckets' at most. */
const BUDGET_BUCKETS = 64
/** Each round makes something free: far more than any volume needs. */
const ROUNDS_MAX = 10_000

/** Whatever these throw, they may be halfway: nothing may be written to the volume then. */
export class SpaceReclaim {
  private readonly parts: SpaceReclaimParts
  private readonly devices: readonly Member[]
  /** What was flushed when no emptied bucket could be made free. */
  private recycledSeq = -1
  /** By device: what there was to be reclaimed when nothing came of it. */
  private readonly futile: (string | undefined)[] = []
  /** Sectors that may be moved, as others were written; and what was written when that was counted. */
  private budget = 0
  private countedWritten: number

  constructor(parts: SpaceReclaimParts) {
    this.parts = parts
    this.devices = parts.superblock.members.filter(({ alive }) => alive)
    this.countedWritten = parts.clocks.written
  }

  /** Before a transaction: makes sure that there are free buckets, if that can be, and does a bit of what will be needed. */
  makeRoom(): void {
    if (this.hasLow()) this.makeFree()
    this.recycleMany()
    for (const { index } of this.devices) this.invalidate(index)
    this.continueGens()
    this.spendBudget()
  }

  /** What has no haste: to be called now and then. */
  work(): void {
    this.makeRoom()
    for (let steps = 1; steps < STEPS_IN_BACKGROUND && this.parts.oldestGens.isRunning; steps++) this.continueGens()
    for (let n = 0; n < EVACUATED_IN_BACKGROUND && this.parts.copygc.isDue; n++) {
      if (this.evacuate(() => true) !== 'moved') return
    }
  }

  /** Does all that can be done for free buckets. False if there are none for file data then. */
  makeFree(): boolean {
    let hasClosed = false
    for (let rounds = 0; rounds < ROUNDS_MAX; rounds++) {
      const low = this.devices.filter((member) => this.isLow(member) && !this.isFutile(member))
      if (low.length === 0) break
      if (this.recycle() || this.invalidateOf(low) || this.finishGens(low) || this.compact(low)) continue
      // what is left of buckets that are held is fragmented as soon as they aren't
      if (!hasClosed && this.parts.allocator.openCount > 0) {
        this.parts.allocator.closeIdle()
        hasClosed = true
      } else for (const member of low) this.futile[member.index] = this.reclaimable(member)
    }
    const { allocator, isWritable } = this.parts
    return this.devices.some(({ index }) => isWritable(index) && allocator.bucketsFree(index, Watermark.normal) > 0)
  }

  private hasLow(): boolean {
    for (const member of this.devices) if (this.isLow(member)) return true
    return false
  }

  private isLow({ index }: Member): boolean {
    const { allocator, isWritable } = this.parts
    return isWritable(index) && allocator.bucketsFree(index, Watermark.normal) < FREE_MIN
  }

  /** Buckets that can be changed in one transaction. */
  private get atOnce(): number {
    const fitting = Math.floor((this.parts.journal.capacityBytes * OWN_PART) / BUCKET_RECORD_BYTES)
    return Math.max(1, Math.min(BUCKETS_AT_ONCE, fitting))
  }

  /** Buckets of a type on all devices that can be written to. */
  private count(dataType: number): number {
    const { usage, isWritable } = this.parts
    let buckets = 0
    for (const { index } of this.devices) if (isWritable(index)) buckets += usage.buckets(index, dataType)
    return buckets
  }

  /** Whether nothing has changed since it was tried in vain. */
  private isFutile(member: Member): boolean {
    return this.futile[member.index] === this.reclaimable(member)
  }

  private reclaimable({ index, bucketSectors }: Member): string {
    const { usage, copygc } = this.parts
    const { cached, needDiscard, needGcGens } = DataType
    const fragmented = Math.floor(copygc.fragmentedSectors(index) / bucketSectors)
    return [cached, needDiscard, needGcGens].map((type) => usage.buckets(index, type)).join() + `,${fragmented}`
  }

  /** Makes emptied buckets free, if there are many. */
  private recycleMany(): void {
    const { journal } = this.parts
    if (this.count(DataType.needDiscard) < EMPTIED_MIN || journal.flushedSeq === this.recycledSeq) return
    if (this.discard().freed === 0) this.recycledSeq = journal.flushedSeq
  }

  /** Makes emptied buckets free, whatever that takes. False if there are none. */
  private recycle(): boolean {
    const { journal, allocator } = this.parts
    let progress = this.discard()
    let { freed } = progress
    if (freed < this.atOnce && progress.waiting > 0) {
      journal.flush()
      progress = this.discard()
      freed += progress.freed
    }
    if (freed === 0 && progress.held > 0) {
      allocator.closeIdle()
      freed = this.discard().freed
    }
    return freed > 0
  }

  private discard(): DiscardProgress {
    const { discards, buckets, commit } = this.parts
    let progress: DiscardProgress = { freed: 0, waiting: 0, held: 0 }
    if (this.count(DataType.needDiscard) === 0) return progress
    commit((tx) => {
      progress = discards.step(tx, buckets, this.atOnce)
    })
    return progress
  }

  /** Gives cached data of a device up, if few buckets are free. Returns how many buckets. */
  private invalidate(device: number): number {
    const { invalidation, buckets, commit, isWritable } = this.parts
    if (!isWritable(device)) return 0
    const most = Math.min(this.atOnce, invalidation.wanted(device))
    let count = 0
    if (most > 0) {
      commit((tx) => {
        count = invalidation.step(tx, buckets, device, most)
      })
    }
    return count
  }

  private invalidateOf(devices: readonly Member[]): boolean {
    return devices.reduce((sum, { index }) => sum + this.invalidate(index), 0) > 0
  }

  /** Goes on with the look through all pointers; begins one if many buckets wait for it. */
  private continueGens(): void {
    const { oldestGens, usage, buckets, commit } = this.parts
    if (!oldestGens.isRunning) {
      if (this.count(DataType.needGcGens) === 0) return
      const isWaiting = ({ index, bucketCount }: Member): boolean =>
        usage.buckets(index, DataType.needGcGens) > bucketCount >> GENS_SHARE_SHIFT
      if (!this.devices.some(isWaiting)) return
      oldestGens.begin()
    }
    commit((tx) => void oldestGens.step(tx, buckets, this.atOnce))
  }

  /** Looks through all pointers, if buckets of these devices wait for it. False if it was no use. */
  private finishGens(devices: readonly Member[]): boolean {
    const { oldestGens, usage, buckets, commit } = this.parts
    const waiting = (): number => devices.reduce((sum, { index }) => sum + usage.buckets(index, DataType.needGcGens), 0)
    const before = waiting()
    if (before === 0) return false
    if (!oldestGens.isRunning) oldestGens.begin()
    while (oldestGens.isRunning) commit((tx) => void oldestGens.step(tx, buckets, this.atOnce))
    return waiting() < before
  }

  /** Moves what is in fragmented buckets of these devices together. False if no bucket is gained by it. */
  private compact(devices: readonly Member[]): boolean {
    const { usage } = this.parts
    const empty = (): number => devices.reduce((sum, { index }) => sum + usage.reclaimableBuckets(index), 0)
    const before = empty()
    const isWanted = (device: number): boolean => devices.some(({ index }) => index === device)
    for (let n = 0; n < EVACUATED_AT_ONCE && empty() < before + FREE_MIN; n++) {
      if (this.evacuate(isWanted) !== 'moved') break
    }
    return empty() > before
  }

  /** Moves a bucket's contents for as much as others have written: then it won't have to be done all at once. */
  private spendBudget(): void {
    const { clocks, copygc, superblock } = this.parts
    const most = BUDGET_BUCKETS * superblock.members.reduce((max, { bucketSectors }) => Math.max(max, bucketSectors), 0)
    this.budget = Math.min(most, this.budget + clocks.written - this.countedWritten)
    this.countedWritten = clocks.written
    if (this.budget > 0 && copygc.isDue) this.evacuate(() => true)
  }

  /** Empties the emptiest bucket of the devices that are wanted. */
  private evacuate(isWanted: (device: number) => boolean): 'moved' | 'none' | 'no room' {
    const { copygc, evacuation, clocks } = this.parts
    if (!copygc.find(isWanted)) return 'none'
    const { device, bucket } = copygc
    const { written } = clocks
    try {
      const { moved, left } = evacuation.emptyBucket(device, bucket)
      if (left > 0 || moved === 0) copygc.avoid(device, bucket)
    } catch (error) {
      // nothing was begun that can't be left as it is
      if (!(error instanceof VolumeError) || error.code !== 'ENOSPC') throw error
      return 'no room'
    } finally {
      const cost = clocks.written - written
      this.countedWritten += cost
      this.budget = Math.max(0, this.budget - cost)
    }
    return 'moved'
  }
}
