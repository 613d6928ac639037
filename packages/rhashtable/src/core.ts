/**
 * One thread's view of a hashtable's memory, and the locks of its buckets: what operations, walks and resizing have in common.
 *
 * A bucket's lock is a word that names its owner, beside the head. It is held for a few steps: who waits for it spins a little,
 * then sleeps, and stays online for RCU meanwhile (an owner never waits for a grace period). If the owner has died, whoever
 * waited takes the lock over: a chain is whole at every step of insertion, removal and replacement, and a move that was interrupted
 * is finished first, from what the dead had noted in his seat's line.
 *
 * Without RCU the table belongs to one thread: no lock is taken, and nothing is stored by Atomics.
 */

import { type Rcu, sliceIsOver } from '@cowherd/shim'
import { countedWords, hashKey } from './hash.ts'
import type { HashMemory } from './hash-memory.ts'
import {
  BASE,
  BUCKET_WORDS,
  CHANGES,
  END,
  END_MASK,
  HEAD,
  HEADER_WORDS,
  KEY_AT,
  KEY_WORDS,
  LINE_WORDS,
  LINK,
  LOCK,
  MAGIC,
  MAGIC_NUMBER,
  MASK,
  peek,
  ROOT,
  SEATS,
  TABLE_SEED,
} from './layout.ts'

/** In a lock's word, beside the owner's id: somebody sleeps. */
const CONTENDED = 1 << 30
/** How often a thread looks before it sleeps. */
const SPINS = 100
/** How long it sleeps before it looks whether the owner still lives. */
const SLICE_MS = 100

export class Core {
  readonly memory: HashMemory
  readonly ints: Int32Array
  /** First word of the hashtable. */
  readonly at: number
  readonly rcu: Rcu | undefined
  readonly keyAt: number
  /** Words of a key; 0: its first word tells. */
  readonly keyWords: number
  readonly seats: number
  /** Called when the lock of a bucket was taken over from a dead thread, before it is used. */
  inherited: (bucket: number) => void = () => undefined
  /** Called before this thread first locks anything. */
  attached: () => void = () => undefined
  private id = 0
  private line = 0

  constructor(memory: HashMemory, at: number, rcu: Rcu | undefined) {
    this.memory = memory
    this.ints = memory.ints
    this.at = at
    this.rcu = rcu
    if (this.ints[at + MAGIC] !== MAGIC_NUMBER) throw new RangeError(`there is no hashtable at word ${at}`)
    this.keyAt = this.ints[at + KEY_AT]
    this.keyWords = this.ints[at + KEY_WORDS]
    this.seats = this.ints[at + SEATS]
  }

  /** As long as it stays the same, objects and tables that this thread has found are still there. */
  get passages(): number {
    return this.rcu?.passages ?? this.ints[this.at + CHANGES]
  }

  /** Reads a word that other threads write. */
  load(at: number): number {
    return this.rcu === undefined ? this.ints[at] : Atomics.load(this.ints, at)
  }

  /** Writes a word that other threads read: they find what was written before. */
  store(at: number, value: number): void {
    if (this.rcu === undefined) this.ints[at] = value
    else Atomics.store(this.ints, at, value)
  }

  /** Adds to a word. Returns what it was. */
  add(at: number, value: number): number {
    if (this.rcu !== undefined) return Atomics.add(this.ints, at, value)
    const before = this.ints[at]
    this.ints[at] = before + value
    return before
  }

  /** Puts `to` in the place of `from`, if that is there. Returns whether it was. */
  change(at: number, from: number, to: number): boolean {
    if (this.rcu !== undefined) return Atomics.compareExchange(this.ints, at, from, to) === from
    if (this.ints[at] !== from) return false
    this.ints[at] = to
    return true
  }

  /** Id of this thread, 1 if the table is its own. */
  get self(): number {
    return this.id === 0 ? this.attach() : this.id
  }

  /** First word of this thread's line. */
  get ownLine(): number {
    if (this.line === 0) this.attach()
    return this.line
  }

  /** First word of a seat's line. */
  lineOf(seat: number): number {
    return this.at + HEADER_WORDS + seat * LINE_WORDS
  }

  /** Whether a thread with the id lives. */
  isAlive(id: number): boolean {
    return this.rcu?.thread.registry.isAlive(id) ?? true
  }

  /** How many words the key at `words[from]` has. */
  lengthOf(words: Int32Array, from: number): number {
    return this.keyWords === 0 ? countedWords(words[from]) : this.keyWords
  }

  /** Whether `object` has the key of `count` words at `words[from]`. */
  hasKey(object: number, words: Int32Array, from: number, count: number): boolean {
    const { ints } = this
    const at = object + this.keyAt
    for (let i = 0; i < count; i++) if (ints[at + i] !== words[from + i]) return false
    return true
  }

  /** The bucket of `table` for the key at `words[from]`. */
  bucketFor(table: number, words: Int32Array, from: number, count: number): number {
    const { ints } = this
    const hash = hashKey(ints[table + TABLE_SEED], words, from, count)
    return ints[table + BASE] + BUCKET_WORDS * (hash & ints[table + MASK])
  }

  /** The bucket of `table` for an object. */
  bucketOf(table: number, object: number): number {
    const from = object + this.keyAt
    return this.bucketFor(table, this.ints, from, this.lengthOf(this.ints, from))
  }

  /** Locks the bucket, in the one table of the chain where it is used now, for the key at `words[from]`. */
  lockFor(words: Int32Array, from: number, count: number): number {
    let table = peek(this.ints, this.at + ROOT)
    for (;;) {
      const bucket = this.bucketFor(table, words, from, count)
      this.lock(bucket)
      const head = this.load(bucket + HEAD)
      if ((head & END) === 0) return bucket
      this.unlock(bucket)
      table = head & END_MASK // its objects are there
    }
  }

  /** Takes the lock of a bucket. */
  lock(bucket: number): void {
    if (this.rcu === undefined) return
    const { self } = this
    if (Atomics.compareExchange(this.ints, bucket + LOCK, 0, self) !== 0) this.lockContended(bucket, self)
  }

  /** Gives the lock of a bucket back. */
  unlock(bucket: number): void {
    if (this.rcu === undefined) return
    const before = Atomics.exchange(this.ints, bucket + LOCK, 0)
    if ((before & CONTENDED) !== 0) Atomics.notify(this.ints, bucket + LOCK, 1)
  }

  /** The first object of a locked bucket; an end if there is none. */
  firstOf(bucket: number): number {
    const head = this.load(bucket + HEAD)
    return head === 0 ? END | bucket : head
  }

  /** Whether a link leads to an object. */
  isObject(link: number): boolean {
    return (link & END) === 0
  }

  /** What comes behind an object of a locked chain. */
  nextOf(object: number): number {
    return this.load(object + LINK)
  }

  /** Changes what comes behind `previous`, or first if that is 0, in a locked chain. */
  relink(bucket: number, previous: number, link: number): void {
    if (previous !== 0) this.store(previous + LINK, link)
    else this.store(bucket + HEAD, link === (END | bucket) ? 0 : link)
  }

  private attach(): number {
    this.id = this.rcu?.thread.id ?? 1
    this.line = this.lineOf(this.rcu === undefined ? 0 : (this.id & 0xff) - 1)
    this.attached()
    return this.id
  }

  /** Who has slept here can't know whether others do: it takes the lock as contended, and wakes one when it gives it back. */
  private lockContended(bucket: number, self: number): void {
    const { ints } = this
    const at = bucket + LOCK
    for (let spin = 0; spin < SPINS; spin++) {
      if (Atomics.load(ints, at) === 0 && Atomics.compareExchange(ints, at, 0, self) === 0) return
    }
    for (;;) {
      const seen = Atomics.load(ints, at)
      if (seen === 0) {
        if (Atomics.compareExchange(ints, at, 0, self | CONTENDED) === 0) return
        continue
      }
      const contended = seen | CONTENDED
      if (seen !== contended && Atomics.compareExchange(ints, at, seen, contended) !== seen) continue
      if (Atomics.wait(ints, at, contended, SLICE_MS) !== 'timed-out') continue
      sliceIsOver()
      if (this.isAlive(seen & ~CONTENDED)) continue
      if (Atomics.compareExchange(ints, at, contended, self | CONTENDED) !== contended) continue
      this.inherited(bucket)
      return
    }
  }
}
