/**
 * System calls that Node lacks, through koffi: the only file that knows of it.
 *
 * koffi is an optional dependency and is loaded when first asked for (20 ms). Everything here is an ability that a caller
 * can do without: `loadNative` returns undefined where koffi is missing, unsupported, or switched off by the environment
 * variable COWHERD_NO_KOFFI=1, and each function is bound when first called, so that a C library without one of them
 * still serves the rest. Calls are synchronous. Paths are bytes without NUL, since names on a volume need not be UTF-8.
 *
 * Sources: flock(2), fcntl(2), lsetxattr(2), llistxattr(2), lgetxattr(2), lremovexattr(2), renameat2(2), lseek(2), mknod(2), utimensat(2), fallocate(2), linux/fs.h,
 * poll(2), socketpair(2), unix(7), cmsg(3), and setxattr(2), listxattr(2), getxattr(2), lseek(2) of macOS.
 */

import { createRequire } from 'node:module'
import { getSystemErrorName } from 'node:util'

/** A system call failed. `code` is the errno name. */
export class NativeError extends Error {
  override readonly name = 'NativeError'
  readonly code: string
  readonly syscall: string

  constructor(code: string, syscall: string) {
    super(`${syscall}: ${code}`)
    this.code = code
    this.syscall = syscall
  }
}

/** Times as the system calls take them: Unix seconds, rounded down, and the nanoseconds that belong to them. */
export interface FileTimes {
  readonly atimeSeconds: number
  readonly atimeNanoseconds: number
  readonly mtimeSeconds: number
  readonly mtimeNanoseconds: number
}

export interface Native {
  /** Takes a flock(2) lock without waiting. Returns false if someone else's lock is in the way. Throws NativeError. */
  flock(fd: number, kind: 'shared' | 'exclusive'): boolean
  /**
   * True if anyone, the kernel included, has the file behind `fd` open for writing; undefined if that can't be told.
   * `fd` must be open for reading only. Linux, regular files.
   */
  isOpenForWriting(fd: number): boolean | undefined
  /** Sets one extended attribute of `path` itself, not of what a symbolic link there points to. Throws NativeError. */
  setXattr(path: Uint8Array, name: string, value: Uint8Array): void
  /** The names of the extended attributes of `path` itself, in memory of their own. Throws NativeError, EOPNOTSUPP where there can be none. */
  listXattrs(path: Uint8Array): Uint8Array[]
  /** The value of one extended attribute of `path` itself, in memory of its own; undefined if there is none. Throws NativeError. */
  getXattr(path: Uint8Array, name: Uint8Array): Uint8Array | undefined
  /** Takes one extended attribute away from `path` itself. Throws NativeError, ENODATA (ENOATTR) if there is none. */
  removeXattr(path: Uint8Array, name: Uint8Array): void
  /** Renames a file to a name that is free. Linux. Throws NativeError EEXIST if it is not; EINVAL where the filesystem can't promise it. */
  renameToFree(from: Uint8Array, to: Uint8Array): void
  /**
   * Where the next data of an open file begins, at `offset` or behind it; undefined if only a hole is left. Moves the descriptor's position. Throws
   * NativeError, EINVAL where that can't be told.
   */
  nextData(fd: number, offset: number): number | undefined
  /** Where the next hole of an open file begins, at `offset` or behind it; the end of the file is one. As `nextData`. */
  nextHole(fd: number, offset: number): number
  /** Makes a device node, fifo or socket; `mode` holds type and permissions (the umask applies). Throws NativeError. */
  mknod(path: Uint8Array, mode: number, major: number, minor: number): void
  /** Sets the times of `path` itself. Throws NativeError. */
  setTimes(path: Uint8Array, times: FileTimes): void
  /** Sets the times of an open file. Throws NativeError. */
  setTimesOfOpen(fd: number, times: FileTimes): void
  /**
   * Tells that bytes of a file (or, `isDevice`, of a block device) are not needed any more, and may be anything until they are written
   * again; of a file they are zeros. Linux. Throws NativeError, EOPNOTSUPP where the filesystem or device can't.
   */
  discard(fd: number, offset: number, length: number, isDevice: boolean): void
  /** Whether reading from a descriptor would not wait: there is data, the end, or an error. Throws NativeError ENOSYS. */
  isReadable(fd: number): boolean
  /** Two connected stream sockets, which child processes don't inherit by themselves. Linux. Throws NativeError. */
  socketPair(): [number, number]
  /**
   * Waits for a descriptor that the other side of a socket sends (SCM_RIGHTS), together with one byte. Returns undefined
   * if it was closed, or sent the byte, without one. Child processes don't inherit the descriptor by themselves, and it
   * isn't closed with the worker that received it, as one that Node opened would be. Linux. Throws NativeError.
   */
  receiveDescriptor(socket: number): number | undefined
}

/** The native calls, or undefined where there are none. The first call decides for the process. */
export function loadNative(): Native | undefined {
  if (process.env['COWHERD_NO_KOFFI'] === '1') return undefined
  loaded ??= { native: bind() }
  return loaded.native
}

let loaded: { native: Native | undefined } | undefined

const LOCK_SH = 1
const LOCK_EX = 2
const LOCK_NB = 4
const F_SETSIG = 10
const F_SETLEASE = 1024
const F_RDLCK = 0
const F_UNLCK = 2
const SIGURG = 23
const FALLOC_FL_KEEP_SIZE = 1
const FALLOC_FL_PUNCH_HOLE = 2
/** _IO(0x12, 119), in which "no data" is 1 on some processors. */
const BLKDISCARD = /^(mips|ppc)/.test(process.arch) ? 0x20001277 : 0x1277
const AT_FDCWD = process.platform === 'darwin' ? -2 : -100
const AT_SYMLINK_NOFOLLOW = process.platform === 'darwin' ? 0x20 : 0x100
const XATTR_NOFOLLOW_MACOS = 1
const RENAME_NOREPLACE = 1
const AF_UNIX = 1
const SOCK_STREAM = 1
const SOCK_CLOEXEC = 0o2000000
const MSG_CMSG_CLOEXEC = 0x40000000
const SOL_SOCKET = 1
const SCM_RIGHTS = 1
const POLLIN = 1
const SEEK_HOLE = process.platform === 'darwin' ? 3 : 4
const SEEK_DATA = process.platform === 'darwin' ? 4 : 3
/** Linux has no longer list of names, and no longer value. */
const XATTR_BYTES_MAX = 65536

type NativeCall = (...values: unknown[]) => number

function bind(): Native | undefined {
  if (process.platform === 'win32') return undefined
  let koffi: typeof import('koffi')
  let library: ReturnType<typeof koffi.load>
  try {
    koffi = createRequire(import.meta.url)('koffi') as typeof import('koffi')
    library = koffi.load(null)
  } catch {
    return undefined // not installed, or not for this platform
  }
  const mac = process.platform === 'darwin'

  const bound = new Map<string, NativeCall>()
  const binding = (prototype: string): NativeCall => {
    let found = bound.get(prototype)
    if (found === undefined) {
      try {
        found = library.func(prototype) as NativeCall
      } catch {
        throw new NativeError('ENOSYS', syscallName(prototype))
      }
      bound.set(prototype, found)
    }
    return found
  }
  const call = (prototype: string, ...values: unknown[]): number => binding(prototype)(...values)
  const check = (prototype: string, ...values: unknown[]): number => {
    const result = call(prototype, ...values)
    if (result === -1) throw new NativeError(getSystemErrorName(-koffi.errno()), syscallName(prototype))
    return result
  }
  const fcntl = (fd: number, operation: number, value: number): number =>
    call('int fcntl(int fd, int op, ...)', fd, operation, 'int', value)

  // two structures timespec of two longs each
  const timesWide = new BigInt64Array(4)
  const timesNarrow = new Int32Array(4)
  const wide = koffi.sizeof('long') === 8
  const timespecs = (times: FileTimes): BigInt64Array | Int32Array => {
    const { atimeSeconds, atimeNanoseconds, mtimeSeconds, mtimeNanoseconds } = times
    if (wide) {
      timesWide[0] = BigInt(atimeSeconds)
      timesWide[1] = BigInt(atimeNanoseconds)
      timesWide[2] = BigInt(mtimeSeconds)
      timesWide[3] = BigInt(mtimeNanoseconds)
      return timesWide
    }
    timesNarrow.set([atimeSeconds, atimeNanoseconds, mtimeSeconds, mtimeNanoseconds])
    return timesNarrow
  }

  const seek = (fd: number, offset: number, whence: number): number =>
    check(`int64_t ${wide ? 'lseek' : 'lseek64'}(int fd, int64_t offset, int whence)`, fd, offset, whence)
  let xattrBytes: Uint8Array | undefined
  // a structure pollfd: the descriptor, and what is waited for; what has come is written behind that
  const polled = new Int32Array(2)
  new Int16Array(polled.buffer)[2] = POLLIN
  const pollPrototype = `int poll(void *fds, ${mac ? 'uint' : 'ulong'} count, int timeout)`
  let poll: NativeCall | undefined

  return {
    flock(fd, kind) {
      try {
        check('int flock(int fd, int op)', fd, (kind === 'shared' ? LOCK_SH : LOCK_EX) | LOCK_NB)
        return true
      } catch (error) {
        if (error instanceof NativeError && (error.code === 'EAGAIN' || error.code === 'EWOULDBLOCK')) return false
        throw error
      }
    },
    isOpenForWriting(fd) {
      if (process.platform !== 'linux') return undefined
      // A read lease is granted only while nobody has the file open for writing. It is given back at once; should
      // someone open the file in between, the signal that breaks the lease must be one that does no harm.
      fcntl(fd, F_SETSIG, SIGURG)
      if (fcntl(fd, F_SETLEASE, F_RDLCK) === -1) {
        return getSystemErrorName(-koffi.errno()) === 'EAGAIN' ? true : undefined
      }
      fcntl(fd, F_SETLEASE, F_UNLCK)
      return false
    },
    setXattr(path, name, value) {
      const text = cString(path)
      if (mac) {
        const prototype =
          'int setxattr(const void *path, const char *name, const void *value, size_t size, uint32_t position, int options)'
        check(prototype, text, name, value, value.length, 0, XATTR_NOFOLLOW_MACOS)
        return
      }
      const prototype = 'int lsetxattr(const void *path, const char *name, const void *value, size_t size, int flags)'
      check(prototype, text, name, value, value.length, 0)
    },
    listXattrs(path) {
      xattrBytes ??= new Uint8Array(XATTR_BYTES_MAX)
      const text = cString(path)
      const length = mac
        ? check(
            'intptr_t listxattr(const void *path, void *list, size_t size, int options)',
            ...[text, xattrBytes, XATTR_BYTES_MAX, XATTR_NOFOLLOW_MACOS],
          )
        : check('intptr_t llistxattr(const void *path, void *list, size_t size)', text, xattrBytes, XATTR_BYTES_MAX)
      return cStrings(xattrBytes.subarray(0, length))
    },
    getXattr(path, name) {
      xattrBytes ??= new Uint8Array(XATTR_BYTES_MAX)
      const words = [cString(path), cString(name), xattrBytes, XATTR_BYTES_MAX]
      const prototype = mac
        ? 'intptr_t getxattr(const void *path, const void *name, void *value, size_t size, uint32_t position, int options)'
        : 'intptr_t lgetxattr(const void *path, const void *name, void *value, size_t size)'
      try {
        const length = mac ? check(prototype, ...words, 0, XATTR_NOFOLLOW_MACOS) : check(prototype, ...words)
        return xattrBytes.slice(0, length)
      } catch (error) {
        if (error instanceof NativeError && NO_ATTRIBUTE.has(error.code)) return undefined
        throw error
      }
    },
    removeXattr(path, name) {
      const words = [cString(path), cString(name)]
      if (mac) check('int removexattr(const void *path, const void *name, int options)', ...words, XATTR_NOFOLLOW_MACOS)
      else check('int lremovexattr(const void *path, const void *name)', ...words)
    },
    renameToFree(from, to) {
      if (process.platform !== 'linux') throw new NativeError('ENOSYS', 'renameat2')
      const prototype = 'int renameat2(int from_dir, const void *from, int to_dir, const void *to, uint32_t flags)'
      check(prototype, AT_FDCWD, cString(from), AT_FDCWD, cString(to), RENAME_NOREPLACE)
    },
    nextData(fd, offset) {
      try {
        return seek(fd, offset, SEEK_DATA)
      } catch (error) {
        if (error instanceof NativeError && error.code === 'ENXIO') return undefined
        throw error
      }
    },
    nextHole(fd, offset) {
      return seek(fd, offset, SEEK_HOLE)
    },
    mknod(path, mode, major, minor) {
      if (mac) {
        check('int mknod(const void *path, uint16_t mode, int32_t dev)', cString(path), mode, (major << 24) | minor)
        return
      }
      check('int mknod(const void *path, uint32_t mode, uint64_t dev)', cString(path), mode, makedev(major, minor))
    },
    setTimes(path, times) {
      const prototype = 'int utimensat(int dirfd, const void *path, const void *times, int flags)'
      check(prototype, AT_FDCWD, cString(path), timespecs(times), AT_SYMLINK_NOFOLLOW)
    },
    setTimesOfOpen(fd, times) {
      check('int futimens(int fd, const void *times)', fd, timespecs(times))
    },
    discard(fd, offset, length, isDevice) {
      if (process.platform !== 'linux') throw new NativeError('EOPNOTSUPP', 'discard')
      if (isDevice) {
        const range = BigUint64Array.of(BigInt(offset), BigInt(length))
        check('int ioctl(int fd, unsigned long op, ...)', fd, BLKDISCARD, 'void *', range)
      } else {
        const mode = FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE
        const name = wide ? 'fallocate' : 'fallocate64'
        check(`int ${name}(int fd, int mode, int64_t offset, int64_t length)`, fd, mode, offset, length)
      }
    },
    isReadable(fd) {
      polled[0] = fd
      poll ??= binding(pollPrototype) // called in loops: no array for its arguments
      return poll(polled, 1, 0) !== 0
    },
    socketPair() {
      if (process.platform !== 'linux') throw new NativeError('ENOSYS', 'socketpair')
      const pair = new Int32Array(2)
      const prototype = 'int socketpair(int domain, int type, int protocol, void *sockets)'
      check(prototype, AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair)
      const [first = -1, second = -1] = pair
      return [first, second]
    },
    receiveDescriptor(socket) {
      if (process.platform !== 'linux') throw new NativeError('ENOSYS', 'recvmsg')
      // One block of memory for all: struct msghdr (7 words), struct iovec (2), struct cmsghdr with one descriptor, and
      // the byte. The control part is given its exact length, not CMSG_SPACE, which had room for a second descriptor.
      const word = koffi.sizeof('size_t')
      const iovec = 7 * word
      const control = 9 * word
      const controlLength = word + 12
      const data = control + controlLength
      const message = new Uint8Array(new ArrayBuffer(data + 1)) // a buffer of its own never moves
      const address = koffi.address(message)
      const setWord = (offset: number, value: number | bigint): void =>
        koffi.encode(message, offset, 'size_t', BigInt(value))
      setWord(2 * word, address + BigInt(iovec))
      setWord(3 * word, 1)
      setWord(4 * word, address + BigInt(control))
      setWord(5 * word, controlLength)
      setWord(iovec, address + BigInt(data))
      setWord(iovec + word, 1)
      const prototype = 'intptr_t recvmsg(int socket, void *message, int flags)'
      for (;;) {
        try {
          check(prototype, socket, message, MSG_CMSG_CLOEXEC)
          break
        } catch (error) {
          if (!(error instanceof NativeError && error.code === 'EINTR')) throw error
        }
      }
      const int = (offset: number): number => Number(koffi.decode(message, offset, 'int'))
      const received = Number(koffi.decode(message, 5 * word, 'size_t')) >= controlLength
      if (!received || int(control + word) !== SOL_SOCKET || int(control + word + 4) !== SCM_RIGHTS) return undefined
      return int(control + word + 8)
    },
  }
}

/** How systems say that an attribute is not there. */
const NO_ATTRIBUTE: ReadonlySet<string> = new Set(['ENODATA', 'ENOATTR'])

/** The strings of which each ends with a NUL, in memory of their own. */
function cStrings(bytes: Uint8Array): Uint8Array[] {
  const found: Uint8Array[] = []
  for (let start = 0; start < bytes.length;) {
    const end = bytes.indexOf(0, start)
    if (end < 0) break
    found.push(bytes.slice(start, end))
    start = end + 1
  }
  return found
}

/** `path` with the NUL that ends a C string. */
function cString(path: Uint8Array): Uint8Array {
  if (path.includes(0)) throw new NativeError('EINVAL', 'path')
  const text = new Uint8Array(path.length + 1)
  text.set(path)
  return text
}

/** Linux' 64-bit device number. */
function makedev(major: number, minor: number): bigint {
  const wideMajor = BigInt(major)
  const wideMinor = BigInt(minor)
  return (
    (wideMinor & 0xffn) | ((wideMajor & 0xfffn) << 8n) | ((wideMinor & ~0xffn) << 12n) | ((wideMajor & ~0xfffn) << 32n)
  )
}

function syscallName(prototype: string): string {
  return /(\w+)\(/.exec(prototype)?.[1] ?? prototype
}
