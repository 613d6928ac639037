/**
 * How messages get to the kernel and back: whole requests and whole replies. The protocol above works over anything that does
 * this; tests feed it from memory.
 */

import { readSync, writeSync } from 'node:fs'

export interface Transport {
  /**
   * Waits for one request and reads it whole into `buffer`. Returns its length in bytes. Throws an error with a `code`: ENODEV when
   * the filesystem was unmounted.
   */
  read(buffer: Uint8Array): number
  /** Writes the first `length` bytes of `buffer` as one message. Throws an error with a `code`: ENOENT if nobody waits for it. */
  write(buffer: Uint8Array, length: number): void
}

/** Messages over an open /dev/fuse. The descriptor may be used by several threads at once. */
export function deviceTransport(fd: number): Transport {
  return {
    read: (buffer) => readSync(fd, buffer, 0, buffer.length, null),
    write: (buffer, length) => {
      writeSync(fd, buffer, 0, length, null)
    },
  }
}
