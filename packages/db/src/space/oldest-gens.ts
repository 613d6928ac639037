/**
 * Finds out anew how old the oldest pointer into each bucket is. A bucket's generation rises with each use, and 8 bits hold it: without this,
 * a bucket could not be used again after some time. Format chapter 4, 4.6.5.
 *
 *     begin     the generation of each bucket as it is now: no pointer is newer
 *     extents   all pointers: those that are far behind are dropped, others tell how old they are
 *     reflink   the same
 *     store     what was found out goes into the alloc keys
 *
 * A pass is made in steps, with other transactions between them. A key that moves meanwhile, from where the pass has yet to come to where it
 * has been, is noticed by `trigger`. Takes two bytes of memory for each bucket of the volume during a pass.
 */

import { BPOS_WORDS, copyBpos, POS_MIN } from '../bpos.ts'
import { BtreeId } from '../btree-ids.ts'
import type { KeyCursor } from '../btree/cursor.ts'
import { entriesStart, ExtentPointers, MAX_POINTERS } from '../extent-entries.ts'
import { dropPointers } from '../extent-pointer-edit.ts'
import type { VolumeShape } from '../key-type.ts'
import { Bucket } from '../key-types/bucket.ts'
import { bucketGens, BUCKETS_PER_GENS_KEY } from '../key-types/bucket-gens.ts'
import { Key, KEY_BYTES, KEY_POS_AT } from '../key.ts'
import { MEMBERS_MAX } from '../superblock/sections/members.ts'
import type { KeyTrigger, Updates } from '../transaction/updates.ts'
import { loadBucket } from './alloc-key.ts'
import type { SpaceTriggers } from './bucket-trigger.ts'

export interface OldestGensSource {
  readonly shape: VolumeShape
  /** A walk over the committed keys of a btree. */
  cursor(btree: number): KeyCursor
}

/** Keys that a step looks at. */
const KEYS_AT_ONCE = 1024
/** A cached pointer that is so far behind its bucket, or farther, is dropped rather than waited for. */
const BEHIND_MAX = 16

type Phase = 'idle' | 'extents' | 'reflink' | 'store'

export class OldestGens {
  /** Looks at keys that are changed. */
  readonly trigger: KeyTrigger = (_updates, { new: now }) => {
    if (this.phase !== 'idle' && now !== undefined) this.note(now)
  }
  private readonly source: OldestGensSource
  private readonly alloc: KeyCursor
  private readonly walks: Readonly<Record<'extents' | 'reflink', KeyCursor>>
  private readonly pointers = new ExtentPointers()
  private readonly dropped = new Uint8Array(MAX_POINTERS)
  private readonly edited = new Key()
  private readonly bucket = new Bucket()
  private phase: Phase = 'idle'
  /** By device: the generation of each bucket when the pass began, and that of the oldest pointer found. */
  private readonly starts: (Uint8Array | undefined)[] = []
  private readonly oldest: (Uint8Array | undefined)[] = []
  /** Where to go on. */
  private readonly next = new Uint32Array(BPOS_WORDS)

  constructor(source: OldestGensSource) {
    this.source = source
    this.alloc = source.cursor(BtreeId.alloc)
    this.walks = { extents: source.cursor(BtreeId.extents), reflink: source.cursor(BtreeId.reflink) }
  }

  get isRunning(): boolean {
    return this.phase !== 'idle'
  }

  /** Begins a pass. Throws BtreeError. */
  begin(): void {
    for (let device = 0; device < MEMBERS_MAX; device++) {
      const member = this.source.shape.member(device)
      this.starts[device] = member === undefined ? undefined : new Uint8Array(member.bucketCount)
    }
    const cursor = this.source.cursor(BtreeId.bucketGens)
    const { key } = cursor
    for (let found = cursor.seek(POS_MIN); found; found = cursor.next()) {
      const start = this.starts[key.inode]
      const first = key.offset * BUCKETS_PER_GENS_KEY
      if (start === undefined || key.type !== bucketGens.number || first >= start.length) continue
      const bytes = Math.min(BUCKETS_PER_GENS_KEY, key.valueBytes, start.length - first)
      start.set(key.bytes.subarray(KEY_BYTES, KEY_BYTES + bytes), first)
    }
    this.starts.forEach((start, device) => (this.oldest[device] = start?.slice()))
    this.enter('extents')
  }

  /**
   * Goes on with the pass, as part of a transaction, in which up to `most` keys or buckets are changed. False when it has come to its end.
   * Throws KeyError, BtreeError.
   */
  step(updates: Updates, space: SpaceTriggers, most: number): boolean {
    const { phase } = this
    if (phase === 'extents' || phase === 'reflink') {
      const isMore = this.walk(updates, phase, most)
      if (!isMore) this.enter(phase === 'extents' ? 'reflink' : 'store')
    } else if (phase === 'store' && !this.store(updates, space, most)) this.end()
    return this.isRunning
  }

  private enter(phase: Phase): void {
    this.phase = phase
    copyBpos(this.next, POS_MIN)
  }

  private end(): void {
    this.phase = 'idle'
    this.starts.length = this.oldest.length = 0
  }

  /** Looks at the pointers of some keys. False at the end of the btree. */
  private walk(updates: Updates, phase: 'extents' | 'reflink', most: number): boolean {
    const cursor = this.walks[phase]
    const btree = phase === 'extents' ? BtreeId.extents : BtreeId.reflink
    const { key } = cursor
    let changes = 0
    let keys = 0
    for (let found = cursor.seek(this.next); found; found = cursor.next()) {
      copyBpos(this.next, key.words, KEY_POS_AT)
      if (keys++ === KEYS_AT_ONCE || changes === most) return true
      if (!this.load(key)) continue
      if (!this.isFarBehind()) this.lower()
      else {
        this.edited.set(key.words, 0)
        dropPointers(this.edited, this.dropped)
        updates.put(btree, this.edited)
        changes++
      }
    }
    return false
  }

  /** Of a key that may have been seen already, or not, or as another. */
  private note(key: Key): void {
    if (this.load(key)) this.lower()
  }

  private load(key: Key): boolean {
    const start = entriesStart(key.type)
    return start >= 0 && this.pointers.load(key, start, undefined) === undefined
  }

  /** Whether one of the cached pointers is. Marks those in `dropped` that are behind at all: they lead nowhere. */
  private isFarBehind(): boolean {
    const { pointers, dropped, starts } = this
    let most = 0
    for (let i = 0; i < pointers.count; i++) {
      dropped[i] = 0
      const bucket = this.bucketOf(i)
      const start = starts[pointers.device[i]]
      if (bucket < 0 || start === undefined || pointers.cached[i] === 0) continue
      const behind = difference(start[bucket], pointers.gen[i])
      if (behind > 0) dropped[i] = 1
      most = Math.max(most, behind)
    }
    return most > BEHIND_MAX
  }

  /** The buckets of the pointers are pointed to by such old ones. */
  private lower(): void {
    const { pointers, oldest } = this
    for (let i = 0; i < pointers.count; i++) {
      const bucket = this.bucketOf(i)
      const gens = oldest[pointers.device[i]]
      if (bucket < 0 || gens === undefined) continue
      if (difference(pointers.gen[i], gens[bucket]) < 0) gens[bucket] = pointers.gen[i]
    }
  }

  private bucketOf(i: number): number {
    const { pointers } = this
    const member = this.source.shape.member(pointers.device[i])
    if (member === undefined) return -1
    const bucket = Math.floor(pointers.sector[i] / member.bucketSectors)
    return bucket < member.bucketCount ? bucket : -1
  }

  /** Puts what was found out into some alloc keys. False at the end of the btree. */
  private store(updates: Updates, space: SpaceTriggers, most: number): boolean {
    const { alloc, oldest, next, bucket } = this
    const { key } = alloc
    let keys = 0
    let changes = 0
    for (let found = alloc.seek(next); found; found = alloc.next()) {
      copyBpos(next, key.words, KEY_POS_AT)
      if (keys++ === KEYS_AT_ONCE || changes === most) return true
      const gens = key.inodeHi === 0 ? oldest[key.inodeLo] : undefined
      if (gens === undefined || key.offset >= gens.length) continue
      loadBucket(bucket, key, this.source.shape)
      const gen = gens[key.offset]
      if (((bucket.gen - gen) & 0xff) >= bucket.generationsAhead) continue
      space.raiseOldestGen(updates, key.inode, key.offset, gen)
      changes++
    }
    return false
  }
}

/** How many generations `a` is ahead of `b`: they wrap. */
function difference(a: number, b: number): number {
  return ((a - b) << 24) >> 24
}
