/** An image in memory without its holes: what a mutated device lies over. Never changes. */

import * as fs from 'node:fs'

const PIECE_BYTES = 64 * 1024
const ZEROS = Buffer.alloc(PIECE_BYTES)

export class SparseImage {
  readonly size: number
  private readonly pieces: (Uint8Array | undefined)[] = []

  constructor(file: string) {
    const fd = fs.openSync(file, 'r')
    try {
      this.size = fs.fstatSync(fd).size
      for (let at = 0; at < this.size; at += PIECE_BYTES) {
        const piece = Buffer.alloc(PIECE_BYTES)
        fs.readSync(fd, piece, 0, Math.min(PIECE_BYTES, this.size - at), at)
        this.pieces.push(piece.equals(ZEROS) ? undefined : piece)
      }
    } finally {
      fs.closeSync(fd)
    }
  }

  /** Fills `target` from byte `offset` on; both ends lie inside the image. */
  read(target: Uint8Array, offset: number): void {
    for (let done = 0; done < target.length;) {
      const piece = Math.floor((offset + done) / PIECE_BYTES)
      const within = offset + done - piece * PIECE_BYTES
      const length = Math.min(PIECE_BYTES - within, target.length - done)
      const bytes = this.pieces[piece]
      if (bytes === undefined) target.fill(0, done, done + length)
      else target.set(bytes.subarray(within, within + length), done)
      done += length
    }
  }

  /** A byte offset at which there is something other than zeros; `choice` (0 to 1) says which. */
  usedOffset(choice: number): number {
    const used = this.pieces.flatMap((piece, index) => (piece === undefined ? [] : [index]))
    const scaled = choice * used.length
    const index = Math.min(used.length - 1, Math.floor(scaled))
    return Math.floor((used[index] + (scaled - index)) * PIECE_BYTES)
  }
}
