/**
 * A transaction for tests of what adds to transactions: keys in sorted arrays, changed at once. Its cursors show the same keys, as if
 * everything were committed.
 */

import { compareBpos } from '../bpos.ts'
import { BtreeId } from '../btree-ids.ts'
import type { KeyCursor } from '../btree/cursor.ts'
import { accounting } from '../key-types/accounting.ts'
import { Key, KEY_POS_AT } from '../key.ts'
import type { Updates } from '../transaction/updates.ts'

export class FakeUpdates implements Updates {
  seq = 1
  /** Unpacked keys in order of position, by btree. */
  private readonly btrees = new Map<number, Uint32Array[]>()
  private readonly scratch = new Key()

  get(btree: number, pos: Uint32Array, key: Key): boolean {
    const keys = this.keys(btree)
    const at = lowerBound(keys, pos)
    if (at === keys.length || compareBpos(keys[at], KEY_POS_AT, pos, 0) !== 0) return false
    key.set(keys[at], 0)
    return true
  }

  peek(btree: number, pos: Uint32Array, key: Key): boolean {
    const keys = this.keys(btree)
    const at = lowerBound(keys, pos)
    if (at === keys.length) return false
    key.set(keys[at], 0)
    return true
  }

  peekBack(btree: number, pos: Uint32Array, key: Key): boolean {
    const keys = this.keys(btree)
    let at = lowerBound(keys, pos)
    if (at === keys.length || compareBpos(keys[at], KEY_POS_AT, pos, 0) !== 0) at--
    if (at < 0) return false
    key.set(keys[at], 0)
    return true
  }

  put(btree: number, key: Key): void {
    const keys = this.keys(btree)
    const copy = key.words.slice(0, key.u64s * 2)
    const at = lowerBound(keys, copy.subarray(KEY_POS_AT))
    const isThere = at < keys.length && compareBpos(keys[at], KEY_POS_AT, copy, KEY_POS_AT) === 0
    keys.splice(at, isThere ? 1 : 0, copy)
  }

  remove(btree: number, pos: Uint32Array): void {
    const keys = this.keys(btree)
    const at = lowerBound(keys, pos)
    if (at < keys.length && compareBpos(keys[at], KEY_POS_AT, pos, 0) === 0) keys.splice(at, 1)
  }

  account(pos: Uint32Array, ...deltas: readonly number[]): void {
    const { scratch } = this
    if (!this.get(BtreeId.accounting, pos, scratch)) {
      scratch.make(accounting.number, pos, new Uint8Array(8 * deltas.length))
    }
    if (scratch.valueBytes !== 8 * deltas.length) throw new RangeError(`${deltas.length} counters`)
    deltas.forEach((delta, i) => {
      const at = 40 + 8 * i
      scratch.view.setBigInt64(at, scratch.view.getBigInt64(at, true) + BigInt(delta), true)
    })
    this.put(BtreeId.accounting, scratch)
  }

  /** The keys of a btree, as they lie in memory. */
  keys(btree: number): Uint32Array[] {
    let keys = this.btrees.get(btree)
    if (keys === undefined) this.btrees.set(btree, (keys = []))
    return keys
  }

  cursor(btree: number): KeyCursor {
    const key = new Key()
    const seek = (pos: Uint32Array): boolean => this.peek(btree, pos, key)
    return {
      key,
      seek,
      next: () => {
        const keys = this.keys(btree)
        let at = lowerBound(keys, key.words.subarray(KEY_POS_AT))
        if (at < keys.length && compareBpos(keys[at], KEY_POS_AT, key.words, KEY_POS_AT) === 0) at++
        if (at >= keys.length) return false
        key.set(keys[at], 0)
        return true
      },
    }
  }

  /** Another one with the same keys. */
  copy(): FakeUpdates {
    const copy = new FakeUpdates()
    copy.seq = this.seq
    for (const [btree, keys] of this.btrees) copy.btrees.set(btree, [...keys])
    return copy
  }
}

function lowerBound(keys: readonly Uint32Array[], pos: Uint32Array): number {
  let low = 0
  let high = keys.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if (compareBpos(keys[middle], KEY_POS_AT, pos, 0) < 0) low = middle + 1
    else high = middle
  }
  return low
}
