/**
 * A store over a regular file or a block device, opened for reading only: nothing here can write a byte.
 *
 * Reads are positional and synchronous, straight into the caller's memory (shared memory too), and repeated until the
 * target is full. Every failure is a DeviceError with the errno name and one sentence.
 */

import { closeSync, constants, fstatSync, openSync, readFileSync, readSync, statSync, type Stats } from 'node:fs'
import {
  DeviceError,
  deviceNumber,
  lockDevice,
  readFully,
  refuseOutside,
  TransferError,
  type BlockDevice,
  type LockOptions,
} from '@cowherd/shim'

export interface OpenStoreOptions extends LockOptions {
  /**
   * Hold a shared lock as long as the store is open, and refuse a file or device that is open for writing elsewhere
   * (default). `false` only looks: what is read may change while it is read.
   */
  readonly lock?: boolean
}

/**
 * Opens a file or block device for reading.
 * @throws DeviceError ENOENT, EACCES, EISDIR, ENOTBLK (neither file nor block device), EINVAL (empty), EBUSY (in use)
 */
export function openStore(path: string, options: OpenStoreOptions = {}): BlockDevice {
  const { fd, size } = openPath(path, constants.O_RDONLY)
  try {
    const lock = options.lock === false ? undefined : lockDevice(fd, path, 'shared', options)
    let open = true
    return {
      name: path,
      size,
      handle: { kind: 'descriptor', name: path, size, fd, isWritable: false },
      read(target, offset) {
        if (!open) throw new DeviceError('EBADF', path, 'read after it was closed')
        readWhole(fd, path, size, target, offset)
      },
      close() {
        if (!open) return
        open = false
        lock?.release()
        closeSync(fd)
      },
    }
  } catch (error) {
    closeSync(fd)
    throw error
  }
}

/** A file or block device that is open. */
interface OpenPath {
  readonly fd: number
  readonly stat: Stats
  readonly size: number
}

/** Opens what has bytes of its own. Throws DeviceError in one sentence. */
export function openPath(path: string, flags: number): OpenPath {
  refuseOtherKinds(
    path,
    inspect(path, () => statSync(path)),
  )
  const fd = inspect(path, () => openSync(path, flags))
  try {
    const stat = fstatSync(fd)
    refuseOtherKinds(path, stat)
    const size = stat.isFile() ? stat.size : deviceSize(fd, stat.rdev)
    if (size === 0) throw new DeviceError('EINVAL', path, 'is empty')
    return { fd, stat, size }
  } catch (error) {
    closeSync(fd)
    throw error
  }
}

/**
 * Size in bytes of the open block device `rdev`: fstat says 0. From sysfs (Linux), else found by reading.
 */
export function deviceSize(fd: number, rdev: number, sysfs = '/sys/dev/block'): number {
  try {
    const sectors = Number(readFileSync(`${sysfs}/${deviceNumber(rdev)}/size`, 'utf8'))
    if (Number.isSafeInteger(sectors * 512)) return sectors * 512
  } catch {
    // no sysfs here
  }
  return sizeByReading(fd)
}

const PROBE_BYTES = 4096

/** The size is where reads begin to give nothing: doubled up to there, then halved down to one probe. */
export function sizeByReading(fd: number): number {
  const probe = new Uint8Array(PROBE_BYTES)
  const readable = (offset: number): number => {
    try {
      return readSync(fd, probe, 0, PROBE_BYTES, offset)
    } catch {
      return 0 // some systems give ENXIO behind the end
    }
  }
  if (readable(0) === 0) return 0
  let inside = 0 // in probes: the last that gave bytes
  let outside = 1
  while (outside < 2 ** 38 && readable(outside * PROBE_BYTES) > 0) {
    inside = outside
    outside *= 2
  }
  while (outside - inside > 1) {
    const middle = Math.floor((inside + outside) / 2)
    if (readable(middle * PROBE_BYTES) > 0) inside = middle
    else outside = middle
  }
  return inside * PROBE_BYTES + readable(inside * PROBE_BYTES)
}

/** Fills the target. Throws DeviceError. */
export function readWhole(fd: number, path: string, size: number, target: Uint8Array, offset: number): void {
  const { length } = target
  refuseOutside(path, size, offset, length)
  let done: number
  try {
    done = readFully(fd, target, 0, length, offset)
  } catch (error) {
    if (!(error instanceof TransferError)) throw error
    const message = `reading ${length - error.done} bytes at ${offset + error.done} failed (${error.code})`
    throw new DeviceError(error.code, path, message, { cause: error })
  }
  if (done === length) return
  throw new DeviceError('EIO', path, `it ends at ${offset + done}: it became shorter since it was opened`)
}

/** Does what opening takes; failures become one sentence. */
export function inspect<T>(path: string, action: () => T): T {
  try {
    return action()
  } catch (error) {
    const code = codeOf(error)
    throw new DeviceError(code, path, OPEN_FAILURES[code] ?? `can't be opened (${code})`, { cause: error })
  }
}

const OPEN_FAILURES: Readonly<Record<string, string>> = {
  ENOENT: 'no such file or device',
  ENOTDIR: 'no such file or device',
  EACCES: 'permission denied',
  EPERM: 'permission denied',
  ELOOP: 'too many symbolic links',
  ENAMETOOLONG: 'the name is too long',
  ENXIO: 'there is no device behind it',
  ENOMEDIUM: 'there is no medium in it',
}

function refuseOtherKinds(path: string, stat: Stats): void {
  if (stat.isFile() || stat.isBlockDevice()) return
  if (stat.isDirectory()) throw new DeviceError('EISDIR', path, 'is a directory, not an image or a block device')
  const kind = stat.isCharacterDevice() ? 'a character device' : stat.isFIFO() ? 'a fifo' : 'a socket'
  throw new DeviceError('ENOTBLK', path, `is ${kind}, not an image or a block device`)
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : 'EIO'
}
