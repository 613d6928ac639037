/**
 * What a new volume begins with: the first subvolume and its snapshot, the root directory, and `lost+found` in it. Format chapter 1,
 * 10.2, and 5, 5.14.
 */

import {
  AccountingType,
  bpos,
  BtreeId,
  Key,
  SnapshotTreeValue,
  SnapshotValue,
  type Options,
  type VolumeBuilder,
} from '@cowherd/db'
import { encodeUtf8 } from '@cowherd/kernel-lib'
import type { Codecs } from '@cowherd/shim'
import { FileType, Inode, ROOT_INODE } from './inode.ts'
import { Field } from './inode-fields.ts'
import { DIRENT, direntBytes, DT_DIR } from './key-types/dirent.ts'
import { subvolume, SubvolumeValue } from './key-types/subvolume.ts'
import { StringHash, StringHashType } from './string-hash.ts'
import { ROOT_SUBVOLUME } from './subvolumes.ts'

export interface FirstStart {
  readonly codecs: Codecs
  /** Fills memory with bytes that nobody can guess. */
  readonly random: (bytes: Uint8Array) => void
  /** How names are hashed in directories. */
  readonly strHash: Options['strHash']
}

const SNAPSHOT_KEY = 22
const SNAPSHOT_TREE_KEY = 31
export const ROOT_SNAPSHOT = 0xffffffff
const FIRST_TREE = 1
export const LOST_AND_FOUND_INODE = ROOT_INODE + 1
export const LOST_AND_FOUND = encodeUtf8('lost+found')
const STR_HASH_SHIFT = 20
/** The entry of the journal in which all of this would have been written. */
export const FIRST_JOURNAL_SEQ = 1
const HASHES: Readonly<Record<Options['strHash'], number>> = {
  crc32c: StringHashType.crc32c,
  crc64: StringHashType.crc64,
  siphash: StringHashType.siphash,
}

/** Adds the keys of a volume that was just made: its times are those of its birth. */
export function addFirstKeys(builder: VolumeBuilder, options: FirstStart): void {
  const key = new Key()
  const { root, lostAndFound } = addFirstNames(builder, options)
  for (const inode of [root, lostAndFound]) builder.add(BtreeId.inodes, inode.encode(key))
  builder.counters.add(AccountingType.inodes, [], 2)
}

/** Adds the first subvolume, and the one name in it. Returns the directories, of which the inodes are still to be added. */
export function addFirstNames(
  builder: VolumeBuilder,
  { codecs, random, strHash }: FirstStart,
): { readonly root: Inode; readonly lostAndFound: Inode } {
  const key = new Key()
  addSubvolume(builder, key)

  const directory = (number: number, permissions: number): Inode => {
    const inode = new Inode()
    inode.numberLo = number
    inode.snapshot = ROOT_SNAPSHOT
    inode.mode = FileType.directory | permissions
    inode.flagsWord = strHashFlags(strHash)
    inode.journalSeqLo = FIRST_JOURNAL_SEQ
    random(inode.hashSeed)
    return inode
  }
  const root = directory(ROOT_INODE, 0o755)
  root.fields[2 * Field.nlink] = 1 // directories in it
  root.fields[2 * Field.subvol] = ROOT_SUBVOLUME

  const hash = new StringHash(codecs)
  hash.name(root, LOST_AND_FOUND)
  const lostAndFound = directory(LOST_AND_FOUND_INODE, 0o700)
  lostAndFound.fields[2 * Field.dir] = ROOT_INODE
  lostAndFound.fields[2 * Field.dirOffset] = hash.lo
  lostAndFound.fields[2 * Field.dirOffset + 1] = hash.hi

  const place = bpos(ROOT_INODE, (BigInt(hash.hi) << 32n) | BigInt(hash.lo), ROOT_SNAPSHOT)
  builder.add(BtreeId.dirents, key.make(DIRENT, place, direntBytes(0, LOST_AND_FOUND_INODE, DT_DIR, LOST_AND_FOUND)))
  return { root, lostAndFound }
}

/** What the flags of an inode say of how names are hashed. */
export function strHashFlags(strHash: Options['strHash']): number {
  return HASHES[strHash] << STR_HASH_SHIFT
}

function addSubvolume(builder: VolumeBuilder, key: Key): void {
  const subvolumeValue = SubvolumeValue.bytes({
    flags: { readOnly: 0, snapshot: 0, unlinked: 0 },
    snapshot: ROOT_SNAPSHOT,
    inode: BigInt(ROOT_INODE),
    creationParent: 0,
    fsPathParent: 0,
    otime: 0n,
    otimeHi: undefined,
  })
  builder.add(BtreeId.subvolumes, key.make(subvolume.number, bpos(0, ROOT_SUBVOLUME), subvolumeValue))
  const snapshotValue = SnapshotValue.bytes({
    flags: { deleted: 0, subvolume: 1 },
    parent: 0,
    children: [0, 0],
    subvolume: ROOT_SUBVOLUME,
    tree: FIRST_TREE,
    depth: 0,
    skip: [0, 0, 0],
    createdLo: 0n,
    createdHi: 0n,
  })
  builder.add(BtreeId.snapshots, key.make(SNAPSHOT_KEY, bpos(0, ROOT_SNAPSHOT), snapshotValue))
  const treeValue = SnapshotTreeValue.bytes({ masterSubvolume: ROOT_SUBVOLUME, rootSnapshot: ROOT_SNAPSHOT })
  builder.add(BtreeId.snapshotTrees, key.make(SNAPSHOT_TREE_KEY, bpos(0, FIRST_TREE), treeValue))
}
