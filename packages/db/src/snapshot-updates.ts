/**
 * What a snapshot sees of a btree inside a transaction, and deleting what it sees. Format chapter 2, 2.10.2, and 5, 5.1.
 *
 * At each (inode, offset) the key of the nearest ancestor counts, the snapshot's own first. Only its own keys are changed for it: what an
 * ancestor has is hidden by a whiteout.
 */

import {
  advanceBpos,
  advanceBposNoSnapshot,
  copyBpos,
  retreatBpos,
  samePosIgnoringSnapshot,
  setBpos,
  type Bpos,
} from './bpos.ts'
import { BtreeId } from './btree-ids.ts'
import { Key, KEY_BYTES, KEY_POS_AT } from './key.ts'
import { whiteout } from './key-types/bare.ts'
import { snapshot as snapshotType, SnapshotValue } from './key-types/snapshot.ts'
import type { Updates } from './transaction/updates.ts'

/** Who is above whom: a `SnapshotTree`. */
export interface Ancestry {
  /** The snapshot itself and all above it. */
  ancestorsOf(id: number): ReadonlySet<number>
  /** True if `ancestor` is `id` or above it. */
  isAncestor(id: number, ancestor: number): boolean
}

const SNAPSHOT = 0
const INODE_LO = 3
const INODE_HI = 4
const SNAPSHOT_MAX = 0xffffffff
const NO_VALUE = new Uint8Array(0)
const PARENT_AT = KEY_BYTES + SnapshotValue.offsets.parent

/** Those of all calls: nothing here calls back. */
const target: Bpos = new Uint32Array(5)
const place: Bpos = new Uint32Array(5)
const found = new Key()

/**
 * Copies the first key of the inode of `pos`, at or behind `pos`, that the snapshot of `pos` sees, to `key`. False if there is none.
 * `ancestors` are those of that snapshot. `pos` may be part of `key`.
 */
export function peekVisible(
  updates: Updates,
  btree: number,
  pos: Uint32Array,
  ancestors: ReadonlySet<number>,
  key: Key,
): boolean {
  copyBpos(target, pos)
  const snapshot = target[SNAPSHOT]
  const inodeLo = target[INODE_LO]
  const inodeHi = target[INODE_HI]
  while (updates.peek(btree, target, key) && key.inodeLo === inodeLo && key.inodeHi === inodeHi) {
    const isAncestors = ancestors.has(key.snapshot)
    if (isAncestors && key.type !== whiteout.number) return true
    copyBpos(target, key.words, KEY_POS_AT)
    // Ancestors have greater ids: between positions there is nothing for this snapshot below its own id.
    if (isAncestors) {
      if (!advanceBposNoSnapshot(target)) return false
      target[SNAPSHOT] = snapshot
    } else if (key.snapshot < snapshot) target[SNAPSHOT] = snapshot
    else if (!advanceBpos(target)) return false
  }
  return false
}

/** The same with the last key at or before the (inode, offset) of `pos`. */
export function peekVisibleBack(
  updates: Updates,
  btree: number,
  pos: Uint32Array,
  ancestors: ReadonlySet<number>,
  key: Key,
): boolean {
  const at = new Uint32Array(5)
  copyBpos(at, pos)
  const snapshot = at[SNAPSHOT]
  const inodeLo = at[INODE_LO]
  const inodeHi = at[INODE_HI]
  at[SNAPSHOT] = SNAPSHOT_MAX
  while (updates.peekBack(btree, at, key) && key.inodeLo === inodeLo && key.inodeHi === inodeHi) {
    copyBpos(at, key.words, KEY_POS_AT)
    at[SNAPSHOT] = snapshot
    if (peekVersion(updates, btree, at, ancestors, key) && key.type !== whiteout.number) return true
    at[SNAPSHOT] = 0
    if (!retreatBpos(at)) return false
  }
  return false
}

/**
 * Copies the key that decides what is seen at exactly the (inode, offset) of `pos`, which may be a whiteout: that of the nearest of
 * `ancestors` at or above the snapshot of `pos`. False if none of them has one.
 */
export function peekVersion(
  updates: Updates,
  btree: number,
  pos: Uint32Array,
  ancestors: ReadonlySet<number>,
  key: Key,
): boolean {
  copyBpos(target, pos)
  while (updates.peek(btree, target, key) && samePosIgnoringSnapshot(key.words, KEY_POS_AT, target, 0)) {
    if (ancestors.has(key.snapshot)) return true
    if (key.snapshot === SNAPSHOT_MAX) return false
    target[SNAPSHOT] = key.snapshot + 1
  }
  return false
}

/**
 * Deletes what the snapshot of `pos` sees at `pos`: its own key goes, and where an ancestor's would come into view a whiteout is left.
 * `ancestors` are those of that snapshot. Format chapter 5, 5.1.4.
 */
export function removeVisible(updates: Updates, btree: number, pos: Uint32Array, ancestors: ReadonlySet<number>): void {
  copyBpos(place, pos)
  place[SNAPSHOT]++
  const isRoot = place[SNAPSHOT] === 0
  const isInherited = !isRoot && peekVersion(updates, btree, place, ancestors, found) && found.type !== whiteout.number
  copyBpos(place, pos)
  if (isInherited) updates.put(btree, found.make(whiteout.number, place, NO_VALUE))
  else updates.remove(btree, place)
}

/** Puts a whiteout at `pos`. */
export function putWhiteout(updates: Updates, btree: number, pos: Uint32Array): void {
  updates.put(btree, found.make(whiteout.number, pos, NO_VALUE))
}

/**
 * True if snapshot `ancestor` is `id` or above it, by the snapshots btree as the transaction leaves it: for triggers, which may run in the
 * very transaction that makes a snapshot.
 */
export function isSnapshotAncestor(updates: Updates, id: number, ancestor: number): boolean {
  return ancestorFrom(updates, id, ancestor) === ancestor
}

/** The lowest ancestor of snapshot `id`, which is one itself, whose id is not below `least`; 0 if there is none. */
export function ancestorFrom(updates: Updates, id: number, least: number): number {
  let at = id
  while (at !== 0 && at < least) {
    setBpos(place, 0, 0, 0, at, 0)
    const isThere = updates.get(BtreeId.snapshots, place, found) && found.type === snapshotType.number
    const parent = isThere ? found.view.getUint32(PARENT_AT, true) : 0
    // Parents have greater ids: in a damaged tree the chain ends.
    at = parent > at ? parent : 0
  }
  return at
}
