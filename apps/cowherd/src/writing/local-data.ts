/**
 * The data of a local file, a piece at a time, without its holes: they are found by asking (lseek SEEK_DATA), and where nobody answers, by looking for blocks of
 * zeros, in files that take less room than their size.
 */

import { closeSync, constants, openSync, readSync } from 'node:fs'
import { NativeError, type Native } from '@cowherd/shim'
import type { LocalFile } from './local-files.ts'

const BLOCK_BYTES = 4096
const ZEROS = Buffer.alloc(BLOCK_BYTES)
const SECTOR = 512
/** A fifo that has taken the file's place keeps nobody waiting. */
export const SOURCE_FLAGS = constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0) | (constants.O_NONBLOCK ?? 0)

/** Whether a file takes less room than its size: then some of it is no data. */
export function mayHaveHoles({ size, sectors }: Pick<LocalFile, 'size' | 'sectors'>): boolean {
  return sectors * SECTOR < size
}

export class LocalData {
  private readonly fd: number
  private readonly native: Native | undefined
  private readonly buffer: Uint8Array
  private readonly size: number
  private looksForZeros = false
  /** Where we are, and where the stretch of data ends that we are in. */
  private at = 0
  private end: number
  /** Of what is in the buffer: where it belongs, how much it is, and how much of that was given out. */
  private readAt = 0
  private read = 0
  private given = 0
  private piece: Uint8Array
  private dataEnd = 0
  /** It has become shorter since it was looked at. */
  private isShorter = false

  /** `buffer` is the size of a piece, whole blocks. Throws errors of system calls. */
  constructor(file: LocalFile, native: Native | undefined, buffer: Uint8Array) {
    const { path, size } = file
    this.fd = openSync(path, SOURCE_FLAGS)
    this.native = native
    this.buffer = buffer
    this.size = size
    this.piece = buffer.subarray(0, 0)
    const hasHoles = mayHaveHoles(file)
    // Files without a size are those that the kernel makes up: their end comes when it comes.
    this.end = hasHoles ? 0 : size === 0 ? Number.MAX_SAFE_INTEGER : size
    if (hasHoles && native === undefined) this.lookForZeros()
  }

  /** Where the data of `bytes` belongs. */
  get offset(): number {
    return this.readAt + this.given - this.piece.length
  }

  /** Some data; valid until `next`. */
  get bytes(): Uint8Array {
    return this.piece
  }

  /** Goes on to the next data. False at the end. Throws errors of system calls. */
  next(): boolean {
    for (;;) {
      if (this.given < this.read && this.give()) return true
      if (this.at >= this.end && !this.findData()) return false
      this.readAt = this.at
      this.read = readSync(this.fd, this.buffer, 0, Math.min(this.buffer.length, this.end - this.at), this.at)
      this.given = 0
      this.at += this.read
      if (this.read > 0) continue
      this.isShorter = this.at < this.size
      return false
    }
  }

  /** Behind the last data, a hole up to here: the file's size; undefined if it ends with data. To be asked at the end. */
  get sizeWithHole(): number | undefined {
    return this.isShorter || this.dataEnd >= this.size ? undefined : this.size
  }

  close(): void {
    closeSync(this.fd)
  }

  private lookForZeros(): void {
    this.looksForZeros = true
    this.end = this.size
  }

  /** Goes to the next stretch of data. */
  private findData(): boolean {
    const { native, size, fd } = this
    if (native === undefined || this.at >= size) return false
    try {
      const start = native.nextData(fd, this.at)
      if (start === undefined || start >= size) return false
      const end = Math.min(native.nextHole(fd, start), size)
      // Where holes are unknown, all is data.
      if (start === 0 && end === size) this.lookForZeros()
      this.at = start
      this.end = end
      return end > start
    } catch (error) {
      if (!(error instanceof NativeError)) throw error
      this.lookForZeros()
      return true
    }
  }

  /** Gives out the rest of what was read, or the next of it that is no block of zeros. False if there is none. */
  private give(): boolean {
    const { buffer, read } = this
    let start = this.given
    let end = read
    if (this.looksForZeros) {
      while (start < read && isZeros(buffer, start, read)) start += BLOCK_BYTES
      end = start
      while (end < read && !isZeros(buffer, end, read)) end += BLOCK_BYTES
    }
    this.given = Math.min(end, read)
    if (start >= read) return false
    this.piece = buffer.subarray(start, this.given)
    this.dataEnd = this.readAt + this.given
    return true
  }
}

/** Whether the block at `at`, or what there is of it before `end`, is all zeros. */
function isZeros(bytes: Uint8Array, at: number, end: number): boolean {
  const length = Math.min(BLOCK_BYTES, end - at)
  return ZEROS.compare(bytes, at, at + length, 0, length) === 0
}
