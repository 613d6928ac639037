/**
 * The low-level interface: what a filesystem does, one function for each operation of the protocol. What is left out is answered with
 * ENOSYS, and the kernel does without it (it may ask once, and never again).
 *
 * A function gets the request, to be answered once by one of its methods: at once, or later from any thread (`request.defer()`). It
 * may throw instead: FuseError, or what the session's `errnoOf` knows. Nodes, handles and offsets are numbers below 2^53.
 *
 * What a function is given (names, the request itself) is used again for the next request.
 */

import { FuseError } from './errno.ts'
import {
  AccessIn,
  BatchForgetIn,
  FlushIn,
  ForgetIn,
  ForgetOne,
  FsyncIn,
  GetattrIn,
  GetxattrIn,
  LseekIn,
  OPCODES_END,
  Opcode,
  OpenIn,
  ReadIn,
  ReleaseIn,
  StatxIn,
} from './protocol.ts'
import type { Request } from './request.ts'

export interface Operations {
  /** Finds a name. Answer: `entry`; one with node 0 lets the kernel remember that there is no such name, or ENOENT. */
  lookup?(request: Request, parent: number, name: Uint8Array): void
  /** The kernel gives `count` lookups of a node back: at zero it will not name the node again. No answer. Must be quick. */
  forget?(node: number, count: number): void
  /** Answer: `attributes`. */
  getattr?(request: Request, node: number): void
  /** The same with the birth time. Answer: `statx`. */
  statx?(request: Request, node: number): void
  /** Answer: `copy`, without a NUL. */
  readlink?(request: Request, node: number): void
  /** Answer: `opened`. Left out: no OPEN, RELEASE or FLUSH are sent at all, handles are 0, and pages stay cached. `flags`: as open(2). */
  open?(request: Request, node: number, flags: number): void
  /** Answer: `sendData`, with less than `size` only at the end of the file. */
  read?(request: Request, node: number, handle: number, offset: number, size: number): void
  /** At each close(2). Answer: `ok`; an error is close's. */
  flush?(request: Request, node: number, handle: number): void
  /** The last descriptor is closed. Answer: `ok`. */
  release?(request: Request, node: number, handle: number, flags: number): void
  /** Answer: `ok`. */
  fsync?(request: Request, node: number, handle: number, dataOnly: boolean): void
  /** Answer: `opened`. Left out: no OPENDIR or RELEASEDIR are sent, handles are 0, and listings stay cached. */
  opendir?(request: Request, node: number, flags: number): void
  /** Answer: `beginNames(size)`, `addName` ..., `sendNames`. `offset` is 0, or the `next` of some name. */
  readdir?(request: Request, node: number, handle: number, offsetHi: number, offsetLo: number, size: number): void
  /** The same with `addEntry`. */
  readdirplus?(request: Request, node: number, handle: number, offsetHi: number, offsetLo: number, size: number): void
  /** Answer: `ok`. */
  releasedir?(request: Request, node: number, handle: number): void
  /** Answer: `room`. */
  statfs?(request: Request, node: number): void
  /** Answer: `xattr`, or ENODATA. */
  getxattr?(request: Request, node: number, name: Uint8Array, size: number): void
  /** Answer: `xattr`. */
  listxattr?(request: Request, node: number, size: number): void
  /** May the caller do so? Not sent with the mount option default_permissions. `mask`: as access(2). Answer: `ok`, or EACCES. */
  access?(request: Request, node: number, mask: number): void
  /** `whence`: SEEK_DATA (3) or SEEK_HOLE (4). Answer: `offset`, or ENXIO. */
  lseek?(request: Request, node: number, handle: number, offset: number, whence: number): void
  /** The caller of an open request got a signal. The request is still to be answered, with EINTR or its result. No answer to this. */
  interrupt?(uniqueHi: number, uniqueLo: number): void
  /** Data that `Notifier.retrieve` asked for. No answer. */
  retrieved?(unique: number, node: number, offset: number, data: Uint8Array): void
  /** Somebody rang the session's doorbell. */
  doorbell?(): void
  /** The filesystem is being unmounted. Sent on fuseblk mounts only. Answer: `ok`. */
  destroy?(request: Request): void
}

/** The least size of each operation's body: a shorter request is answered with EINVAL. */
const bodyMin = new Uint16Array(OPCODES_END)
for (const [opcode, size] of [
  [Opcode.lookup, 2],
  [Opcode.forget, ForgetIn.size],
  [Opcode.batchForget, BatchForgetIn.size],
  [Opcode.getattr, GetattrIn.size],
  [Opcode.statx, StatxIn.size],
  [Opcode.open, OpenIn.size],
  [Opcode.opendir, OpenIn.size],
  [Opcode.read, ReadIn.size],
  [Opcode.readdir, ReadIn.size],
  [Opcode.readdirplus, ReadIn.size],
  [Opcode.release, ReleaseIn.size],
  [Opcode.releasedir, ReleaseIn.size],
  [Opcode.flush, FlushIn.size],
  [Opcode.fsync, FsyncIn.size],
  [Opcode.getxattr, GetxattrIn.size + 2],
  [Opcode.listxattr, GetxattrIn.size],
  [Opcode.access, AccessIn.size],
  [Opcode.lseek, LseekIn.size],
] as const) {
  bodyMin[opcode] = size
}

const READ = ReadIn.offsets
const LSEEK = LseekIn.offsets
const XATTR_NAME_AT = GetxattrIn.size

/**
 * Decodes the body of `request` and calls its operation. Returns false if there is none. `readMax` bounds what a READ may ask for. Throws
 * FuseError (EINVAL) for a malformed body, and what the operation throws.
 */
export function callOperation(operations: Operations, request: Request, readMax: number): boolean {
  const { opcode, node } = request
  if (opcode < OPCODES_END && request.bodyBytes < bodyMin[opcode])
    throw new FuseError('EINVAL', 'a body that is too short')
  switch (opcode) {
    case Opcode.lookup:
      if (operations.lookup === undefined) return false
      operations.lookup(request, node, request.name(0))
      return true
    case Opcode.getattr:
      if (operations.getattr === undefined) return false
      operations.getattr(request, node)
      return true
    case Opcode.read:
      if (operations.read === undefined) return false
      operations.read(request, node, request.u64(READ.handle), request.u64(READ.offset), sizeOf(request, readMax))
      return true
    case Opcode.readdir:
      if (operations.readdir === undefined) return false
      operations.readdir(
        request,
        node,
        request.u64(READ.handle),
        request.u32(READ.offset + 4),
        request.u32(READ.offset),
        sizeOf(request, readMax),
      )
      return true
    case Opcode.readdirplus:
      if (operations.readdirplus === undefined) return false
      operations.readdirplus(
        request,
        node,
        request.u64(READ.handle),
        request.u32(READ.offset + 4),
        request.u32(READ.offset),
        sizeOf(request, readMax),
      )
      return true
    case Opcode.statx:
      if (operations.statx === undefined) return false
      operations.statx(request, node)
      return true
    case Opcode.readlink:
      if (operations.readlink === undefined) return false
      operations.readlink(request, node)
      return true
    case Opcode.open:
      if (operations.open === undefined) return false
      operations.open(request, node, request.u32(0))
      return true
    case Opcode.opendir:
      if (operations.opendir === undefined) return false
      operations.opendir(request, node, request.u32(0))
      return true
    case Opcode.release:
      if (operations.release === undefined) return false
      operations.release(request, node, request.u64(0), request.u32(ReleaseIn.offsets.flags))
      return true
    case Opcode.releasedir:
      if (operations.releasedir === undefined) return false
      operations.releasedir(request, node, request.u64(0))
      return true
    case Opcode.flush:
      if (operations.flush === undefined) return false
      operations.flush(request, node, request.u64(0))
      return true
    case Opcode.fsync:
      if (operations.fsync === undefined) return false
      operations.fsync(request, node, request.u64(0), (request.u32(FsyncIn.offsets.flags) & 1) !== 0)
      return true
    case Opcode.statfs:
      if (operations.statfs === undefined) return false
      operations.statfs(request, node)
      return true
    case Opcode.getxattr:
      if (operations.getxattr === undefined) return false
      operations.getxattr(request, node, request.name(XATTR_NAME_AT), request.u32(0))
      return true
    case Opcode.listxattr:
      if (operations.listxattr === undefined) return false
      operations.listxattr(request, node, request.u32(0))
      return true
    case Opcode.access:
      if (operations.access === undefined) return false
      operations.access(request, node, request.u32(0))
      return true
    case Opcode.lseek:
      if (operations.lseek === undefined) return false
      operations.lseek(request, node, request.u64(0), request.i64(LSEEK.offset), request.u32(LSEEK.whence))
      return true
    case Opcode.destroy:
      if (operations.destroy === undefined) return false
      operations.destroy(request)
      return true
    default:
      return false
  }
}

/** Calls `forget` for each record of FORGET and BATCH_FORGET. Records that are not whole are passed over. */
export function callForget(operations: Operations, request: Request): void {
  if (operations.forget === undefined || request.bodyBytes < bodyMin[request.opcode]) return
  if (request.opcode === Opcode.forget) {
    operations.forget(request.node, request.u64(0))
    return
  }
  const whole = Math.floor((request.bodyBytes - BatchForgetIn.size) / ForgetOne.size)
  const count = Math.min(request.u32(0), whole)
  for (let i = 0; i < count; i++) {
    const at = BatchForgetIn.size + i * ForgetOne.size
    operations.forget(request.u64(at), request.u64(at + ForgetOne.offsets.count))
  }
}

function sizeOf(request: Request, readMax: number): number {
  const size = request.u32(READ.size)
  if (size > readMax) throw new FuseError('EINVAL', `${size} bytes asked for at once`)
  return size
}
