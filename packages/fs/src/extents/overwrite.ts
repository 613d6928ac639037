/**
 * Overwriting and removing a range of a file, in one snapshot: what lies there is cut, and what other snapshots see stays as it is.
 * Format chapter 2, 2.10.4, and 6, 6.9.
 *
 * A key is seen by all below its snapshot, and hidden from one by a key of its own with the same end. So a key of an ancestor that lies in
 * the range only in part is split where the range begins and ends, in the ancestor's own snapshot, and the piece inside is hidden:
 *
 *                  from            to
 *     ancestor      |               |              ancestor    [ front )[ middle )[ back )
 *     [------------ O -----------------------)  =>
 *     snapshot      |               |              snapshot              [   N    )          or a whiteout at `to`
 *
 * Snapshots in between that had hidden all of O must not see the new pieces either: they get whiteouts at these ends too.
 */

import {
  BtreeId,
  Key,
  KEY_POS_AT,
  advanceBposNoSnapshot,
  copyBpos,
  peekVisible,
  putWhiteout,
  removeVisible,
  setBpos,
} from '@cowherd/db'
import type { Ancestry, Bpos, Updates } from '@cowherd/db'
import { cutBack, cutFront, isAllocated } from './extent-key.ts'

/**
 * How many extents are removed in one transaction, where there may be any number: each brings a dozen keys with it, of its buckets, their
 * indexes, and counters.
 */
export const EXTENTS_PER_STEP = 32

/** A version of an inode: an `Inode` is one. */
export interface InodeVersion {
  readonly numberHi: number
  readonly numberLo: number
  readonly snapshot: number
}

export interface Removal {
  /** Where the removal stopped: at the end of the range, or earlier because of `keysMax`. */
  readonly end: number
  /** How many sectors fewer the file has now. */
  readonly sectors: number
  /** How many extents the snapshot saw there. */
  readonly keys: number
}

/** Those of all calls: nothing here calls back. */
const old = new Key()
const piece = new Key()
const found = new Key()
const search: Bpos = new Uint32Array(5)
const pos: Bpos = new Uint32Array(5)
const masks: number[] = []

/**
 * Removes the sectors from `from` to `to` (Infinity: all behind) of a file from the sight of `version.snapshot`. At most `keysMax` extents are
 * looked at: what was removed until then is consistent, and the rest can follow in another transaction. What the inode has to say of
 * it (bi_sectors) is left to the caller. Throws KeyError for a malformed extent.
 */
export function removeExtents(
  updates: Updates,
  ancestry: Ancestry,
  version: InodeVersion,
  from: number,
  to: number,
  keysMax: number = Infinity,
): Removal {
  if (from >= to) return { end: to, sectors: 0, keys: 0 }
  const { numberHi, numberLo, snapshot } = version
  const ancestors = ancestry.ancestorsOf(snapshot)
  let end = from
  let sectors = 0
  let keys = 0
  // The first that ends behind `from`.
  setBpos(search, numberHi, numberLo, Math.floor((from + 1) / 0x100000000), from + 1, snapshot)
  while (peekVisible(updates, BtreeId.extents, search, ancestors, old) && old.start < to) {
    if (keys === keysMax) return { end, sectors, keys }
    keys++
    if (isAllocated(old.type)) sectors += Math.min(old.offset, to) - Math.max(old.start, from)
    const isSeenStill = cutOut(updates, ancestry, from, to, snapshot)
    if (old.offset >= to) {
      if (isSeenStill) hideAt(updates, to, snapshot)
      break
    }
    end = old.offset
    if (!goBehindOld(snapshot)) break
  }
  return { end: to, sectors, keys }
}

/**
 * Inserts an extent in place of what its snapshot sees there. Returns how many sectors more the file has now, which may be less than 0. Throws
 * KeyError for a malformed extent.
 */
export function insertExtent(updates: Updates, ancestry: Ancestry, key: Key): number {
  const { start, offset: end, snapshot } = key
  const ancestors = ancestry.ancestorsOf(snapshot)
  let sectors = isAllocated(key.type) ? key.size : 0
  setBpos(search, key.inodeHi, key.inodeLo, Math.floor((start + 1) / 0x100000000), start + 1, snapshot)
  while (peekVisible(updates, BtreeId.extents, search, ancestors, old) && old.start < end) {
    if (isAllocated(old.type)) sectors -= Math.min(old.offset, end) - Math.max(old.start, start)
    cutOut(updates, ancestry, start, end, snapshot)
    if (old.offset >= end || !goBehindOld(snapshot)) break
  }
  updates.put(BtreeId.extents, key)
  return sectors
}

/** Sets `search` behind the end of `old`. False if the file can't go on there. */
function goBehindOld(snapshot: number): boolean {
  copyBpos(search, old.words, KEY_POS_AT)
  if (!advanceBposNoSnapshot(search)) return false
  search[0] = snapshot
  return search[3] === old.inodeLo && search[4] === old.inodeHi
}

/**
 * Cuts `from` to `to` out of `old`, which overlaps it, in the eyes of `snapshot`. True if a piece of it that ends at `to`, and belongs to an
 * ancestor, is still to be hidden there.
 */
function cutOut(updates: Updates, ancestry: Ancestry, from: number, to: number, snapshot: number): boolean {
  const isInherited = old.snapshot !== snapshot
  const hasFront = old.start < from
  const hasBack = old.offset > to
  if (hasFront) {
    copyKey(piece, old)
    cutBack(piece, from)
    putPiece(updates, ancestry)
  }
  if (isInherited && (hasFront || hasBack)) {
    copyKey(piece, old)
    if (hasFront) cutFront(piece, from)
    if (hasBack) cutBack(piece, to)
    putPiece(updates, ancestry)
  }
  if (hasBack) {
    copyKey(piece, old)
    cutFront(piece, to)
    updates.put(BtreeId.extents, piece)
  } else {
    copyBpos(pos, old.words, KEY_POS_AT)
    pos[0] = snapshot
    removeVisible(updates, BtreeId.extents, pos, ancestry.ancestorsOf(snapshot))
  }
  return isInherited && hasBack
}

/** Puts `piece`, a part of `old`, and hides it from those who had hidden all of `old`. */
function putPiece(updates: Updates, ancestry: Ancestry): void {
  updates.put(BtreeId.extents, piece)
  if (piece.offsetLo === old.offsetLo && piece.offsetHi === old.offsetHi) return
  masks.length = 0
  copyBpos(search, old.words, KEY_POS_AT)
  copyBpos(pos, piece.words, KEY_POS_AT)
  // From higher ids to lower: ancestors come before those below them.
  while (search[0]-- !== 0 && updates.peekBack(BtreeId.extents, search, found) && hasPlaceOfOld(found)) {
    const { snapshot } = found
    search[0] = snapshot
    if (!ancestry.isAncestor(snapshot, old.snapshot) || isBelowMask(ancestry, snapshot)) continue
    masks.push(snapshot)
    pos[0] = snapshot
    if (!updates.get(BtreeId.extents, pos, found)) putWhiteout(updates, BtreeId.extents, pos)
  }
}

/** True for a snapshot below one that was treated: what that has got holds for it too. */
function isBelowMask(ancestry: Ancestry, snapshot: number): boolean {
  for (const mask of masks) if (ancestry.isAncestor(snapshot, mask)) return true
  return false
}

function hasPlaceOfOld(key: Key): boolean {
  return (
    key.offsetLo === old.offsetLo &&
    key.offsetHi === old.offsetHi &&
    key.inodeLo === old.inodeLo &&
    key.inodeHi === old.inodeHi
  )
}

/** The middle piece ends at `to`, where nothing of the snapshot's own hides it. */
function hideAt(updates: Updates, to: number, snapshot: number): void {
  setBpos(pos, old.inodeHi, old.inodeLo, Math.floor(to / 0x100000000), to, snapshot)
  putWhiteout(updates, BtreeId.extents, pos)
}

function copyKey(key: Key, from: Key): void {
  key.set(from.words, 0)
}
