/**
 * What can be done to the files of a volume that is open for writing. `WritableFileSystem` does it; frontends rely on this. Format chapter 5,
 * 5.8, and chapter 6.
 *
 * Every call is one transaction, whole or not at all after a crash, except for those that take long (large writes, deleting large files),
 * which are several, each of which leaves everything in order. Nothing is on stable storage before `sync` returns. Permissions are
 * the frontend's business; what is checked is what would damage the tree: names, types, loops, links.
 */

import type { Attribute } from './attributes.ts'
import type { Inode } from './inode.ts'
import type { NodeRef } from './node-ref.ts'

/** Who makes a file. */
export interface Caller {
  readonly uid: number
  readonly gid: number
  /** Bits that are taken from the mode of a new file, unless its directory has a default ACL. */
  readonly umask: number
}

export interface Time {
  /** Since 1970; may be negative. */
  readonly seconds: number
  readonly nanoseconds: number
}

/** Left out: stays as it is. */
export interface AttributeChanges {
  /** Permission bits: type bits are ignored. */
  readonly mode?: number
  readonly uid?: number
  readonly gid?: number
  /** Cuts or lengthens a regular file, in bytes. */
  readonly size?: number
  readonly atime?: Time | 'now'
  readonly mtime?: Time | 'now'
  readonly ctime?: Time
  /** Takes set-user-id and set-group-id away, as a write by somebody else than root does. */
  readonly killPrivileges?: boolean
}

/** A regular file with all that is in it. */
export interface WholeFile {
  readonly name: Uint8Array | string
  /** Permission bits; no umask takes any away. */
  readonly mode: number
  readonly uid: number
  readonly gid: number
  readonly atime: Time
  readonly mtime: Time
  /** By whole names; options of bcachefs are not among them. */
  readonly attributes: readonly Attribute[]
  readonly data: Uint8Array
}

export interface RenameOptions {
  /** EEXIST if the new name is there. */
  readonly noReplace?: boolean
  /** Both names are there, and change places. */
  readonly exchange?: boolean
}

/** As fallocate(2). */
export type AllocateMode = 'allocate' | 'allocate-keep-size' | 'punch-hole' | 'zero-range' | 'zero-range-keep-size'

export interface FileSystemWriter {
  /**
   * Makes a regular file; `target` and `inode` are filled with what it is. Throws VolumeError EEXIST, ENOTDIR, ENOENT (the directory is
   * being deleted), ENAMETOOLONG, ENOSPC, EROFS, EMLINK; so do the next ones.
   */
  create(
    directory: Readonly<NodeRef>,
    name: Uint8Array | string,
    mode: number,
    caller: Caller,
    target: NodeRef,
    inode: Inode,
  ): void
  /**
   * Makes files in a directory, each with its attributes and its data, in one transaction: for many small files. Each of `targets` is filled with
   * what a file is. What they take over from the directory is as with `create`. Throws too what `setAttribute` does; none of them is there then.
   */
  createWhole(directory: Readonly<NodeRef>, files: readonly WholeFile[], targets: readonly NodeRef[]): void
  mkdir(
    directory: Readonly<NodeRef>,
    name: Uint8Array | string,
    mode: number,
    caller: Caller,
    target: NodeRef,
    inode: Inode,
  ): void
  /** `mode` has the type: fifo, socket, character or block device, or a regular file. */
  mknod(
    directory: Readonly<NodeRef>,
    name: Uint8Array | string,
    mode: number,
    device: { readonly major: number; readonly minor: number },
    caller: Caller,
    target: NodeRef,
    inode: Inode,
  ): void
  symlink(
    directory: Readonly<NodeRef>,
    name: Uint8Array | string,
    linkTarget: Uint8Array,
    caller: Caller,
    target: NodeRef,
    inode: Inode,
  ): void
  /** A regular file without a name, which is deleted when it is forgotten unless `link` has given it one. */
  tmpfile(directory: Readonly<NodeRef>, mode: number, caller: Caller, target: NodeRef, inode: Inode): void
  /** Gives a file another name. Throws EPERM for directories, EXDEV across subvolumes, EEXIST, EMLINK. */
  link(ref: Readonly<NodeRef>, directory: Readonly<NodeRef>, name: Uint8Array | string, inode: Inode): void
  /** Throws ENOENT, EISDIR. A file whose last name goes is deleted when `forget` says that nobody uses it, at once if nobody does. */
  unlink(directory: Readonly<NodeRef>, name: Uint8Array | string): void
  /** Throws ENOENT, ENOTDIR, ENOTEMPTY, EBUSY (the root; a subvolume's root). */
  rmdir(directory: Readonly<NodeRef>, name: Uint8Array | string): void
  /** rename(2). Throws ENOENT, EEXIST, EISDIR, ENOTDIR, ENOTEMPTY, EINVAL (into itself), EXDEV. */
  rename(
    directory: Readonly<NodeRef>,
    name: Uint8Array | string,
    newDirectory: Readonly<NodeRef>,
    newName: Uint8Array | string,
    options?: RenameOptions,
  ): void
  /** Changes attributes, and fills `inode` with what they are then. Throws EINVAL, EISDIR (size of a directory), EFBIG, ENOSPC. */
  setattr(ref: Readonly<NodeRef>, changes: AttributeChanges, inode: Inode): void
  /** setxattr(2). Throws EEXIST ('create'), ENODATA ('replace'), ERANGE, EOPNOTSUPP (no such name space), ENOSPC, EINVAL (a malformed ACL). */
  setAttribute(ref: Readonly<NodeRef>, name: Uint8Array | string, value: Uint8Array, mode?: 'create' | 'replace'): void
  /** Throws ENODATA. */
  removeAttribute(ref: Readonly<NodeRef>, name: Uint8Array | string): void

  /**
   * Writes all of `data` at byte `offset` of a regular file; the file grows as needed. `kept`: it was written earlier, and whoever kept it sets the
   * file's times, and calls `settle` before it looks at the file. Throws ENOSPC, EFBIG, EIO with nothing of it written.
   */
  write(ref: Readonly<NodeRef>, offset: number, data: Uint8Array, times?: 'now' | 'kept'): void
  /**
   * Single blocks that were `kept` are put together with those that follow: they take effect now, as by any other call that changes something. Throws EIO,
   * EROFS; then they are lost.
   */
  settle(): void
  allocate(ref: Readonly<NodeRef>, offset: number, length: number, mode: AllocateMode): void
  /** Copies bytes within the volume; returns how many, fewer at the end of the source. */
  copyRange(
    from: Readonly<NodeRef>,
    fromOffset: number,
    to: Readonly<NodeRef>,
    toOffset: number,
    length: number,
  ): number

  /** Somebody uses a file: it stays although its last name goes. Counted. */
  hold(ref: Readonly<NodeRef>): void
  /** So many who used it don't any more. */
  forget(ref: Readonly<NodeRef>, count?: number): void
  /** Brings everything to stable storage. Throws EIO, ENOSPC. */
  sync(): void
  /** Deletes what has no name any more, shuts the volume down and closes its devices. */
  close(): void
}
