/** Devices that fail in the middle of something, in one of the ways that real ones have. */

import { DeviceError, type WritableBlockDevice } from '@cowherd/shim'

/**
 * writes: they fail; short writes: part of the bytes is there when they do; flushes: they fail, and what was written is anything's guess;
 * full: what lies below the device has no room left; gone: everything fails.
 */
export const FAILURES = ['writes', 'short writes', 'flushes', 'full', 'gone'] as const
export type Failure = (typeof FAILURES)[number]

/** `device`, which works for so many writes and flushes, and never again. */
export function failing(device: WritableBlockDevice, failure: Failure, commands: number): WritableBlockDevice {
  let left = commands
  const hasFailed = (): boolean => left <= 0
  const refuse = (code = 'EIO'): never => {
    throw new DeviceError(code, device.name, `as the test wants it: ${failure}`)
  }
  const write = (source: Uint8Array, offset: number, through: boolean): void => {
    left--
    if (hasFailed()) {
      if (failure === 'short writes') device.write(source.subarray(0, source.length >> 1), offset)
      if (failure === 'full') refuse('ENOSPC')
      if (failure !== 'flushes') refuse()
    }
    if (!through) device.write(source, offset)
    else if (hasFailed()) refuse()
    else device.writeThrough(source, offset)
  }
  return {
    ...device,
    read(target, offset) {
      if (hasFailed() && failure === 'gone') refuse()
      device.read(target, offset)
    },
    write: (source, offset) => write(source, offset, false),
    writeThrough: (source, offset) => write(source, offset, true),
    flush() {
      left--
      if (hasFailed() && (failure === 'flushes' || failure === 'gone')) refuse()
      device.flush()
    },
    discard(offset, length) {
      if (hasFailed()) refuse()
      device.discard(offset, length)
    },
  }
}
