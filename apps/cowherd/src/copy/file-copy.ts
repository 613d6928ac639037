/**
 * Copies the data of one file, a piece at a time: only what the file has data for, so holes stay holes. What can't be read is left
 * out, block by block, and becomes a hole too.
 */

import { ftruncateSync, writeSync } from 'node:fs'
import { VolumeError } from '@cowherd/db'
import type { ByteRange, OpenFile } from '@cowherd/fs'

/** Damage is stepped over in units of this size. */
const BLOCK_BYTES = 4096

export class FileCopy {
  readonly #from: OpenFile
  readonly #fd: number
  readonly #buffer: Uint8Array
  /** The stretch of data we are in. */
  readonly #range: ByteRange = { start: 0, end: 0 }
  #offset = 0
  #end = 0
  /** Stretches that could not be read, with what was said about the first byte of each. */
  readonly lost: { start: number; end: number; readonly error: VolumeError }[] = []

  /** Copies from `from` to the empty file open as `fd`; `buffer` is the size of a piece. */
  constructor(from: OpenFile, fd: number, buffer: Uint8Array, { hasHoles }: { hasHoles: boolean }) {
    this.#from = from
    this.#fd = fd
    this.#buffer = buffer
    if (!hasHoles) this.#range.end = from.size
  }

  /** Copies one piece. Returns its size in bytes, and -1 at the end. */
  step(): number {
    const range = this.#range
    if (this.#offset >= range.end && !(this.#offset < this.#from.size && this.#nextRange())) {
      if (this.#end < this.#from.size) ftruncateSync(this.#fd, this.#from.size)
      return -1
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
      return this.#skip(error)
    }
    for (let done = 0; done < length;) {
      done += writeSync(this.#fd, this.#buffer, done, length - done, this.#offset + done)
    }
    this.#offset += length
    this.#end = this.#offset
    return length
  }

  #nextRange(): boolean {
    try {
      if (!this.#from.nextData(this.#offset, this.#range)) return false
      this.#offset = this.#range.start
      return true
    } catch (error) {
      // the map of the file is damaged: nothing is known of what follows
      if (!(error instanceof VolumeError)) throw error
      this.lost.push({ start: this.#offset, end: this.#from.size, error })
      return false
    }
  }

  #skip(error: VolumeError): number {
    const start = this.#offset
    const end = Math.min(start - (start % BLOCK_BYTES) + BLOCK_BYTES, this.#range.end)
    const last = this.lost.at(-1)
    if (last?.end === start) last.end = end
    else this.lost.push({ start, end, error })
    this.#offset = end
    return end - start
  }
}
