/**
 * The versions of an inode: one number can have a key in each snapshot of a tree. Which is above or below which, and changing the one that
 * a snapshot sees. Format chapter 5, 5.1 and 5.2.7.
 */

import {
  ancestorFrom,
  BtreeId,
  copyBpos,
  isSnapshotAncestor,
  Key,
  KEY_POS_AT,
  KeyError,
  KEY_WORDS,
  peekVersion,
  samePosIgnoringSnapshot,
  setBpos,
} from '@cowherd/db'
import type { Ancestry, Bpos, Updates } from '@cowherd/db'
import { Field, FIELDS_V3 } from './inode-fields.ts'
import { INODE_V1, INODE_V2, INODE_V3, type Inode, InodeV1Head, InodeV2Head, InodeV3Head } from './inode.ts'

const SNAPSHOT_MAX = 0xffffffff

/** Those of all calls: nothing here calls back. */
const pos: Bpos = new Uint32Array(5)
const made = new Key()

/** True for the key types that are inodes. What a deleted one leaves (`inode_generation`) is none. */
export function isInode(type: number): boolean {
  return type === INODE_V3 || type === INODE_V2 || type === INODE_V1
}

/** The flags (`InodeFlag`) of an inode's key. */
export function inodeFlags(key: Key): number {
  return key.words[flagsWordAt(key.type)] & FLAGS_MASK
}

/** Sets or clears a flag in an inode's key. The rest stays as it is, whatever it means. */
export function setInodeFlag(key: Key, flag: number, isSet: boolean): void {
  const at = flagsWordAt(key.type)
  key.words[at] = isSet ? key.words[at] | flag : key.words[at] & ~flag
}

/** Copies the nearest version above that at `version`, in ancestor snapshots, to `key`. False if there is none. */
export function findVersionAbove(updates: Updates, version: Uint32Array, key: Key): boolean {
  copyBpos(pos, version)
  let ancestor = version[0]
  while (pos[0] !== SNAPSHOT_MAX) {
    pos[0]++
    if (!updates.peek(BtreeId.inodes, pos, key) || !samePosIgnoringSnapshot(key.words, KEY_POS_AT, pos, 0)) return false
    pos[0] = key.snapshot
    if (!isInode(key.type)) continue
    ancestor = ancestorFrom(updates, ancestor, key.snapshot)
    if (ancestor === key.snapshot) return true
    if (ancestor === 0) return false
  }
  return false
}

/** True if there is a version below that at `version`, in a descendant snapshot. `key` is overwritten. */
export function hasVersionBelow(updates: Updates, version: Uint32Array, key: Key): boolean {
  copyBpos(pos, version)
  while (pos[0]-- !== 0) {
    if (!updates.peekBack(BtreeId.inodes, pos, key)) return false
    if (!samePosIgnoringSnapshot(key.words, KEY_POS_AT, version, 0)) return false
    pos[0] = key.snapshot
    if (isInode(key.type) && isSnapshotAncestor(updates, key.snapshot, version[0])) return true
  }
  return false
}

/**
 * Reads the inode that a snapshot sees, to be changed there: `storeInode` makes it the snapshot's own. False if there is none. Throws KeyError
 * if it is damaged, or has fields that are not known.
 */
export function loadInode(
  updates: Updates,
  ancestry: Ancestry,
  number: Readonly<{ numberHi: number; numberLo: number }>,
  snapshot: number,
  inode: Inode,
): boolean {
  setBpos(pos, 0, 0, number.numberHi, number.numberLo, snapshot)
  if (!peekVersion(updates, BtreeId.inodes, pos, ancestry.ancestorsOf(snapshot), made)) return false
  if (!isInode(made.type)) return false
  const damage = inode.decode(made) ?? unknownFields(inode)
  if (damage !== undefined) throw new KeyError('EIO', `inodes key ${made.posText}`, damage)
  inode.snapshot = snapshot
  return true
}

/** Puts the inode, as inode_v3, with the sequence number of the transaction. */
export function storeInode(updates: Updates, inode: Inode): void {
  inode.journalSeqHi = Math.floor(updates.seq / 0x100000000)
  inode.journalSeqLo = updates.seq >>> 0
  updates.put(BtreeId.inodes, inode.encode(made))
}

/** Changes how many sectors the inode has. */
export function changeSectors(inode: Inode, change: number): void {
  setField(inode, Field.sectors, Math.max(0, inode.sectors + change))
}

/** Sets the size in bytes. */
export function setSize(inode: Inode, size: number | bigint): void {
  setField(inode, Field.size, size)
}

function setField({ fields }: Inode, field: number, value: number | bigint): void {
  const isWide = typeof value === 'bigint'
  fields[2 * field] = isWide ? Number(value & 0xffffffffn) : value
  fields[2 * field + 1] = isWide ? Number(value >> 32n) : Math.floor(value / 0x100000000)
}

/** Bits 0 to 19 of the flags word: string hash and number of fields follow. */
const FLAGS_MASK = 0xfffff
const FLAGS_AT = {
  [INODE_V1]: KEY_WORDS + InodeV1Head.offsets.flags / 4,
  [INODE_V2]: KEY_WORDS + InodeV2Head.offsets.flags / 4,
  [INODE_V3]: KEY_WORDS + InodeV3Head.offsets.flags / 4,
}

function flagsWordAt(type: number): number {
  if (type === INODE_V3 || type === INODE_V2 || type === INODE_V1) return FLAGS_AT[type]
  throw new RangeError(`a key of type ${type} is no inode`)
}

/** Packing an inode anew would lose them. */
function unknownFields({ fieldCount }: Inode): string | undefined {
  return fieldCount > FIELDS_V3.length ? `${fieldCount} fields, of which ${FIELDS_V3.length} are known` : undefined
}
