/**
 * Collects what of a node is to be written next: the keys that changed since the last time, and deletions of those that a written set
 * still has. Format chapter 2, 2.9.2.
 */

import { compareBpos } from '../bpos.ts'
import { KEY_POS_AT, KEY_WORDS } from '../key.ts'
import { DIRTY, WITHOUT_FLAGS } from './key-flags.ts'
import type { NodeCache } from './node-cache.ts'
import { keyWords } from './node-image.ts'
import { keyAt } from './node-order.ts'
import type { KeyList } from './key-list.ts'
import type { PositionList } from './position-list.ts'

export class NodeSet implements KeyList {
  words = new Uint32Array(1 << 12)
  order = new Uint32Array(1 << 8)
  readonly base = 0
  readonly first = 0
  count = 0
  private used = 0

  /** Makes it the set of the node in `slot`. */
  collect(cache: NodeCache, slot: number, deleted: PositionList): void {
    this.count = 0
    this.used = 0
    const gone = deleted.sorted()
    const words = cache.words(slot)
    const image = cache.imageAt(slot)
    const count = cache.keyCount(slot)
    let next = 0
    for (let i = 0; i < count; i++) {
      const at = keyAt(words, image, i)
      for (; next < gone.length; next++) {
        const order = compareBpos(deleted.words, gone[next], words, at + KEY_POS_AT)
        if (order > 0) break
        // what was deleted and is there again is written as what it is now
        if (order < 0) this.addDeletion(deleted.words, gone[next])
      }
      if ((words[at] & DIRTY) !== 0) this.addKey(words, at)
    }
    for (; next < gone.length; next++) this.addDeletion(deleted.words, gone[next])
  }

  private addKey(from: Uint32Array, at: number): void {
    const size = keyWords(from, at)
    const to = this.take(size)
    this.words[to] = from[at] & WITHOUT_FLAGS
    for (let i = 1; i < size; i++) this.words[to + i] = from[at + i]
  }

  private addDeletion(pos: Uint32Array, at: number): void {
    const to = this.take(KEY_WORDS)
    this.words.fill(0, to, to + KEY_POS_AT)
    this.words[to] = (KEY_WORDS / 2) | 0x100
    for (let i = 0; i < KEY_WORDS - KEY_POS_AT; i++) this.words[to + KEY_POS_AT + i] = pos[at + i]
  }

  private take(size: number): number {
    const to = this.used
    this.used += size
    if (this.used > this.words.length) this.words = widened(this.words, this.used)
    if (this.count === this.order.length) this.order = widened(this.order, this.count + 1)
    this.order[this.count++] = to
    return to
  }
}

function widened(array: Uint32Array, least: number): Uint32Array<ArrayBuffer> {
  const larger = new Uint32Array(Math.max(2 * array.length, least))
  larger.set(array)
  return larger
}
