/**
 * Makes files in a volume that are to be as others are elsewhere: with these owners, modes, times and extended attributes, whatever the directory would have
 * them take over.
 *
 * The order matters. A file is made with its owner and mode, and with the options that are for its data; then come its data or what is in it;
 * then the other attributes, and with the times, which all of this changes, what is left of the mode.
 */

import { VolumeError } from '@cowherd/db'
import { FileType, NodeRef, type Attribute, type Caller, type Inode, type NewNodeHead } from '@cowherd/fs'
import { utf8 } from '../cli/text.ts'
import { attributeKind, type Losses } from '../copy/unkept.ts'
import type { Place } from './place.ts'
import type { WritableFiles } from './writable-files.ts'

/** What a file is to be. */
export interface FileHead extends NewNodeHead {
  /** By whole names. */
  readonly attributes: readonly Attribute[]
}

/** A directory that files are made in. */
export interface Folder {
  readonly ref: NodeRef
  /** New files take over its group or its default access list, unlike what they are to be. */
  readonly bequeaths: boolean
}

/** A file that was made. */
export interface NewFile {
  readonly ref: NodeRef
  /** It has its mode by now. */
  readonly hasMode: boolean
}

const PERMISSIONS = 0o7777
const SET_GROUP_ID = 0o2000
const OPTIONS = new TextEncoder().encode('bcachefs.')
const ACCESS_LIST = 'system.posix_acl_access'
const DEFAULT_LIST = 'system.posix_acl_default'

export class NewFiles {
  private readonly fs: WritableFiles
  private readonly unkept: Losses
  private readonly inode: Inode

  constructor(fs: WritableFiles, unkept: Losses) {
    this.fs = fs
    this.unkept = unkept
    this.inode = fs.newInode()
  }

  /** A directory that is there already. Throws VolumeError. */
  folder(ref: NodeRef): Folder {
    const { fs, inode } = this
    fs.getattr(ref, inode)
    const hasDefaultList = fs.getAttribute(ref, DEFAULT_LIST) !== undefined
    return { ref, bequeaths: hasDefaultList || (inode.mode & SET_GROUP_ID) !== 0 }
  }

  /** Makes a file of any type but a symbolic link, to be finished. A name that is there is an error. Throws VolumeError. */
  make(folder: Folder, { name, path }: Place, head: FileHead): NewFile {
    const { fs, inode } = this
    const ref = new NodeRef()
    const type = head.mode & FileType.mask
    const caller = callerOf(head)
    // The bit would have files made in the directory take over its group.
    const bits = head.mode & (type === FileType.directory ? PERMISSIONS & ~SET_GROUP_ID : PERMISSIONS)
    if (type === FileType.regular) fs.create(folder.ref, name, bits, caller, ref, inode)
    else if (type === FileType.directory) fs.mkdir(folder.ref, name, bits, caller, ref, inode)
    else fs.mknod(folder.ref, name, type | bits, head, caller, ref, inode)
    if (folder.bequeaths) this.disinherit(ref, head)
    for (const attribute of head.attributes) if (isOption(attribute)) this.setAttribute(ref, path, attribute)
    return { ref, hasMode: !folder.bequeaths && bits === (head.mode & PERMISSIONS) }
  }

  /** Makes a symbolic link, whole. Throws VolumeError. */
  makeLink(folder: Folder, place: Place, head: FileHead, target: Uint8Array): NodeRef {
    const { fs, inode } = this
    const ref = new NodeRef()
    fs.symlink(folder.ref, place.name, target, callerOf(head), ref, inode)
    if (folder.bequeaths && inode.gid !== head.gid) fs.setattr(ref, { uid: head.uid, gid: head.gid }, inode)
    this.finish({ ref, hasMode: true }, place.path, head)
    return ref
  }

  /** Gives a file that was made, and has its data, the rest. `size`: it ends with a hole, there. Throws VolumeError. */
  finish({ ref, hasMode }: NewFile, path: Uint8Array, head: FileHead, size?: number): void {
    let isExact = hasMode
    for (const attribute of head.attributes) {
      if (isOption(attribute)) continue
      if (isAccessList(attribute)) isExact = false
      this.setAttribute(ref, path, attribute)
    }
    const { atime, mtime, mode } = head
    this.fs.setattr(
      ref,
      { atime, mtime, ...(isExact ? {} : { mode: mode & PERMISSIONS }), ...(size === undefined ? {} : { size }) },
      this.inode,
    )
  }

  /** Makes a directory that was there before as `head` says. Throws VolumeError. */
  adopt(ref: NodeRef, path: Uint8Array, head: FileHead): void {
    const { uid, gid, mode } = head
    this.fs.setattr(ref, { uid, gid, mode: mode & PERMISSIONS }, this.inode)
    for (const attribute of head.attributes) if (isOption(attribute)) this.setAttribute(ref, path, attribute)
    this.finish({ ref, hasMode: false }, path, head)
  }

  /** Takes away what a file took over from its directory. */
  private disinherit(ref: NodeRef, { uid, gid, mode }: FileHead): void {
    const { fs, inode } = this
    for (const list of inode.isDirectory ? [ACCESS_LIST, DEFAULT_LIST] : [ACCESS_LIST]) {
      if (fs.getAttribute(ref, list) !== undefined) fs.removeAttribute(ref, list)
    }
    fs.setattr(ref, { uid, gid, mode: mode & PERMISSIONS & (inode.isDirectory ? ~SET_GROUP_ID : PERMISSIONS) }, inode)
  }

  private setAttribute(ref: NodeRef, path: Uint8Array, { name, value }: Attribute): void {
    try {
      this.fs.setAttribute(ref, name, value)
    } catch (error) {
      const reason = error instanceof VolumeError ? REFUSALS[error.code] : undefined
      if (reason === undefined) throw error
      this.unkept.add(attributeKind(utf8(name) ?? 'extended attributes'), path, reason)
    }
  }
}

/** Why an attribute is not kept, by the code of the error. */
export const REFUSALS: Readonly<Record<string, string>> = {
  EOPNOTSUPP: 'the volume keeps none of such names',
  EINVAL: 'the volume does not take them',
  EACCES: 'the volume does not take them',
  ERANGE: 'too large for the volume',
}

function callerOf({ uid, gid }: FileHead): Caller {
  return { uid, gid, umask: 0 }
}

/** Whether it is an option for the file's data, which bcachefs shows as an attribute. */
export function isOption({ name }: Attribute): boolean {
  return name.length > OPTIONS.length && OPTIONS.every((byte, i) => name[i] === byte)
}

function isAccessList({ name }: Attribute): boolean {
  return name.length === ACCESS_LIST.length && utf8(name) === ACCESS_LIST
}
