/**
 * A store over a regular file or a block device that is open for reading and writing. As long as it is open it holds an exclusive
 * lock, and a block device is claimed, so that the kernel doesn't mount it meanwhile.
 *
 * Transfers are positional and synchronous, between the caller's memory (shared memory too) and the file, and repeated until
 * they are whole. Flushing is fdatasync(2); writing through goes to a second descriptor, opened with O_DSYNC. Every failure is a
 * DeviceError with the errno name and one sentence.
 */

import { closeSync, constants, fdatasyncSync, fstatSync, openSync, readFileSync, type Stats } from 'node:fs'
import {
  DeviceError,
  deviceNumber,
  loadNative,
  lockDevice,
  NativeError,
  refuseOutside,
  TransferError,
  writeFully,
  type DescriptorHandle,
  type LockOptions,
  type WritableBlockDevice,
} from '@cowherd/shim'
import { inspect, openPath, readWhole } from './file-store.ts'

export interface OpenWritableStoreOptions extends LockOptions {
  /**
   * Past the page cache (O_DIRECT): offsets, lengths and addresses must be multiples of the store's `alignment` then. EINVAL where
   * the filesystem can't.
   */
  readonly direct?: boolean
  /**
   * Of a block device: told how to give up the claim, so that the kernel can take it, for a mount that stands for the device. What is
   * discarded must have been flushed then.
   */
  readonly claimed?: (release: () => void) => void
}

/**
 * Opens a file or block device for reading and writing.
 * @throws DeviceError ENOENT, EACCES, EROFS, EISDIR, ENOTBLK (neither file nor block device), EINVAL (empty; or no direct I/O), EBUSY
 */
export function openWritableStore(path: string, options: OpenWritableStoreOptions = {}): WritableBlockDevice {
  const isDirect = options.direct === true
  if (isDirect && !('O_DIRECT' in constants)) {
    throw new DeviceError('EINVAL', path, 'there is no direct I/O on this system')
  }
  const direct = isDirect ? constants.O_DIRECT : 0
  const { fd: lockedFd, stat, size } = openPath(path, constants.O_RDWR | direct)
  const open: number[] = [lockedFd]
  try {
    refuseReadOnly(path, stat)
    const alignment = isDirect ? alignmentOf(stat) : 1
    if (size % alignment !== 0) {
      throw new DeviceError(
        'EINVAL',
        path,
        `its ${size} bytes are no multiple of ${alignment}, as direct I/O wants them`,
      )
    }
    const lock = lockDevice(lockedFd, path, 'exclusive', options)
    const claims = stat.isBlockDevice() && process.platform === 'linux'
    const claimFd = claims ? claim(path, constants.O_RDWR | direct, stat) : undefined
    if (claimFd !== undefined) open.push(claimFd)
    const fd = options.claimed === undefined ? (claimFd ?? lockedFd) : lockedFd
    if (claimFd !== undefined) options.claimed?.(() => closeOneOf(open, claimFd))
    const hasThrough = 'O_DSYNC' in constants
    const throughFd = hasThrough ? reopen(path, constants.O_WRONLY | direct | constants.O_DSYNC, stat) : undefined
    if (throughFd !== undefined) open.push(throughFd)
    const native = 'native' in options ? options.native : loadNative()
    const canDiscard = native !== undefined && process.platform === 'linux'
    const handle: DescriptorHandle = {
      kind: 'descriptor',
      name: path,
      size,
      fd,
      isWritable: true,
      ...(throughFd === undefined ? {} : { throughFd }),
      ...(canDiscard ? { discards: stat.isFile() ? 'hole' : 'device' } : {}),
    }
    return new FileStore(handle, alignment, () => {
      lock.release()
      for (const each of open) closeSync(each)
    })
  } catch (error) {
    for (const each of open) closeSync(each)
    throw error
  }
}

class FileStore implements WritableBlockDevice {
  readonly name: string
  readonly size: number
  readonly alignment: number
  readonly canDiscard: boolean
  readonly handle: DescriptorHandle
  private readonly release: () => void
  private isOpen = true

  constructor(handle: DescriptorHandle, alignment: number, release: () => void) {
    this.name = handle.name
    this.size = handle.size
    this.alignment = alignment
    this.canDiscard = handle.discards !== undefined
    this.handle = handle
    this.release = release
  }

  read(target: Uint8Array, offset: number): void {
    this.refuseClosed()
    readWhole(this.handle.fd, this.name, this.size, target, offset)
  }

  write(source: Uint8Array, offset: number): void {
    this.writeTo(this.handle.fd, source, offset)
  }

  writeThrough(source: Uint8Array, offset: number): void {
    const { fd, throughFd } = this.handle
    this.writeTo(throughFd ?? fd, source, offset)
    if (throughFd === undefined) this.flush()
  }

  flush(): void {
    this.refuseClosed()
    this.attempt('flushing', () => fdatasyncSync(this.handle.fd))
  }

  discard(offset: number, length: number): void {
    this.refuseClosed()
    refuseOutside(this.name, this.size, offset, length)
    const native = this.canDiscard ? loadNative() : undefined
    if (native === undefined) {
      throw new DeviceError('EOPNOTSUPP', this.name, "discarding needs Linux and the optional package 'koffi'")
    }
    if (length === 0) return
    const { fd, discards } = this.handle
    this.attempt(`discarding ${length} bytes at ${offset}`, () =>
      native.discard(fd, offset, length, discards === 'device'),
    )
  }

  close(): void {
    if (!this.isOpen) return
    this.isOpen = false
    this.release()
  }

  private writeTo(fd: number, source: Uint8Array, offset: number): void {
    this.refuseClosed()
    const { length } = source
    refuseOutside(this.name, this.size, offset, length)
    let done: number
    try {
      done = writeFully(fd, source, 0, length, offset)
    } catch (error) {
      if (!(error instanceof TransferError)) throw error
      const message = `writing ${length - error.done} bytes at ${offset + error.done} failed (${error.code})`
      throw new DeviceError(error.code, this.name, message, { cause: error })
    }
    if (done === length) return
    throw new DeviceError('EIO', this.name, `it takes no bytes at ${offset + done}`)
  }

  private attempt(what: string, action: () => void): void {
    try {
      action()
    } catch (error) {
      const code = codeOf(error)
      throw new DeviceError(code, this.name, `${what} failed (${code})`, { cause: error })
    }
  }

  private refuseClosed(): void {
    if (!this.isOpen) throw new DeviceError('EBADF', this.name, 'used after it was closed')
  }
}

/** Closes a descriptor before the others, once. */
function closeOneOf(open: number[], fd: number): void {
  const at = open.indexOf(fd)
  if (at >= 0) closeSync(open.splice(at, 1)[0])
}

/** What direct I/O wants: a device's logical sectors; of a file, whose device isn't known, a page. */
function alignmentOf(stat: Stats): number {
  if (!stat.isBlockDevice()) return PAGE_BYTES
  const device = `/sys/dev/block/${deviceNumber(stat.rdev)}`
  for (const queue of [`${device}/queue`, `${device}/../queue`]) {
    try {
      const bytes = Number(readFileSync(`${queue}/logical_block_size`, 'utf8'))
      if (bytes >= 512) return bytes
    } catch {
      // a partition has its disk's
    }
  }
  return PAGE_BYTES
}

const PAGE_BYTES = 4096

/** A block device that can only be read opens for writing all the same, and fails when it is written. */
function refuseReadOnly(path: string, stat: Stats): void {
  if (!stat.isBlockDevice() || process.platform !== 'linux') return
  let state = ''
  try {
    state = readFileSync(`/sys/dev/block/${deviceNumber(stat.rdev)}/ro`, 'utf8')
  } catch {
    // no sysfs: writing tells
  }
  if (state.trim() === '1') throw new DeviceError('EROFS', path, 'the device can only be read')
}

/**
 * Opens the device once more so that it is claimed, as long as this descriptor is open: neither the kernel nor whoever else asks can use
 * it meanwhile. Only by this one can be discarded what is still to be written from the page cache.
 */
function claim(path: string, flags: number, stat: Stats): number {
  try {
    return reopen(path, flags | constants.O_EXCL, stat)
  } catch (error) {
    if (!(error instanceof DeviceError && error.code === 'EBUSY')) throw error
    throw new DeviceError('EBUSY', path, 'in use: it was claimed just now', { cause: error })
  }
}

/** Opens the same file or device once more. */
function reopen(path: string, flags: number, { dev, ino }: Stats): number {
  const fd = inspect(path, () => openSync(path, flags))
  const again = fstatSync(fd)
  if (again.dev === dev && again.ino === ino) return fd
  closeSync(fd)
  throw new DeviceError('ESTALE', path, 'was replaced while it was being opened')
}

function codeOf(error: unknown): string {
  if (error instanceof NativeError) return error.code === 'ENOTSUP' ? 'EOPNOTSUPP' : error.code // two names of one number
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : 'EIO'
}
