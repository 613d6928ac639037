/**
 * The names of directories, inside a transaction. Format chapter 5, 5.4.5 and 5.5.
 *
 * The name of a subvolume is one key for all snapshots: it is not hidden from one, but moved and removed where it is stored (5.5.5).
 */

import {
  BtreeId,
  copyBpos,
  KEY_POS_AT,
  VolumeError,
  type Ancestry,
  type Bpos,
  type Key,
  type Updates,
} from '@cowherd/db'
import { decodeUtf8 } from '@cowherd/kernel-lib'
import { isVisible } from '../directory.ts'
import type { Inode } from '../inode.ts'
import {
  DIRENT,
  DIRENT_NAME_AT,
  DIRENT_TARGET_AT,
  direntBytes,
  direntNameEnd,
  direntType,
  DT_SUBVOL,
} from '../key-types/dirent.ts'
import type { Slot } from '../probe.ts'
import type { StringHash } from '../string-hash.ts'
import { HashTable } from './hash-table.ts'
import type { View } from './view.ts'

/** What a name leads to, as its key says it. */
export interface NameTarget {
  readonly hi: number
  readonly lo: number
  /** d_type. */
  readonly type: number
}

const LINUX_NAME_BYTES_MAX = 255
const SLASH = 0x2f
const DOT = 0x2e

export class Names {
  private readonly hash: StringHash
  private readonly ancestry: Ancestry
  private readonly table: HashTable
  private wanted: Uint8Array = new Uint8Array(0)
  private subvolume = 0
  private readonly place: Bpos = new Uint32Array(5)

  constructor(hash: StringHash, ancestry: Ancestry) {
    this.hash = hash
    this.ancestry = ancestry
    this.table = new HashTable(
      {
        btree: BtreeId.dirents,
        type: DIRENT,
        slotOf: (key) => this.slotOf(key),
        hashEntry: (owner, key) => hash.name(owner, nameOf(key)),
      },
      hash,
    )
  }

  /** Copies the key of a name in a directory to `entry`. False if the name isn't there. */
  find(updates: Updates, view: View, directory: Inode, name: Uint8Array, entry: Key): boolean {
    this.wanted = name
    this.subvolume = view.subvolume
    this.hash.name(directory, name)
    return this.table.search(updates, view, directory, entry)
  }

  /** Adds a name, which `find` just didn't find. Returns its position, valid until the next call. */
  insert(updates: Updates, name: Uint8Array, { hi, lo, type }: NameTarget): Bpos {
    return this.table.insert(updates, direntBytes(hi, lo, type, name))
  }

  /** Lets the name at the place of `entry` lead to something else. Returns its position, valid until the next call. */
  replace(updates: Updates, view: View, directory: Inode, entry: Key, name: Uint8Array, target: NameTarget): Bpos {
    const { place } = this
    const stored = this.ownViewOf(entry, view)
    if (stored !== view) this.table.remove(updates, stored, directory, entry)
    this.table.replace(updates, view, entry, direntBytes(target.hi, target.lo, target.type, name))
    copyBpos(place, entry.words, KEY_POS_AT)
    place[0] = view.snapshot
    return place
  }

  /** Removes a name, whose key is `entry`. */
  remove(updates: Updates, view: View, directory: Inode, entry: Key): void {
    const { table } = this
    const stored = this.ownViewOf(entry, view)
    const leadsOn =
      table.leadsOn(updates, view, directory, entry) ||
      (stored !== view && table.leadsOn(updates, stored, directory, entry))
    table.removeIf(updates, stored, entry, leadsOn)
  }

  /** Through which snapshot a name is removed: that of the subvolume, but the one where it is stored if it is a subvolume's. */
  private ownViewOf(entry: Key, view: View): View {
    const { snapshot } = entry
    if (direntType(entry) !== DT_SUBVOL || snapshot === view.snapshot) return view
    return { subvolume: 0, snapshot, ancestors: this.ancestry.ancestorsOf(snapshot) }
  }

  private slotOf(key: Key): Slot {
    if (!isVisible(key, this.subvolume)) return 'free'
    const { wanted } = this
    const { bytes } = key
    if (direntNameEnd(key) - DIRENT_NAME_AT !== wanted.length) return 'other'
    for (let i = 0; i < wanted.length; i++) {
      if (bytes[DIRENT_NAME_AT + i] !== wanted[i]) return 'other'
    }
    return 'found'
  }
}

/** What a name for an inode says, in a subvolume. */
export function nameTarget(inode: Inode, subvolume: number): NameTarget {
  return inode.subvolume === 0
    ? { hi: inode.numberHi, lo: inode.numberLo, type: inode.mode >>> 12 }
    : { hi: subvolume, lo: inode.subvolume, type: DT_SUBVOL }
}

/** The subvolume that a name leads to, 0 if it leads to an inode. */
export function targetSubvolume(entry: Key): number {
  return direntType(entry) === DT_SUBVOL ? entry.words[DIRENT_TARGET_AT] : 0
}

/** Throws VolumeError ENAMETOOLONG; EINVAL for what is no name. */
export function checkName(name: Uint8Array): void {
  if (name.length > LINUX_NAME_BYTES_MAX)
    throw new VolumeError('ENAMETOOLONG', decodeUtf8(name), 'the name is too long')
  const isDots = name[0] === DOT && (name.length === 1 || (name.length === 2 && name[1] === DOT))
  if (name.length > 0 && !isDots && !name.includes(SLASH) && !name.includes(0)) return
  throw new VolumeError('EINVAL', decodeUtf8(name), 'this is no name')
}

function nameOf(key: Key): Uint8Array {
  return key.bytes.subarray(DIRENT_NAME_AT, direntNameEnd(key))
}
