/**
 * The peer that anybody would write first: a plain table with open addressing in shared memory, and one mutex around it. It has its
 * final size from the beginning, so that it never has to grow.
 *
 *     entry: key | value, 0 if it is free
 */

import { Mutex, type SharedPlace } from '@cowherd/shim'

const VALUE = 1
const ENTRY_WORDS = 2
const ENTRIES_PER_KEY = 2
const MULTIPLIER = 0x85ebca6b

export interface LockedTableDescriptor {
  readonly entries: Int32Array
  readonly mutex: SharedPlace
}

export class LockedTable {
  readonly descriptor: LockedTableDescriptor
  private readonly entries: Int32Array
  private readonly mutex: Mutex
  private readonly mask: number

  /** A view of the calling thread's own. */
  constructor(descriptor: LockedTableDescriptor) {
    this.descriptor = descriptor
    this.entries = descriptor.entries
    this.mutex = new Mutex(descriptor.mutex)
    this.mask = descriptor.entries.length / ENTRY_WORDS - 1
  }

  /** One for so many keys. */
  static create(keys: number): LockedTable {
    const entries = 2 ** Math.ceil(Math.log2(keys * ENTRIES_PER_KEY))
    const memory = new SharedArrayBuffer(4 * ENTRY_WORDS * entries)
    return new LockedTable({ entries: new Int32Array(memory), mutex: Mutex.create().place })
  }

  /** The value, 0 if there is none. */
  get(key: number): number {
    this.mutex.lock()
    const value = this.entries[this.find(key) + VALUE]
    this.mutex.unlock()
    return value
  }

  /** Whether the key was new. */
  insert(key: number, value: number): boolean {
    this.mutex.lock()
    const at = this.find(key)
    const isNew = this.entries[at + VALUE] === 0
    if (isNew) {
      this.entries[at] = key
      this.entries[at + VALUE] = value
    }
    this.mutex.unlock()
    return isNew
  }

  /** Whether the key was there. */
  remove(key: number): boolean {
    this.mutex.lock()
    const at = this.find(key)
    const isThere = this.entries[at + VALUE] !== 0
    if (isThere) this.close(at)
    this.mutex.unlock()
    return isThere
  }

  /** Frees an entry, and puts into the gap what would not be found behind it. */
  private close(at: number): void {
    const { entries } = this
    let gap = at
    for (let next = this.after(at); entries[next + VALUE] !== 0; next = this.after(next)) {
      const home = this.homeOf(entries[next])
      const isBehindGap = gap <= next ? gap < home && home <= next : gap < home || home <= next
      if (isBehindGap) continue
      entries[gap] = entries[next]
      entries[gap + VALUE] = entries[next + VALUE]
      gap = next
    }
    entries[gap + VALUE] = 0
  }

  /** The entry with the key, or the free one where it belongs. Less than half of all are used. */
  private find(key: number): number {
    const { entries } = this
    let at = this.homeOf(key)
    while (entries[at + VALUE] !== 0 && entries[at] !== key) at = this.after(at)
    return at
  }

  private homeOf(key: number): number {
    const mixed = Math.imul(key ^ (key >>> 15), MULTIPLIER)
    return ENTRY_WORDS * ((mixed ^ (mixed >>> 16)) & this.mask)
  }

  private after(at: number): number {
    return ENTRY_WORDS * ((at / ENTRY_WORDS + 1) & this.mask)
  }
}
