/**
 * Deleting a version of an inode that nobody can open any more: what it is made of, a bounded number of keys in each transaction, and the
 * inode last. Format chapter 5, 5.3.
 *
 * The inode is unlinked before and listed in deleted_inodes, so that the next start goes on where a crash interrupted. Each transaction
 * leaves a volume behind in which everything adds up.
 */

import {
  advanceBpos,
  advanceBposNoSnapshot,
  BtreeId,
  copyBpos,
  Key,
  KEY_POS_AT,
  KEY_WORDS,
  peekVersion,
  peekVisible,
  removeVisible,
  setBpos,
} from '@cowherd/db'
import type { Ancestry, Bpos, KeyCursor, Updates } from '@cowherd/db'
import { EXTENTS_PER_STEP, removeExtents, type InodeVersion } from './extents/overwrite.ts'
import { changeSectors, isInode, storeInode } from './inode-versions.ts'
import { Inode, INODE_GENERATION } from './inode.ts'
import { InodeGenerationValue } from './key-types/inode-generation.ts'
import type { WritableVolume } from './writable-volume.ts'

/** Those of all calls: nothing here calls back. */
const inode = new Inode()
const key = new Key()
const pos: Bpos = new Uint32Array(5)
const SNAPSHOT_MAX = 0xffffffff
const NO_GENERATION = new Uint8Array(InodeGenerationValue.size)

/**
 * Deletes a version of an inode, in as many transactions as it takes; and those above it, in ancestor snapshots, that were kept for nobody
 * but it. `isOpen`: whether somebody has a version open, which then stays. Throws KeyError for malformed keys, and what the database throws.
 */
export function removeInode(
  volume: WritableVolume,
  version: InodeVersion,
  isOpen: (version: InodeVersion) => boolean = () => false,
): void {
  if (isOpen(version)) return
  removeVersion(volume, version)
  removeDeadAbove(volume, version, isOpen)
}

/** Deletes the versions above one that is gone, as far as they were kept for nobody but it. Throws as `removeInode`. */
export function removeDeadAbove(
  volume: WritableVolume,
  version: InodeVersion,
  isOpen: (version: InodeVersion) => boolean = () => false,
): void {
  let above = deadVersionAbove(volume, version)
  while (above !== undefined && !isOpen(above)) {
    removeVersion(volume, above)
    above = deadVersionAbove(volume, above)
  }
}

/**
 * How far the removal of a version has come: what lies before is gone. Where much was an ancestor's, and is hidden now, the search for the
 * rest would take longer with each step. Not to be gone on with when a transaction failed.
 */
export class RemovalProgress {
  /** First sector whose extent may still be there. */
  sector = 0
  /** Which of `KEY_BTREES` is next, and the offset there. */
  btree = 0
  offsetHi = 0
  offsetLo = 0
}

const KEY_BTREES = [BtreeId.xattrs, BtreeId.dirents]

/**
 * Deletes some of what makes up a version of an inode, as part of a transaction. True if nothing is left: the inode went too. `progress` serves
 * one step after another.
 */
export function removeInodeStep(
  updates: Updates,
  ancestry: Ancestry,
  version: InodeVersion,
  progress: RemovalProgress = new RemovalProgress(),
): boolean {
  const removal = removeExtents(updates, ancestry, version, progress.sector, Infinity, EXTENTS_PER_STEP)
  progress.sector = removal.end
  let left = EXTENTS_PER_STEP - removal.keys
  while (left > 0 && progress.btree < KEY_BTREES.length) left -= removeKeys(updates, ancestry, version, progress, left)
  if (progress.btree < KEY_BTREES.length) {
    takeSectors(updates, version, removal.sectors)
    return false
  }
  leaveGeneration(updates, ancestry, version)
  return true
}

/** Deletes what a snapshot sees of an inode in the next btree, `keysMax` keys at most. Returns how many there were. */
function removeKeys(
  updates: Updates,
  ancestry: Ancestry,
  { numberHi, numberLo, snapshot }: InodeVersion,
  progress: RemovalProgress,
  keysMax: number,
): number {
  const btree = KEY_BTREES[progress.btree]
  const ancestors = ancestry.ancestorsOf(snapshot)
  setBpos(pos, numberHi, numberLo, progress.offsetHi, progress.offsetLo, snapshot)
  let keys = 0
  let isMore = true
  while (keys < keysMax && isMore) {
    isMore = peekVisible(updates, btree, pos, ancestors, key)
    if (!isMore) break
    copyBpos(pos, key.words, KEY_POS_AT)
    pos[0] = snapshot
    removeVisible(updates, btree, pos, ancestors)
    keys++
    isMore = advanceBposNoSnapshot(pos) && pos[3] === numberLo && pos[4] === numberHi
    pos[0] = snapshot
  }
  if (!isMore) progress.btree++
  progress.offsetLo = isMore ? pos[1] : 0
  progress.offsetHi = isMore ? pos[2] : 0
  return keys
}

/** The inode, if it is the version's own, has so many sectors fewer. */
function takeSectors(updates: Updates, { numberHi, numberLo, snapshot }: InodeVersion, sectors: number): void {
  setBpos(pos, 0, 0, numberHi, numberLo, snapshot)
  if (sectors === 0 || !updates.get(BtreeId.inodes, pos, key)) return
  // A damaged one goes soon.
  if (!isInode(key.type) || inode.decode(key) !== undefined) return
  changeSectors(inode, -sectors)
  storeInode(updates, inode)
}

/** What is left of an inode: its number comes back with another generation. It hides what ancestors have. */
function leaveGeneration(updates: Updates, ancestry: Ancestry, { numberHi, numberLo, snapshot }: InodeVersion): void {
  setBpos(pos, 0, 0, numberHi, numberLo, snapshot)
  if (!peekVersion(updates, BtreeId.inodes, pos, ancestry.ancestorsOf(snapshot), key) || !isInode(key.type)) return
  const generation = inode.decode(key) === undefined ? inode.generation : 0
  key.make(INODE_GENERATION, pos, NO_GENERATION)
  key.words[KEY_WORDS] = generation + 1
  updates.put(BtreeId.inodes, key)
}

function removeVersion(volume: WritableVolume, version: InodeVersion): void {
  const progress = new RemovalProgress()
  let isGone = false
  while (!isGone) {
    volume.write(
      (updates) => {
        isGone = removeInodeStep(updates, volume.snapshots, version, progress)
      },
      { frees: true },
    )
  }
}

/** The version above, if it was kept only because of the one that is gone. */
function deadVersionAbove(volume: WritableVolume, version: InodeVersion): InodeVersion | undefined {
  const { numberHi, numberLo, snapshot } = version
  if (snapshot === SNAPSHOT_MAX) return undefined
  const cursor = deletedInodes(volume)
  setBpos(pos, 0, 0, numberHi, numberLo, snapshot)
  for (let found = advanceBpos(pos) && cursor.seek(pos); found; found = cursor.next()) {
    const { key: listed } = cursor
    if (listed.offsetLo !== numberLo || listed.offsetHi !== numberHi) return undefined
    if (volume.snapshots.isAncestor(snapshot, listed.snapshot)) {
      return { numberHi, numberLo, snapshot: listed.snapshot }
    }
  }
  return undefined
}

/** A cursor of each volume: it takes 2 KiB, and there is a look for each file that is deleted. */
const cursors = new WeakMap<WritableVolume, KeyCursor>()

function deletedInodes(volume: WritableVolume): KeyCursor {
  let cursor = cursors.get(volume)
  if (cursor === undefined) cursors.set(volume, (cursor = volume.cursor(BtreeId.deletedInodes)))
  return cursor
}
