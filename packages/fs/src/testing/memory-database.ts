/**
 * A database of keys in memory, for tests of what the filesystem writes: transactions that are committed as a whole, with this package's
 * triggers, and undone if something throws.
 */

import {
  BtreeId,
  Key,
  KEY_POS_AT,
  bpos,
  bposText,
  compareBpos,
  dbKeyTypes,
  hasSnapshots,
  SnapshotValue,
  type Ancestry,
  type KeyCursor,
  type KeyTrigger,
  type Updates,
} from '@cowherd/db'
import { fsKeyTypes } from '../key-types/index.ts'
import { fsTriggers } from '../triggers/index.ts'
import type { WritableVolume } from '../writable-volume.ts'
import type { KeyFields } from './keys.ts'
import { SHAPE, keyOf } from './keys.ts'

const WHITEOUT = 1
const KEY_TYPES = new Map([...dbKeyTypes, ...fsKeyTypes].map((type) => [type.number, type]))

type Keys = Uint32Array[]

export class MemoryDatabase implements WritableVolume, Ancestry {
  readonly shape = SHAPE
  readonly snapshots: Ancestry = this
  readonly live = {
    addFeature: (feature: string): boolean => {
      const isNew = !this.features.has(feature)
      this.features.add(feature)
      return isNew
    },
    write: (): void => undefined,
  }
  readonly features = new Set<string>()
  /** Counters by the text of their positions. */
  readonly counters = new Map<string, number>()
  /** How many transactions there were, and the greatest number of keys that one of them changed. */
  commits = 0
  changesMax = 0
  /** Throws inside every transaction behind so many: a crash. */
  commitsMax = Infinity
  readonly triggers: ReadonlyMap<number, readonly KeyTrigger[]>
  private readonly parents = new Map<number, number>()
  private btrees = new Map<number, Keys>()

  constructor(triggers: ReadonlyMap<number, readonly KeyTrigger[]> = fsTriggers) {
    this.triggers = triggers
  }

  /** Adds a snapshot; `parent` 0: the root of a tree. */
  addSnapshot(id: number, parent: number, subvolume = 0): this {
    this.parents.set(id, parent)
    const value = SnapshotValue.bytes({
      ...{ flags: { deleted: 0, subvolume: subvolume === 0 ? 0 : 1 }, parent, children: [0, 0], subvolume },
      ...{ tree: 1, depth: 0, skip: [0, 0, 0], createdLo: 0n, createdHi: 0n },
    })
    return this.put(BtreeId.snapshots, { type: 22, offset: id, value })
  }

  ancestorsOf(id: number): ReadonlySet<number> {
    const set = new Set<number>()
    for (let at = id; at !== 0; at = this.parents.get(at) ?? 0) set.add(at)
    return set
  }

  isAncestor(id: number, ancestor: number): boolean {
    return this.ancestorsOf(id).has(ancestor)
  }

  /** Puts a key as it is: no trigger runs. */
  put(btree: number, fields: KeyFields | Key): this {
    putKey(this.keysOf(btree), fields instanceof Key ? fields : keyOf(fields))
    return this
  }

  cursor(btree: number): KeyCursor {
    const key = new Key()
    return {
      key,
      seek: (pos) => copyAt(this.keysOf(btree), lowerBound(this.keysOf(btree), pos), key),
      next: () => {
        const keys = this.keysOf(btree)
        const at = lowerBound(keys, key.words.subarray(KEY_POS_AT))
        const isThere = at < keys.length && compareBpos(keys[at], KEY_POS_AT, key.words, KEY_POS_AT) === 0
        return copyAt(keys, isThere ? at + 1 : at, key)
      },
    }
  }

  write(change: (updates: Updates) => void): void {
    if (this.commits >= this.commitsMax) throw new Error('a crash, as the test wants it')
    const before = this.btrees
    const counters = new Map(this.counters)
    this.btrees = new Map([...before].map(([btree, keys]) => [btree, [...keys]]))
    try {
      const transaction = new MemoryUpdates(this.commits + 1, this.btrees, before, this.counters)
      change(transaction)
      transaction.runTriggers(this.triggers)
      this.changesMax = Math.max(this.changesMax, transaction.checkAll())
      this.commits++
    } catch (error) {
      this.btrees = before
      this.counters.clear()
      for (const [name, count] of counters) this.counters.set(name, count)
      throw error
    }
  }

  /** The keys of a btree, in order. */
  all(btree: number): Key[] {
    return this.keysOf(btree).map((words) => {
      const key = new Key()
      key.set(words, 0)
      return key
    })
  }

  /** The keys of a btree as text: position, size if there is one, name of the type. */
  list(btree: number): string[] {
    return this.all(btree).map((key) => {
      const size = key.size === 0 ? '' : ` len ${key.size}`
      return `${key.posText}${size} ${KEY_TYPES.get(key.type)?.name ?? key.type}`
    })
  }

  /** What a snapshot sees of a btree, by the plain reading of format chapter 5, 5.1. */
  seen(btree: number, snapshot: number): Key[] {
    const ancestors = this.ancestorsOf(snapshot)
    const decided = new Set<string>()
    return this.all(btree).filter((key) => {
      const place = `${key.inode}:${key.offset}`
      if (decided.has(place) || (hasSnapshots(btree) && !ancestors.has(key.snapshot))) return false
      decided.add(place)
      return key.type !== WHITEOUT
    })
  }

  private keysOf(btree: number): Keys {
    return keysOf(this.btrees, btree)
  }
}

/** One transaction. */
class MemoryUpdates implements Updates {
  readonly seq: number
  private readonly now: Map<number, Keys>
  private readonly before: Map<number, Keys>
  private readonly counters: Map<string, number>
  /** Changed positions whose triggers have yet to run, and what they have seen last. */
  private readonly waiting: { readonly btree: number; readonly pos: Uint32Array }[] = []
  private readonly triggered = new Map<string, Uint32Array | undefined>()
  private readonly changed = new Map<string, { readonly btree: number; readonly pos: Uint32Array }>()

  constructor(seq: number, now: Map<number, Keys>, before: Map<number, Keys>, counters: Map<string, number>) {
    this.seq = seq
    this.now = now
    this.before = before
    this.counters = counters
  }

  get(btree: number, pos: Uint32Array, key: Key): boolean {
    const found = find(keysOf(this.now, btree), pos)
    if (found !== undefined) key.set(found, 0)
    return found !== undefined
  }

  peek(btree: number, pos: Uint32Array, key: Key): boolean {
    const keys = keysOf(this.now, btree)
    return copyAt(keys, lowerBound(keys, pos), key)
  }

  peekBack(btree: number, pos: Uint32Array, key: Key): boolean {
    const keys = keysOf(this.now, btree)
    const at = lowerBound(keys, pos)
    return copyAt(keys, find(keys, pos) === undefined ? at - 1 : at, key)
  }

  put(btree: number, key: Key): void {
    putKey(keysOf(this.now, btree), key)
    this.note(btree, key.words.slice(KEY_POS_AT, KEY_POS_AT + 5))
  }

  remove(btree: number, pos: Uint32Array): void {
    const keys = keysOf(this.now, btree)
    if (find(keys, pos) !== undefined) keys.splice(lowerBound(keys, pos), 1)
    this.note(btree, pos.slice(0, 5))
  }

  account(pos: Uint32Array, ...deltas: readonly number[]): void {
    const name = bposText(pos)
    this.counters.set(name, (this.counters.get(name) ?? 0) + deltas[0])
  }

  runTriggers(triggers: ReadonlyMap<number, readonly KeyTrigger[]>): void {
    for (let i = 0; i < this.waiting.length; i++) {
      if (i > 100_000) throw new Error('triggers come to no end')
      const { btree, pos } = this.waiting[i]
      const id = `${btree} ${bposText(pos)}`
      const old = this.triggered.has(id) ? this.triggered.get(id) : find(keysOf(this.before, btree), pos)
      const now = find(keysOf(this.now, btree), pos)
      this.triggered.set(id, now)
      if (old === undefined && now === undefined) continue
      for (const trigger of triggers.get(btree) ?? []) {
        trigger(this, { btree, level: 0, old: keyFrom(old), new: keyFrom(now) })
      }
    }
  }

  /** Checks the changed keys as the database would. Returns how many they are. */
  checkAll(): number {
    for (const { btree, pos } of this.changed.values()) {
      const key = keyFrom(find(keysOf(this.now, btree), pos))
      if (key === undefined) continue
      const fault = KEY_TYPES.get(key.type)?.check?.(key, { btree, level: 0 }, SHAPE)
      if (fault !== undefined) throw new Error(`btree ${btree} key ${key.posText}: ${fault}`)
      const isRange = btree === BtreeId.extents && key.type !== WHITEOUT
      if (isRange !== key.size > 0 && btree !== BtreeId.reflink)
        throw new Error(`key ${key.posText} of size ${key.size}`)
    }
    return this.changed.size
  }

  private note(btree: number, pos: Uint32Array): void {
    this.changed.set(`${btree} ${bposText(pos)}`, { btree, pos })
    this.waiting.push({ btree, pos })
  }
}

function keysOf(btrees: Map<number, Keys>, btree: number): Keys {
  let keys = btrees.get(btree)
  if (keys === undefined) btrees.set(btree, (keys = []))
  return keys
}

function putKey(keys: Keys, key: Key): void {
  const pos = bpos(0, 0)
  pos.set(key.words.subarray(KEY_POS_AT, KEY_POS_AT + 5))
  keys.splice(lowerBound(keys, pos), find(keys, pos) === undefined ? 0 : 1, key.words.slice(0, key.u64s * 2))
}

function find(keys: Keys, pos: Uint32Array): Uint32Array | undefined {
  const at = lowerBound(keys, pos)
  return at < keys.length && compareBpos(keys[at], KEY_POS_AT, pos, 0) === 0 ? keys[at] : undefined
}

function copyAt(keys: Keys, at: number, key: Key): boolean {
  if (at < 0 || at >= keys.length) return false
  key.set(keys[at], 0)
  return true
}

function keyFrom(words: Uint32Array | undefined): Key | undefined {
  if (words === undefined) return undefined
  const key = new Key()
  key.set(words, 0)
  return key
}

function lowerBound(keys: Keys, pos: Uint32Array): number {
  let low = 0
  let high = keys.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if (compareBpos(keys[middle], KEY_POS_AT, pos, 0) < 0) low = middle + 1
    else high = middle
  }
  return low
}
