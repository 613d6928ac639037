/**
 * How messages get to the kernel and back: whole requests and whole replies. The protocol above works over anything that does
 * this; tests feed it from memory.
 */

import { readSync, writeSync } from 'node:fs'
import type { EagerWait } from './eager-wait.ts'

export interface Transport {
  /**
   * Waits for one request and reads it whole into `buffer`. Returns its length in bytes. Throws an error with a `code`: ENODEV when
   * the filesystem was unmounted.
   */
  read(buffer: Uint8Array): number
  /** Writes the first `length` bytes of `buffer` as one message. Throws an error with a `code`: ENOENT if nobody waits for it. */
  write(buffer: Uint8Array, length: number): void
}

/** Messages over an open /dev/fuse. The descriptor may be used by several threads at once; one that is alone may wait eagerly. */
export function deviceTransport(fd: number, eagerly?: EagerWait): Transport {
  const read = (buffer: Uint8Array): number => readSync(fd, buffer, 0, buffer.length, null)
  return {
    read: eagerly === undefined ? read : (buffer) => readEagerly(read, buffer, eagerly),
    write: (buffer, length) => {
      writeSync(fd, buffer, 0, length, null)
    },
  }
}

function readEagerly(read: Transport['read'], buffer: Uint8Array, eagerly: EagerWait): number {
  if (eagerly.look()) return read(buffer)
  const length = read(buffer)
  eagerly.slept()
  return length
}
