/** New inodes: what is in them, and what they take over from their directory. Format chapter 5, 5.8.1, 5.2.10 and 5.6.2. */

import { hasFeature, KeyError, type Options, type Updates } from '@cowherd/db'
import { parseAcl, storedAcl } from '../acl.ts'
import type { Caller } from '../file-system-writer.ts'
import { Field } from '../inode-fields.ts'
import { FileType, type Inode } from '../inode.ts'
import { XattrType } from '../key-types/xattr.ts'
import { copyOptions } from '../option-attributes.ts'
import { StringHashType } from '../string-hash.ts'
import { inheritedAcl, isPlainAcl, modeOfAcl } from './access-lists.ts'
import type { AttributeTable } from './attribute-table.ts'
import { setField, setTime, type StoredTime } from './inode-changes.ts'
import { InodeNumbers } from './inode-numbers.ts'
import type { View } from './view.ts'

/** What a new file is to be. */
export interface Birth {
  /** With the type. */
  readonly mode: number
  readonly caller: Caller
  /** Of a device node. */
  readonly device?: { readonly major: number; readonly minor: number }
}

export interface NewInodesOptions {
  readonly superblock: {
    readonly features: bigint
    readonly options: Pick<Options, 'strHash' | 'inodes32bit' | 'acl'>
  }
  /** Fills memory with bytes that nobody can guess. */
  readonly random: (bytes: Uint8Array) => void
}

const SET_GROUP_ID = 0o2000
const MODE_MASK = 0o177777
const STR_HASH_SHIFT = 20
const MINOR_BITS = 20
const NO_NAME = new Uint8Array(0)

export class NewInodes {
  private readonly attributes: AttributeTable
  private readonly random: (bytes: Uint8Array) => void
  private readonly numbers: InodeNumbers
  private readonly strHash: number
  private readonly hasAcls: boolean

  constructor({ superblock, random }: NewInodesOptions, attributes: AttributeTable) {
    const { features, options } = superblock
    this.attributes = attributes
    this.random = random
    this.numbers = new InodeNumbers(options.inodes32bit ? 31 : 63)
    this.strHash = strHashType(options.strHash, features)
    this.hasAcls = options.acl
  }

  /**
   * Makes `inode` a new one, without a name so far, in the directory `parent`. It is left to the caller to put it; its access lists are put.
   * Throws VolumeError ENOSPC if there is no number for it.
   */
  make(
    updates: Updates,
    view: View,
    parent: Inode,
    { mode, caller, device }: Birth,
    now: StoredTime,
    inode: Inode,
  ): void {
    inode.fields.fill(0)
    inode.flagsWord = this.strHash << STR_HASH_SHIFT
    inode.versionHi = 0
    inode.versionLo = 0
    inode.snapshot = view.snapshot
    inode.mode = mode & MODE_MASK
    this.random(inode.hashSeed)
    this.numbers.choose(updates, inode)
    for (const field of [Field.atime, Field.mtime, Field.ctime, Field.otime]) setTime(inode, field, now)
    if (device !== undefined && inode.isDevice) {
      setField(inode, Field.dev, ((device.major << MINOR_BITS) | device.minor) >>> 0)
    }
    setField(inode, Field.uid, caller.uid >>> 0)
    const isOfGroup = (parent.mode & SET_GROUP_ID) !== 0
    setField(inode, Field.gid, isOfGroup ? parent.gid : caller.gid >>> 0)
    if (isOfGroup && inode.isDirectory) inode.mode |= SET_GROUP_ID
    copyOptions(inode, parent)
    if (!inode.isSymlink) this.restrict(updates, view, parent, caller, inode)
  }

  /** Takes permissions away: by the directory's default list if it has one, else by the umask. */
  private restrict(updates: Updates, view: View, parent: Inode, { umask }: Caller, inode: Inode): void {
    const { attributes, hasAcls } = this
    const list = hasAcls ? attributes.get(updates, view, parent, XattrType.aclDefault, NO_NAME) : undefined
    if (list === undefined) {
      inode.mode &= ~(umask & 0o777)
      return
    }
    const entries = parseAcl(list)
    if (entries === undefined) throw new KeyError('EIO', `inode ${parent.number}`, 'a malformed default access list')
    const own = inheritedAcl(entries, inode.mode)
    inode.mode = modeOfAcl(own, inode.mode)
    if (!isPlainAcl(own)) attributes.set(updates, view, inode, XattrType.aclAccess, NO_NAME, storedAcl(own))
    if (inode.isDirectory) attributes.set(updates, view, inode, XattrType.aclDefault, NO_NAME, list)
  }
}

/** As `FileType` has it, or undefined if nothing of this type can be made. */
export function nodeType(mode: number): number | undefined {
  const type = mode & FileType.mask
  if (type === 0) return FileType.regular
  return NODE_TYPES.includes(type) ? type : undefined
}

const NODE_TYPES: readonly number[] = [
  ...[FileType.regular, FileType.fifo, FileType.socket, FileType.character, FileType.block],
]

function strHashType(option: Options['strHash'], features: bigint): number {
  if (option !== 'siphash') return StringHashType[option]
  return hasFeature(features, 'new_siphash') ? StringHashType.siphash : StringHashType.siphashOld
}
