/**
 * Changes nodes in memory: inserts, overwrites and deletes keys of cached nodes, and remembers what of each node is still to be written.
 * Format chapter 2, 2.9.2.
 *
 * A node's image has spare room behind its keys, and spare places in front; a key is put behind the others, and its place into the
 * order. So whoever reads the image notices nothing of it. What was changed since the node was written is marked in the keys themselves
 * (`key-flags.ts`); of deleted keys that a written set still has the positions are kept. A node with unwritten changes is not given up,
 * and pins the journal entry that has the oldest of them.
 */

import { compareBpos } from '../bpos.ts'
import { VolumeError } from '../errors.ts'
import type { Pins } from '../journal/pins.ts'
import { KEY_POS_AT, KEY_WORDS } from '../key.ts'
import { DIRTY, FRESH, WITHOUT_FLAGS } from './key-flags.ts'
import type { NodeCache } from './node-cache.ts'
import { keyWords } from './node-image.ts'
import { insertInOrder, keyAt, lowerBound, moveInOrder, orderWords, removeFromOrder } from './node-order.ts'
import * as row from './node-row.ts'
import { PositionList } from './position-list.ts'

/** What is known of a node with unwritten changes. */
export interface DirtyNode {
  readonly slot: number
  /** On the entry that has the oldest of the changes. */
  readonly pin: number
  /** Of that entry; and of the newest entry that has any. */
  readonly oldestSeq: number
  newestSeq: number
  /** Positions that a written set of the node has a key at, and that there is none at any more. */
  readonly deleted: PositionList
}

/** Spare places and words that a node gets when it is changed first. */
const SPARE_KEYS_MIN = 64
const SPARE_WORDS_MIN = 1024

export class NodeEditor {
  /** By slot, in the order in which they became dirty. */
  readonly dirty = new Map<number, DirtyNode>()
  /** Words of memory that images of dirty nodes take. */
  dirtyWords = 0
  private readonly cache: NodeCache
  private readonly pins: Pins

  constructor(cache: NodeCache, pins: Pins) {
    this.cache = cache
    this.pins = pins
  }

  /**
   * Makes sure that `keys` keys of `words` words in all can be inserted. Throws VolumeError ENOSPC if the cache is too small for what is
   * being changed.
   */
  makeRoom(slot: number, words: number, keys: number): void {
    const { cache } = this
    const { table } = cache
    const used = table[slot + row.IMAGE_USED] + words
    const count = table[slot + row.KEY_COUNT]
    if (used <= table[slot + row.IMAGE_ROOM] && count + keys <= table[slot + row.ORDER_ROOM]) return
    const spareKeys = keys + Math.max(SPARE_KEYS_MIN, count >> 1)
    // what is no key's any more isn't copied
    const live = table[slot + row.LIVE_U64S] * 2 + orderWords(count + spareKeys) + words
    const before = table[slot + row.IMAGE_ROOM]
    if (!cache.enlarge(slot, live + Math.max(SPARE_WORDS_MIN, live >> 2), spareKeys)) {
      throw new VolumeError('ENOSPC', 'node cache', 'too small for the nodes that are being changed')
    }
    if (this.dirty.has(slot)) this.dirtyWords += table[slot + row.IMAGE_ROOM] - before
  }

  /** Inserts the unpacked key at `from[at]`, or overwrites what is at its position. There is room for it, and the node is dirty. */
  insert(slot: number, from: Uint32Array, at: number): void {
    const { cache } = this
    const { table } = cache
    const words = cache.words(slot)
    const image = table[slot + row.IMAGE_AT]
    const count = table[slot + row.KEY_COUNT]
    const size = keyWords(from, at)
    const index = lowerBound(words, image, count, from, at + KEY_POS_AT)
    let flags = DIRTY | FRESH
    let to = image + table[slot + row.IMAGE_USED]
    const present = index < count ? keyAt(words, image, index) : -1
    const isPresent = present >= 0 && compareBpos(words, present + KEY_POS_AT, from, at + KEY_POS_AT) === 0
    if (isPresent) {
      const before = keyWords(words, present)
      flags = DIRTY | (words[present] & FRESH)
      table[slot + row.LIVE_U64S] += (size - before) / 2
      if (size <= before) to = present
    } else {
      table[slot + row.APPENDED] = index === count ? table[slot + row.APPENDED] + 1 : 0
      table[slot + row.KEY_COUNT] = count + 1
      table[slot + row.LIVE_U64S] += size / 2
    }
    words[to] = (from[at] & WITHOUT_FLAGS) | flags
    for (let i = 1; i < size; i++) words[to + i] = from[at + i]
    if (to !== present) table[slot + row.IMAGE_USED] += size
    if (!isPresent) insertInOrder(words, image, count, index, to)
    else if (to !== present) moveInOrder(words, image, index, to)
    table[slot + row.UNWRITTEN] += size
    cache.touch(slot)
  }

  /** Deletes the key at `pos[at]`. False if there is none. The node is dirty. */
  remove(slot: number, pos: Uint32Array, at: number): boolean {
    const { cache } = this
    const { table } = cache
    const words = cache.words(slot)
    const image = table[slot + row.IMAGE_AT]
    const count = table[slot + row.KEY_COUNT]
    const index = lowerBound(words, image, count, pos, at)
    if (index === count) return false
    const present = keyAt(words, image, index)
    if (compareBpos(words, present + KEY_POS_AT, pos, at) !== 0) return false
    if ((words[present] & FRESH) === 0) this.dirty.get(slot)?.deleted.add(pos, at)
    removeFromOrder(words, image, count, index)
    table[slot + row.KEY_COUNT] = count - 1
    table[slot + row.LIVE_U64S] -= keyWords(words, present) / 2
    table[slot + row.UNWRITTEN] += KEY_WORDS
    cache.touch(slot)
    return true
  }

  /** Words of keys of the node that are to be written. */
  unwrittenWords(slot: number): number {
    return this.cache.table[slot + row.UNWRITTEN]
  }

  /** Words of memory that the node's image takes. */
  wordsOf(slot: number): number {
    return this.cache.table[slot + row.IMAGE_ROOM]
  }

  /** The word in `cache.words(slot)` at which the key at `pos[at]` lies, or -1. */
  find(slot: number, pos: Uint32Array, at: number): number {
    const { cache } = this
    const words = cache.words(slot)
    const image = cache.imageAt(slot)
    const count = cache.keyCount(slot)
    const index = lowerBound(words, image, count, pos, at)
    if (index === count) return -1
    const present = keyAt(words, image, index)
    return compareBpos(words, present + KEY_POS_AT, pos, at) === 0 ? present : -1
  }

  /** The node is about to get a change that journal entry `seq` has. */
  markDirty(slot: number, seq: number): void {
    const present = this.dirty.get(slot)
    if (present === undefined) this.adopt(slot, this.pins.pin(seq), seq, seq)
    else if (seq > present.newestSeq) present.newestSeq = seq
  }

  /** The node has changes of entries from `oldestSeq` to `newestSeq`; `pin` is on the oldest. */
  adopt(slot: number, pin: number, oldestSeq: number, newestSeq: number, deleted = new PositionList()): void {
    this.dirty.set(slot, { slot, pin, oldestSeq, newestSeq, deleted })
    this.dirtyWords += this.cache.table[slot + row.IMAGE_ROOM]
    this.cache.hold(slot)
  }

  /** All changes of the node are written: the keys are as they are on disk. What it pinned is still pinned. */
  markWritten(slot: number): void {
    const { cache } = this
    const words = cache.words(slot)
    const image = cache.imageAt(slot)
    for (let i = 0; i < cache.keyCount(slot); i++) words[keyAt(words, image, i)] &= WITHOUT_FLAGS
    cache.table[slot + row.UNWRITTEN] = 0
    this.dirty.get(slot)?.deleted.clear()
  }

  /** What the node has changed is reachable on disk, or the node is none any more: it pins nothing. */
  release(slot: number): void {
    const node = this.dirty.get(slot)
    if (node === undefined) return
    this.dirty.delete(slot)
    this.dirtyWords -= this.cache.table[slot + row.IMAGE_ROOM]
    this.pins.release(node.pin)
    this.cache.release(slot)
  }
}
