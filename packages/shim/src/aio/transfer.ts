/**
 * Transfers to and from descriptors that are whole: short ones are continued, interrupted ones (EINTR) tried again at once, those
 * that can't be now (EAGAIN) after a pause. Memory may be shared.
 *
 * Sources: pread(2), pwrite(2), preadv(2).
 */

import fs from 'node:fs'

/** A call failed after some bytes. `code` is the errno name. */
export class TransferError extends Error {
  override readonly name = 'TransferError'
  readonly code: string
  /** Bytes that were transferred before. */
  readonly done: number

  constructor(code: string, done: number, cause: unknown) {
    super(`${code} after ${done} bytes`, { cause })
    this.code = code
    this.done = done
  }
}

/** The calls that are used, as in `node:fs`; a test's own show what happens when they fail. */
export type TransferCalls = Pick<typeof fs, 'readSync' | 'writeSync' | 'readvSync' | 'writevSync'>

/** How often a call is tried that makes no progress. */
const TRIES_MAX = 1000
const PAUSE_MS = 1
/** The most that a call transfers, and the most segments it takes. */
const BYTES_MAX = 0x7ffff000
const SEGMENTS_MAX = 1024

/** Reads `length` bytes from `offset` into `memory` at `at`. Returns how many there were: fewer only at the end of the file. */
export function readFully(
  fd: number,
  memory: Uint8Array,
  at: number,
  length: number,
  offset: number,
  calls: TransferCalls = fs,
): number {
  let done = 0
  for (let tries = 0; done < length;) {
    try {
      const got = calls.readSync(fd, memory, at + done, Math.min(length - done, BYTES_MAX), offset + done)
      if (got === 0) break
      done += got
      tries = 0
    } catch (error) {
      tries = againAfter(error, done, tries)
    }
  }
  return done
}

/** Writes `length` bytes at `at` in `memory` to `offset`. Returns how many were taken: fewer only when the file takes no more. */
export function writeFully(
  fd: number,
  memory: Uint8Array,
  at: number,
  length: number,
  offset: number,
  calls: TransferCalls = fs,
): number {
  let done = 0
  for (let tries = 0; done < length;) {
    try {
      const got = calls.writeSync(fd, memory, at + done, Math.min(length - done, BYTES_MAX), offset + done)
      if (got === 0) break
      done += got
      tries = 0
    } catch (error) {
      tries = againAfter(error, done, tries)
    }
  }
  return done
}

/** `readFully` into several pieces of memory, one after another. `segments` is used up. */
export function readVectorFully(fd: number, segments: Uint8Array[], offset: number, calls: TransferCalls = fs): number {
  return vectorFully(segments, offset, (some, position) => calls.readvSync(fd, some, position))
}

/** `writeFully` from several pieces of memory, one after another. `segments` is used up. */
export function writeVectorFully(
  fd: number,
  segments: Uint8Array[],
  offset: number,
  calls: TransferCalls = fs,
): number {
  return vectorFully(segments, offset, (some, position) => calls.writevSync(fd, some, position))
}

function vectorFully(
  segments: Uint8Array[],
  offset: number,
  call: (segments: Uint8Array[], position: number) => number,
): number {
  let done = 0
  let first = 0
  for (let tries = 0; ;) {
    while (first < segments.length && segments[first].length === 0) first++
    if (first === segments.length) return done
    try {
      const isAll = first === 0 && segments.length <= SEGMENTS_MAX
      let got = call(isAll ? segments : segments.slice(first, first + SEGMENTS_MAX), offset + done)
      if (got === 0) return done
      done += got
      tries = 0
      while (first < segments.length && got >= segments[first].length) got -= segments[first++].length
      if (got > 0) segments[first] = segments[first].subarray(got)
    } catch (error) {
      tries = againAfter(error, done, tries)
    }
  }
}

/** Returns the number of tries so far if a call is to be tried again. Throws TransferError if not. */
function againAfter(error: unknown, done: number, tries: number): number {
  if (!(error instanceof Error && 'code' in error && typeof error.code === 'string')) throw error
  const { code } = error
  if (code.startsWith('ERR_')) throw error // a wrong argument, not the system's answer
  if ((code !== 'EINTR' && code !== 'EAGAIN') || tries === TRIES_MAX) throw new TransferError(code, done, error)
  if (code === 'EAGAIN') Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, PAUSE_MS)
  return tries + 1
}
