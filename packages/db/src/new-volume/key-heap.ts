/** Unpacked keys, collected in any order and then sorted by position: what a btree is built of. */

import { compareBpos } from '../bpos.ts'
import { KEY_POS_AT, type Key } from '../key.ts'
import { keyWords } from '../btree/node-image.ts'

const INITIAL_WORDS = 1024
const INITIAL_KEYS = 64

export class KeyHeap {
  /** The keys, one after another. */
  words = new Uint32Array(INITIAL_WORDS)
  /** First words of the keys; in order of position after `sort`. */
  order = new Uint32Array(INITIAL_KEYS)
  count = 0
  private used = 0

  add(key: Key): void {
    const size = key.u64s * 2
    if (this.used + size > this.words.length) this.words = grown(this.words)
    if (this.count === this.order.length) this.order = grown(this.order)
    this.words.set(key.words.subarray(0, size), this.used)
    this.order[this.count++] = this.used
    this.used += size
  }

  /** Bytes of all keys. */
  get bytes(): number {
    return this.used * 4
  }

  /** Throws RangeError if two keys have one position. */
  sort(): void {
    const { words, order, count } = this
    order.subarray(0, count).sort((a, b) => compareBpos(words, a + KEY_POS_AT, words, b + KEY_POS_AT))
    for (let i = 1; i < count; i++) {
      if (compareBpos(words, order[i - 1] + KEY_POS_AT, words, order[i] + KEY_POS_AT) === 0) {
        throw new RangeError('two keys at one position')
      }
    }
  }

  /** Bytes of the `i`-th key. */
  bytesOf(i: number): number {
    return keyWords(this.words, this.order[i]) * 4
  }
}

function grown(array: Uint32Array<ArrayBuffer>): Uint32Array<ArrayBuffer> {
  const larger = new Uint32Array(array.length * 2)
  larger.set(array)
  return larger
}
