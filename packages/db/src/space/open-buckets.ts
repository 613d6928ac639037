/**
 * Buckets that the allocator holds: space in them is handed out, or has been handed out to keys that are not committed yet. They are in
 * memory only, and forgotten with the process; no bucket is appended to that was not opened by it. An open bucket keeps its generation
 * and is not used anew, whatever becomes of its contents. Format chapter 4, 4.9.2.
 *
 * A bucket stays open as long as a write point keeps it, or it waits for one that has use for its rest, or somebody refers to a
 * place in it.
 */

import { MEMBERS_MAX } from '../superblock/sections/members.ts'

/** So many buckets can be open at once. */
export const OPEN_BUCKETS_MAX = 1023

export class OpenBucket {
  readonly device: number
  readonly bucket: number
  readonly gen: number
  /** What is put into it: nothing else is. */
  readonly dataType: number
  /** What is left of it, at its end. */
  sectorsFree: number
  /** Places in it that were handed out, and may not have been committed yet. */
  references = 0
  /** Whether space in it is still going to be handed out. */
  isKept = true

  constructor(device: number, bucket: number, gen: number, dataType: number, sectors: number) {
    this.device = device
    this.bucket = bucket
    this.gen = gen
    this.dataType = dataType
    this.sectorsFree = sectors
  }
}

export class OpenBuckets {
  /** By device and number. */
  private readonly all = new Map<number, OpenBucket>()
  private readonly counts = new Uint16Array(MEMBERS_MAX)
  /** Those with space left that no write point has. */
  private readonly left: OpenBucket[] = []

  isOpen(device: number, bucket: number): boolean {
    return this.all.has(idOf(device, bucket))
  }

  /** How many of a device are open. */
  countOf(device: number): number {
    return this.counts[device]
  }

  get count(): number {
    return this.all.size
  }

  /** Opens a bucket that is not open, and keeps it. */
  open(device: number, bucket: number, gen: number, dataType: number, sectors: number): OpenBucket {
    const id = idOf(device, bucket)
    if (this.all.has(id) || this.all.size >= OPEN_BUCKETS_MAX) throw new RangeError(`bucket ${device}:${bucket}`)
    const opened = new OpenBucket(device, bucket, gen, dataType, sectors)
    this.all.set(id, opened)
    this.counts[device]++
    return opened
  }

  /** Nothing of its space is handed out any more. It closes when nobody refers to it. */
  drop(bucket: OpenBucket): void {
    bucket.isKept = false
    this.closeUnused(bucket)
  }

  /** What it has left is for another write point, if there are `least` sectors. */
  leave(bucket: OpenBucket, least: number): void {
    if (bucket.sectorsFree < least) this.drop(bucket)
    else this.left.push(bucket)
  }

  /** One that was left, with at least so many sectors. */
  findLeft(device: number, dataType: number, sectors: number): OpenBucket | undefined {
    return this.left.find(
      (bucket) => bucket.device === device && bucket.dataType === dataType && bucket.sectorsFree >= sectors,
    )
  }

  isLeft(bucket: OpenBucket): boolean {
    return this.left.includes(bucket)
  }

  /** Somebody takes one that was left. False if it wasn't. */
  takeLeft(bucket: OpenBucket): boolean {
    const at = this.left.indexOf(bucket)
    if (at >= 0) this.left.splice(at, 1)
    return at >= 0
  }

  /** Drops all that were left. */
  dropLeft(): void {
    for (const bucket of this.left.splice(0)) this.drop(bucket)
  }

  /** Somebody who referred to a place in the bucket doesn't any more. */
  release(device: number, bucket: number): void {
    const opened = this.all.get(idOf(device, bucket))
    if (opened === undefined || opened.references === 0)
      throw new RangeError(`bucket ${device}:${bucket} is not referred to`)
    opened.references--
    this.closeUnused(opened)
  }

  private closeUnused(bucket: OpenBucket): void {
    if (bucket.isKept || bucket.references > 0) return
    if (this.all.delete(idOf(bucket.device, bucket.bucket))) this.counts[bucket.device]--
  }
}

function idOf(device: number, bucket: number): number {
  return device * 0x100000000 + bucket
}
