/** Puts pieces of a file's data, which come in ascending order and may begin and end anywhere, together to whole blocks. */

import type { Copied, DataCopier } from './data-copier.ts'

const PIECE_BYTES = 1 << 20
const SECTOR = 512

export class BlockAssembler {
  /** Of the blocks that were handed on. */
  sectors = 0
  private readonly copier: Pick<DataCopier, 'memory' | 'copyMemory'>
  private readonly copied: Copied
  private readonly blockBytes: number
  private readonly buffer = new Uint8Array(PIECE_BYTES)
  /** Of what is in the buffer: where it belongs, and how much it is. */
  private base = 0
  private length = 0

  constructor(copier: Pick<DataCopier, 'memory' | 'copyMemory'>, copied: Copied, blockBytes: number) {
    this.copier = copier
    this.copied = copied
    this.blockBytes = blockBytes
  }

  /** Adds data, which is copied. Throws as `DataCopier.copyMemory`. */
  add(offset: number, bytes: Uint8Array): void {
    const { buffer, blockBytes } = this
    const block = Math.floor(offset / blockBytes) * blockBytes
    if (block > this.base + this.length) this.flush()
    if (this.length === 0) this.base = block
    // What lies between in the same block is a hole.
    buffer.fill(0, this.length, offset - this.base)
    this.length = offset - this.base
    for (let at = 0; at < bytes.length;) {
      const part = bytes.subarray(at, at + PIECE_BYTES - this.length)
      buffer.set(part, this.length)
      this.length += part.length
      at += part.length
      if (this.length === PIECE_BYTES) this.flush()
    }
  }

  /** Hands on what is there, and fills up its last block. Throws as `DataCopier.copyMemory`. */
  flush(): void {
    const { copier, base, length } = this
    this.base = base + length
    this.length = 0
    if (length === 0) return
    copier.memory(length).set(this.buffer.subarray(0, length))
    copier.copyMemory(this.copied, base, length)
    this.sectors += (Math.ceil(length / this.blockBytes) * this.blockBytes) / SECTOR
  }
}
