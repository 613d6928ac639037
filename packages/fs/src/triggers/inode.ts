/**
 * What follows when a version of an inode changes: how many there are, which have versions below them (has_child_snapshot), and which
 * wait to be deleted (deleted_inodes). Format chapter 5, 5.2.7 and 5.3; chapter 4, 4.5.4.
 *
 * Who writes inodes needn't know of other snapshots: what a version says of those below it is put right here, and so is the version above.
 */

import { accountingPos, AccountingType, BtreeId, copyBpos, Key, KEY_POS_AT, makeSet } from '@cowherd/db'
import type { Bpos, KeyChange, Updates } from '@cowherd/db'
import { InodeFlag } from '../inode.ts'
import { findVersionAbove, hasVersionBelow, inodeFlags, isInode, setInodeFlag } from '../inode-versions.ts'

const COUNTER = accountingPos(AccountingType.inodes)

/** Those of all calls: nothing here calls back. */
const changed = new Key()
const other = new Key()
const pos: Bpos = new Uint32Array(5)

/** For the inodes btree. */
export function inodeTrigger(updates: Updates, { old, new: now }: KeyChange): void {
  const key = now ?? old
  if (key === undefined) return
  const was = old !== undefined && isInode(old.type)
  const is = now !== undefined && isInode(now.type)
  copyBpos(pos, key.words, KEY_POS_AT)
  if (is !== was) {
    updates.account(COUNTER, is ? 1 : -1)
    markAbove(updates, is)
  }
  const oldFlags = was ? inodeFlags(old) : 0
  let flags = is ? inodeFlags(now) : 0
  if (is && (!was || ((flags ^ oldFlags) & InodeFlag.hasChildSnapshot) !== 0)) flags = markOwn(updates, now)
  list(updates, was && isDead(oldFlags), is && isDead(flags))
}

/** True for what nobody can open any more, and no snapshot below has a version of: such inodes are listed until they are deleted. */
function isDead(flags: number): boolean {
  return (flags & (InodeFlag.unlinked | InodeFlag.hasChildSnapshot)) === InodeFlag.unlinked
}

/** The version above the one at `pos` has got a version below, or has lost it. */
function markAbove(updates: Updates, hasOne: boolean): void {
  if (!findVersionAbove(updates, pos, changed)) return
  const isMarked = (inodeFlags(changed) & InodeFlag.hasChildSnapshot) !== 0
  if (isMarked === hasOne) return
  if (!hasOne && hasVersionBelow(updates, changed.words.subarray(KEY_POS_AT), other)) return
  setInodeFlag(changed, InodeFlag.hasChildSnapshot, hasOne)
  updates.put(BtreeId.inodes, changed)
}

/** Sets the flag of a version, which is new or says something new, as it must be. Returns the flags. */
function markOwn(updates: Updates, now: Key): number {
  const flags = inodeFlags(now)
  const isMarked = (flags & InodeFlag.hasChildSnapshot) !== 0
  if (hasVersionBelow(updates, pos, other) === isMarked) return flags
  changed.set(now.words, 0)
  setInodeFlag(changed, InodeFlag.hasChildSnapshot, !isMarked)
  updates.put(BtreeId.inodes, changed)
  return inodeFlags(changed)
}

function list(updates: Updates, was: boolean, is: boolean): void {
  if (is === was) return
  if (is) updates.put(BtreeId.deletedInodes, makeSet(changed, pos))
  else updates.remove(BtreeId.deletedInodes, pos)
}
