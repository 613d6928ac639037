/**
 * A Map that several threads use at the same time. It lies in an arena of its own, of bounded size; keys and values are copied into
 * it and out of it. Readers take no lock. RCU is inside: each operation is complete in itself, and what is replaced or deleted
 * waits in a list that all threads look after, so that a thread which does nothing holds no memory back.
 *
 *     record: link | link in the list of what waits | key's kind and length | key | value's kind and length | value
 *
 * A record never changes: another value is another record, which takes the place of the first in one step.
 */

import {
  Arena,
  enteredRegistry,
  Rcu,
  RetireList,
  ThreadRegistry,
  type ArenaDescriptor,
  type SharedPlace,
} from '@cowherd/shim'
import { HashTable } from './hash-table.ts'
import type { Maintenance } from './maintenance.ts'
import { countedWords } from './hash.ts'
import { decode, Encoder } from './map-codec.ts'

/** Words of a record. */
const RETIRE_LINK = 1
const KEY = 2

const UNIT_BYTES = 16
/** Changes between two looks at what waits. */
const CHANGES_PER_LOOK = 16
/** How often room is made before the map is called full. */
const ROOM_TRIES = 8

export type SharedMapKey = string | number | Uint8Array

export interface SharedMapOptions {
  /** Memory for everything; the operating system gives it as it is used. */
  readonly bytes: number
  /** Entries that there is room for without growing. */
  readonly expected?: number
  /** The domain of RCU; left out: one of the map's own. Who makes many maps gives them the same. */
  readonly rcu?: Rcu
}

/** What another thread makes its view from: it can be posted. */
export interface SharedMapDescriptor {
  readonly arena: ArenaDescriptor
  readonly table: number
  readonly list: number
  readonly rcu: SharedPlace
  readonly registry: SharedPlace
}

/** There is no memory for another entry. Nothing was changed. */
export class SharedMapFullError extends Error {
  override readonly name = 'SharedMapFullError'
  readonly code = 'ENOMEM'
}

export class SharedMap<K extends SharedMapKey = string, V = unknown> implements Iterable<[K, V]> {
  /** What another thread needs: `new SharedMap(descriptor)`. */
  readonly descriptor: SharedMapDescriptor
  private readonly arena: Arena
  private readonly bytes: Uint8Array
  private readonly rcu: Rcu
  private readonly table: HashTable
  private readonly retired: RetireList
  private readonly keys_ = new Encoder()
  private readonly values_ = new Encoder()
  private changes = 0

  /**
   * A view of a map for the calling thread. One that has not entered a `ThreadRegistry` enters the map's; if it may be
   * terminated, whoever started it should reserve its seat and watch it (see @cowherd/shim).
   */
  constructor(descriptor: SharedMapDescriptor) {
    if (enteredRegistry() === undefined) new ThreadRegistry(descriptor.registry).enter()
    this.descriptor = descriptor
    this.arena = new Arena(descriptor.arena)
    this.bytes = new Uint8Array(this.arena.ints.buffer)
    this.rcu = Rcu.of(descriptor.rcu)
    this.table = new HashTable(this.arena, descriptor.table, this.rcu)
    this.retired = new RetireList(this.arena.place(descriptor.list), this.rcu, this.arena.ints, RETIRE_LINK, (at) =>
      this.arena.deallocate(at),
    )
  }

  /** Makes a map. The calling thread enters a new `ThreadRegistry` unless it is in one. Throws RangeError if the memory is too little. */
  static create<K extends SharedMapKey = string, V = unknown>(options: SharedMapOptions): SharedMap<K, V> {
    let registry = enteredRegistry()
    if (registry === undefined) {
      registry = ThreadRegistry.create()
      registry.enter()
    }
    const arena = Arena.create(options.bytes, { unitBytes: UNIT_BYTES })
    const { expected = 0, rcu = Rcu.create(registry) } = options
    const list = arena.allocate(RetireList.bytes / 4)
    if (list < 0) throw new RangeError(`a map in ${options.bytes} bytes`)
    arena.ints.fill(0, list, list + RetireList.bytes / 4)
    const table = HashTable.create(arena, { keyAt: KEY, keyWords: 'counted', rcu, expected })
    return new SharedMap({
      arena: arena.descriptor,
      table: table.address,
      list,
      rcu: rcu.place,
      registry: registry.place,
    })
  }

  /** How many entries there are: exactly, while nobody changes the map. */
  get size(): number {
    return this.table.size
  }

  get(key: K): V | undefined {
    this.keys_.key(key)
    const entered = this.enter()
    try {
      const record = this.table.lookupKey(this.keys_.words)
      return record === 0 ? undefined : this.valueOf(record)
    } finally {
      this.leave(entered)
    }
  }

  has(key: K): boolean {
    this.keys_.key(key)
    const entered = this.enter()
    const record = this.table.lookupKey(this.keys_.words)
    this.leave(entered)
    return record !== 0
  }

  /** Throws SharedMapFullError, TypeError if key or value can't be stored. */
  set(key: K, value: V): this {
    this.keys_.key(key)
    this.values_.value(value)
    const record = this.newRecord()
    const entered = this.enter()
    try {
      for (;;) {
        const existing = this.table.lookupOrInsert(record)
        if (existing === record) break
        if (!this.table.replace(existing, record)) continue // somebody else was quicker: look again
        this.retired.retire(existing)
        break
      }
    } finally {
      this.leave(entered)
    }
    this.lookAfter()
    return this
  }

  /** Whether there was one. */
  delete(key: K): boolean {
    this.keys_.key(key)
    const entered = this.enter()
    const record = this.table.takeOut(this.keys_.words)
    if (record !== 0) this.retired.retire(record)
    this.leave(entered)
    this.lookAfter()
    return record !== 0
  }

  /** Deletes what is there; what comes meanwhile may stay. */
  clear(): void {
    for (const key of this.keys()) this.delete(key)
  }

  /** The value of the key, which is `value` from now on if there was none. */
  getOrInsert(key: K, value: V): V {
    return this.getOrInsertComputed(key, () => value)
  }

  /** The value of the key; if there is none, what `compute` says is put in. Another thread's may be put in meanwhile: that one counts. */
  getOrInsertComputed(key: K, compute: (key: K) => V): V {
    const present = this.get(key)
    if (present !== undefined || this.has(key)) return present as V
    const computed = compute(key)
    this.keys_.key(key)
    this.values_.value(computed)
    const record = this.newRecord()
    const entered = this.enter()
    try {
      const existing = this.table.lookupOrInsert(record)
      if (existing === record) return computed
      const value = this.valueOf(existing)
      this.arena.deallocate(record) // nobody has seen it
      return value
    } finally {
      this.leave(entered)
    }
  }

  /**
   * Puts `change(value)` in the place of the key's value, in one step: if somebody else changes it meanwhile, `change` is called
   * again with that. Without an entry it gets undefined; if it returns undefined, there is none afterwards. Returns what it returned.
   */
  update(key: K, change: (value: V | undefined) => V | undefined): V | undefined {
    for (;;) {
      const before = this.copyOf(key)
      const value = change(before.value)
      if (this.exchange(key, before, value)) return value
    }
  }

  /** Puts `value` in if the key's value equals `expected` (the same when stored); undefined: there is no entry. Whether it was so. */
  compareAndSet(key: K, expected: V | undefined, value: V | undefined): boolean {
    let before: Copy<V> | undefined
    if (expected !== undefined) {
      this.values_.value(expected)
      before = { words: this.values_.words.slice(0, this.values_.length), value: expected }
    }
    return this.exchange(key, before ?? { words: undefined, value: undefined }, value)
  }

  /**
   * All entries. What is there all the time comes; what is put in or deleted meanwhile may come or not; if the map is resized
   * meanwhile, an entry may come a second time.
   */
  *entries(): Generator<[K, V], undefined> {
    const walk = this.table.walk()
    for (;;) {
      const entered = this.enter()
      let entry: [K, V] | undefined
      try {
        const record = walk.next()
        if (record !== 0) entry = [this.keyOf(record), this.valueOf(record)]
      } finally {
        this.leave(entered)
      }
      if (entry === undefined) return undefined
      yield entry
    }
  }

  *keys(): Generator<K, undefined> {
    for (const [key] of this.entries()) yield key
    return undefined
  }

  *values(): Generator<V, undefined> {
    for (const [, value] of this.entries()) yield value
    return undefined
  }

  [Symbol.iterator](): Generator<[K, V], undefined> {
    return this.entries()
  }

  forEach(visit: (value: V, key: K, map: SharedMap<K, V>) => void): void {
    for (const [key, value] of this.entries()) visit(value, key, this)
  }

  /** Resizing in the background, for a thread that has the time; else it is done with each change. */
  get maintenance(): Maintenance {
    return this.table.maintenance
  }

  /** Bytes that are free, in pieces. */
  get freeBytes(): number {
    return this.arena.freeBytes
  }

  /** The value of a key, and how it is stored. */
  private copyOf(key: K): Copy<V> {
    this.keys_.key(key)
    const entered = this.enter()
    try {
      const record = this.table.lookupKey(this.keys_.words)
      if (record === 0) return { words: undefined, value: undefined }
      const at = this.valueAt(record)
      const words = this.arena.ints.slice(at, at + countedWords(this.arena.ints[at]))
      return { words, value: this.valueOf(record) }
    } finally {
      this.leave(entered)
    }
  }

  /** Puts a value in the place of what was copied before, if that is still there. */
  private exchange(key: K, { words }: Copy<V>, value: V | undefined): boolean {
    this.keys_.key(key)
    let record = 0
    if (value !== undefined) {
      this.values_.value(value)
      record = this.newRecord()
    }
    const entered = this.enter()
    try {
      let isDone = false
      while (!isDone) {
        const current = this.table.lookupKey(this.keys_.words)
        const isSame = words === undefined ? current === 0 : current !== 0 && this.hasValue(current, words)
        if (!isSame) break
        isDone = this.putInPlaceOf(current, record) // not if somebody else was quicker: look again
      }
      if (!isDone && record !== 0) this.arena.deallocate(record) // nobody has seen it
      return isDone
    } finally {
      this.leave(entered)
      this.lookAfter()
    }
  }

  private putInPlaceOf(current: number, record: number): boolean {
    if (current === 0) return record === 0 || this.table.insert(record)
    const isDone = record === 0 ? this.table.remove(current) : this.table.replace(current, record)
    if (isDone) this.retired.retire(current)
    return isDone
  }

  private hasValue(record: number, words: Int32Array): boolean {
    const at = this.valueAt(record)
    for (let i = 0; i < words.length; i++) if (this.arena.ints[at + i] !== words[i]) return false
    return true
  }

  /** Where a record's value begins. */
  private valueAt(record: number): number {
    return record + KEY + countedWords(this.arena.ints[record + KEY])
  }

  private valueOf(record: number): V {
    return decode({ ints: this.arena.ints, view: this.arena.view, bytes: this.bytes }, this.valueAt(record)) as V
  }

  private keyOf(record: number): K {
    return decode({ ints: this.arena.ints, view: this.arena.view, bytes: this.bytes }, record + KEY) as K
  }

  /** A record of what was encoded last. */
  private newRecord(): number {
    const { keys_, values_ } = this
    const record = this.allocate(KEY + keys_.length + values_.length)
    const { ints } = this.arena
    for (let i = 0; i < keys_.length; i++) ints[record + KEY + i] = keys_.words[i]
    const at = record + KEY + keys_.length
    for (let i = 0; i < values_.length; i++) ints[at + i] = values_.words[i]
    return record
  }

  private allocate(words: number): number {
    let hasWaiting = true
    for (let tries = 0; tries < ROOM_TRIES; tries++) {
      const record = this.arena.allocate(words)
      if (record >= 0) return record
      if (!hasWaiting) break
      hasWaiting = this.retired.length !== 0 || this.table.state().work === 'waiting for RCU'
      this.makeRoom()
    }
    throw new SharedMapFullError(`no memory for an entry of ${4 * words} bytes`)
  }

  /** Waits until what waits can be given back, old tables too. */
  private makeRoom(): void {
    this.retired.drain()
    this.rcu.synchronizeRcu()
    const entered = this.enter()
    this.table.maintenance.step()
    this.leave(entered)
  }

  /** Now and then: gives back what has waited long enough. */
  private lookAfter(): void {
    if (++this.changes % CHANGES_PER_LOOK === 0) this.retired.reclaim()
  }

  /** False: the thread was within an operation already. */
  private enter(): boolean {
    if (this.rcu.isOnline) return false
    this.rcu.online()
    return true
  }

  private leave(entered: boolean): void {
    if (entered) this.rcu.offline()
  }
}

/** A value, and how it was stored; no words: there was no entry. */
interface Copy<V> {
  readonly words: Int32Array | undefined
  readonly value: V | undefined
}
