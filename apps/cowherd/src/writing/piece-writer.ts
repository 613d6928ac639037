/** Data that comes in small pieces, written to a file in large ones. */

import type { NodeRef } from '@cowherd/fs'
import type { WritableFiles } from './writable-files.ts'

/** So much is written at a time. */
const PIECE_BYTES = 1 << 20

export class PieceWriter {
  private readonly fs: WritableFiles
  private readonly buffer = new Uint8Array(PIECE_BYTES)
  private ref: NodeRef | undefined
  private offset = 0
  private filled = 0

  constructor(fs: WritableFiles) {
    this.fs = fs
  }

  /** What comes from now on is for another file. */
  begin(ref: NodeRef): void {
    this.ref = ref
    this.offset = 0
    this.filled = 0
  }

  /** Where the data ends that was added. */
  get end(): number {
    return this.offset + this.filled
  }

  /** Adds data at `offset`, which is copied. Throws VolumeError. */
  add(offset: number, bytes: Uint8Array): void {
    if (offset !== this.end) {
      this.flush()
      this.offset = offset
    }
    for (let at = 0; at < bytes.length;) {
      const part = bytes.subarray(at, at + PIECE_BYTES - this.filled)
      this.buffer.set(part, this.filled)
      this.filled += part.length
      at += part.length
      if (this.filled === PIECE_BYTES) this.flush()
    }
  }

  /** Writes what was added. Throws VolumeError. */
  flush(): void {
    const { ref, filled } = this
    if (filled === 0 || ref === undefined) return
    this.fs.write(ref, this.offset, this.buffer.subarray(0, filled))
    this.offset += filled
    this.filled = 0
  }
}
