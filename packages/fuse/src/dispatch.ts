/**
 * From a request to its operation: the body is checked and taken apart, and the filesystem's function called with what it says. Lengths are
 * checked before anything is read, names and data end inside the message.
 */

import { AttributeChanges } from './attribute-changes.ts'
import { FuseError } from './errno.ts'
import type { Operations } from './operations.ts'
import {
  AccessIn,
  BatchForgetIn,
  CopyFileRangeIn,
  CreateIn,
  FallocateIn,
  FlushIn,
  ForgetIn,
  ForgetOne,
  FsyncIn,
  GetattrIn,
  GetxattrIn,
  LinkIn,
  LseekIn,
  MkdirIn,
  MknodIn,
  OPCODES_END,
  Opcode,
  OpenIn,
  ReadIn,
  ReleaseIn,
  Rename2In,
  RenameIn,
  SETXATTR_ACL_KILL_SGID,
  SETXATTR_IN_SHORT,
  SetattrIn,
  SetxattrIn,
  StatxIn,
  SyncfsIn,
  WriteIn,
} from './protocol.ts'
import type { Request } from './request.ts'

/** What was agreed on with the kernel, as far as requests depend on it. */
export interface RequestRules {
  /** The most that a READ or WRITE may ask for, in bytes. */
  ioBytesMax: number
  /** Size of what comes before the name in SETXATTR, in bytes. */
  setxattrInBytes: number
}

/** The rules before anything has been agreed on. */
export function firstRules(ioBytesMax: number): RequestRules {
  return { ioBytesMax, setxattrInBytes: SETXATTR_IN_SHORT }
}

/** How the body of an operation is taken apart. */
interface Decoding {
  readonly operation: Exclude<keyof Operations, 'before'>
  /** The least size of the body: a shorter one is answered with EINVAL. */
  readonly bodyMin: number
  readonly call: (operations: Operations, request: Request, rules: RequestRules) => void
}

const decodings: (Decoding | undefined)[] = Array.from<undefined>({ length: OPCODES_END })
/** The least name: a byte and its NUL. */
const NAME_MIN = 2

function define(opcode: number, operation: Decoding['operation'], bodyMin: number, call: Decoding['call']): void {
  decodings[opcode] = { operation, bodyMin, call }
}

/**
 * Decodes the body of `request` and calls its operation. Returns false if there is none. Throws FuseError (EINVAL) for a malformed body, and
 * what the operation throws.
 */
export function callOperation(operations: Operations, request: Request, rules: RequestRules): boolean {
  const { opcode } = request
  const decoding = opcode < OPCODES_END ? decodings[opcode] : undefined
  if (decoding === undefined) return false
  if (request.bodyBytes < decoding.bodyMin) throw new FuseError('EINVAL', 'a body that is too short')
  if (operations[decoding.operation] === undefined) return false
  decoding.call(operations, request, rules)
  return true
}

define(Opcode.lookup, 'lookup', NAME_MIN, (operations, request) =>
  operations.lookup?.(request, request.node, request.name(0)),
)
define(Opcode.getattr, 'getattr', GetattrIn.size, (operations, request) => operations.getattr?.(request, request.node))
define(Opcode.statx, 'statx', StatxIn.size, (operations, request) => operations.statx?.(request, request.node))
const changes = new AttributeChanges()
define(Opcode.setattr, 'setattr', SetattrIn.size, (operations, request) =>
  operations.setattr?.(request, request.node, changes.decode(request)),
)
define(Opcode.readlink, 'readlink', 0, (operations, request) => operations.readlink?.(request, request.node))

define(Opcode.mknod, 'mknod', MknodIn.size + NAME_MIN, (operations, request) => {
  const rdev = request.u32(MknodIn.offsets.rdev)
  operations.mknod?.(
    request,
    request.node,
    request.name(MknodIn.size),
    request.u32(MknodIn.offsets.mode),
    deviceMajor(rdev),
    deviceMinor(rdev),
    request.u32(MknodIn.offsets.umask),
  )
})
define(Opcode.mkdir, 'mkdir', MkdirIn.size + NAME_MIN, (operations, request) => {
  const { mode, umask } = MkdirIn.offsets
  operations.mkdir?.(request, request.node, request.name(MkdirIn.size), request.u32(mode), request.u32(umask))
})
define(Opcode.symlink, 'symlink', 2 * NAME_MIN, (operations, request) => {
  const name = request.name(0)
  operations.symlink?.(request, request.node, name, request.name(name.length + 1))
})
define(Opcode.link, 'link', LinkIn.size + NAME_MIN, (operations, request) =>
  operations.link?.(request, request.u64(0), request.node, request.name(LinkIn.size)),
)
define(Opcode.unlink, 'unlink', NAME_MIN, (operations, request) =>
  operations.unlink?.(request, request.node, request.name(0)),
)
define(Opcode.rmdir, 'rmdir', NAME_MIN, (operations, request) =>
  operations.rmdir?.(request, request.node, request.name(0)),
)
define(Opcode.rename, 'rename', RenameIn.size + 2 * NAME_MIN, (operations, request) =>
  callRename(operations, request, RenameIn.size, 0),
)
define(Opcode.rename2, 'rename', Rename2In.size + 2 * NAME_MIN, (operations, request) =>
  callRename(operations, request, Rename2In.size, request.u32(Rename2In.offsets.flags)),
)
const CREATE = CreateIn.offsets
define(Opcode.create, 'create', CreateIn.size + NAME_MIN, (operations, request) =>
  operations.create?.(
    request,
    request.node,
    request.name(CreateIn.size),
    request.u32(CREATE.flags),
    request.u32(CREATE.mode),
    request.u32(CREATE.umask),
  ),
)
define(Opcode.tmpfile, 'tmpfile', CreateIn.size, (operations, request) =>
  operations.tmpfile?.(
    request,
    request.node,
    request.u32(CREATE.flags),
    request.u32(CREATE.mode),
    request.u32(CREATE.umask),
  ),
)

define(Opcode.open, 'open', OpenIn.size, (operations, request) =>
  operations.open?.(request, request.node, request.u32(0)),
)
const READ = ReadIn.offsets
define(Opcode.read, 'read', ReadIn.size, (operations, request, rules) => {
  const size = sizeOf(request, READ.size, rules)
  const flags = request.u32(READ.flags)
  operations.read?.(request, request.node, request.u64(READ.handle), request.u64(READ.offset), size, flags)
})
const WRITE = WriteIn.offsets
define(Opcode.write, 'write', WriteIn.size, (operations, request, rules) =>
  operations.write?.(
    request,
    request.node,
    request.u64(WRITE.handle),
    request.u64(WRITE.offset),
    request.payload(sizeOf(request, WRITE.size, rules)),
    request.u32(WRITE.writeFlags),
  ),
)
define(Opcode.flush, 'flush', FlushIn.size, (operations, request) =>
  operations.flush?.(request, request.node, request.u64(0)),
)
define(Opcode.release, 'release', ReleaseIn.size, (operations, request) =>
  operations.release?.(request, request.node, request.u64(0), request.u32(ReleaseIn.offsets.flags)),
)
define(Opcode.fsync, 'fsync', FsyncIn.size, (operations, request) =>
  operations.fsync?.(request, request.node, request.u64(0), isDataOnly(request)),
)
const ALLOCATE = FallocateIn.offsets
define(Opcode.fallocate, 'fallocate', FallocateIn.size, (operations, request) =>
  operations.fallocate?.(
    request,
    request.node,
    request.u64(ALLOCATE.handle),
    request.u64(ALLOCATE.offset),
    request.u64(ALLOCATE.length),
    request.u32(ALLOCATE.mode),
  ),
)
for (const opcode of [Opcode.copyFileRange, Opcode.copyFileRange64]) {
  define(opcode, 'copyFileRange', CopyFileRangeIn.size, callCopy)
}
const LSEEK = LseekIn.offsets
define(Opcode.lseek, 'lseek', LseekIn.size, (operations, request) =>
  operations.lseek?.(request, request.node, request.u64(0), request.i64(LSEEK.offset), request.u32(LSEEK.whence)),
)

define(Opcode.opendir, 'opendir', OpenIn.size, (operations, request) =>
  operations.opendir?.(request, request.node, request.u32(0)),
)
define(Opcode.readdir, 'readdir', ReadIn.size, (operations, request, rules) => {
  const size = sizeOf(request, READ.size, rules)
  const { handle, offset } = READ
  operations.readdir?.(request, request.node, request.u64(handle), request.u32(offset + 4), request.u32(offset), size)
})
define(Opcode.readdirplus, 'readdirplus', ReadIn.size, (operations, request, rules) => {
  const size = sizeOf(request, READ.size, rules)
  const { handle, offset } = READ
  operations.readdirplus?.(
    request,
    request.node,
    request.u64(handle),
    request.u32(offset + 4),
    request.u32(offset),
    size,
  )
})
define(Opcode.releasedir, 'releasedir', ReleaseIn.size, (operations, request) =>
  operations.releasedir?.(request, request.node, request.u64(0)),
)
define(Opcode.fsyncdir, 'fsyncdir', FsyncIn.size, (operations, request) =>
  operations.fsyncdir?.(request, request.node, request.u64(0), isDataOnly(request)),
)

define(Opcode.statfs, 'statfs', 0, (operations, request) => operations.statfs?.(request, request.node))
define(Opcode.syncfs, 'syncfs', SyncfsIn.size, (operations, request) => operations.syncfs?.(request, request.node))
define(Opcode.getxattr, 'getxattr', GetxattrIn.size + NAME_MIN, (operations, request) =>
  operations.getxattr?.(request, request.node, request.name(GetxattrIn.size), request.u32(0)),
)
define(Opcode.listxattr, 'listxattr', GetxattrIn.size, (operations, request) =>
  operations.listxattr?.(request, request.node, request.u32(0)),
)
define(Opcode.setxattr, 'setxattr', SETXATTR_IN_SHORT + NAME_MIN, callSetxattr)
define(Opcode.removexattr, 'removexattr', NAME_MIN, (operations, request) =>
  operations.removexattr?.(request, request.node, request.name(0)),
)
define(Opcode.access, 'access', AccessIn.size, (operations, request) =>
  operations.access?.(request, request.node, request.u32(0)),
)
define(Opcode.destroy, 'destroy', 0, (operations, request) => operations.destroy?.(request))

function callRename(operations: Operations, request: Request, namesAt: number, flags: number): void {
  const name = request.name(namesAt)
  const newName = request.name(namesAt + name.length + 1)
  operations.rename?.(request, request.node, name, request.u64(0), newName, flags)
}

function callCopy(operations: Operations, request: Request): void {
  const at = CopyFileRangeIn.offsets
  if (request.u64(at.flags) !== 0) throw new FuseError('EINVAL', 'unknown flags')
  operations.copyFileRange?.(
    request,
    request.node,
    request.u64(at.handle),
    request.u64(at.offset),
    request.u64(at.toNode),
    request.u64(at.toHandle),
    request.u64(at.toOffset),
    request.u64(at.length),
  )
}

function callSetxattr(operations: Operations, request: Request, { setxattrInBytes }: RequestRules): void {
  const { offsets } = SetxattrIn
  const name = request.name(setxattrInBytes)
  const size = request.u32(offsets.size)
  const value = request.bytesFrom(setxattrInBytes + name.length + 1, size)
  if (value.length !== size) throw new FuseError('EINVAL', 'a value that is cut off')
  const isLong = setxattrInBytes === SetxattrIn.size
  const killsSgid = isLong && (request.u32(offsets.setxattrFlags) & SETXATTR_ACL_KILL_SGID) !== 0
  operations.setxattr?.(request, request.node, name, value, request.u32(offsets.flags), killsSgid)
}

function isDataOnly(request: Request): boolean {
  return (request.u32(FsyncIn.offsets.flags) & 1) !== 0
}

function sizeOf(request: Request, at: number, { ioBytesMax }: RequestRules): number {
  const size = request.u32(at)
  if (size > ioBytesMax) throw new FuseError('EINVAL', `${size} bytes at once`)
  return size
}

/** The parts of the 32-bit form of a device number. */
function deviceMajor(rdev: number): number {
  return (rdev >>> 8) & 0xfff
}

function deviceMinor(rdev: number): number {
  return (rdev & 0xff) | ((rdev >>> 12) & 0xfff00)
}

/** Calls `forget` for each record of FORGET and BATCH_FORGET. Records that are not whole are passed over. */
export function callForget(operations: Operations, request: Request): void {
  if (operations.forget === undefined) return
  if (request.opcode === Opcode.forget) {
    if (request.bodyBytes >= ForgetIn.size) operations.forget(request.node, request.u64(0))
    return
  }
  if (request.bodyBytes < BatchForgetIn.size) return
  const whole = Math.floor((request.bodyBytes - BatchForgetIn.size) / ForgetOne.size)
  const count = Math.min(request.u32(0), whole)
  for (let i = 0; i < count; i++) {
    const at = BatchForgetIn.size + i * ForgetOne.size
    operations.forget(request.u64(at), request.u64(at + ForgetOne.offsets.count))
  }
}
