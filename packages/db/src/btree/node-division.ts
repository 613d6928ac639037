/**
 * Deals the keys of nodes out to new ones, which it makes: one, or as many as hold the keys well. Format chapter 2, 2.9.4 and 2.9.5. Nothing is
 * written, and no node is changed.
 */

import { advanceBpos, copyBpos, POS_MIN, SPOS_MAX } from '../bpos.ts'
import { KEY_POS_AT, KEY_WORDS, type Key } from '../key.ts'
import { FormatChoice } from './format-choice.ts'
import { KeyFormat } from './key-format.ts'
import { keysOfNodes, placeInList, type KeyList } from './key-list.ts'
import type { NodeCache } from './node-cache.ts'
import { keyWords } from './node-image.ts'
import { NodeHeader } from './node-layout.ts'
import * as row from './node-row.ts'
import type { NodeDescription, NodeWriter } from './node-write.ts'

/** A node that is going to be: its keys in a list, and its bytes. */
export interface NewNode extends NodeDescription {
  readonly keys: KeyList
  readonly bytes: Uint8Array
  readonly formatWords: Uint32Array
}

/** How full a node is when it is split, and how full the first half is then: parts of what a node can hold. */
const SPLIT_AT = 2 / 3
const FIRST_HALF = 3 / 5
/** How much stays in the first half where so many keys were put at the end in a row: more are to come there. */
const FIRST_OF_ROW = 0.96
const ROW_MIN = 64
/** How full nodes are where there are more than two. */
const PIECE_AT = 0.6

/** What a new node covers, and whose place it takes. */
interface Extent {
  readonly btree: number
  readonly level: number
  readonly minKey: Uint32Array
  readonly maxKey: Uint32Array
  readonly generation: number
}

export class NodeDivision {
  /** Most u64s that the keys of a node can have. */
  readonly maxU64s: number
  private readonly cache: NodeCache
  private readonly writer: NodeWriter
  private readonly random: (bytes: Uint8Array) => void
  private readonly choice = new FormatChoice()
  private readonly format = new KeyFormat()

  /** `random` fills memory with bytes that nobody can guess. */
  constructor(cache: NodeCache, writer: NodeWriter, nodeBytes: number, random: (bytes: Uint8Array) => void) {
    this.cache = cache
    this.writer = writer
    this.random = random
    this.maxU64s = Math.floor((nodeBytes - NodeHeader.size) / 8)
  }

  /** u64s that the keys of neighbouring nodes take when they are packed by a format of their own. */
  packedU64s(slots: readonly number[]): number {
    return this.measure(keysOfNodes(this.cache, slots), slots)
  }

  /** Whether so many u64s are too many for one node that is to take more keys. */
  isTooMuch(u64s: number): boolean {
    return u64s > this.maxU64s * SPLIT_AT
  }

  /** The nodes that can take the place of neighbouring ones. */
  divide(slots: readonly number[]): NewNode[] {
    const list = keysOfNodes(this.cache, slots)
    const packed = this.measure(list, slots)
    let pieces = this.isTooMuch(packed) ? Math.max(2, Math.ceil(packed / (this.maxU64s * PIECE_AT))) : 1
    for (; ; pieces++) {
      const nodes = this.encodePieces(list, slots, Math.min(pieces, Math.max(1, list.count >> 1)))
      if (nodes !== undefined) return nodes
    }
  }

  /** A root at `level` of a btree, above the nodes that `pointers` lead to. */
  root(btree: number, level: number, pointers: readonly Key[]): NewNode {
    const words = new Uint32Array(pointers.reduce((sum, key) => sum + key.u64s * 2, 0))
    const order = new Uint32Array(pointers.length)
    let used = 0
    pointers.forEach((key, i) => {
      order[i] = used
      words.set(key.words.subarray(0, key.u64s * 2), used)
      used += key.u64s * 2
    })
    const keys = { words, base: 0, order, first: 0, count: pointers.length }
    const root = this.encode({ btree, level, minKey: POS_MIN, maxKey: SPOS_MAX, generation: 0 }, keys)
    if (root === undefined) throw new RangeError('more pointers than a root can hold')
    return root
  }

  private measure(list: KeyList, slots: readonly number[]): number {
    const { choice, format } = this
    const { table } = this.cache
    const first = slots[0]
    const last = slots[slots.length - 1]
    const minKey = table.subarray(first + row.MIN_KEY, first + row.MIN_KEY + 5)
    choice.reset(minKey, table.subarray(last + row.MAX_KEY, last + row.MAX_KEY + 5))
    let values = 0
    for (let i = 0; i < list.count; i++) {
      const at = placeInList(list, i)
      choice.widen(list.words, at)
      values += (keyWords(list.words, at) - KEY_WORDS) / 2
    }
    choice.choose(format)
    return values + list.count * format.keyU64s
  }

  /** Undefined if some piece is too large. */
  private encodePieces(list: KeyList, slots: readonly number[], pieces: number): NewNode[] | undefined {
    const { table } = this.cache
    const last = slots[slots.length - 1]
    const btree = table[last + row.PLACE] >>> 2
    const level = table[last + row.PLACE] & 3
    const firstShare = table[last + row.APPENDED] >= ROW_MIN ? FIRST_OF_ROW : FIRST_HALF
    const generation = 1 + Math.max(...slots.map((slot) => table[slot + row.GENERATION]))
    const nodes: NewNode[] = []
    const minKey = table.slice(slots[0] + row.MIN_KEY, slots[0] + row.MIN_KEY + 5)
    let total = 0
    for (let i = 0; i < list.count; i++) total += keyWords(list.words, placeInList(list, i))
    let sum = 0
    let first = 0
    for (let piece = 0; piece < pieces; piece++) {
      const share = pieces === 2 ? firstShare : (piece + 1) / pieces
      let end = first
      const isLast = piece === pieces - 1
      while (end < list.count && (isLast || end < first + 2 || sum < total * share)) {
        sum += keyWords(list.words, placeInList(list, end++))
      }
      const maxKey = table.slice(last + row.MAX_KEY, last + row.MAX_KEY + 5)
      if (!isLast) copyBpos(maxKey, list.words, placeInList(list, end - 1) + KEY_POS_AT)
      const keys = { ...list, first: list.first + first, count: end - first }
      const node = this.encode({ btree, level, minKey, maxKey, generation }, keys)
      if (node === undefined) {
        if (keys.count < 3) throw new RangeError('a key that is too large for a node')
        return undefined
      }
      nodes.push(node)
      copyBpos(minKey, maxKey)
      advanceBpos(minKey)
      first = end
    }
    return nodes
  }

  /** Undefined if the keys are too many. */
  private encode(extent: Extent, keys: KeyList): NewNode | undefined {
    const seq = new Uint32Array(2)
    do this.random(new Uint8Array(seq.buffer))
    while (seq[0] === 0 && seq[1] === 0)
    const description = {
      ...extent,
      minKey: extent.minKey.slice(),
      maxKey: extent.maxKey.slice(),
      seqLo: seq[0],
      seqHi: seq[1],
    }
    if (!this.writer.makeNode(description, keys)) return undefined
    const formatWords = new Uint32Array(row.FORMAT_WORDS)
    this.writer.format.store(new DataView(formatWords.buffer), 0)
    return { ...description, keys, bytes: this.writer.bytes.slice(), formatWords }
  }
}
