/**
 * The block device interface: what the database needs of a disk. Stores implement it over files, devices and memory.
 *
 * Calls are synchronous and complete: a read fills the whole buffer, a write takes all of it, or they throw. Offsets and sizes
 * are bytes. The rules of order are a disk's: what was written may reach the medium in any order, or not at all, until
 * `flush` returns; a flush covers every write that returned before it was called. `writeThrough` covers itself, nothing else.
 */

/** A device error carries the errno name (`EIO`, `ENXIO`, ...) in `code`. */
export class DeviceError extends Error {
  override readonly name = 'DeviceError'
  readonly code: string
  /** The device's name as the user gave it. */
  readonly device: string

  constructor(code: string, device: string, message: string, options?: { cause?: unknown }) {
    super(`${device}: ${message}`, options)
    this.code = code
    this.device = device
  }
}

export interface BlockDevice {
  /** The name the user knows it by: a path, mostly. */
  readonly name: string
  /** Size in bytes. */
  readonly size: number
  /** How other threads reach the same device; left out: they can't. */
  readonly handle?: DeviceHandle
  /** Fills all of `target` from byte `offset` on. Throws DeviceError (EIO past the end or when the medium fails). */
  read(target: Uint8Array, offset: number): void
  /** Gives the device back. Reads after this throw. */
  close(): void
}

/** A device that is open for reading and writing. */
export interface WritableBlockDevice extends BlockDevice {
  /**
   * Offsets, lengths and addresses in memory must be multiples of this, in bytes: 1 where anything goes, the sector's or page's
   * size with direct I/O. Else a call throws DeviceError EINVAL.
   */
  readonly alignment: number
  /** Whether `discard` does anything but refuse. */
  readonly canDiscard: boolean
  /**
   * Writes all of `source` from byte `offset` on. Throws DeviceError (EIO past the end or when the medium fails, ENOSPC when what
   * lies below is full); some of it may have been written then.
   */
  write(source: Uint8Array, offset: number): void
  /** `write` that is on stable storage when it returns (FUA); earlier writes need not be. */
  writeThrough(source: Uint8Array, offset: number): void
  /**
   * Brings all earlier writes to stable storage. Throws DeviceError if that failed: which of them are lost is not known then,
   * and a later flush that succeeds doesn't say that they aren't.
   */
  flush(): void
  /**
   * Says that the bytes are not needed any more: they may be anything until they are written again.
   * @throws DeviceError EOPNOTSUPP where that can't be told to the device
   */
  discard(offset: number, length: number): void
}

/** What another thread needs to reach a device. It can be posted. Good as long as the device is open. */
export type DeviceHandle = DescriptorHandle | MemoryHandle | ModuleHandle

/** A device behind file descriptors, which are the same in all threads of a process. */
export interface DescriptorHandle {
  readonly kind: 'descriptor'
  readonly name: string
  readonly size: number
  readonly fd: number
  readonly isWritable: boolean
  /** A second descriptor whose writes are on stable storage when they return (O_DSYNC); left out: write and flush. */
  readonly throughFd?: number
  /** How bytes are discarded: a hole in a file, a call to a device; left out: not at all. */
  readonly discards?: 'hole' | 'device'
}

/** A device in memory that threads share. */
export interface MemoryHandle {
  readonly kind: 'memory'
  readonly name: string
  readonly bytes: Uint8Array<SharedArrayBuffer>
  readonly isWritable: boolean
}

/** Any other device: a module whose export `openDevice(data)` makes a view of it in the thread that imports it. */
export interface ModuleHandle {
  readonly kind: 'module'
  readonly name: string
  readonly size: number
  readonly url: string
  readonly data: unknown
}

/** What the module of a `ModuleHandle` exports. A device without `write` is read only. */
export interface DeviceModule {
  openDevice(data: unknown): BlockDevice | WritableBlockDevice
}

/** Whether a device is open for writing. */
export function isWritable(device: BlockDevice): device is WritableBlockDevice {
  return 'write' in device
}

/** @throws DeviceError EIO unless the bytes lie within the device */
export function refuseOutside(name: string, size: number, offset: number, length: number): void {
  if (Number.isSafeInteger(offset) && offset >= 0 && length >= 0 && offset + length <= size) return
  throw new DeviceError('EIO', name, `${length} bytes at ${offset} are outside its ${size} bytes`)
}

/**
 * Writes through, the first `headBytes` when all behind them are on stable storage; 0: all together. What is known by its head is there whole, or not at
 * all, as long as a head that size is. Throws DeviceError.
 */
export function writeThroughHeadLast(
  device: Pick<WritableBlockDevice, 'writeThrough'>,
  source: Uint8Array,
  offset: number,
  headBytes: number,
): void {
  if (headBytes === 0 || headBytes >= source.length) {
    device.writeThrough(source, offset)
    return
  }
  device.writeThrough(source.subarray(headBytes), offset + headBytes)
  device.writeThrough(source.subarray(0, headBytes), offset)
}
