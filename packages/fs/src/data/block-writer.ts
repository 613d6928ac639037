/**
 * Writes whole blocks of a file, inside a transaction: to space that is found for them, or, if they are the little that is in a file's last block,
 * into the key itself. Format chapter 6, 6.7.
 *
 * Where only a part of a block is new, the rest is read before; bytes behind the end of the file are zeros, whatever is done with them.
 */

import { BtreeId, Key, setBpos, Watermark, type Bpos, type KeyCursor, type NewExtents, type Updates } from '@cowherd/db'
import { INLINE_DATA } from '../key-types/inline-data.ts'
import { OpenFile } from '../open-file.ts'
import type { ChangingFile } from './changing-file.ts'
import type { DataVolume } from './data-volume.ts'
import type { ExtentInserter } from './extent-inserter.ts'
import type { RangeLook } from './range-look.ts'

const SECTOR = 512
/** As much as this of a file's last block lies in the key, and half a block at most. */
const INLINE_BYTES_MAX = 1024

export class BlockWriter {
  readonly blockBytes: number
  private readonly volume: DataVolume
  private readonly inserter: ExtentInserter
  private readonly look: RangeLook
  private readonly extents: NewExtents
  private readonly inlineBytesMax: number
  private readonly key = new Key()
  private readonly pos: Bpos = new Uint32Array(5)
  private block = new Uint8Array(0)
  private cursor: KeyCursor | undefined
  private snapshot = 0

  constructor(volume: DataVolume, inserter: ExtentInserter, look: RangeLook, mayInline: boolean) {
    this.volume = volume
    this.inserter = inserter
    this.look = look
    this.extents = volume.data.newExtents()
    this.blockBytes = volume.shape.blockSectors * SECTOR
    this.inlineBytesMax = mayInline ? Math.min(this.blockBytes / 2, INLINE_BYTES_MAX) : 0
  }

  /** Whether blocks of so many bytes at byte `offset` lie in the key, in a file of `size` bytes. */
  isInline(offset: number, bytes: number, size: number): boolean {
    return bytes === this.blockBytes && size - offset <= this.inlineBytesMax
  }

  /**
   * Puts blocks at byte `offset` of a file that is going to have `size` bytes. Returns how many sectors more it has. `done` has to follow when the
   * transaction is committed, or given up. Throws VolumeError ENOSPC, EIO.
   */
  put(
    updates: Updates,
    file: ChangingFile,
    offset: number,
    bytes: Uint8Array,
    size: number,
    watermark: number = Watermark.normal,
  ): number {
    if (this.isInline(offset, bytes.length, size)) return this.putInline(updates, file, offset, bytes, size - offset)
    const { extents, key, volume } = this
    const first = extents.count
    const start = offset / SECTOR - extents.sectors
    volume.data.write(extents, bytes, file.options, { writer: file.writer, watermark })
    let sectors = 0
    for (let i = first; i < extents.count; i++) {
      extents.copy(i, key, file.version, start)
      sectors += this.inserter.insert(updates, key)
    }
    return sectors
  }

  /** As `put`, of single blocks at several places in the middle of a file: `bytes` has them one behind the other. */
  putBlocks(updates: Updates, file: ChangingFile, offsets: Float64Array, bytes: Uint8Array): number {
    const { extents, key, volume, blockBytes } = this
    const first = extents.count
    const start = extents.sectors
    volume.data.write(extents, bytes, file.options, { writer: file.writer, unitBytes: blockBytes })
    let sectors = 0
    for (let i = 0; i < offsets.length; i++) {
      extents.copy(first + i, key, file.version, (offsets[i] - i * blockBytes) / SECTOR - start)
      sectors += this.inserter.insert(updates, key)
    }
    return sectors
  }

  /** Makes zeros of the bytes from `from` to `to`, all in one block, in a file that is going to have `size` bytes. As `put`. */
  zero(updates: Updates, file: ChangingFile, from: number, to: number, size: number): number {
    const { blockBytes } = this
    const start = Math.floor(from / blockBytes) * blockBytes
    if (from >= to || !this.look.hasData(file, start / SECTOR, (start + blockBytes) / SECTOR)) return 0
    if (this.block.length === 0) this.block = new Uint8Array(blockBytes)
    this.read(file, start, this.block)
    this.block.fill(0, from - start, to - start)
    this.block.fill(0, Math.min(Math.max(0, size - start), blockBytes))
    // It makes room, as a rule: not for want of space may it fail.
    return this.put(updates, file, start, this.block, size, Watermark.copygc)
  }

  /** Fills `target` with the file's bytes from `offset` on, as they were before the transaction; zeros behind its end. Throws DataError. */
  read(file: ChangingFile, offset: number, target: Uint8Array): void {
    const { ref, size, version } = file
    if (this.cursor === undefined || this.snapshot !== version.snapshot) {
      this.cursor = this.volume.snapshotCursor(BtreeId.extents, version.snapshot)
      this.snapshot = version.snapshot
    }
    const done = new OpenFile(this.volume, ref, size, this.cursor, ref).readFully(offset, target)
    target.fill(0, Math.max(0, done))
  }

  /** Whoever needed the space has it, or doesn't need it any more. */
  done(): void {
    this.extents.done()
  }

  private putInline(
    updates: Updates,
    { version }: ChangingFile,
    offset: number,
    bytes: Uint8Array,
    length: number,
  ): number {
    const { live } = this.volume
    if (live.addFeature('inline_data')) live.write()
    const end = (offset + bytes.length) / SECTOR
    const { pos, key } = this
    setBpos(pos, version.numberHi, version.numberLo, Math.floor(end / 0x100000000), end, version.snapshot)
    key.make(INLINE_DATA, pos, bytes.subarray(0, length), bytes.length / SECTOR)
    return this.inserter.insert(updates, key)
  }
}
