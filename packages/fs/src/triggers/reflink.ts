/**
 * What follows when a key that leads to shared data changes (`reflink_p`): the reference counts of what it leads to, in the reflink btree.
 * Shared data that nothing leads to any more is removed. Format chapter 6, 6.10.2.
 *
 * A key holds one reference to each shared extent that it touches, and says by its pads how far these reach beyond it: should one be split
 * later, the key has a reference to every part. The pads of a new key are found out here; who puts one leaves them 0.
 */

import { BtreeId, Key, KEY_POS_AT, KEY_WORDS, KeyError, setBpos } from '@cowherd/db'
import type { Bpos, KeyChange, Updates } from '@cowherd/db'
import { INDIRECT_INLINE_DATA } from '../key-types/indirect-inline-data.ts'
import { REFLINK_P, reflinkBackPad, reflinkFrontPad, reflinkIndex, setReflinkPads } from '../key-types/reflink-p.ts'

export const REFLINK_V = 16

/** Those of all calls: nothing here calls back. */
const shared = new Key()
const padded = new Key()
const pos: Bpos = new Uint32Array(5)

/** For the extents btree. Throws KeyError if a new key leads to what isn't there. */
export function reflinkTrigger(updates: Updates, { old, new: now }: KeyChange): void {
  const was = old?.type === REFLINK_P ? old : undefined
  const is = now?.type === REFLINK_P ? now : undefined
  if (was !== undefined && is !== undefined && isSameReference(was, is)) return
  if (is !== undefined) addReferences(updates, is)
  if (was !== undefined) dropReferences(updates, was)
}

/** For the reflink btree. */
export function sharedDataTrigger(updates: Updates, { old, new: now }: KeyChange): void {
  if (old === undefined || now === undefined || !isCounted(now.type) || refcountIsZero(old)) return
  if (refcountIsZero(now)) updates.remove(BtreeId.reflink, now.words.subarray(KEY_POS_AT))
}

function addReferences(updates: Updates, key: Key): void {
  const start = reflinkIndex(key)
  const end = start + key.size
  let covered = start
  let frontPad = 0
  let backPad = 0
  while (covered < end) {
    if (!findShared(updates, covered) || shared.start > covered) {
      const message = `leads to shared sector ${covered}, which is missing`
      throw new KeyError('EIO', `extents key ${key.posText}`, message)
    }
    frontPad = Math.max(frontPad, start - shared.start)
    backPad = Math.max(backPad, shared.offset - end)
    covered = shared.offset
    count(updates, 1)
  }
  if (frontPad === reflinkFrontPad(key) && backPad === reflinkBackPad(key)) return
  padded.set(key.words, 0)
  setReflinkPads(padded, frontPad, backPad)
  updates.put(BtreeId.extents, padded)
}

/** What is missing is passed over: nothing is better for a file that stays because it can't be deleted. */
function dropReferences(updates: Updates, key: Key): void {
  const end = reflinkIndex(key) + key.size + reflinkBackPad(key)
  let at = reflinkIndex(key) - reflinkFrontPad(key)
  while (at < end && findShared(updates, at) && shared.start < end) {
    at = shared.offset
    count(updates, -1)
  }
}

/** Copies the first shared extent that ends behind a sector to `shared`. */
function findShared(updates: Updates, sector: number): boolean {
  setBpos(pos, 0, 0, Math.floor((sector + 1) / 0x100000000), sector + 1, 0)
  return updates.peek(BtreeId.reflink, pos, shared) && shared.inodeLo === 0 && shared.inodeHi === 0
}

/** Changes the reference count of `shared` by 1 or -1, and not below 0. */
function count(updates: Updates, change: number): void {
  if (!isCounted(shared.type)) return
  const { words } = shared
  if (change < 0 && refcountIsZero(shared)) return
  const low = words[KEY_WORDS] + change
  words[KEY_WORDS] = low
  if (low < 0) words[KEY_WORDS + 1]--
  else if (low > 0xffffffff) words[KEY_WORDS + 1]++
  updates.put(BtreeId.reflink, shared)
}

function refcountIsZero(key: Key): boolean {
  return isCounted(key.type) && key.words[KEY_WORDS] === 0 && key.words[KEY_WORDS + 1] === 0
}

/** Lost data has no count. */
function isCounted(type: number): boolean {
  return type === REFLINK_V || type === INDIRECT_INLINE_DATA
}

function isSameReference(a: Key, b: Key): boolean {
  return (
    a.size === b.size &&
    reflinkIndex(a) === reflinkIndex(b) &&
    reflinkFrontPad(a) === reflinkFrontPad(b) &&
    reflinkBackPad(a) === reflinkBackPad(b)
  )
}
