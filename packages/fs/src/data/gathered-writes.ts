/**
 * Blocks of a file that are overwritten one by one, all over it, as the kernel writes back what a database has changed: put together to one
 * transaction, which has the inode once, each bucket once, and one write of data. Format chapter 6, 6.7 to 6.9.
 *
 * Until `settle` nothing of them is to be seen, not even in the file's size, which they don't change. Room for them is granted when they are taken.
 */

import type { Updates } from '@cowherd/db'
import { NodeRef } from '../node-ref.ts'
import type { BlockWriter } from './block-writer.ts'
import type { AlsoChange, ChangingFile, ChangingFiles } from './changing-file.ts'
import type { DataVolume } from './data-volume.ts'
import type { RangeLook } from './range-look.ts'

const SECTOR = 512
/** Each may split an extent, which brings a dozen keys with it. */
const BLOCKS_MAX = 32

export class GatheredWrites {
  private readonly volume: DataVolume
  private readonly files: ChangingFiles
  private readonly blocks: BlockWriter
  private readonly look: RangeLook
  private readonly offsets = new Float64Array(BLOCKS_MAX)
  private readonly bytes: Uint8Array
  private count = 0
  private granted = 0
  private readonly ref = new NodeRef()
  /** Whose blocks they are, if there are some: nobody has changed it since it was opened. */
  private file: ChangingFile | undefined
  private also: AlsoChange | undefined
  private readonly put = (updates: Updates): number => {
    const { file, blocks, offsets, count, bytes } = this
    if (file === undefined) return 0
    return blocks.putBlocks(updates, file, offsets.subarray(0, count), bytes.subarray(0, count * blocks.blockBytes))
  }

  constructor(volume: DataVolume, files: ChangingFiles, blocks: BlockWriter, look: RangeLook) {
    this.volume = volume
    this.files = files
    this.blocks = blocks
    this.look = look
    this.bytes = new Uint8Array(BLOCKS_MAX * blocks.blockBytes)
  }

  /**
   * Takes a write, if it overwrites one block in the middle of a file. False: it is to be written by itself, and then `settle` comes first.
   * Throws VolumeError as `FileData.write` does.
   */
  take(ref: Readonly<NodeRef>, offset: number, data: Uint8Array, also: AlsoChange): boolean {
    const { blockBytes } = this.blocks
    if (data.length !== blockBytes || offset % blockBytes !== 0) return false
    if (this.file !== undefined && !this.goesWith(ref, offset, also)) this.settle()
    const file = this.file ?? this.files.open(this.ref.copy(ref))
    if (offset + blockBytes > file.size || file.options.compression.type !== 'none') return false
    const start = offset / SECTOR
    const { needed } = this.look.look(file, start, start + blockBytes / SECTOR)
    if (needed > 0) this.volume.capacity.grant(needed)
    this.granted += needed
    this.offsets[this.count] = offset
    this.bytes.set(data, this.count * blockBytes)
    this.file = file
    this.also = also
    this.count++
    if (this.count === BLOCKS_MAX) this.settle()
    return true
  }

  /** Writes what was taken. Throws VolumeError EIO, EROFS, and ENOENT if the file has gone; then it is lost. */
  settle(): void {
    const { file, also, volume, files, blocks } = this
    if (file === undefined || also === undefined) return
    try {
      files.change(file, this.put, also, true)
    } finally {
      blocks.done()
      volume.capacity.release(this.granted)
      this.count = 0
      this.granted = 0
      this.file = undefined
      this.also = undefined
    }
  }

  private goesWith(ref: Readonly<NodeRef>, offset: number, also: AlsoChange): boolean {
    if (this.file?.ref.equals(ref) !== true || this.also !== also) return false
    for (let i = 0; i < this.count; i++) if (this.offsets[i] === offset) return false
    return true
  }
}
