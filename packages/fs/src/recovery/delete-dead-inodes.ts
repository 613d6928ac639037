/**
 * The recovery pass `delete_dead_inodes`: inodes without a name that somebody had open when the volume was last in use. Format chapter 5,
 * 5.3; chapter 7, 7.8.18.
 */

import { advanceBpos, BtreeId, copyBpos, Key, KEY_POS_AT, POS_MIN, setBpos, SnapshotValue } from '@cowherd/db'
import type { Ancestry, Bpos, Updates } from '@cowherd/db'
import { isEmptyDirectory } from '../empty-directory.ts'
import type { InodeVersion } from '../extents/overwrite.ts'
import { RemovalProgress, removeInodeStep } from '../inode-removal.ts'
import { hasVersionBelow, inodeFlags, isInode, setInodeFlag } from '../inode-versions.ts'
import { Inode, InodeFlag } from '../inode.ts'
import type { WritableVolume } from '../writable-volume.ts'

/** Those of all calls: nothing here calls back. */
const inode = new Inode()
const key = new Key()
const other = new Key()
const pos: Bpos = new Uint32Array(5)

/** Empties deleted_inodes: a volume that is shut down has nothing there. Throws KeyError for malformed keys, and what the database throws. */
export function deleteDeadInodes(volume: WritableVolume): void {
  const cursor = volume.cursor(BtreeId.deletedInodes)
  const next: Bpos = new Uint32Array(5)
  copyBpos(next, POS_MIN)
  // A version above that is dead too, once the one below is gone, is listed behind it.
  while (cursor.seek(next)) {
    copyBpos(next, cursor.key.words, KEY_POS_AT)
    settle(volume, { numberHi: next[2], numberLo: next[1], snapshot: next[0] })
    if (!advanceBpos(next)) return
  }
}

/** Deletes the inode, if it is one that has to be deleted, and takes it off the list. */
function settle(volume: WritableVolume, version: InodeVersion): void {
  const { snapshots } = volume
  const progress = new RemovalProgress()
  let isSettled = false
  let isChecked = false
  while (!isSettled) {
    volume.write(
      (updates) => {
        isChecked ||= isToBeDeleted(updates, snapshots, version)
        isSettled = !isChecked || removeInodeStep(updates, snapshots, version, progress)
        if (isSettled) updates.remove(BtreeId.deletedInodes, positionOf(version))
      },
      { frees: true },
    )
  }
}

/** What is listed by mistake stays: whatever it is, it isn't for us to delete. */
function isToBeDeleted(updates: Updates, ancestry: Ancestry, version: InodeVersion): boolean {
  if (!updates.get(BtreeId.inodes, positionOf(version), key) || !isInode(key.type)) return false
  const flags = inodeFlags(key)
  if ((flags & InodeFlag.unlinked) === 0 || (flags & InodeFlag.hasChildSnapshot) !== 0) return false
  if (hasVersionBelow(updates, positionOf(version), other)) {
    setInodeFlag(key, InodeFlag.hasChildSnapshot, true)
    updates.put(BtreeId.inodes, key)
    return false
  }
  if (inode.decode(key) !== undefined) return false
  if (!inode.isDirectory) return true
  return isEmptyDirectory(updates, ancestry, version, subvolumeOf(updates, version.snapshot))
}

/** The subvolume that sees the volume through the snapshot, 0 if none does. */
function subvolumeOf(updates: Updates, snapshot: number): number {
  setBpos(pos, 0, 0, 0, snapshot, 0)
  return updates.get(BtreeId.snapshots, pos, other) ? SnapshotValue.readPadded(other.value).subvolume : 0
}

/** Valid until the next call. */
function positionOf({ numberHi, numberLo, snapshot }: InodeVersion): Bpos {
  setBpos(pos, 0, 0, numberHi, numberLo, snapshot)
  return pos
}
