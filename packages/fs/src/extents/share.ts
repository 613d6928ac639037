/** Making data shared: it moves to the reflink btree, and the file's key becomes one that leads there. Format chapter 6, 6.10.1. */

import { BtreeId, ExtentPointers, Key, KEY_BYTES, KEY_POS_AT, setBpos } from '@cowherd/db'
import type { Bpos, Updates } from '@cowherd/db'
import { REFLINK_P, ReflinkPValue } from '../key-types/reflink-p.ts'
import { REFLINK_V } from '../triggers/reflink.ts'

const REFCOUNT_BYTES = 8
const MAX = 0xffffffff

/** Those of all calls: nothing here calls back. */
const shared = new Key()
const last = new Key()
const pointers = new ExtentPointers()
const pos: Bpos = new Uint32Array(5)

/** True if the extent has space, but no content: it reads as zeros. Throws KeyError for a malformed key. */
export function isUnwritten(extent: Key): boolean {
  pointers.decode(extent, KEY_BYTES)
  return pointers.unwritten[0] === 1
}

/**
 * Puts the data of an extent into the reflink btree, behind all that is there, and `extent` becomes the key that leads to it, at the same
 * position. The caller has seen to it that the volume has the feature `reflink`. Who holds references is counted by triggers.
 */
export function shareExtent(updates: Updates, extent: Key): void {
  setBpos(pos, 0, 0, MAX, MAX, MAX)
  const start = updates.peekBack(BtreeId.reflink, pos, last) ? last.offset : 0
  const end = start + extent.size
  const value = new Uint8Array(REFCOUNT_BYTES + extent.valueBytes)
  value.set(extent.value, REFCOUNT_BYTES)
  setBpos(pos, 0, 0, Math.floor(end / 0x100000000), end, 0)
  shared.make(REFLINK_V, pos, value, extent.size)
  copyVersion(shared, extent)
  updates.put(BtreeId.reflink, shared)

  last.set(extent.words, 0)
  const leading = ReflinkPValue.bytes({ index: BigInt(start), frontPad: 0, backPad: 0 })
  extent.make(REFLINK_P, last.words.subarray(KEY_POS_AT), leading, last.size)
  copyVersion(extent, last)
  updates.put(BtreeId.extents, extent)
}

/** Part of the nonce of what is encrypted. */
function copyVersion(key: Key, from: Key): void {
  for (let word = 1; word <= 3; word++) key.words[word] = from.words[word]
}
