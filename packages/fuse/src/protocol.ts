/**
 * The FUSE kernel protocol, version 7.45: operations, flags and structures, in protocol order. Integers are in the host's byte
 * order, which is little-endian on every machine this runs on.
 *
 * Structures are described for their sizes and offsets: requests are read, and replies written, word by word in memory that is
 * used again (request.ts, reply.ts). Source: linux/fuse.h of Linux, libfuse's documentation.
 */

import { array, i64, pad, struct, u16, u32, u64 } from '@cowherd/kernel-lib'

export const PROTOCOL_MAJOR = 7
export const PROTOCOL_MINOR = 45

/** Node of the root directory: the kernel knows it from the mount on and never forgets it. */
export const ROOT_NODE = 1

/** Operations of the kernel, by their numbers. */
export const Opcode = {
  lookup: 1,
  forget: 2,
  getattr: 3,
  setattr: 4,
  readlink: 5,
  symlink: 6,
  mknod: 8,
  mkdir: 9,
  unlink: 10,
  rmdir: 11,
  rename: 12,
  link: 13,
  open: 14,
  read: 15,
  write: 16,
  statfs: 17,
  release: 18,
  fsync: 20,
  setxattr: 21,
  getxattr: 22,
  listxattr: 23,
  removexattr: 24,
  flush: 25,
  init: 26,
  opendir: 27,
  readdir: 28,
  releasedir: 29,
  fsyncdir: 30,
  getlk: 31,
  setlk: 32,
  setlkw: 33,
  access: 34,
  create: 35,
  interrupt: 36,
  bmap: 37,
  destroy: 38,
  ioctl: 39,
  poll: 40,
  notifyReply: 41,
  batchForget: 42,
  fallocate: 43,
  readdirplus: 44,
  rename2: 45,
  lseek: 46,
  copyFileRange: 47,
  setupmapping: 48,
  removemapping: 49,
  syncfs: 50,
  tmpfile: 51,
  statx: 52,
  copyFileRange64: 53,
} as const

/** Operations are numbered below this. */
export const OPCODES_END = 64

const opcodeNames = new Map<number, string>(Object.entries(Opcode).map(([name, opcode]) => [opcode, name]))

/** The name of an operation, `operation 99` for one that isn't known. */
export function opcodeName(opcode: number): string {
  return opcodeNames.get(opcode) ?? `operation ${opcode}`
}

/** Notifications of the filesystem to the kernel, by their numbers. */
export const NotifyCode = {
  poll: 1,
  invalidateInode: 2,
  invalidateEntry: 3,
  store: 4,
  retrieve: 5,
  delete: 6,
  resend: 7,
  incrementEpoch: 8,
  prune: 9,
} as const

/** What can be negotiated, as bit numbers: the lower 32 are `flags`, the others `flags2`. */
export const Feature = {
  asyncRead: 0,
  posixLocks: 1,
  atomicOTrunc: 3,
  exportSupport: 4,
  bigWrites: 5,
  dontMask: 6,
  spliceWrite: 7,
  spliceMove: 8,
  spliceRead: 9,
  flockLocks: 10,
  hasIoctlDir: 11,
  autoInvalData: 12,
  doReaddirplus: 13,
  readdirplusAuto: 14,
  asyncDio: 15,
  writebackCache: 16,
  noOpenSupport: 17,
  parallelDirops: 18,
  handleKillpriv: 19,
  posixAcl: 20,
  abortError: 21,
  maxPages: 22,
  cacheSymlinks: 23,
  noOpendirSupport: 24,
  explicitInvalData: 25,
  mapAlignment: 26,
  submounts: 27,
  handleKillprivV2: 28,
  setxattrExt: 29,
  initExt: 30,
  securityCtx: 32,
  hasInodeDax: 33,
  createSuppGroup: 34,
  hasExpireOnly: 35,
  directIoAllowMmap: 36,
  passthrough: 37,
  noExportSupport: 38,
  hasResend: 39,
  allowIdmap: 40,
  overIoUring: 41,
  requestTimeout: 42,
} as const

export type FeatureName = keyof typeof Feature

/** Bits of `openFlags` in the reply to OPEN and OPENDIR. */
export const OpenFlag = {
  directIo: 1 << 0,
  keepCache: 1 << 1,
  nonseekable: 1 << 2,
  cacheDir: 1 << 3,
  stream: 1 << 4,
  noflush: 1 << 5,
  parallelDirectWrites: 1 << 6,
} as const

/** Bits of `valid` in SETATTR: what is to be changed, and how. */
export const SetattrFlag = {
  mode: 1 << 0,
  uid: 1 << 1,
  gid: 1 << 2,
  size: 1 << 3,
  atime: 1 << 4,
  mtime: 1 << 5,
  handle: 1 << 6,
  atimeNow: 1 << 7,
  mtimeNow: 1 << 8,
  lockOwner: 1 << 9,
  ctime: 1 << 10,
  killSuidgid: 1 << 11,
} as const

/** Bits of `writeFlags` in WRITE. */
export const WriteFlag = {
  /** Written back from the kernel's cache: it keeps the file's times itself, and nobody is the caller. */
  cache: 1 << 0,
  lockOwner: 1 << 1,
  /** Set-user-id and set-group-id are to go, as the writer has no right to keep them. */
  killSuidgid: 1 << 2,
} as const

/** Flags of renameat2(2). */
export const RenameFlag = { noReplace: 1 << 0, exchange: 1 << 1, whiteout: 1 << 2 } as const

/** Flags of setxattr(2). */
export const XattrFlag = { create: 1 << 0, replace: 1 << 1 } as const

/** Bit of `setxattrFlags` in SETXATTR: with this access control list set-group-id is to go. */
export const SETXATTR_ACL_KILL_SGID = 1

/** Bits of the mode of fallocate(2). */
export const AllocateFlag = { keepSize: 1 << 0, punchHole: 1 << 1, zeroRange: 1 << 4 } as const

/** Bit of INVAL_ENTRY's flags: the entry is asked for again, but not dropped. */
export const EXPIRE_ONLY = 1

export const InHeader = struct({
  length: u32,
  opcode: u32,
  unique: u64,
  node: u64,
  uid: u32,
  gid: u32,
  pid: u32,
  extensionU64s: u16,
  padding: pad(2),
})

/** `error` is 0 or a negative errno; in a notification its code, and `unique` is 0. */
export const OutHeader = struct({ length: u32, error: u32, unique: u64 })

export const Attr = struct({
  ino: u64,
  size: u64,
  blocks: u64,
  atime: i64,
  mtime: i64,
  ctime: i64,
  atimeNanoseconds: u32,
  mtimeNanoseconds: u32,
  ctimeNanoseconds: u32,
  mode: u32,
  nlink: u32,
  uid: u32,
  gid: u32,
  rdev: u32,
  blockSize: u32,
  flags: u32,
})

export const EntryOut = struct({
  node: u64,
  generation: u64,
  entryValid: u64,
  attrValid: u64,
  entryValidNanoseconds: u32,
  attrValidNanoseconds: u32,
  attr: Attr,
})

export const ForgetIn = struct({ count: u64 })
export const BatchForgetIn = struct({ count: u32, padding: pad(4) })
export const ForgetOne = struct({ node: u64, count: u64 })

export const GetattrIn = struct({ flags: u32, padding: pad(4), handle: u64 })
export const AttrOut = struct({ attrValid: u64, attrValidNanoseconds: u32, padding: pad(4), attr: Attr })

export const SetattrIn = struct({
  valid: u32,
  padding: pad(4),
  handle: u64,
  size: u64,
  lockOwner: u64,
  atime: i64,
  mtime: i64,
  ctime: i64,
  atimeNanoseconds: u32,
  mtimeNanoseconds: u32,
  ctimeNanoseconds: u32,
  mode: u32,
  padding2: pad(4),
  uid: u32,
  gid: u32,
  padding3: pad(4),
})

/** Names follow these, each with its NUL: SYMLINK, UNLINK and RMDIR have nothing else. */
export const MknodIn = struct({ mode: u32, rdev: u32, umask: u32, padding: pad(4) })
export const MkdirIn = struct({ mode: u32, umask: u32 })
export const RenameIn = struct({ newDirectory: u64 })
export const Rename2In = struct({ newDirectory: u64, flags: u32, padding: pad(4) })
export const LinkIn = struct({ node: u64 })

export const OpenIn = struct({ flags: u32, openFlags: u32 })
export const OpenOut = struct({ handle: u64, openFlags: u32, backingId: u32 })

export const ReadIn = struct({
  handle: u64,
  offset: u64,
  size: u32,
  readFlags: u32,
  lockOwner: u64,
  flags: u32,
  padding: pad(4),
})

/** The data follows. */
export const WriteIn = struct({
  handle: u64,
  offset: u64,
  size: u32,
  writeFlags: u32,
  lockOwner: u64,
  flags: u32,
  padding: pad(4),
})
export const WriteOut = struct({ size: u32, padding: pad(4) })

export const StatfsOut = struct({
  blocks: u64,
  freeBlocks: u64,
  availableBlocks: u64,
  files: u64,
  freeFiles: u64,
  blockSize: u32,
  nameLength: u32,
  fragmentSize: u32,
  padding: pad(28),
})

export const ReleaseIn = struct({ handle: u64, flags: u32, releaseFlags: u32, lockOwner: u64 })
export const FsyncIn = struct({ handle: u64, flags: u32, padding: pad(4) })
export const FlushIn = struct({ handle: u64, unused: pad(8), lockOwner: u64 })

/** Name and value follow. Without the feature `setxattrExt` it is the first 8 bytes only. */
export const SetxattrIn = struct({ size: u32, flags: u32, setxattrFlags: u32, padding: pad(4) })
export const SETXATTR_IN_SHORT = 8
export const GetxattrIn = struct({ size: u32, padding: pad(4) })
export const GetxattrOut = struct({ size: u32, padding: pad(4) })

/** Kernels before 7.36 send the first four fields only. */
export const InitIn = struct({
  major: u32,
  minor: u32,
  maxReadahead: u32,
  flags: u32,
  flags2: u32,
  unused: array(u32, 11),
})

/** Kernels before 7.23 take the first 24 bytes only. */
export const InitOut = struct({
  major: u32,
  minor: u32,
  maxReadahead: u32,
  flags: u32,
  maxBackground: u16,
  congestionThreshold: u16,
  maxWrite: u32,
  timeGranularity: u32,
  maxPages: u16,
  mapAlignment: u16,
  flags2: u32,
  maxStackDepth: u32,
  requestTimeoutSeconds: u16,
  unused: pad(22),
})

/** A name in the reply to READDIR; its bytes follow, then zeros up to a multiple of 8. */
export const Dirent = struct({ ino: u64, nextOffset: u64, nameLength: u32, type: u32 })

export const AccessIn = struct({ mask: u32, padding: pad(4) })
/** Of CREATE and TMPFILE. The answer to both is an `EntryOut`, and an `OpenOut` behind it. */
export const CreateIn = struct({ flags: u32, mode: u32, umask: u32, openFlags: u32 })
export const InterruptIn = struct({ unique: u64 })

export const FallocateIn = struct({ handle: u64, offset: u64, length: u64, mode: u32, padding: pad(4) })

export const LseekIn = struct({ handle: u64, offset: u64, whence: u32, padding: pad(4) })
export const LseekOut = struct({ offset: u64 })

/** The answer to COPY_FILE_RANGE is a `WriteOut`, to COPY_FILE_RANGE_64 it is 64 bits. */
export const CopyFileRangeIn = struct({
  handle: u64,
  offset: u64,
  toNode: u64,
  toHandle: u64,
  toOffset: u64,
  length: u64,
  flags: u64,
})
export const CopyFileRangeOut = struct({ copied: u64 })

export const SyncfsIn = struct({ padding: pad(8) })

export const StatxIn = struct({ getattrFlags: u32, padding: pad(4), handle: u64, flags: u32, mask: u32 })
const StatxTime = struct({ seconds: i64, nanoseconds: u32, padding: pad(4) })
export const StatxOut = struct({
  attrValid: u64,
  attrValidNanoseconds: u32,
  flags: u32,
  spare: pad(16),
  mask: u32,
  blockSize: u32,
  attributes: u64,
  nlink: u32,
  uid: u32,
  gid: u32,
  mode: u32,
  ino: u64,
  size: u64,
  blocks: u64,
  attributesMask: u64,
  atime: StatxTime,
  btime: StatxTime,
  ctime: StatxTime,
  mtime: StatxTime,
  rdevMajor: u32,
  rdevMinor: u32,
  padding: pad(120),
})

export const NotifyPollOut = struct({ handle: u64 })
export const NotifyInvalInodeOut = struct({ node: u64, offset: i64, length: i64 })
export const NotifyInvalEntryOut = struct({ parent: u64, nameLength: u32, flags: u32 })
export const NotifyDeleteOut = struct({ parent: u64, child: u64, nameLength: u32, padding: pad(4) })
export const NotifyStoreOut = struct({ node: u64, offset: u64, size: u32, padding: pad(4) })
export const NotifyRetrieveOut = struct({ unique: u64, node: u64, offset: u64, size: u32, padding: pad(4) })
export const NotifyRetrieveIn = struct({ unused: u64, offset: u64, size: u32, padding: pad(20) })
export const NotifyPruneOut = struct({ count: u32, padding: pad(4), spare: u64 })
