/**
 * Where data and holes begin: lseek(2) with SEEK_DATA and SEEK_HOLE, in a file of which the kernel may keep data that it has not written to us
 * yet. What we know as data is data. What we know as a hole is one only if the kernel keeps nothing there; it is told to write back that range
 * first, and then we look again.
 */

import type { OpenFile } from '@cowherd/fs'

export const SEEK_DATA = 3
export const SEEK_HOLE = 4

/** Reaches to the end of the file, whatever the kernel takes for that. */
export const TO_THE_END = Infinity

export interface Sought {
  /** Where it begins; -1 if nothing is found. */
  readonly found: number
  /** A range that has to be a hole, lest it begins elsewhere; `end` may be `TO_THE_END`. Undefined: there is no doubt. */
  readonly doubt: { readonly start: number; readonly end: number } | undefined
}

/** Looks for data or a hole from `offset` on, which isn't negative. Throws VolumeError. */
export function seek(file: Pick<OpenFile, 'size' | 'seekData' | 'seekHole'>, offset: number, whence: number): Sought {
  const isInside = offset < file.size
  if (whence === SEEK_DATA) {
    const found = isInside ? file.seekData(offset) : -1
    return { found, doubt: rangeOf(offset, found) }
  }
  const found = isInside ? file.seekHole(offset) : -1
  const start = Math.max(found, offset)
  return { found, doubt: rangeOf(start, start < file.size ? file.seekData(start) : -1) }
}

/** From `start` to `end`, or to the end of the file if that is -1. */
function rangeOf(start: number, end: number): Sought['doubt'] {
  if (end === start) return undefined
  return { start, end: end < 0 ? TO_THE_END : end }
}
