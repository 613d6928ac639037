/**
 * A transaction: changes of keys that are committed together or not at all. It holds them in memory of its own, sorted by btree, level and
 * position; what it reads is the volume as it will be after them. One object serves one transaction after another.
 *
 * Counters of the accounting btree are changed by differences, which are added up here and become totals when they are committed.
 */

import { advanceBpos, compareBpos, copyBpos, retreatBpos } from '../bpos.ts'
import { BtreeId } from '../btree-ids.ts'
import type { Btrees } from '../btree/btree.ts'
import { Cursor } from '../btree/cursor.ts'
import { keyWords } from '../btree/node-image.ts'
import { accounting } from '../key-types/accounting.ts'
import { Key, KEY_POS_AT, KEY_WORDS } from '../key.ts'
import type { Updates } from './updates.ts'

const TYPE_DELETED = 0
const NEVER = -1

/** Changed keys, by index in the order in which they were changed first. */
export class Transaction implements Updates {
  /** Which journal entry it will be part of, as far as is known. */
  seq = 0
  /** Unpacked keys; a deletion is a key of type 0. */
  heap = new Uint32Array(1 << 12)
  count = 0
  btrees = new Uint8Array(64)
  levels = new Uint8Array(64)
  /** Word of the heap at which each key lies. */
  ats = new Int32Array(64)
  /** Word of the heap at which the version lies that triggers have seen; -1: none yet. */
  seen = new Int32Array(64)
  /** The indexes, sorted by btree, level and position. */
  order = new Int32Array(64)
  /** Indexes whose keys triggers have not seen as they are. */
  readonly untriggered: number[] = []

  private used = 0
  private readonly tree: Btrees
  private readonly cursors = new Map<number, Cursor>()
  private readonly target = new Uint32Array(5)
  private readonly scratch = new Key()

  constructor(tree: Btrees) {
    this.tree = tree
  }

  /** Forgets everything. */
  begin(seq: number): void {
    this.seq = seq
    this.count = 0
    this.used = 0
    this.untriggered.length = 0
  }

  put(btree: number, key: Key): void {
    this.putAt(btree, 0, key.words, 0)
  }

  /** Inserts the unpacked key at `words[at]` at a level of a btree. */
  putAt(btree: number, level: number, words: Uint32Array, at: number): void {
    const size = keyWords(words, at)
    const to = this.take(size)
    for (let i = 0; i < size; i++) this.heap[to + i] = words[at + i]
    this.enter(btree, level, to)
  }

  remove(btree: number, pos: Uint32Array): void {
    this.removeAt(btree, 0, pos, 0)
  }

  removeAt(btree: number, level: number, pos: Uint32Array, posAt: number): void {
    const to = this.take(KEY_WORDS)
    this.heap.fill(0, to, to + KEY_POS_AT)
    this.heap[to] = (KEY_WORDS / 2) | 0x100
    for (let i = 0; i < 5; i++) this.heap[to + KEY_POS_AT + i] = pos[posAt + i]
    this.enter(btree, level, to)
  }

  account(pos: Uint32Array, ...deltas: readonly number[]): void {
    const index = this.find(BtreeId.accounting, 0, pos, 0)
    let at = index < 0 ? -1 : this.ats[index]
    if (at < 0 || keyWords(this.heap, at) !== KEY_WORDS + 2 * deltas.length) {
      at = this.take(KEY_WORDS + 2 * deltas.length)
      this.heap.fill(0, at, at + KEY_WORDS + 2 * deltas.length)
      this.heap[at] = (KEY_WORDS / 2 + deltas.length) | 0x100 | (accounting.number << 16)
      for (let i = 0; i < 5; i++) this.heap[at + KEY_POS_AT + i] = pos[i]
      this.enter(BtreeId.accounting, 0, at)
    }
    for (let i = 0; i < deltas.length; i++) addTo(this.heap, at + KEY_WORDS + 2 * i, deltas[i])
  }

  get(btree: number, pos: Uint32Array, key: Key): boolean {
    const index = this.find(btree, 0, pos, 0)
    if (index >= 0) return this.copy(index, key)
    return this.getCommitted(btree, 0, pos, 0, key)
  }

  /** Copies the key at exactly `pos[posAt]`, as it was before the transaction. */
  getCommitted(btree: number, level: number, pos: Uint32Array, posAt: number, key: Key): boolean {
    const cursor = this.cursor(btree, level)
    copyBpos(this.target, pos, posAt)
    if (!cursor.seek(this.target) || compareBpos(cursor.key.words, KEY_POS_AT, this.target, 0) !== 0) return false
    key.set(cursor.key.words, 0)
    return true
  }

  peek(btree: number, pos: Uint32Array, key: Key): boolean {
    const { target } = this
    const cursor = this.cursor(btree, 0)
    copyBpos(target, pos)
    for (;;) {
      const place = this.placeOf(btree, 0, target, 0)
      const index = place < this.count && this.isOf(this.order[place], btree, 0) ? this.order[place] : -1
      const isCommitted = cursor.seek(target)
      const order = index < 0 ? 1 : isCommitted ? this.compare(index, cursor.key.words, KEY_POS_AT) : -1
      if (order > 0) {
        if (isCommitted) key.set(cursor.key.words, 0)
        return isCommitted
      }
      if (this.copy(index, key)) return true
      copyBpos(target, this.heap, this.ats[index] + KEY_POS_AT)
      if (!advanceBpos(target)) return false
    }
  }

  peekBack(btree: number, pos: Uint32Array, key: Key): boolean {
    const { target } = this
    const cursor = this.cursor(btree, 0)
    copyBpos(target, pos)
    for (;;) {
      let place = this.placeOf(btree, 0, target, 0)
      const isExact = place < this.count && this.matches(this.order[place], btree, 0, target, 0)
      if (!isExact) place--
      const index = place >= 0 && this.isOf(this.order[place], btree, 0) ? this.order[place] : -1
      const isCommitted = cursor.seekBack(target)
      const order = index < 0 ? -1 : isCommitted ? this.compare(index, cursor.key.words, KEY_POS_AT) : 1
      if (order < 0) {
        if (isCommitted) key.set(cursor.key.words, 0)
        return isCommitted
      }
      if (this.copy(index, key)) return true
      copyBpos(target, this.heap, this.ats[index] + KEY_POS_AT)
      if (!retreatBpos(target)) return false
    }
  }

  /** Index of the change at that position, or -1. */
  private find(btree: number, level: number, pos: Uint32Array, posAt: number): number {
    const place = this.placeOf(btree, level, pos, posAt)
    return place < this.count && this.matches(this.order[place], btree, level, pos, posAt) ? this.order[place] : -1
  }

  /** Where in the order a change at that position is, or would be. */
  private placeOf(btree: number, level: number, pos: Uint32Array, posAt: number): number {
    const { order, btrees, levels } = this
    let low = 0
    let high = this.count
    while (low < high) {
      const middle = (low + high) >>> 1
      const index = order[middle]
      const difference =
        btrees[index] - btree ||
        levels[index] - level ||
        compareBpos(this.heap, this.ats[index] + KEY_POS_AT, pos, posAt)
      if (difference < 0) low = middle + 1
      else high = middle
    }
    return low
  }

  private isOf(index: number, btree: number, level: number): boolean {
    return this.btrees[index] === btree && this.levels[index] === level
  }

  private matches(index: number, btree: number, level: number, pos: Uint32Array, posAt: number): boolean {
    return this.isOf(index, btree, level) && this.compare(index, pos, posAt) === 0
  }

  private compare(index: number, pos: Uint32Array, posAt: number): number {
    return compareBpos(this.heap, this.ats[index] + KEY_POS_AT, pos, posAt)
  }

  /** Copies a changed key; false if the change is a deletion. Of counters it is the total. */
  private copy(index: number, key: Key): boolean {
    const { heap } = this
    const at = this.ats[index]
    if (((heap[at] >>> 16) & 0xff) === TYPE_DELETED) return false
    if (this.btrees[index] !== BtreeId.accounting) {
      key.set(heap, at)
      return true
    }
    const { scratch } = this
    scratch.set(heap, at)
    if (this.getCommitted(BtreeId.accounting, 0, heap, at + KEY_POS_AT, key))
      addCounters(key.words, 0, scratch.words, 0)
    else key.set(scratch.words, 0)
    return true
  }

  /** Makes the key at word `at` of the heap the newest at its position. */
  private enter(btree: number, level: number, at: number): void {
    const place = this.placeOf(btree, level, this.heap, at + KEY_POS_AT)
    if (place < this.count && this.matches(this.order[place], btree, level, this.heap, at + KEY_POS_AT)) {
      const index = this.order[place]
      if (this.seen[index] === this.ats[index]) this.untriggered.push(index)
      this.ats[index] = at
      return
    }
    if (this.count === this.ats.length) this.grow()
    const index = this.count++
    this.btrees[index] = btree
    this.levels[index] = level
    this.ats[index] = at
    this.seen[index] = NEVER
    this.untriggered.push(index)
    this.order.copyWithin(place + 1, place, index)
    this.order[place] = index
  }

  private take(words: number): number {
    const at = this.used
    this.used += words
    if (this.used > this.heap.length) {
      const larger = new Uint32Array(Math.max(2 * this.heap.length, this.used))
      larger.set(this.heap)
      this.heap = larger
    }
    return at
  }

  private grow(): void {
    this.btrees = widened(this.btrees, new Uint8Array(2 * this.btrees.length))
    this.levels = widened(this.levels, new Uint8Array(2 * this.levels.length))
    this.ats = widened(this.ats, new Int32Array(2 * this.ats.length))
    this.seen = widened(this.seen, new Int32Array(2 * this.seen.length))
    this.order = widened(this.order, new Int32Array(2 * this.order.length))
  }

  private cursor(btree: number, level: number): Cursor {
    const place = btree * 4 + level
    let cursor = this.cursors.get(place)
    if (cursor === undefined) this.cursors.set(place, (cursor = new Cursor(this.tree, btree, level)))
    return cursor
  }
}

function widened<T extends Uint8Array | Int32Array>(from: T, to: T): T {
  to.set(from)
  return to
}

/** Adds a safe integer to the 64-bit counter at `words[at]`. */
function addTo(words: Uint32Array, at: number, delta: number): void {
  const high = Math.floor(delta / 0x100000000)
  const low = words[at] + (delta - high * 0x100000000)
  words[at] = low
  words[at + 1] += high + (low > 0xffffffff ? 1 : 0)
}

/** Adds the 64-bit counters of the accounting key at `from[fromAt]` to those of the key at `words[at]`, as many as both have. */
export function addCounters(words: Uint32Array, at: number, from: Uint32Array, fromAt: number): void {
  const size = Math.min(keyWords(words, at), keyWords(from, fromAt))
  for (let i = KEY_WORDS; i < size; i += 2) {
    const low = words[at + i] + from[fromAt + i]
    words[at + i] = low
    words[at + i + 1] += from[fromAt + i + 1] + (low > 0xffffffff ? 1 : 0)
  }
}
