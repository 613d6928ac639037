/**
 * What follows when a subvolume changes: subvolume_children lists, for each subvolume, those whose names are in it. Format chapter 5, 5.7.1.
 */

import { BtreeId, Key, makeSet, setBpos } from '@cowherd/db'
import type { Bpos, KeyChange, Updates } from '@cowherd/db'
import { subvolume, subvolumePathParent } from '../key-types/subvolume.ts'

/** Those of all calls: nothing here calls back. */
const made = new Key()
const pos: Bpos = new Uint32Array(5)

/** For the subvolumes btree. */
export function subvolumeTrigger(updates: Updates, { old, new: now }: KeyChange): void {
  const key = now ?? old
  if (key === undefined) return
  const before = parentOf(old)
  const after = parentOf(now)
  if (after === before) return
  if (before !== 0) {
    setBpos(pos, 0, before, key.offsetHi, key.offsetLo, 0)
    updates.remove(BtreeId.subvolumeChildren, pos)
  }
  if (after !== 0) {
    setBpos(pos, 0, after, key.offsetHi, key.offsetLo, 0)
    updates.put(BtreeId.subvolumeChildren, makeSet(made, pos))
  }
}

/** The subvolume that holds the name, 0 for none. */
function parentOf(key: Key | undefined): number {
  return key?.type === subvolume.number ? subvolumePathParent(key) : 0
}
