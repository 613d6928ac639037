/**
 * The low-level interface: what a filesystem does, one function for each operation of the protocol. What is left out is answered with
 * ENOSYS, and the kernel does without it (it may ask once, and never again).
 *
 * A function gets the request, to be answered once by one of its methods: at once, or later from any thread (`request.defer()`). It
 * may throw instead: FuseError, or what the session's `errnoOf` knows. Nodes, handles and offsets are numbers below 2^53.
 *
 * What a function is given (names, data, the request itself) is used again for the next request: who answers later keeps a copy.
 */

import type { AttributeChanges } from './attribute-changes.ts'
import type { Request } from './request.ts'

export interface Operations {
  /** Comes before each operation, FORGET too: what was put off, to be done with more of its kind, can be done now. */
  before?(opcode: number): void
  /** Finds a name. Answer: `entry`; one with node 0 lets the kernel remember that there is no such name, or ENOENT. */
  lookup?(request: Request, parent: number, name: Uint8Array): void
  /** The kernel gives `count` lookups of a node back: at zero it will not name the node again. No answer. Must be quick. */
  forget?(node: number, count: number): void
  /** Answer: `attributes`. */
  getattr?(request: Request, node: number): void
  /** The same with the birth time. Answer: `statx`. */
  statx?(request: Request, node: number): void
  /** Changes attributes, all that are asked for or none. Answer: `attributes`, as they are then. */
  setattr?(request: Request, node: number, changes: Readonly<AttributeChanges>): void
  /** Answer: `copy`, without a NUL. */
  readlink?(request: Request, node: number): void

  /**
   * Makes a fifo, a socket, a device node, or a regular file if there is no `create`. `mode` has the type. The kernel has taken the bits of
   * `umask` from the mode already, unless the feature `dontMask` was agreed on. Answer, here and below: `entry`, which counts as a lookup.
   */
  mknod?(
    request: Request,
    parent: number,
    name: Uint8Array,
    mode: number,
    major: number,
    minor: number,
    umask: number,
  ): void
  mkdir?(request: Request, parent: number, name: Uint8Array, mode: number, umask: number): void
  symlink?(request: Request, parent: number, name: Uint8Array, target: Uint8Array): void
  /** Gives a file one more name. */
  link?(request: Request, node: number, parent: number, name: Uint8Array): void
  /** Answer, here and below: `ok`. A file whose last name goes lives on until the kernel forgets its node. */
  unlink?(request: Request, parent: number, name: Uint8Array): void
  rmdir?(request: Request, parent: number, name: Uint8Array): void
  /** `flags`: `RenameFlag`; without any, a file that has the new name makes way. */
  rename?(
    request: Request,
    parent: number,
    name: Uint8Array,
    newParent: number,
    newName: Uint8Array,
    flags: number,
  ): void
  /** Makes and opens a regular file; `flags`: as open(2). Left out: MKNOD and OPEN are sent. Answer: `created`. */
  create?(request: Request, parent: number, name: Uint8Array, flags: number, mode: number, umask: number): void
  /** Makes and opens a regular file without a name. Answer: `created`. */
  tmpfile?(request: Request, parent: number, flags: number, mode: number, umask: number): void

  /** Answer: `opened`. Left out: no OPEN, RELEASE or FLUSH are sent at all, handles are 0, and pages stay cached. `flags`: as open(2). */
  open?(request: Request, node: number, flags: number): void
  /** `flags`: those of the open file. Answer: `sendData`, with less than `size` only at the end of the file. */
  read?(request: Request, node: number, handle: number, offset: number, size: number, flags: number): void
  /** `data` lies where it was read. `writeFlags`: `WriteFlag`. Answer: `written`, with less than all only if the rest can't be written. */
  write?(request: Request, node: number, handle: number, offset: number, data: Uint8Array, writeFlags: number): void
  /** At each close(2). Answer: `ok`; an error is close's. */
  flush?(request: Request, node: number, handle: number): void
  /** The last descriptor is closed. Answer: `ok`. */
  release?(request: Request, node: number, handle: number, flags: number): void
  /** Brings a file to stable storage. Left out: fsync(2) succeeds. Answer: `ok`. */
  fsync?(request: Request, node: number, handle: number, dataOnly: boolean): void
  /** `mode`: as fallocate(2), `AllocateFlag`. Answer: `ok`. */
  fallocate?(request: Request, node: number, handle: number, offset: number, length: number, mode: number): void
  /** Copies a range of a file into another. Left out: the caller copies by itself. Answer: `copied`, with as many bytes as it likes. */
  copyFileRange?(
    request: Request,
    node: number,
    handle: number,
    offset: number,
    toNode: number,
    toHandle: number,
    toOffset: number,
    length: number,
  ): void
  /** `whence`: SEEK_DATA (3) or SEEK_HOLE (4). Answer: `offset`, or ENXIO. */
  lseek?(request: Request, node: number, handle: number, offset: number, whence: number): void

  /** Answer: `opened`. Left out: no OPENDIR or RELEASEDIR are sent, handles are 0, and listings stay cached. */
  opendir?(request: Request, node: number, flags: number): void
  /** Answer: `beginNames(size)`, `addName` ..., `sendNames`. `offset` is 0, or the `next` of some name. */
  readdir?(request: Request, node: number, handle: number, offsetHi: number, offsetLo: number, size: number): void
  /** The same with `addEntry`. */
  readdirplus?(request: Request, node: number, handle: number, offsetHi: number, offsetLo: number, size: number): void
  /** Answer: `ok`. */
  releasedir?(request: Request, node: number, handle: number): void
  /** As `fsync`, for a directory. */
  fsyncdir?(request: Request, node: number, handle: number, dataOnly: boolean): void

  /** Answer: `room`. */
  statfs?(request: Request, node: number): void
  /** Brings everything to stable storage. Sent on fuseblk mounts only. Answer: `ok`. */
  syncfs?(request: Request, node: number): void
  /** Answer: `xattr`, or ENODATA. */
  getxattr?(request: Request, node: number, name: Uint8Array, size: number): void
  /** Answer: `xattr`. */
  listxattr?(request: Request, node: number, size: number): void
  /**
   * `flags`: `XattrFlag`. `killsSgid`: the value is an access control list, set by somebody without the right to keep set-group-id (told only
   * if `setxattrExt` was agreed on). Answer: `ok`.
   */
  setxattr?(
    request: Request,
    node: number,
    name: Uint8Array,
    value: Uint8Array,
    flags: number,
    killsSgid: boolean,
  ): void
  /** Answer: `ok`, or ENODATA. */
  removexattr?(request: Request, node: number, name: Uint8Array): void
  /** May the caller do so? Not sent with the mount option default_permissions. `mask`: as access(2). Answer: `ok`, or EACCES. */
  access?(request: Request, node: number, mask: number): void

  /** The caller of an open request got a signal. The request is still to be answered, with EINTR or its result. No answer to this. */
  interrupt?(uniqueHi: number, uniqueLo: number): void
  /** Data that `Notifier.retrieve` asked for. No answer. */
  retrieved?(unique: number, node: number, offset: number, data: Uint8Array): void
  /** Somebody rang the session's doorbell. */
  doorbell?(): void
  /** The filesystem is being unmounted; the caller of umount(2) waits for it. Sent on fuseblk mounts only. Answer: `ok`. */
  destroy?(request: Request): void
}
