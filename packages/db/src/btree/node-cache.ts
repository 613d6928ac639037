/**
 * The node cache: images of btree nodes in shared memory, bounded in size.
 *
 * Each cached node has a slot. A slot is a few words in a table of fixed size (type-stable: it is a slot for ever) and an image in an
 * arena (see `node-image.ts`). A slot's generation rises whenever it changes hands; who has looked something up in it compares the
 * generation before looking again, and starts over if it is another. Slots are given up by the clock method.
 */

import { Arena } from '@cowherd/shim'
import { BPOS_WORDS, compareBpos } from '../bpos.ts'
import { KEY_POS_AT } from '../key.ts'
import { isV2, minKeyAt } from './btree-ptr.ts'
import type { ImageBuilder } from './node-image.ts'

/** Words of a slot in the table. */
const SLOT_WORDS = 16
const GENERATION = 0
const IMAGE_AT = 1 // first word in the arena
const KEY_COUNT = 2
const REFERENCED = 3 // by a lookup since the clock's hand passed
const MIN_KEY = 4
const MAX_KEY = MIN_KEY + BPOS_WORDS
const PLACE = MAX_KEY + BPOS_WORDS // btree and level: see `placeOf`

const UNIT_BYTES = 16 << 10
/** The least size of a cache. It works with any; who asks for so little reads most nodes again and again. */
const BYTES_MIN = 16 * UNIT_BYTES
/** What takes more of the cache than one part in this many is kept beside it, one image at a time. */
const IMAGES_MIN = 8

/** Names a node within a volume: see `nodeIdentity`; roots that are not on disk have negative ones. */
export type NodeIdentity = number

/** What the cache holds, and how it served so far. */
export interface CacheState {
  readonly nodes: number
  /** Memory for images, used or not. */
  readonly bytes: number
  /** Nodes that were found, that had to be read, and that were given up. */
  readonly hits: number
  readonly misses: number
  readonly evictions: number
}

export class NodeCache {
  private hits = 0
  private misses = 0
  private evictions = 0
  private readonly arena: Arena
  private readonly table: Uint32Array
  private readonly slotCount: number
  private readonly index = new Map<NodeIdentity, number>()
  private readonly identities: (NodeIdentity | undefined)[]
  private readonly vacant: number[] = []
  /** Images too large for the arena, by slot: leaves under a great many keys of the live journal; in small caches full leaves too. */
  private readonly oversize = new Map<number, Uint32Array>()
  private hand = 0

  /** `bytes` bounds the images, except for one that is too large to share them. */
  constructor(bytes: number) {
    this.arena = Arena.create(Math.max(bytes, BYTES_MIN), { unitBytes: UNIT_BYTES, shared: false })
    this.slotCount = this.arena.bytes / UNIT_BYTES
    this.table = new Uint32Array(this.slotCount * SLOT_WORDS)
    this.identities = Array.from<undefined>({ length: this.slotCount })
    for (let slot = this.slotCount - 1; slot >= 0; slot--) this.vacant.push(slot)
  }

  /** Memory that images take, used or not: the bound, and the one image that may lie beside it. */
  get bytes(): number {
    let { bytes } = this.arena
    for (const words of this.oversize.values()) bytes += words.byteLength
    return bytes
  }

  get state(): CacheState {
    const { bytes, hits, misses, evictions } = this
    return { nodes: this.index.size, bytes, hits, misses, evictions }
  }

  /** The slot of a cached node, or -1. */
  find(identity: NodeIdentity): number {
    const slot = this.index.get(identity)
    if (slot === undefined) return -1
    this.hits++
    this.table[slot * SLOT_WORDS + REFERENCED] = 1
    return slot
  }

  /**
   * True if the slot holds the node that the key at `words[at]` is to point to: of this btree, at this level, with this range. In a
   * damaged tree two pointers may lead to one place on disk, and only one of them can be right.
   */
  isNode(slot: number, btree: number, level: number, words: Uint32Array, at: number): boolean {
    const { table } = this
    const row = slot * SLOT_WORDS
    if (table[row + PLACE] !== placeOf(btree, level)) return false
    if (compareBpos(table, row + MAX_KEY, words, at + KEY_POS_AT) !== 0) return false
    return !isV2(words, at) || compareBpos(table, row + MIN_KEY, words, minKeyAt(at)) === 0
  }

  /** Rises whenever the slot changes hands. */
  generation(slot: number): number {
    return this.table[slot * SLOT_WORDS + GENERATION]
  }
  /** The array that holds the slot's image. */
  words(slot: number): Uint32Array {
    return this.oversize.size === 0 ? this.arena.words : (this.oversize.get(slot) ?? this.arena.words)
  }
  /** First word of the slot's image. */
  imageAt(slot: number): number {
    return this.table[slot * SLOT_WORDS + IMAGE_AT]
  }
  keyCount(slot: number): number {
    return this.table[slot * SLOT_WORDS + KEY_COUNT]
  }
  /** Copies the last position that the node covers. */
  copyMaxKey(pos: Uint32Array, slot: number): void {
    for (let i = 0; i < BPOS_WORDS; i++) pos[i] = this.table[slot * SLOT_WORDS + MAX_KEY + i]
  }
  /** Copies the first position that the node covers. */
  copyMinKey(pos: Uint32Array, slot: number): void {
    for (let i = 0; i < BPOS_WORDS; i++) pos[i] = this.table[slot * SLOT_WORDS + MIN_KEY + i]
  }

  /** Stores the merged image in `builder` under `identity`, giving up others as needed. Returns its slot. */
  store(
    identity: NodeIdentity,
    btree: number,
    level: number,
    builder: ImageBuilder,
    minKey: Uint32Array,
    maxKey: Uint32Array,
  ): number {
    this.misses++
    const former = this.index.get(identity)
    if (former !== undefined) this.evict(former)
    const size = builder.imageWords
    const large = size > this.arena.largest / IMAGES_MIN
    if (large) for (const slot of [...this.oversize.keys()]) this.evict(slot)
    let at = large ? 0 : this.arena.allocate(size)
    while (at < 0 || this.vacant.length === 0) {
      this.evictOne()
      if (at < 0) at = this.arena.allocate(size)
    }
    const slot = this.vacant.pop() ?? 0
    const row = slot * SLOT_WORDS
    if (large) this.oversize.set(slot, new Uint32Array(size))
    this.table[row + IMAGE_AT] = at
    this.table[row + KEY_COUNT] = builder.count
    this.table[row + REFERENCED] = 1
    this.table.set(minKey, row + MIN_KEY)
    this.table.set(maxKey, row + MAX_KEY)
    this.table[row + PLACE] = placeOf(btree, level)
    builder.store(this.words(slot), at)
    this.identities[slot] = identity
    this.index.set(identity, slot)
    return slot
  }

  /** Gives up all nodes. */
  clear(): void {
    for (const slot of [...this.index.values()]) this.evict(slot)
  }

  private evictOne(): void {
    // Two rounds find a victim: the first clears every mark.
    for (let steps = 0; steps <= 2 * this.slotCount; steps++) {
      this.hand = (this.hand + 1) % this.slotCount
      if (this.identities[this.hand] === undefined) continue
      const mark = this.hand * SLOT_WORDS + REFERENCED
      if (this.table[mark] === 0) {
        this.evict(this.hand)
        return
      }
      this.table[mark] = 0
    }
    throw new RangeError('the node cache is too small for one node')
  }

  private evict(slot: number): void {
    const identity = this.identities[slot]
    if (identity === undefined) return
    this.evictions++
    this.index.delete(identity)
    this.identities[slot] = undefined
    this.table[slot * SLOT_WORDS + GENERATION]++
    if (!this.oversize.delete(slot)) this.arena.deallocate(this.imageAt(slot))
    this.vacant.push(slot)
  }
}

function placeOf(btree: number, level: number): number {
  return btree * 4 + level
}
