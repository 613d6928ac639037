/** Keys of nodes in order, wherever they lie: in the image of a node, or in memory of their own. */

import type { NodeCache } from './node-cache.ts'
import { keyWords } from './node-image.ts'
import { ORDER_AT } from './node-order.ts'
import * as row from './node-row.ts'

/** Sorted unpacked keys: the i-th lies at `words[base + order[first + i]]`. In an image, `order` is `words`, and `base` its start. */
export interface KeyList {
  readonly words: Uint32Array
  readonly base: number
  readonly order: Uint32Array
  readonly first: number
  readonly count: number
}

/** The word at which key number `i` lies. */
export function placeInList(list: KeyList, i: number): number {
  return list.base + list.order[list.first + i]
}

/** The keys of a cached node. Valid until the node is changed. */
export function keysOfNode(cache: NodeCache, slot: number): KeyList {
  const image = cache.imageAt(slot)
  const words = cache.words(slot)
  return { words, base: image, order: words, first: image + ORDER_AT, count: cache.keyCount(slot) }
}

/** The keys of neighbouring nodes; those of several are copied. */
export function keysOfNodes(cache: NodeCache, slots: readonly number[]): KeyList {
  if (slots.length === 1) return keysOfNode(cache, slots[0])
  const lists = slots.map((slot) => keysOfNode(cache, slot))
  const count = lists.reduce((sum, list) => sum + list.count, 0)
  const words = new Uint32Array(slots.reduce((sum, slot) => sum + cache.table[slot + row.LIVE_U64S] * 2, 0))
  const order = new Uint32Array(count)
  let used = 0
  let n = 0
  for (const list of lists) {
    for (let i = 0; i < list.count; i++) {
      const at = placeInList(list, i)
      const size = keyWords(list.words, at)
      order[n++] = used
      words.set(list.words.subarray(at, at + size), used)
      used += size
    }
  }
  return { words, base: 0, order, first: 0, count }
}
