/**
 * The block device interface: what the database needs of a disk. Stores implement it over files, devices and memory.
 *
 * Calls are synchronous and complete: a read fills the whole buffer or throws. Offsets and sizes are bytes.
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
  /** Fills all of `target` from byte `offset` on. Throws DeviceError (EIO past the end or when the medium fails). */
  read(target: Uint8Array, offset: number): void
  /** Gives the device back. Reads after this throw. */
  close(): void
}
