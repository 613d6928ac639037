/**
 * Images of btree nodes: what a node's keys look like in memory.
 *
 * On disk a node is a small log: a sorted set of packed keys, then further sets that override it. The image is the result:
 * all live keys once, unpacked, sorted, those of the live journal already laid over them. So a lookup is a binary search
 * over an array of offsets, and a key is read where it lies. Format chapter 2, 2.6.9 and 2.7.5; chapter 3, 3.6.1 and 3.6.4.
 *
 *     first    where each key starts, in order of position (`node-order.ts`)
 *     then     the keys, unpacked (KEY_WORDS of header, then the value), in the same order
 */

import { compareBpos } from '../bpos.ts'
import { KEY_MAX_WORDS, KEY_POS_AT } from '../key.ts'
import { beginOrder, orderWords, placeKey } from './node-order.ts'

/** Bytes of the smallest packed key: one u64. It bounds the keys of a node. */
const SMALLEST_KEY_BYTES = 8
const TYPE_DELETED = 0

/**
 * Collects the sets of keys of one node and merges them. One builder serves all nodes of a volume.
 *
 * Use: `reset`, then per set, oldest first: `room`, write the key at `heap[used]`, `append`, ...; `endRun` after each set;
 * then `merge`. What it holds afterwards is the image: `count` keys at `order[0..count)`, of `imageWords` words in all. Further
 * sets may follow, and another `merge`.
 */
export class ImageBuilder {
  /** Unpacked keys, all sets one after another. */
  heap: Uint32Array
  /** First free word of the heap. */
  used = 0
  /** Word at which each key starts, set by set; after `merge` the live keys in order of position. */
  order: Uint32Array
  count = 0
  private spare: Uint32Array
  private readonly runs: number[] = []

  constructor(nodeBytes: number) {
    const keys = nodeBytes / SMALLEST_KEY_BYTES
    this.heap = new Uint32Array(nodeBytes / 2)
    this.order = new Uint32Array(keys)
    this.spare = new Uint32Array(keys)
  }

  reset(): void {
    this.used = 0
    this.count = 0
    this.runs.length = 0
  }

  /** Makes sure that a key of any size can be written at `heap[used]` and appended. */
  room(): void {
    if (this.used + KEY_MAX_WORDS > this.heap.length) this.heap = grown(this.heap)
    if (this.count >= this.order.length) {
      this.order = grown(this.order)
      this.spare = grown(this.spare)
    }
  }

  /**
   * Takes the key that was written at `heap[used]`, `words` long, into the current set. Returns false, and takes nothing, if it
   * sorts before its predecessor; a key at the same position replaces its predecessor.
   */
  append(words: number): boolean {
    if (this.count > this.runStart()) {
      const order = compareBpos(this.heap, this.order[this.count - 1] + KEY_POS_AT, this.heap, this.used + KEY_POS_AT)
      if (order > 0) return false
      if (order === 0) this.count--
    }
    this.order[this.count++] = this.used
    this.used += words
    return true
  }

  /** Ends the current set: what is appended from here on is newer and overrides it. */
  endRun(): void {
    if (this.count > this.runStart()) this.runs.push(this.count)
  }

  /** Merges all sets, the newer winning at equal positions, and drops deleted keys. */
  merge(): void {
    this.endRun()
    while (this.runs.length > 1) this.mergeNeighbours()
    let live = 0
    for (let i = 0; i < this.count; i++) {
      const at = this.order[i]
      if (((this.heap[at] >>> 16) & 0xff) !== TYPE_DELETED) this.order[live++] = at
    }
    this.count = live
    this.runs.length = 0
    this.endRun()
  }

  /** After `merge`: where the live key at `pos[posAt]` lies in the heap, or -1. */
  find(pos: Uint32Array, posAt: number): number {
    let low = 0
    let high = this.runStart()
    while (low < high) {
      const middle = (low + high) >>> 1
      const difference = compareBpos(this.heap, this.order[middle] + KEY_POS_AT, pos, posAt)
      if (difference === 0) return this.order[middle]
      if (difference < 0) low = middle + 1
      else high = middle
    }
    return -1
  }

  /** Size of the image that `store` would write. */
  get imageWords(): number {
    let words = orderWords(this.count)
    for (let i = 0; i < this.count; i++) words += keyWords(this.heap, this.order[i])
    return words
  }

  /** Writes the image to `words[at]`, where `imageWords` words are free. */
  store(words: Uint32Array, at: number): void {
    const { heap, order, count } = this
    beginOrder(words, at, { words: heap, base: 0, order, first: 0, count }, count)
    let next = at + orderWords(count)
    // Keys that were neighbours on disk mostly still are: copied together, which saves two thirds of the time.
    for (let first = 0, last = 0; first < count; first = last) {
      const start = order[first]
      let end = start
      do end += keyWords(heap, order[last++])
      while (last < count && order[last] === end)
      words.set(heap.subarray(start, end), next)
      for (let i = first; i < last; i++) placeKey(words, at, i, next + order[i] - start)
      next += end - start
    }
  }

  private runStart(): number {
    return this.runs.length === 0 ? 0 : this.runs[this.runs.length - 1]
  }

  /** One round: merges sets 0 and 1, 2 and 3, ... so that each key is compared only log2(sets) times. */
  private mergeNeighbours(): void {
    const merged: number[] = []
    let to = 0
    let start = 0
    for (let r = 0; r < this.runs.length; r += 2) {
      const middle = this.runs[r]
      const end = r + 1 < this.runs.length ? this.runs[r + 1] : middle
      to = this.mergeRuns(start, middle, end, to)
      merged.push(to)
      start = end
    }
    this.count = to
    this.runs.length = 0
    this.runs.push(...merged)
    const order = this.order
    this.order = this.spare
    this.spare = order
  }

  private mergeRuns(start: number, middle: number, end: number, to: number): number {
    const { heap, order, spare } = this
    let older = start
    let newer = middle
    while (older < middle && newer < end) {
      const difference = compareBpos(heap, order[older] + KEY_POS_AT, heap, order[newer] + KEY_POS_AT)
      if (difference < 0) spare[to++] = order[older++]
      else {
        if (difference === 0) older++
        spare[to++] = order[newer++]
      }
    }
    while (older < middle) spare[to++] = order[older++]
    while (newer < end) spare[to++] = order[newer++]
    return to
  }
}

/** Words of the unpacked key at `words[at]`. */
export function keyWords(words: Uint32Array, at: number): number {
  return (words[at] & 0xff) * 2
}

function grown(array: Uint32Array): Uint32Array {
  const larger = new Uint32Array(array.length * 2)
  larger.set(array)
  return larger
}
