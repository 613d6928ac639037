/**
 * Directories: finding a name, and listing names. Format chapter 5, 5.4.5 and 5.5.
 */

import { setBpos } from '@cowherd/db'
import type { Bpos, Key, KeyCursor } from '@cowherd/db'
import type { Inode } from './inode.ts'
import {
  DIRENT,
  DIRENT_NAME_AT,
  DIRENT_TARGET_AT,
  DT_DIR,
  DT_SUBVOL,
  direntNameEnd,
  direntType,
} from './key-types/dirent.ts'
import { NodeRef } from './node-ref.ts'
import { probe } from './probe.ts'
import type { Slot } from './probe.ts'
import type { StringHash } from './string-hash.ts'
import type { Subvolumes } from './subvolumes.ts'

/** Offset of the first stored name; 0 is `.` and 1 is `..`. */
export const FIRST_NAME = 2

export class Directories {
  private readonly subvolumes: Subvolumes
  private readonly hash: StringHash
  private wanted: Uint8Array = new Uint8Array(0)
  private subvolume = 0
  private readonly slotOf = (key: Key): Slot => this.examine(key)

  constructor(subvolumes: Subvolumes, hash: StringHash) {
    this.subvolumes = subvolumes
    this.hash = hash
  }

  /** Finds `name` in the directory `inode` of `subvolume` and sets `target` to what it leads to. False if there is no such name. */
  lookup(subvolume: number, inode: Inode, name: Uint8Array, target: NodeRef): boolean {
    const view = this.subvolumes.view(subvolume)
    this.hash.name(inode, name)
    this.wanted = name
    this.subvolume = subvolume
    const { hi, lo } = this.hash
    if (!probe(view.dirents, inode.numberHi, inode.numberLo, hi, lo, this.slotOf)) return false
    const { key } = view.dirents
    const low = key.words[DIRENT_TARGET_AT]
    if (direntType(key) === DT_SUBVOL) target.copy(this.subvolumes.view(low).root)
    else target.set(subvolume, key.words[DIRENT_TARGET_AT + 1], low)
    return true
  }

  private examine(key: Key): Slot {
    if (key.type !== DIRENT || !isVisible(key, this.subvolume)) return 'free'
    const { wanted } = this
    const { bytes } = key
    if (direntNameEnd(key) - DIRENT_NAME_AT !== wanted.length) return 'other'
    for (let i = 0; i < wanted.length; i++) {
      if (bytes[DIRENT_NAME_AT + i] !== wanted[i]) return 'other'
    }
    return 'found'
  }
}

/**
 * A walk over the names of one directory, in the order of their offsets. The entry it stands on is in its fields.
 *
 *     for (let found = directory.seek(0, FIRST_NAME); found; found = directory.next()) use(directory.name)
 *
 * Offsets are those of Linux: 0 is `.`, 1 is `..`, and continuing at `nextOffset` gives the next name, whatever was read meanwhile.
 */
export class DirectoryReader {
  /** Offset of the entry, and of where the next one may be. */
  offsetHi = 0
  offsetLo = 0
  nextOffsetHi = 0
  nextOffsetLo = 0
  /** File type bits of the entry's mode, shifted down by 12: 4 is a directory, a subvolume too. */
  type = 0
  /** What the name leads to. The inode number is 0 if that is a subvolume which is missing. */
  readonly target = new NodeRef()

  private readonly directory: Readonly<NodeRef>
  private readonly parent: Readonly<NodeRef>
  private readonly subvolumes: Subvolumes
  private readonly cursor: KeyCursor
  private readonly pos: Bpos = new Uint32Array(5)
  private dots: Uint8Array | undefined

  /** `parent` is what `..` leads to; `cursor` is the reader's own, over the dirents that the subvolume sees. */
  constructor(directory: Readonly<NodeRef>, parent: Readonly<NodeRef>, subvolumes: Subvolumes, cursor: KeyCursor) {
    this.directory = directory
    this.parent = parent
    this.subvolumes = subvolumes
    this.cursor = cursor
  }

  /** The entry's name: a view, valid until the reader moves. */
  get name(): Uint8Array {
    const { key } = this.cursor
    return this.dots ?? key.bytes.subarray(DIRENT_NAME_AT, direntNameEnd(key))
  }

  /** Goes to the first entry at or behind an offset. False if there is none. */
  seek(offsetHi: number, offsetLo: number): boolean {
    if (offsetHi === 0 && offsetLo < FIRST_NAME) return this.takeDots(offsetLo)
    setBpos(this.pos, this.directory.inodeHi, this.directory.inodeLo, offsetHi, offsetLo, 0)
    return this.settle(this.cursor.seek(this.pos))
  }

  /** Goes to the next entry. False at the end. */
  next(): boolean {
    return this.dots === undefined ? this.settle(this.cursor.next()) : this.seek(0, this.nextOffsetLo)
  }

  /** Passes over tombstones, and over names of subvolumes that are seen in other subvolumes only. */
  private settle(found: boolean): boolean {
    const { cursor, directory } = this
    const { key } = cursor
    this.dots = undefined
    while (found && key.inodeLo === directory.inodeLo && key.inodeHi === directory.inodeHi) {
      if (key.type === DIRENT && isVisible(key, directory.subvolume)) {
        this.takeEntry(key)
        return true
      }
      found = cursor.next()
    }
    return false
  }

  private takeEntry(key: Key): void {
    this.offsetHi = key.offsetHi
    this.offsetLo = key.offsetLo
    this.nextOffsetLo = (key.offsetLo + 1) >>> 0
    this.nextOffsetHi = this.nextOffsetLo === 0 ? (key.offsetHi + 1) >>> 0 : key.offsetHi
    const low = key.words[DIRENT_TARGET_AT]
    const type = direntType(key)
    if (type === DT_SUBVOL) {
      this.type = DT_DIR
      const root = this.subvolumes.find(low)?.root
      this.target.set(low, root?.inodeHi ?? 0, root?.inodeLo ?? 0)
    } else {
      this.type = type
      this.target.set(this.directory.subvolume, key.words[DIRENT_TARGET_AT + 1], low)
    }
  }

  private takeDots(offset: number): boolean {
    this.dots = offset === 0 ? DOT : DOT_DOT
    this.offsetHi = 0
    this.offsetLo = offset
    this.nextOffsetHi = 0
    this.nextOffsetLo = offset + 1
    this.type = DT_DIR
    this.target.copy(offset === 0 ? this.directory : this.parent)
    return true
  }
}

const DOT = Uint8Array.of(0x2e)
const DOT_DOT = Uint8Array.of(0x2e, 0x2e)

/** The name of a subvolume belongs to one subvolume only: snapshots of that one don't see it. `key` is a dirent. */
export function isVisible(key: Key, subvolume: number): boolean {
  return direntType(key) !== DT_SUBVOL || key.words[DIRENT_TARGET_AT + 1] === subvolume
}
