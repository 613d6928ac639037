/**
 * Cursors: walking over the keys of a btree.
 *
 * A cursor keeps its own copy of the key it stands on, so it survives that its node is evicted: it notices by the slot's sequence
 * number, and finds its place again by position. Moving to the next key of a node is two array reads and the copy.
 */

import {
  advanceBpos,
  advanceBposNoSnapshot,
  compareBpos,
  copyBpos,
  POS_MIN,
  retreatBpos,
  samePosIgnoringSnapshot,
  SPOS_MAX,
} from '../bpos.ts'
import { Key, KEY_POS_AT } from '../key.ts'
import type { Btrees } from './btree.ts'
import { keyAt, lowerBound } from './node-order.ts'

const TYPE_WHITEOUT = 1

/** A walk over live keys in order of position. */
export interface KeyCursor {
  /** The key the cursor stands on; meaningful after a call that returned true. */
  readonly key: Key
  /** Goes to the first key at or behind `pos` (read before anything else, so it may be part of `key`). False if there is none. */
  seek(pos: Uint32Array): boolean
  /** Goes to the next key. False at the end. */
  next(): boolean
}

/** All keys of one level of a btree, of all snapshots, whiteouts included. */
export class Cursor implements KeyCursor {
  readonly key = new Key()
  private readonly btrees: Btrees
  private readonly btree: number
  private readonly level: number
  private readonly target = new Uint32Array(5)
  private readonly end = new Uint32Array(5)
  /** Where it stands: the slot and its sequence number, the key's index and the number of keys there. */
  private slot = -1
  private sequence = 0
  private index = 0
  private count = 0

  /** `level` is at most that of the btree's root; above, the btree has no keys. */
  constructor(btrees: Btrees, btree: number, level: number) {
    this.btrees = btrees
    this.btree = btree
    this.level = level
  }

  seek(pos: Uint32Array): boolean {
    const { btrees, target, end } = this
    copyBpos(target, pos)
    this.slot = -1
    if (this.level > btrees.rootLevel(this.btree)) return false
    const { cache } = btrees
    for (let tries = 0; ;) {
      const slot = btrees.nodeAt(this.btree, this.level, target, tries)
      const { sequence } = btrees
      const words = cache.words(slot)
      const image = cache.imageAt(slot)
      const count = cache.keyCount(slot)
      const index = lowerBound(words, image, count, target, 0)
      if (index < count) this.key.set(words, keyAt(words, image, index))
      else cache.copyMaxKey(end, slot)
      if (!cache.isUnchanged(slot, sequence)) {
        tries++
        continue
      }
      cache.leave()
      if (index < count) {
        this.slot = slot
        this.sequence = sequence
        this.index = index
        this.count = count
        return true
      }
      if (compareBpos(end, 0, SPOS_MAX, 0) === 0) return false
      copyBpos(target, end)
      advanceBpos(target)
      tries = 0
    }
  }

  /** Goes to the last key at or before `pos` (read before anything else). False if there is none. */
  seekBack(pos: Uint32Array): boolean {
    const { btrees, target, end } = this
    copyBpos(target, pos)
    this.slot = -1
    if (this.level > btrees.rootLevel(this.btree)) return false
    const { cache } = btrees
    for (let tries = 0; ;) {
      const slot = btrees.nodeAt(this.btree, this.level, target, tries)
      const { sequence } = btrees
      const words = cache.words(slot)
      const image = cache.imageAt(slot)
      const count = cache.keyCount(slot)
      const first = lowerBound(words, image, count, target, 0)
      const isExact = first < count && compareBpos(words, keyAt(words, image, first) + KEY_POS_AT, target, 0) === 0
      const index = isExact ? first : first - 1
      if (index >= 0) this.key.set(words, keyAt(words, image, index))
      else cache.copyMinKey(end, slot)
      if (!cache.isUnchanged(slot, sequence)) {
        tries++
        continue
      }
      cache.leave()
      if (index >= 0) {
        this.slot = slot
        this.sequence = sequence
        this.index = index
        this.count = count
        return true
      }
      if (compareBpos(end, 0, POS_MIN, 0) === 0) return false
      copyBpos(target, end)
      retreatBpos(target)
      tries = 0
    }
  }

  /** Goes to the previous key. False at the start. */
  previous(): boolean {
    const { cache } = this.btrees
    const { key, slot, target } = this
    copyBpos(target, key.words, KEY_POS_AT)
    if (slot >= 0 && this.index > 0) {
      const words = cache.words(slot)
      const image = cache.imageAt(slot)
      key.set(words, keyAt(words, image, this.index - 1))
      if (cache.isUnchanged(slot, this.sequence)) {
        this.index--
        return true
      }
    }
    return retreatBpos(target) && this.seekBack(target)
  }

  next(): boolean {
    const { cache } = this.btrees
    const { key, slot, target } = this
    copyBpos(target, key.words, KEY_POS_AT)
    if (slot >= 0 && this.index + 1 < this.count) {
      const words = cache.words(slot)
      const image = cache.imageAt(slot)
      key.set(words, keyAt(words, image, this.index + 1))
      if (cache.isUnchanged(slot, this.sequence)) {
        this.index++
        return true
      }
    }
    return advanceBpos(target) && this.seek(target)
  }
}

/**
 * What one snapshot sees of a btree with snapshots: at each (inode, offset) the key of the nearest ancestor, unless that is a
 * whiteout. Format chapter 2, 2.10.2.
 */
export class SnapshotCursor implements KeyCursor {
  readonly key: Key
  private readonly cursor: Cursor
  private readonly snapshot: number
  private readonly ancestors: ReadonlySet<number>
  private readonly target = new Uint32Array(5)

  /** `ancestors` holds `snapshot` itself too. */
  constructor(cursor: Cursor, snapshot: number, ancestors: ReadonlySet<number>) {
    this.cursor = cursor
    this.key = cursor.key
    this.snapshot = snapshot
    this.ancestors = ancestors
  }

  /** The snapshot field of `pos` doesn't matter. */
  seek(pos: Uint32Array): boolean {
    copyBpos(this.target, pos)
    this.target[0] = this.snapshot
    return this.settle(this.cursor.seek(this.target))
  }

  next(): boolean {
    return this.settle(this.passPosition())
  }

  /** Passes over what the snapshot doesn't see. */
  private settle(found: boolean): boolean {
    while (found) {
      if (!this.ancestors.has(this.key.snapshot)) found = this.cursor.next()
      else if (this.key.type === TYPE_WHITEOUT) found = this.passPosition()
      else return true
    }
    return false
  }

  /** Goes to the first key behind the current (inode, offset): the decision there has fallen. */
  private passPosition(): boolean {
    const { key, target } = this
    copyBpos(target, key.words, KEY_POS_AT)
    // The versions of one position are neighbours; only a long row of them is worth a search.
    for (let steps = 0; steps < 16; steps++) {
      if (!this.cursor.next()) return false
      if (!samePosIgnoringSnapshot(key.words, KEY_POS_AT, target, 0)) return true
    }
    return advanceBposNoSnapshot(target) && this.cursor.seek(target)
  }
}
