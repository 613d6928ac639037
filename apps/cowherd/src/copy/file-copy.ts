/**
 * Copies the data of one file, or of a part of it, a piece at a time: only what the file has data for, so holes stay holes. What can't be
 * read is left out, block by block, and becomes a hole too.
 */

import { ftruncateSync, writeSync } from 'node:fs'
import { VolumeError } from '@cowherd/db'
import type { ByteRange, DataReader } from '@cowherd/fs'

/** Damage is stepped over in units of this size. */
const BLOCK_BYTES = 4096

export class FileCopy {
  readonly #from: DataReader
  readonly #fd: number
  readonly #buffer: Uint8Array
  /** Where the part ends. */
  readonly #partEnd: number
  /** The stretch of data we are in. */
  readonly #range: ByteRange
  #offset: number
  #end = 0
  /** Stretches that could not be read, with what was said about the first byte of each. */
  readonly lost: { start: number; end: number; readonly error: VolumeError }[] = []

  /** Copies from `from` to the same place in the file open as `fd`, which is empty there; `buffer` is the size of a piece. */
  constructor(
    from: DataReader,
    { fd, start, end }: { readonly fd: number; readonly start: number; readonly end: number },
    buffer: Uint8Array,
    { hasHoles }: { hasHoles: boolean },
  ) {
    this.#from = from
    this.#fd = fd
    this.#buffer = buffer
    this.#partEnd = Math.min(end, from.size)
    this.#offset = start
    this.#range = { start, end: hasHoles ? start : this.#partEnd }
  }

  /** Copies one piece. False at the end: nothing was left to copy. */
  step(): boolean {
    const range = this.#range
    if (this.#offset >= range.end && !(this.#offset < this.#partEnd && this.#nextRange())) {
      const { size } = this.#from
      if (this.#partEnd === size && this.#end < size) ftruncateSync(this.#fd, size)
      return false
    }
    const wanted = Math.min(this.#buffer.length, range.end - this.#offset)
    let length: number
    try {
      length = this.#from.read(
        this.#offset,
        this.#buffer.length === wanted ? this.#buffer : this.#buffer.subarray(0, wanted),
      )
    } catch (error) {
      if (!(error instanceof VolumeError)) throw error
      this.#skip(error)
      return true
    }
    for (let done = 0; done < length;) {
      done += writeSync(this.#fd, this.#buffer, done, length - done, this.#offset + done)
    }
    this.#offset += length
    this.#end = this.#offset
    return true
  }

  #nextRange(): boolean {
    const range = this.#range
    try {
      if (!this.#from.nextData(this.#offset, range) || range.start >= this.#partEnd) return false
      range.end = Math.min(range.end, this.#partEnd)
      this.#offset = range.start
      return true
    } catch (error) {
      // the map of the file is damaged: nothing is known of what follows
      if (!(error instanceof VolumeError)) throw error
      this.lost.push({ start: this.#offset, end: this.#partEnd, error })
      return false
    }
  }

  #skip(error: VolumeError): void {
    const start = this.#offset
    const end = Math.min(start - (start % BLOCK_BYTES) + BLOCK_BYTES, this.#range.end)
    const last = this.lost.at(-1)
    if (last?.end === start) last.end = end
    else this.lost.push({ start, end, error })
    this.#offset = end
  }
}
