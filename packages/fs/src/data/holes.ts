/**
 * Makes holes in files: whole blocks go, of others the bytes become zeros. Format chapter 6, 6.9.1 and 6.9.3.
 *
 * Each transaction removes a bounded number of extents, and leaves the file in order.
 */

import type { Updates } from '@cowherd/db'
import { EXTENTS_PER_STEP, removeExtents } from '../extents/overwrite.ts'
import type { BlockWriter } from './block-writer.ts'
import type { AlsoChange, ChangingFile, ChangingFiles } from './changing-file.ts'
import type { DataVolume } from './data-volume.ts'

const SECTOR = 512

/** What of a range of bytes is whole blocks, and what is not: `start` to `end`, bytes; empty if `start` is not below `end`. */
export interface BlockRange {
  readonly start: number
  readonly end: number
}

export class Holes {
  private readonly volume: DataVolume
  private readonly files: ChangingFiles
  private readonly blocks: BlockWriter

  constructor(volume: DataVolume, files: ChangingFiles, blocks: BlockWriter) {
    this.volume = volume
    this.files = files
    this.blocks = blocks
  }

  /** Makes zeros of the bytes from `from` to `to`; the size stays. Throws VolumeError EIO, ENOSPC. */
  punch(file: ChangingFile, from: number, to: number, also: AlsoChange): void {
    const range = this.wholeBlocks(file, from, to)
    let at = this.zeroEnds(file, from, to, range, also)
    while (at < range.end) at = this.remove(file, at, range.end, also)
  }

  /** The whole blocks in a range. The one that the file ends in is whole if the range goes as far. */
  wholeBlocks({ size }: ChangingFile, from: number, to: number): BlockRange {
    const { blockBytes } = this.blocks
    const start = Math.ceil(from / blockBytes) * blockBytes
    const end = (to >= size ? Math.ceil(to / blockBytes) : Math.floor(to / blockBytes)) * blockBytes
    return { start, end }
  }

  /**
   * Makes zeros of what of the bytes from `from` to `to` is not in `range`, their whole blocks, and removes the first extents there. Returns the byte up
   * to which they are removed.
   */
  private zeroEnds(file: ChangingFile, from: number, to: number, range: BlockRange, also: AlsoChange): number {
    const { blocks, files, volume } = this
    let done = range.start
    try {
      files.change(
        file,
        (updates) => {
          const sectors = this.zeroParts(updates, file, from, to, range)
          if (range.start >= range.end) return sectors
          const [first, last] = [range.start / SECTOR, range.end / SECTOR]
          const removal = removeExtents(updates, volume.snapshots, file.version, first, last, EXTENTS_PER_STEP)
          done = removal.end * SECTOR
          return sectors - removal.sectors
        },
        also,
        true,
      )
    } finally {
      blocks.done()
    }
    return done
  }

  /** As part of a transaction: makes zeros of what of the bytes from `from` to `to` is in no whole block. Returns how many sectors more there are. */
  zeroParts(updates: Updates, file: ChangingFile, from: number, to: number, { start, end }: BlockRange): number {
    const { size } = file
    const last = Math.min(to, size)
    if (start > end) return this.blocks.zero(updates, file, from, last, size) // in one block
    return (
      this.blocks.zero(updates, file, from, Math.min(start, last), size) +
      this.blocks.zero(updates, file, end, last, size)
    )
  }

  /** Removes extents from byte `from` on. Returns up to where. */
  private remove(file: ChangingFile, from: number, to: number, also: AlsoChange): number {
    const { files, volume } = this
    let done = to
    files.change(
      file,
      (updates) => {
        const [first, last] = [from / SECTOR, to / SECTOR]
        const removal = removeExtents(updates, volume.snapshots, file.version, first, last, EXTENTS_PER_STEP)
        done = removal.end * SECTOR
        return -removal.sectors
      },
      also,
      true,
    )
    return done
  }
}
