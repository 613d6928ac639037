/**
 * The node cache: images of btree nodes, bounded in size, for one thread or for many that share it.
 *
 * A cached node has a slot: a row in a table (`node-row.ts`) and an image in an arena (`node-image.ts`); the index, a resizable
 * hashtable, finds slots by identity. Slots are given up by the clock method.
 *
 * Readers take no lock. A reader notes the sequence number of a slot, reads what it likes, and asks afterwards whether the number is
 * still the same; until then it believes nothing of what it read. What changes a slot holds its six lock exclusively meanwhile, which
 * makes the number odd and then another even one.
 *
 * A node that isn't there is claimed before it is read, so that two threads that miss it read it once: the slot is in the index from
 * then on, locked, and whoever finds it waits. The thread that read it keeps a pin on it (the lock, shared) until it has what it came
 * for, so that no other thread can take from it what it has just read, however small the cache is.
 *
 * What is too large for the cache, or finds no room in it because others have pinned the rest, is kept beside it, by the thread that
 * needs it and for that thread alone, one node at a time.
 */

import { HashTable } from '@cowherd/rhashtable'
import { Arena, Mutex, Rcu, SixLock } from '@cowherd/shim'
import { BPOS_WORDS, compareBpos } from '../bpos.ts'
import { KEY_POS_AT } from '../key.ts'
import { isV2, minKeyAt } from './btree-ptr.ts'
import {
  createCacheMemory,
  EVICTIONS,
  FIRST_ROW,
  HAND,
  HITS,
  MISSES,
  MUTEX,
  newPiece,
  NODES,
  ROWS,
  SOFT_BYTES,
  UNIT_BYTES,
  VACANT,
  type NodeCacheDescriptor,
} from './node-cache-memory.ts'
import { keyWords, type ImageBuilder } from './node-image.ts'
import { beginOrder, keyAt, ORDER_AT, orderWords, placeKey } from './node-order.ts'
import * as row from './node-row.ts'
import { placeOf, RowState } from './node-row.ts'

/** What takes more of the cache than one part in this many is kept beside it. */
const IMAGES_MIN = 8
/** A thread adds its hits to those of all when it has so many. */
const HITS_BATCH = 256

/** Names a node within a volume: see `nodeIdentity`; roots that are not on disk have negative ones. */
export type NodeIdentity = number

/** What the cache holds, and how it served so far: counted modulo 2^32. */
export interface CacheState {
  readonly nodes: number
  /** Memory for images, used or not. */
  readonly bytes: number
  /** Nodes that were found (known by the hundred), that had to be read, and that were given up. */
  readonly hits: number
  readonly misses: number
  readonly evictions: number
}

/** What a node says of itself, beside its keys. */
export interface NodeFacts {
  readonly minKey: Uint32Array
  readonly maxKey: Uint32Array
  readonly seqLo: number
  readonly seqHi: number
  /** Sectors that are written; 0 for a root that is not on disk. */
  readonly writtenSectors: number
  readonly generation: number
  /** As it is stored, 14 words. */
  readonly formatWords: Uint32Array
}

export class NodeCache {
  /** What another thread makes its view of. */
  readonly descriptor: NodeCacheDescriptor
  private readonly images: Arena
  /** The rows (`node-row.ts`), for whoever changes nodes. */
  readonly table: Uint32Array
  private readonly ints: Int32Array
  private readonly head: number
  private readonly firstRow: number
  private readonly rows: number
  private readonly index: HashTable
  private readonly rcu: Rcu | undefined
  private readonly mutex: Mutex | undefined
  /** Views of the rows' locks, made as they are needed. */
  private readonly locks: (SixLock | undefined)[] = []
  private readonly tableArena: Arena
  private readonly fence = new Int32Array(1)

  /** The node beside the cache: its slot, its image, and its identity (NaN: none). */
  private readonly ownSlot: number
  private ownWords = new Uint32Array(0)
  private ownIdentity: NodeIdentity = NaN

  private pinned = -1
  private hits = 0

  /** This thread's view of a cache. */
  constructor(descriptor: NodeCacheDescriptor) {
    const { images, table, head, index, rcu } = descriptor
    this.descriptor = descriptor
    this.images = new Arena(images)
    this.tableArena = new Arena(table)
    this.table = this.tableArena.words
    this.ints = this.tableArena.ints
    this.head = head
    this.firstRow = this.table[head + FIRST_ROW]
    this.rows = this.table[head + ROWS]
    this.rcu = rcu === undefined ? undefined : Rcu.of(rcu)
    this.index = new HashTable(this.tableArena, index, this.rcu)
    this.mutex = this.tableArena.isShared ? new Mutex(this.tableArena.place(head + MUTEX)) : undefined
    this.ownSlot = newPiece(this.tableArena, row.ROW_WORDS)
  }

  /**
   * `bytes` bounds the images, except for those that are kept beside the cache. `shared`: other threads can have it too. `heldBytes`: how much
   * there may be as long as nodes are held that can't be given up.
   */
  static create(bytes: number, shared: boolean, heldBytes = bytes): NodeCache {
    return new NodeCache(createCacheMemory(bytes, shared, heldBytes))
  }

  /** Memory that images take, used or not: the bound, and the one image that this thread has beside it. */
  get bytes(): number {
    return this.images.bytes + this.ownWords.byteLength
  }

  get state(): CacheState {
    this.tellHits()
    const count = (word: number): number => Atomics.load(this.table, this.head + word)
    return {
      nodes: count(NODES),
      bytes: this.bytes,
      hits: count(HITS),
      misses: count(MISSES),
      evictions: count(EVICTIONS),
    }
  }

  /** Between this and `leave` the calls below are made; a thread that is not between them holds nobody up. */
  enter(): void {
    this.rcu?.online()
  }

  /** The thread has what it came for: others may give up the node that it read last. */
  leave(): void {
    this.unpin()
    this.rcu?.offline()
  }

  /** The slot of a cached node, or -1. The slot may be another's by now: its `sequence` is read first, then `isNode` asked. */
  find(identity: NodeIdentity): number {
    if (identity === this.ownIdentity) return this.ownSlot
    const object = this.index.lookup(identity >>> 0, highOf(identity))
    if (object === 0) return -1
    const slot = object - row.LINK
    if (++this.hits === HITS_BATCH) this.tellHits()
    if (this.table[slot + row.REFERENCED] === 0) this.table[slot + row.REFERENCED] = 1
    return slot
  }

  /** The slot of a node that this thread keeps beside the cache, or -1. */
  findOwn(identity: NodeIdentity): number {
    return identity === this.ownIdentity ? this.ownSlot : -1
  }

  /**
   * True if the slot holds the node that the key at `words[at]` is to point to: of this btree, at this level, with this range. In a
   * damaged tree two pointers may lead to one place on disk, and only one of them can be right.
   */
  isNode(slot: number, identity: NodeIdentity, btree: number, level: number, words: Uint32Array, at: number): boolean {
    const { table } = this
    if (!this.hasIdentity(slot, identity) || table[slot + row.PLACE] !== placeOf(btree, level)) return false
    if (compareBpos(table, slot + row.MAX_KEY, words, at + KEY_POS_AT) !== 0) return false
    return !isV2(words, at) || compareBpos(table, slot + row.MIN_KEY, words, minKeyAt(at)) === 0
  }

  /** Whether the slot holds a node of that identity. Who comes late may have a slot that was given up, and not taken again since. */
  hasIdentity(slot: number, identity: NodeIdentity): boolean {
    const { table } = this
    if (table[slot + row.STATE] !== RowState.filled) return false
    return table[slot + row.IDENTITY_LO] === identity >>> 0 && table[slot + row.IDENTITY_HI] === highOf(identity)
  }

  /** Rises whenever the slot changes hands; odd while it does. */
  sequence(slot: number): number {
    return this.mutex === undefined ? this.ints[slot + row.SEQUENCE] : Atomics.load(this.ints, slot + row.SEQUENCE)
  }

  /** Whether all that was read from the slot since it had that sequence number is to be believed. */
  isUnchanged(slot: number, sequence: number): boolean {
    if (this.mutex === undefined) return this.ints[slot + row.SEQUENCE] === sequence
    // plain reads may be late on some processors, but not behind a store by Atomics, nor that behind the load that follows
    Atomics.store(this.fence, 0, 0)
    return Atomics.load(this.ints, slot + row.SEQUENCE) === sequence
  }

  /** The array that holds the slot's image. */
  words(slot: number): Uint32Array {
    return slot === this.ownSlot ? this.ownWords : this.images.words
  }
  /** First word of the slot's image. */
  imageAt(slot: number): number {
    return this.table[slot + row.IMAGE_AT]
  }
  keyCount(slot: number): number {
    return this.table[slot + row.KEY_COUNT]
  }
  /** Copies the last position that the node covers. */
  copyMaxKey(pos: Uint32Array, slot: number): void {
    for (let i = 0; i < BPOS_WORDS; i++) pos[i] = this.table[slot + row.MAX_KEY + i]
  }
  /** Copies the first position that the node covers. */
  copyMinKey(pos: Uint32Array, slot: number): void {
    for (let i = 0; i < BPOS_WORDS; i++) pos[i] = this.table[slot + row.MIN_KEY + i]
  }

  /** Waits until the thread that has claimed the slot is done with it. Throws OwnerDeadError if it died. */
  awaitFilled(slot: number): void {
    const lock = this.lockOf(slot)
    lock?.lockShared()
    lock?.unlockShared()
  }

  /**
   * A slot for a node that is going to be read: `fill` or `abandon` follows. `instead`: a slot that has this identity and is not the
   * node, with the sequence number that it had then; or -1. Returns -1 if another thread has the node meanwhile: look again.
   */
  claim(identity: NodeIdentity, instead: number, sequence: number): number {
    this.unpin()
    this.mutex?.lock()
    try {
      const present = this.index.lookup(identity >>> 0, highOf(identity))
      if (present !== 0) {
        if (present - row.LINK !== instead || !this.isUnchanged(instead, sequence)) return -1
        if (!this.tryExclusive(instead)) return this.ownSlot
        this.vacate(instead)
      }
      const slot = this.vacantSlot()
      if (slot < 0) return this.ownSlot
      this.setIdentity(slot, identity)
      this.table[slot + row.STATE] = RowState.claimed
      this.index.insert(slot + row.LINK)
      return slot
    } finally {
      this.mutex?.unlock()
    }
  }

  /** A slot that no other thread sees, for a node that is going to be read. */
  claimOwn(): number {
    this.unpin()
    return this.ownSlot
  }

  /** The claimed slot's node could not be read. */
  abandon(slot: number): void {
    if (slot === this.ownSlot) return
    this.mutex?.lock()
    this.vacate(slot)
    this.mutex?.unlock()
  }

  /** Puts the merged image in `builder` into the claimed slot. Returns the slot that has it: pinned until `unpin`. */
  fill(
    claimed: number,
    identity: NodeIdentity,
    btree: number,
    level: number,
    builder: ImageBuilder,
    node: NodeFacts,
  ): number {
    const { table } = this
    Atomics.add(table, this.head + MISSES, 1)
    const at = claimed === this.ownSlot ? -1 : this.roomFor(builder.imageWords)
    if (at < 0) this.abandon(claimed)
    const slot = at < 0 ? this.ownSlot : claimed
    if (at < 0) this.beginOwn(identity, builder.imageWords)
    table[slot + row.IMAGE_AT] = Math.max(at, 0)
    table[slot + row.KEY_COUNT] = builder.count
    table[slot + row.REFERENCED] = 1
    table.set(node.minKey, slot + row.MIN_KEY)
    table.set(node.maxKey, slot + row.MAX_KEY)
    table[slot + row.PLACE] = placeOf(btree, level)
    table[slot + row.NODE_SEQ] = node.seqLo
    table[slot + row.NODE_SEQ + 1] = node.seqHi
    table[slot + row.WRITTEN] = node.writtenSectors
    table[slot + row.GENERATION] = node.generation
    table.set(node.formatWords, slot + row.FORMAT)
    table[slot + row.HOLDS] = 0
    table[slot + row.IMAGE_ROOM] = builder.imageWords
    table[slot + row.ORDER_ROOM] = builder.count
    table[slot + row.IMAGE_USED] = builder.imageWords
    table[slot + row.LIVE_U64S] = (builder.imageWords - orderWords(builder.count)) / 2
    table[slot + row.LIMIT_U64S] = 0
    table[slot + row.UNWRITTEN] = 0
    table[slot + row.APPENDED] = 0
    builder.store(this.words(slot), Math.max(at, 0))
    table[slot + row.STATE] = RowState.filled
    if (slot === this.ownSlot) return slot
    Atomics.add(table, this.head + NODES, 1)
    this.pin(slot)
    return slot
  }

  /**
   * Gives the slot's image `words` words of room or more, in another place if need be, its keys close together and `spareKeys` places in
   * front for more of them. For the only thread that has the cache. False: there is no room.
   */
  enlarge(slot: number, words: number, spareKeys: number): boolean {
    const { table } = this
    const count = table[slot + row.KEY_COUNT]
    const room = 2 ** Math.ceil(Math.log2(Math.max(words, UNIT_BYTES / 4)))
    const from = this.words(slot)
    const at = table[slot + row.IMAGE_AT]
    this.hold(slot)
    const to = slot === this.ownSlot ? -1 : this.roomFor(room)
    this.release(slot)
    if (to < 0) return false
    const orderRoom = count + spareKeys
    beginOrder(from, to, { words: from, base: at, order: from, first: at + ORDER_AT, count }, orderRoom)
    let used = orderWords(orderRoom)
    for (let i = 0; i < count; i++) {
      const key = keyAt(from, at, i)
      const size = keyWords(from, key)
      for (let j = 0; j < size; j++) from[to + used + j] = from[key + j]
      placeKey(from, to, i, to + used)
      used += size
    }
    this.images.deallocate(at)
    table[slot + row.IMAGE_AT] = to
    table[slot + row.IMAGE_ROOM] = room
    table[slot + row.ORDER_ROOM] = orderRoom
    table[slot + row.IMAGE_USED] = used
    return true
  }

  /** The node is not given up until it is released as often. */
  hold(slot: number): void {
    this.table[slot + row.HOLDS]++
  }
  release(slot: number): void {
    this.table[slot + row.HOLDS]--
  }

  /** The slot's keys have changed, or are about to. For the only thread that has the cache. */
  touch(slot: number): void {
    this.ints[slot + row.SEQUENCE] += 2
  }

  /** Gives up a node that is none any more. */
  drop(slot: number): void {
    if (slot === this.ownSlot) this.ownIdentity = NaN
    else if (this.tryExclusive(slot)) this.vacate(slot)
  }

  private unpin(): void {
    if (this.pinned < 0) return
    this.lockOf(this.pinned)?.unlockShared()
    this.pinned = -1
  }

  /** This thread uses the cache no more. */
  close(): void {
    this.leave()
    this.tellHits()
    this.tableArena.deallocate(this.ownSlot)
  }

  /** Gives up all nodes that nobody has pinned. */
  clear(): void {
    this.unpin()
    this.enter()
    this.mutex?.lock()
    for (let i = 0; i < this.rows; i++) {
      const slot = this.firstRow + i * row.ROW_WORDS
      const isHeld = this.table[slot + row.HOLDS] !== 0
      if (this.table[slot + row.STATE] === RowState.filled && !isHeld && this.tryExclusive(slot)) this.vacate(slot)
    }
    this.mutex?.unlock()
    this.leave()
    this.ownIdentity = NaN
    this.ownWords = new Uint32Array(0)
  }

  /** First word of room for an image, for which others are given up; -1 if it must lie beside the cache. */
  private roomFor(words: number): number {
    if (words > this.images.largest / IMAGES_MIN) return -1
    const { images } = this
    const wanted = images.bytes - this.table[this.head + SOFT_BYTES] + words * 4
    while (images.freeBytes < wanted && this.evictAny());
    for (;;) {
      const at = images.allocate(words)
      if (at >= 0) return at
      if (!this.evictAny()) return -1
    }
  }

  private evictAny(): boolean {
    this.mutex?.lock()
    const hasEvicted = this.evictOne()
    this.mutex?.unlock()
    return hasEvicted
  }

  /** Takes a vacant slot, and its lock. -1: there is none, and nothing can be given up. Under the mutex. */
  private vacantSlot(): number {
    const { table, head } = this
    // whoever waited for a slot may hold its lock for another moment, although the slot is vacant by now
    for (let tries = 0; tries < 2; tries++) {
      for (let before = 0, slot = table[head + VACANT]; slot !== 0; before = slot, slot = table[slot + row.IMAGE_AT]) {
        if (!this.tryExclusive(slot)) continue
        if (before === 0) table[head + VACANT] = table[slot + row.IMAGE_AT]
        else table[before + row.IMAGE_AT] = table[slot + row.IMAGE_AT]
        return slot
      }
      if (!this.evictOne()) return -1
    }
    return -1
  }

  /** Gives up a node. False: all are pinned, or being read. Under the mutex. */
  private evictOne(): boolean {
    const { table, head } = this
    // Two rounds find a victim: the first clears every mark.
    for (let steps = 0; steps <= 2 * this.rows; steps++) {
      const hand = (table[head + HAND] = (table[head + HAND] + 1) % this.rows)
      const slot = this.firstRow + hand * row.ROW_WORDS
      if (table[slot + row.STATE] !== RowState.filled || table[slot + row.HOLDS] !== 0) continue
      if (table[slot + row.REFERENCED] !== 0) table[slot + row.REFERENCED] = 0
      else if (this.tryExclusive(slot)) {
        this.vacate(slot)
        return true
      }
    }
    return false
  }

  /** Makes the slot vacant, and gives its lock back. Under the mutex, and under the lock. */
  private vacate(slot: number): void {
    const { table, head } = this
    this.index.remove(slot + row.LINK)
    if (table[slot + row.STATE] === RowState.filled) {
      this.images.deallocate(table[slot + row.IMAGE_AT])
      Atomics.sub(table, head + NODES, 1)
      Atomics.add(table, head + EVICTIONS, 1)
    }
    table[slot + row.STATE] = RowState.vacant
    table[slot + row.IMAGE_AT] = table[head + VACANT]
    table[head + VACANT] = slot
    this.endExclusive(slot)
  }

  private beginOwn(identity: NodeIdentity, words: number): void {
    this.ints[this.ownSlot + row.SEQUENCE] += 2
    this.ownIdentity = identity
    this.setIdentity(this.ownSlot, identity)
    if (this.ownWords.length < words || this.ownWords.length > 2 * words) this.ownWords = new Uint32Array(words)
  }

  private setIdentity(slot: number, identity: NodeIdentity): void {
    this.table[slot + row.IDENTITY_LO] = identity >>> 0
    this.table[slot + row.IDENTITY_HI] = highOf(identity)
  }

  /** Begins to change a slot, if nobody holds it. */
  private tryExclusive(slot: number): boolean {
    const lock = this.lockOf(slot)
    if (lock === undefined) {
      this.ints[slot + row.SEQUENCE]++
      return true
    }
    if (!lock.tryLockIntent()) return false
    if (lock.tryLockExclusive()) return true
    lock.unlockIntent()
    return false
  }

  private endExclusive(slot: number): void {
    const lock = this.lockOf(slot)
    if (lock === undefined) this.ints[slot + row.SEQUENCE]++
    lock?.unlockExclusive()
    lock?.unlockIntent()
  }

  /** Ends changing the slot; it can't be given up until `unpin`. */
  private pin(slot: number): void {
    const lock = this.lockOf(slot)
    if (lock === undefined) {
      this.ints[slot + row.SEQUENCE]++
      return
    }
    lock.unlockExclusive()
    lock.downgrade()
    this.pinned = slot
  }

  /** The slot's lock; undefined if there is only one thread. */
  private lockOf(slot: number): SixLock | undefined {
    if (this.mutex === undefined || slot === this.ownSlot) return undefined
    const i = (slot - this.firstRow) / row.ROW_WORDS
    return (this.locks[i] ??= new SixLock(this.tableArena.place(slot)))
  }

  private tellHits(): void {
    Atomics.add(this.table, this.head + HITS, this.hits)
    this.hits = 0
  }
}

function highOf(identity: NodeIdentity): number {
  return Math.floor(identity / 0x100000000) >>> 0
}
