/** Unpacked keys, collected in any order and then sorted by position: what a btree is built of. */

import { compareBpos } from '../bpos.ts'
import { KEY_POS_AT, type Key } from '../key.ts'
import { keyWords } from '../btree/node-image.ts'

const INITIAL_WORDS = 1024
const INITIAL_KEYS = 64
/** What isn't used of it takes no memory. */
const GROWTH = 4

export class KeyHeap {
  /** The keys, one after another. */
  words = new Uint32Array(INITIAL_WORDS)
  /** First words of the keys; in order of position after `sort`. */
  order = new Uint32Array(INITIAL_KEYS)
  count = 0
  private used = 0
  /** Words of keys that are no longer there. */
  private dropped = 0

  /** Makes room for so many keys, which have so many bytes together. */
  reserve(count: number, bytes: number): void {
    if (this.count + count > this.order.length) this.order = grown(this.order, this.count + count)
    if (this.used + bytes / 4 > this.words.length) this.words = grown(this.words, this.used + bytes / 4)
  }

  add(key: Key): void {
    const size = key.u64s * 2
    if (this.used + size > this.words.length) this.words = grown(this.words, GROWTH * this.words.length)
    if (this.count === this.order.length) this.order = grown(this.order, GROWTH * this.order.length)
    const { words, used } = this
    for (let i = 0; i < size; i++) words[used + i] = key.words[i]
    this.order[this.count++] = used
    this.used += size
  }

  /** Puts a key in place of the one at its position, which is as long, after `sort`. Throws RangeError if there is none. */
  replace(key: Key): void {
    const { words, order } = this
    let [low, high] = [0, this.count]
    while (low < high) {
      const middle = (low + high) >>> 1
      if (compareBpos(words, order[middle] + KEY_POS_AT, key.words, KEY_POS_AT) < 0) low = middle + 1
      else high = middle
    }
    const at = order[low]
    const isThere = low < this.count && compareBpos(words, at + KEY_POS_AT, key.words, KEY_POS_AT) === 0
    if (!isThere || keyWords(words, at) !== key.u64s * 2) throw new RangeError(`no key like that at ${key.posText}`)
    words.set(key.words.subarray(0, key.u64s * 2), at)
  }

  /** Keeps the keys of which `keeps` says so. What the others took is not given back. */
  filter(keeps: (heap: KeyHeap, i: number) => boolean): void {
    let kept = 0
    for (let i = 0; i < this.count; i++) {
      if (keeps(this, i)) this.order[kept++] = this.order[i]
      else this.dropped += keyWords(this.words, this.order[i])
    }
    this.count = kept
  }

  /** Copies the `i`-th key to `key`. */
  copy(i: number, key: Key): void {
    key.set(this.words, this.order[i])
  }

  /** Bytes of all keys. */
  get bytes(): number {
    return (this.used - this.dropped) * 4
  }

  /** Throws RangeError if two keys have one position. */
  sort(): void {
    const { words, order, count } = this
    if (this.isAscending()) return
    order.subarray(0, count).sort((a, b) => compareBpos(words, a + KEY_POS_AT, words, b + KEY_POS_AT))
    if (!this.isAscending()) throw new RangeError('two keys at one position')
  }

  /** Most keys are added in order. */
  private isAscending(): boolean {
    const { words, order, count } = this
    for (let i = 1; i < count; i++) {
      if (compareBpos(words, order[i - 1] + KEY_POS_AT, words, order[i] + KEY_POS_AT) >= 0) return false
    }
    return true
  }

  /** Bytes of the `i`-th key. */
  bytesOf(i: number): number {
    return keyWords(this.words, this.order[i]) * 4
  }
}

function grown(array: Uint32Array<ArrayBuffer>, length: number): Uint32Array<ArrayBuffer> {
  const larger = new Uint32Array(length)
  larger.set(array)
  return larger
}
