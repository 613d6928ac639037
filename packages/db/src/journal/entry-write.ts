/**
 * Brings a closed journal entry to its devices, in the order that makes it true. Format chapter 3, 3.7.5.
 *
 * A flushed entry says that all before it is on stable storage: so first every device of the volume is flushed, whether it gets a copy or
 * not; then the copies are written through. Other entries are written, no more. This is all that a thread of its own would have to do; what
 * it needs to know is plain data.
 *
 * An entry that lets older ones go is written with its head last: cut off in between, it must not look like one. The reference forgets the older ones as soon
 * as it sees the head, whether the rest is right or not (docs/format/writing.md).
 */

import { DeviceError, writeThroughHeadLast, type WritableBlockDevice } from '@cowherd/shim'

/** A device that takes part in flushes. */
export interface FlushTarget {
  readonly index: number
  readonly device: WritableBlockDevice
}

/** Where a copy goes. */
export interface EntryCopy {
  readonly index: number
  readonly device: WritableBlockDevice
  /** First byte on the device. */
  readonly offset: number
}

export interface EntryWrite {
  /** The entry in whole blocks, encrypted, with its checksum. */
  readonly bytes: Uint8Array
  readonly isFlush: boolean
  /** So many bytes at the beginning are written when all others are on stable storage; 0: all together. */
  readonly headBytes: number
  readonly copies: readonly EntryCopy[]
  /** All devices that are written to; of no account unless it is a flush entry. */
  readonly flushFirst: readonly FlushTarget[]
}

/** Writes entries elsewhere, while the journal goes on: one at a time. */
export interface EntryThread {
  /** Begins to write the entry, whose bytes are copied. Devices that need no flush are left out of `flushFirst`. */
  start(entry: EntryWrite): void
  /** What has come of it, once; undefined as long as it isn't done. */
  poll(): EntryOutcome | undefined
  /** The same, but waits until it is done. */
  wait(): EntryOutcome
}

/** What has come of writing an entry. */
export interface EntryOutcome {
  /** Devices that have it. */
  readonly written: readonly number[]
  readonly failures: readonly { readonly device: number; readonly step: FailedStep; readonly error: DeviceError }[]
}

/** What failed: bringing to stable storage what was written before, or writing the entry. */
export type FailedStep = 'flush' | 'write'

/**
 * Writes the entry. Returns the devices that have it. A device that fails is told to `fail` before anything else is done, and gets no copy;
 * if `fail` throws, that is the end.
 */
export function writeEntry(
  { bytes, isFlush, headBytes, copies, flushFirst }: EntryWrite,
  fail: (device: number, step: FailedStep, error: DeviceError) => void,
): number[] {
  const failed = new Set<number>()
  const attempt = (index: number, step: FailedStep, action: () => void): boolean => {
    try {
      action()
      return true
    } catch (error) {
      if (!(error instanceof DeviceError)) throw error
      failed.add(index)
      fail(index, step, error)
      return false
    }
  }
  if (isFlush) for (const { index, device } of flushFirst) attempt(index, 'flush', () => device.flush())
  const written: number[] = []
  for (const { index, device, offset } of copies) {
    if (failed.has(index)) continue
    const write = (): void =>
      isFlush ? writeThroughHeadLast(device, bytes, offset, headBytes) : device.write(bytes, offset)
    if (attempt(index, 'write', write)) written.push(index)
  }
  return written
}
