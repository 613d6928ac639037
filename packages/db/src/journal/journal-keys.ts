/**
 * The keys of the live journal, laid over the btrees: a volume that was not shut down cleanly is its btrees plus these. Format
 * chapter 3, 3.6.1 to 3.6.4.
 *
 * Keys lie one after another in one array, in journal order; per btree and level an index orders them by position. Of several keys at
 * one position only the last counts. Accounting keys are deltas: all are kept, and added to the total when a node is loaded.
 */

import { compareBpos, copyBpos } from '../bpos.ts'
import { BtreeId } from '../btree-ids.ts'
import { DIRTY, FRESH } from '../btree/key-flags.ts'
import type { ImageBuilder } from '../btree/node-image.ts'
import { keyWords } from '../btree/node-image.ts'
import type { PositionList } from '../btree/position-list.ts'
import { KEY_POS_AT, KEY_WORDS } from '../key.ts'

const TYPE_DELETED = 0
const TYPE_ACCOUNTING = 34

/** What another thread needs to have the same keys: it can be posted. */
export interface SharedJournalKeys {
  readonly words: Uint32Array
  readonly levels: readonly (readonly [level: number, order: Uint32Array])[]
}

/** Keys of one btree at one level: word offsets in `words`, sorted by position once collecting has ended. */
class LevelKeys {
  count = 0
  order = new Uint32Array(64)
  /** Of a volume that is written: which keys have become part of a node, and are not laid over it again. */
  taken: Uint8Array | undefined

  add(at: number): void {
    if (this.count === this.order.length) {
      const larger = new Uint32Array(this.order.length * 2)
      larger.set(this.order)
      this.order = larger
    }
    this.order[this.count++] = at
  }
}

export class JournalKeys {
  private readonly words: Uint32Array
  private used = 0
  private readonly levels = new Map<number, LevelKeys>()

  private constructor(words: Uint32Array) {
    this.words = words
  }

  /**
   * `capacityBytes` bounds the keys: the size of the entries that they come from. Memory that no key comes to use is only reserved; a
   * live journal may be so large that growing in steps, with copies, would take twice the memory. `shared`: other threads can have
   * them too, when they are sealed.
   */
  static ofCapacity(capacityBytes: number, shared: boolean): JournalKeys {
    const bytes = Math.ceil(capacityBytes / 4) * 4
    return new JournalKeys(new Uint32Array(shared ? new SharedArrayBuffer(bytes) : new ArrayBuffer(bytes)))
  }

  /** The keys of another thread. */
  static of({ words, levels }: SharedJournalKeys): JournalKeys {
    const keys = new JournalKeys(words)
    for (const [level, order] of levels)
      keys.levels.set(level, Object.assign(new LevelKeys(), { order, count: order.length }))
    return keys
  }

  /** For other threads, when the keys are sealed. */
  share(): SharedJournalKeys {
    const levels = [...this.levels].map(([level, { order, count }]): [number, Uint32Array] => {
      const shared = new Uint32Array(new SharedArrayBuffer(count * 4))
      shared.set(order.subarray(0, count))
      return [level, shared]
    })
    return { words: this.words, levels }
  }

  /** Copies the unpacked key at `from[at]`; later keys override earlier ones at the same position. */
  add(btree: number, level: number, from: Uint32Array, at: number): void {
    const size = keyWords(from, at)
    if (this.used + size > this.words.length) throw new RangeError('more keys than the journal has room for')
    for (let i = 0; i < size; i++) this.words[this.used + i] = from[at + i]
    this.words[this.used] &= 0xffff7fff // needs_whiteout is a leftover of the writer's memory
    let keys = this.levels.get(btree * 4 + level)
    if (keys === undefined) this.levels.set(btree * 4 + level, (keys = new LevelKeys()))
    keys.add(this.used)
    this.used += size
  }

  /** Sorts what was added and drops overridden keys. No `add` after this. */
  seal(): void {
    const { words } = this
    for (const keys of this.levels.values()) {
      const order = keys.order.subarray(0, keys.count)
      sort(words, order, new Uint32Array((keys.count + 1) >>> 1), 0, keys.count)
      let kept = 0
      for (let i = 0; i < order.length; i++) {
        const overridden =
          i + 1 < order.length &&
          !isAccounting(words, order[i + 1]) &&
          compareBpos(words, order[i] + KEY_POS_AT, words, order[i + 1] + KEY_POS_AT) === 0
        if (!overridden) order[kept++] = order[i]
      }
      keys.count = kept
    }
  }

  /** Number of keys that count. */
  get size(): number {
    let size = 0
    for (const keys of this.levels.values()) size += keys.count
    return size
  }

  /** True if there are keys for this btree at this level. */
  has(btree: number, level: number): boolean {
    return this.levels.has(btree * 4 + level)
  }

  /**
   * Lays the keys of [min, max] over the merged image in `builder`; the caller merges again. Deltas of accounting are added to the
   * totals that they are newer than.
   */
  overlay(btree: number, level: number, min: Uint32Array, max: Uint32Array, builder: ImageBuilder): void {
    const keys = this.levels.get(btree * 4 + level)
    if (keys === undefined) return
    const { words } = this
    for (let i = this.firstFrom(keys, min); i < keys.count; i++) {
      const at = keys.order[i]
      if (compareBpos(words, at + KEY_POS_AT, max, 0) > 0) break
      builder.room()
      const to = builder.used
      const size = keyWords(words, at)
      for (let j = 0; j < size; j++) builder.heap[to + j] = words[at + j]
      if (btree === BtreeId.accounting && isAccounting(words, at)) i = this.addDeltas(keys, i, builder, to)
      builder.append(Math.max(size, KEY_WORDS))
    }
  }

  /**
   * The same for a node that is going to be changed: the keys become part of it, as changes that are still to be written, and are not
   * laid over it again. Positions that were deleted from it are added to `deleted`. Returns how many keys there were.
   */
  take(
    btree: number,
    level: number,
    min: Uint32Array,
    max: Uint32Array,
    builder: ImageBuilder,
    deleted: PositionList,
  ): number {
    const keys = this.levels.get(btree * 4 + level)
    if (keys === undefined) return 0
    const { words } = this
    const taken = (keys.taken ??= new Uint8Array(keys.count))
    let count = 0
    for (let i = this.firstFrom(keys, min); i < keys.count; i++) {
      const at = keys.order[i]
      if (compareBpos(words, at + KEY_POS_AT, max, 0) > 0) break
      if (taken[i] !== 0) continue
      count++
      builder.room()
      const to = builder.used
      const size = keyWords(words, at)
      for (let j = 0; j < size; j++) builder.heap[to + j] = words[at + j]
      const isOnDisk = builder.find(words, at + KEY_POS_AT) >= 0
      const first = i
      if (btree === BtreeId.accounting && isAccounting(words, at)) i = this.addDeltas(keys, i, builder, to)
      taken.fill(1, first, i + 1)
      if (((words[at] >>> 16) & 0xff) !== TYPE_DELETED) builder.heap[to] |= isOnDisk ? DIRTY : DIRTY | FRESH
      else if (isOnDisk) deleted.add(words, at + KEY_POS_AT)
      builder.append(Math.max(size, KEY_WORDS))
    }
    return count
  }

  /** Undoes `take` for a node that could not be used after all. */
  giveBack(btree: number, level: number, min: Uint32Array, max: Uint32Array): void {
    const keys = this.levels.get(btree * 4 + level)
    if (keys?.taken === undefined) return
    for (let i = this.firstFrom(keys, min); i < keys.count; i++) {
      if (compareBpos(this.words, keys.order[i] + KEY_POS_AT, max, 0) > 0) break
      keys.taken[i] = 0
    }
  }

  /** Btrees and levels that there are keys for, the highest levels first. */
  get places(): (readonly [btree: number, level: number])[] {
    return [...this.levels.keys()]
      .map((place) => [place >>> 2, place & 3] as const)
      .sort(([a, levelA], [b, levelB]) => levelB - levelA || a - b)
  }

  /** Copies the position of the first key from `pos` on that was not taken yet to `pos`. False if there is none. */
  findUntaken(btree: number, level: number, pos: Uint32Array): boolean {
    const keys = this.levels.get(btree * 4 + level)
    if (keys === undefined) return false
    for (let i = this.firstFrom(keys, pos); i < keys.count; i++) {
      if (keys.taken?.[i] === 1) continue
      copyBpos(pos, this.words, keys.order[i] + KEY_POS_AT)
      return true
    }
    return false
  }

  private firstFrom(keys: LevelKeys, pos: Uint32Array): number {
    let low = 0
    let high = keys.count
    while (low < high) {
      const middle = (low + high) >>> 1
      if (compareBpos(this.words, keys.order[middle] + KEY_POS_AT, pos, 0) < 0) low = middle + 1
      else high = middle
    }
    return low
  }

  /**
   * `builder.heap[to]` holds delta `first`: makes it the total, from the btree's key at that position and all deltas that are newer.
   * Returns the index of the last delta used. Deltas lie in journal order, which is the order of their versions.
   */
  private addDeltas(keys: LevelKeys, first: number, builder: ImageBuilder, to: number): number {
    const { words } = this
    const { heap } = builder
    const base = builder.find(heap, to + KEY_POS_AT)
    let total = base >= 0 && isAccounting(heap, base) && keyWords(heap, base) === keyWords(heap, to)
    if (total) for (let j = 0; j < keyWords(heap, base); j++) heap[to + j] = heap[base + j]
    let i = first
    for (; i < keys.count; i++) {
      const at = keys.order[i]
      if (compareBpos(words, at + KEY_POS_AT, heap, to + KEY_POS_AT) !== 0) break
      if (!isAccounting(words, at) || keyWords(words, at) !== keyWords(heap, to)) continue
      if (!total) {
        for (let j = 0; j < keyWords(words, at); j++) heap[to + j] = words[at + j]
        total = true
      } else if (compareVersions(words, at, heap, to) > 0) addCounters(words, at, heap, to)
    }
    return i - 1
  }
}

/**
 * Sorts the keys at `order` by position; those of one position stay as they were. A merge sort by halves, which has small parts of the
 * keys in its hands for long. (The array's own `sort` takes 16 bytes of the heap for each key.)
 */
function sort(words: Uint32Array, order: Uint32Array, room: Uint32Array, start: number, end: number): void {
  if (end - start < 2) return
  const middle = (start + end) >>> 1
  sort(words, order, room, start, middle)
  sort(words, order, room, middle, end)
  if (compareBpos(words, order[middle - 1] + KEY_POS_AT, words, order[middle] + KEY_POS_AT) <= 0) return
  for (let i = start; i < middle; i++) room[i - start] = order[i]
  let left = 0
  let right = middle
  for (let at = start; left < middle - start; at++) {
    const isRight = right < end && compareBpos(words, room[left] + KEY_POS_AT, words, order[right] + KEY_POS_AT) > 0
    order[at] = isRight ? order[right++] : room[left++]
  }
}

function isAccounting(words: Uint32Array, at: number): boolean {
  return ((words[at] >>> 16) & 0xff) === TYPE_ACCOUNTING
}

/** Versions are 96 bits in words 1 to 3, least significant first. */
function compareVersions(a: Uint32Array, aAt: number, b: Uint32Array, bAt: number): number {
  for (let i = 3; i >= 1; i--) {
    const difference = a[aAt + i] - b[bAt + i]
    if (difference !== 0) return difference
  }
  return 0
}

/** Adds the 64-bit counters of a delta to those of a total, and gives the total the delta's version. */
function addCounters(delta: Uint32Array, at: number, total: Uint32Array, to: number): void {
  const end = Math.min(keyWords(delta, at), keyWords(total, to))
  for (let i = KEY_WORDS; i < end; i += 2) {
    const low = delta[at + i] + total[to + i]
    total[to + i] = low
    total[to + i + 1] += delta[at + i + 1] + (low > 0xffffffff ? 1 : 0)
  }
  for (let i = 1; i <= 3; i++) total[to + i] = delta[at + i]
}
