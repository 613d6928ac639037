/**
 * A resizable hashtable in shared memory, after the kernel's: who looks something up takes no lock and writes nothing, while others
 * insert, remove, replace and resize.
 *
 * Objects are the user's: pieces of the same memory whose first word is the table's (the link of a chain), and which have their
 * key somewhere behind it: a fixed number of words, or one word with its length in bytes and as many more as that takes.
 *
 * With RCU, threads are online (`Rcu`) when they call a method here; what they found stays until they are quiescent. An object that was
 * removed may be freed, changed or inserted again when a grace period is over. In memory of which no object is ever
 * anything else, it may be inserted again at once, under another key too: a reader that this carries to another
 * chain notices. He must then look himself whether what he found is what he wanted.
 */

import { Arena, LockUseError, Rcu } from '@cowherd/shim'
import { Core } from './core.ts'
import { hashWords } from './hash.ts'
import type { HashMemory, HashTableDescriptor } from './hash-memory.ts'
import {
  BASE,
  BITS_MIN,
  BUCKET_WORDS,
  BUSY,
  Busy,
  CHANGES,
  COUNT,
  END,
  END_MASK,
  FUTURE,
  HEAD,
  HEADER_WORDS,
  KEY_AT,
  KEY_WORDS,
  LINE_WORDS,
  LINK,
  MAGIC,
  MAGIC_NUMBER,
  MAINTAINER,
  MASK,
  peek,
  REFUSED,
  RESIZES,
  ROOT,
  SEATS,
  SEED,
  TABLE_SEED,
  UNCOUNTED,
} from './layout.ts'
import { Maintenance } from './maintenance.ts'
import { bitsFor, Resizer } from './resizer.ts'
import { HashWalk } from './walk.ts'

/** Buckets that a writer moves with each change, while nobody else does. */
const BUCKETS_PER_CHANGE = 8
/** How often a writer looks whether a grace period is over: with each n-th change. */
const CHANGES_PER_LOOK = 64
/** Times that a reader is carried away before he takes the lock. */
const TRIES_MAX = 16

export interface HashTableOptions {
  /** Word of an object at which its key begins. Word 0 is the table's. */
  readonly keyAt: number
  /** Words of a key; `counted`: the key's first word is its length in bytes (28 bits; those above are the user's). */
  readonly keyWords: number | 'counted'
  /** The domain of RCU of the threads that use the table; left out: one thread uses it. */
  readonly rcu?: Rcu
  /** Objects that the table has room for without growing, and below which it does not shrink. */
  readonly expected?: number
  /** Left out: a random one. */
  readonly seed?: number
}

/** What a state dump shows. */
export interface HashTableState {
  readonly size: number
  readonly buckets: number
  /** Buckets of the table that objects are moving to, 0: none. */
  readonly futureBuckets: number
  readonly resizes: number
  /** How often there was no memory for a larger table. */
  readonly refused: number
  readonly work: 'idle' | 'work' | 'waiting for RCU'
}

export class HashTable {
  /**
   * Resizing, for a thread that does nothing else, or has a moment. `step` is a bounded amount of it; as long as no thread is in
   * `maintain`, writers do it themselves.
   */
  readonly maintenance: Maintenance
  private readonly core: Core
  private readonly resizer: Resizer
  private readonly ints: Int32Array
  private readonly at: number
  private readonly keyAt: number
  private readonly keyWords: number
  private changes = 0

  /** A view of the hashtable at word `at` of the memory. `rcu` as it was created. Throws RangeError if there is none. */
  constructor(memory: HashMemory, at: number, rcu?: Rcu) {
    this.core = new Core(memory, at, rcu)
    this.resizer = new Resizer(this.core)
    this.maintenance = new Maintenance(this.core, this.resizer)
    this.ints = memory.ints
    this.at = at
    this.keyAt = this.core.keyAt
    this.keyWords = this.core.keyWords
  }

  /** Makes a hashtable. Throws RangeError if the memory has no room for it, or the options make no sense. */
  static create(memory: HashMemory, options: HashTableOptions): HashTable {
    const { keyAt, keyWords, rcu, expected = 0 } = options
    const isCounted = keyWords === 'counted'
    if (!(keyAt >= 1 && (isCounted || keyWords >= 1))) throw new RangeError(`keys of ${keyWords} words at ${keyAt}`)
    const seats = rcu?.thread.registry.seats ?? 1
    const words = HEADER_WORDS + seats * LINE_WORDS
    const at = memory.allocate(words)
    if (at < 0) throw new RangeError('there is no memory for a hashtable')
    const { ints } = memory
    ints.fill(0, at, at + words)
    const bits = Math.max(2, bitsFor(expected, 75))
    ints[at + KEY_AT] = keyAt
    ints[at + KEY_WORDS] = isCounted ? 0 : keyWords
    ints[at + BITS_MIN] = bits
    ints[at + SEATS] = seats
    ints[at + SEED] = options.seed ?? Math.floor(Math.random() * 2 ** 32) | 0
    ints[at + MAGIC] = MAGIC_NUMBER
    const core = new Core(memory, at, rcu)
    if (!new Resizer(core).createFirst(bits)) {
      memory.deallocate(at)
      throw new RangeError(`there is no memory for ${2 ** bits} buckets`)
    }
    return new HashTable(memory, at, rcu)
  }

  /** A view from what `describe` said, with a view of the arena of its own. */
  static open({ arena, at, rcu }: HashTableDescriptor): HashTable {
    return new HashTable(new Arena(arena), at, rcu === undefined ? undefined : Rcu.of(rcu))
  }

  /** What another thread opens the table with; `arena` is the memory that it lies in. */
  describe(arena: Arena): HashTableDescriptor {
    const { rcu } = this.core
    return { arena: arena.descriptor, at: this.at, ...(rcu === undefined ? {} : { rcu: rcu.place }) }
  }

  /** First word of the hashtable in its memory. */
  get address(): number {
    return this.at
  }

  /** How many objects there are: exactly, while nobody changes the table. */
  get size(): number {
    const { core } = this
    let size = core.load(this.at + COUNT)
    for (let seat = 0; seat < core.seats; seat++) size += core.load(core.lineOf(seat) + UNCOUNTED)
    return Math.max(0, size)
  }

  /**
   * The object with the key of one to three words, 0 if there is none. No lock, nothing written, plain loads only: each leads to the
   * next (see `peek`), and the chain itself says whether it was the whole.
   */
  lookup(a: number, b = 0, c = 0): number {
    const { ints, keyWords } = this
    const keyAt = this.keyAt
    const wordA = a | 0
    const wordB = b | 0
    const wordC = c | 0
    let table = peek(ints, this.at + ROOT)
    for (let tries = 0; tries < TRIES_MAX; tries++) {
      const hash = hashWords(ints[table + TABLE_SEED], wordA, wordB, wordC, keyWords)
      const bucket = ints[table + BASE] + BUCKET_WORDS * (hash & ints[table + MASK])
      let link = peek(ints, bucket + HEAD)
      if (link === 0) return 0
      while ((link & END) === 0) {
        const key = link + keyAt
        if (
          ints[key] === wordA &&
          (keyWords < 2 || ints[key + 1] === wordB) &&
          (keyWords < 3 || ints[key + 2] === wordC)
        )
          return link
        link = peek(ints, link + LINK)
      }
      if (link === (END | bucket)) return 0
      // An old value of FUTURE makes us look again.
      if ((link & END_MASK) === peek(ints, table + FUTURE)) table = link & END_MASK
    }
    return this.lookupLocked(Int32Array.of(a, b, c), 0)
  }

  /** The object with the key whose words begin at `words[from]`, 0 if there is none. */
  lookupKey(words: Int32Array, from = 0): number {
    const { core, ints } = this
    const count = core.lengthOf(words, from)
    let table = peek(ints, this.at + ROOT)
    for (let tries = 0; tries < TRIES_MAX; tries++) {
      const bucket = core.bucketFor(table, words, from, count)
      let link = peek(ints, bucket + HEAD)
      if (link === 0) return 0
      while ((link & END) === 0) {
        if (core.hasKey(link, words, from, count)) return link
        link = peek(ints, link + LINK)
      }
      if (link === (END | bucket)) return 0
      if ((link & END_MASK) === peek(ints, table + FUTURE)) table = link & END_MASK
    }
    return this.lookupLocked(words, from)
  }

  /** Inserts an object that is complete, its key included. False: there is one with this key. */
  insert(object: number): boolean {
    return this.put(object) === 0
  }

  /** Inserts an object, unless there is one with its key. Returns the one that is in the table now. */
  lookupOrInsert(object: number): number {
    const existing = this.put(object)
    return existing === 0 ? object : existing
  }

  /** Takes an object out. False: it was not in. */
  remove(object: number): boolean {
    const { core, ints } = this
    this.mustBeOnline()
    const from = object + this.keyAt
    const bucket = core.lockFor(ints, from, core.lengthOf(ints, from))
    let before = 0
    let at = core.firstOf(bucket)
    for (; core.isObject(at) && at !== object; at = core.nextOf(at)) before = at
    const isIn = at === object
    if (isIn) core.relink(bucket, before, core.nextOf(object))
    core.unlock(bucket)
    if (isIn) this.changed(-1)
    return isIn
  }

  /** Takes out the object with the key of one to three words. Returns it, or 0. */
  removeKey(a: number, b = 0, c = 0): number {
    return this.takeOut(Int32Array.of(a, b, c), 0)
  }

  /** Takes out the object with the key whose words begin at `words[from]`. Returns it, or 0. */
  takeOut(words: Int32Array, from = 0): number {
    const { core } = this
    this.mustBeOnline()
    const count = core.lengthOf(words, from)
    const bucket = core.lockFor(words, from, count)
    let before = 0
    let at = core.firstOf(bucket)
    for (; core.isObject(at) && !core.hasKey(at, words, from, count); at = core.nextOf(at)) before = at
    const found = core.isObject(at)
    if (found) core.relink(bucket, before, core.nextOf(at))
    core.unlock(bucket)
    if (!found) return 0
    this.changed(-1)
    return at
  }

  /**
   * Puts an object with the same key in the place of another, in one step for readers. False: the other one is not in the table
   * (any more). Throws RangeError if the keys differ.
   */
  replace(object: number, replacement: number): boolean {
    const { core, ints } = this
    this.mustBeOnline()
    const from = object + this.keyAt
    const count = core.lengthOf(ints, from)
    if (!core.hasKey(replacement, ints, from, count)) throw new RangeError('replaced by an object with another key')
    const bucket = core.lockFor(ints, from, count)
    let before = 0
    let at = core.firstOf(bucket)
    for (; core.isObject(at) && at !== object; at = core.nextOf(at)) before = at
    const isIn = at === object
    if (isIn) {
      ints[replacement + LINK] = core.nextOf(object)
      core.relink(bucket, before, replacement)
    }
    core.unlock(bucket)
    if (isIn) this.changed(0)
    return isIn
  }

  /** A walk over all objects, during changes too. */
  walk(): HashWalk {
    return new HashWalk(this.core)
  }

  /** Gives the table's own memory back, not the objects. No thread uses it any more. */
  destroy(): void {
    this.resizer.destroy()
    this.ints[this.at + MAGIC] = 0
    this.core.memory.deallocate(this.at)
  }

  state(): HashTableState {
    const { core, ints, at } = this
    const root = core.load(at + ROOT)
    const future = core.load(root + FUTURE)
    const busy = core.load(at + BUSY)
    return {
      size: this.size,
      buckets: ints[root + MASK] + 1,
      futureBuckets: future === 0 ? 0 : ints[future + MASK] + 1,
      resizes: core.load(at + RESIZES),
      refused: core.load(at + REFUSED),
      work: busy === Busy.idle ? 'idle' : busy === Busy.work ? 'work' : 'waiting for RCU',
    }
  }

  /** Puts an object in. Returns 0, or the one that is there already. */
  private put(object: number): number {
    const { core, ints } = this
    this.mustBeOnline()
    const from = object + this.keyAt
    const count = core.lengthOf(ints, from)
    const bucket = core.lockFor(ints, from, count)
    const first = core.firstOf(bucket)
    let length = 0
    let at = first
    for (; core.isObject(at) && !core.hasKey(at, ints, from, count); at = core.nextOf(at)) length++
    const isNew = !core.isObject(at)
    if (isNew) {
      ints[object + LINK] = first // before it can be found
      core.store(bucket + HEAD, object)
    }
    core.unlock(bucket)
    if (!isNew) return at
    this.resizer.sawChain(length)
    this.changed(1)
    return 0
  }

  /** A reader who was carried away again and again: whoever moves the chain has its lock. */
  private lookupLocked(words: Int32Array, from: number): number {
    const { core } = this
    const count = core.lengthOf(words, from)
    const bucket = core.lockFor(words, from, count)
    let at = core.firstOf(bucket)
    while (core.isObject(at) && !core.hasKey(at, words, from, count)) at = core.nextOf(at)
    core.unlock(bucket)
    return core.isObject(at) ? at : 0
  }

  /** After each change: counts, and does its share of resizing. */
  private changed(delta: number): void {
    const { ints } = this
    if (this.core.rcu === undefined) ints[this.at + CHANGES]++
    if (delta !== 0) this.resizer.count(delta, peek(ints, this.at + ROOT))
    if (peek(ints, this.at + BUSY) !== Busy.idle) this.help()
  }

  private help(): void {
    const { core, ints } = this
    const root = core.load(this.at + ROOT)
    const maintainer = core.load(this.at + MAINTAINER)
    const isOverfull = core.load(this.at + COUNT) > ints[root + MASK]
    if (maintainer !== 0 && core.isAlive(maintainer) && !isOverfull) return
    const isWaiting = core.load(this.at + BUSY) === Busy.waiting
    if (isWaiting && ++this.changes % CHANGES_PER_LOOK !== 0) return
    this.resizer.step(BUCKETS_PER_CHANGE)
  }

  private mustBeOnline(): void {
    const { rcu } = this.core
    if (rcu !== undefined && !rcu.isOnline)
      throw new LockUseError('a hashtable is used by a thread that is offline for RCU')
  }
}
