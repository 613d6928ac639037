/**
 * `FileData`: what changes the contents of files. `WritableFileSystem` does it on behalf of its users. Format chapter 6, 6.7 to 6.10.
 *
 *     write      blocks to new space, then their keys        block-writer.ts, gathered-writes.ts
 *     allocate   promises of space, and holes                space-promises.ts, holes.ts
 *     resize     the size; what lies behind                  resize.ts
 *     copy       sharing what can be shared                  range-copy.ts
 *
 * Data is written before the transaction that has its keys: one for each bounded piece, which also has the inode's size, sectors and times.
 * Whether there is room is settled before anything changes. What fails halfway leaves the pieces before it in order.
 */

import { VolumeError, type Updates } from '@cowherd/db'
import { changeSectors, setSize } from '../inode-versions.ts'
import { InodeFlag, type Inode } from '../inode.ts'
import type { AllocateMode } from '../file-system-writer.ts'
import type { NodeRef } from '../node-ref.ts'
import type { Subvolumes } from '../subvolumes.ts'
import type { TimeScale } from '../time-scale.ts'
import { BlockWriter } from './block-writer.ts'
import { ChangingFiles, FILE_BYTES_MAX, type AlsoChange, type ChangingFile } from './changing-file.ts'
import type { DataVolume } from './data-volume.ts'
import { ExtentInserter } from './extent-inserter.ts'
import { GatheredWrites } from './gathered-writes.ts'
import { Holes } from './holes.ts'
import { RangeCopy } from './range-copy.ts'
import { RangeLook } from './range-look.ts'
import { Resize } from './resize.ts'
import { SpacePromises } from './space-promises.ts'

export interface FileDataOptions {
  /** What changes in an inode whenever its data does, unless a call says otherwise: the times. */
  readonly touch: AlsoChange
  /** Whether little data lies in keys: as the mount option inline_data. Left out: it does. */
  readonly inlineData?: boolean
}

const SECTOR = 512
/** So much is written with one transaction, over so many extents at most. */
const PIECE_BYTES = 1 << 20
const EXTENTS_OVERWRITTEN_MAX = 64

export class FileData {
  private readonly volume: DataVolume
  private readonly touch: AlsoChange
  private readonly files: ChangingFiles
  private readonly look: RangeLook
  private readonly blocks: BlockWriter
  private readonly holes: Holes
  private readonly promises: SpacePromises
  private readonly resizing: Resize
  private readonly copying: RangeCopy
  private readonly gathered: GatheredWrites
  /** Where a piece is put together of old and new bytes. */
  private piece = new Uint8Array(0)

  constructor(
    volume: DataVolume,
    subvolumes: Pick<Subvolumes, 'view'>,
    times: TimeScale,
    { touch, inlineData = true }: FileDataOptions,
  ) {
    this.volume = volume
    this.touch = touch
    this.files = new ChangingFiles(volume, subvolumes, times)
    this.look = new RangeLook(volume)
    const inserter = new ExtentInserter(volume)
    this.blocks = new BlockWriter(volume, inserter, this.look, inlineData)
    this.holes = new Holes(volume, this.files, this.blocks)
    this.promises = new SpacePromises(volume, this.files, this.blocks, this.holes, inserter, this.look)
    this.resizing = new Resize(volume, this.files, this.blocks)
    this.copying = new RangeCopy(volume, this.files, inserter, this.look)
    this.gathered = new GatheredWrites(volume, this.files, this.blocks, this.look)
  }

  /**
   * Writes all of `data` at byte `offset`; the file grows as needed. Throws VolumeError ENOENT, EISDIR, EINVAL, EROFS, EFBIG, ENOSPC with nothing of it
   * written; EIO too if it is not more than a mebibyte.
   */
  write(ref: Readonly<NodeRef>, offset: number, data: Uint8Array, also: AlsoChange = this.touch): void {
    this.settle()
    const file = this.files.open(ref)
    checkRange(ref, offset, data.length)
    if (data.length === 0) return
    const { look, blocks, volume } = this
    const { blockBytes } = blocks
    const end = offset + data.length
    const start = sectorBelow(offset, blockBytes)
    const isOnePiece = end <= start * SECTOR + PIECE_BYTES
    look.look(file, start, sectorAbove(end, blockBytes), isOnePiece ? EXTENTS_OVERWRITTEN_MAX : Infinity)
    const granted = look.needed
    if (granted > 0) volume.capacity.grant(granted)
    try {
      let at = offset
      if (isOnePiece) at = this.writePiece(file, at, data, also) // which has been looked at
      while (at < end) {
        this.lookAtPiece(file, at, end)
        at = this.writePiece(file, at, data.subarray(at - offset), also)
      }
    } finally {
      if (granted > 0) volume.capacity.release(granted)
    }
  }

  /** The same, but single blocks are put together with those that follow: they take effect by `settle`, or any other call. */
  gather(ref: Readonly<NodeRef>, offset: number, data: Uint8Array, also: AlsoChange): void {
    if (!this.gathered.take(ref, offset, data, also)) this.write(ref, offset, data, also)
  }

  /** What was gathered takes effect. Throws VolumeError EIO, EROFS; then it is lost. */
  settle(): void {
    this.gathered.settle()
  }

  /**
   * As part of a transaction that makes a file: puts all that is to be in it, and has the inode say so; the caller puts that. `done` has to follow when
   * the transaction is committed, or given up. Throws VolumeError ENOSPC, EIO.
   */
  fill(updates: Updates, inode: Inode, content: Uint8Array): void {
    const file = this.files.newFile(inode)
    const bytes = this.wholeBlocks(file, 0, content.length, content)
    changeSectors(inode, this.blocks.put(updates, file, 0, bytes, content.length))
    setSize(inode, content.length)
  }

  /** Sets room aside for new files of so many bytes, and returns how many sectors that is. Throws VolumeError ENOSPC. */
  grant(sizes: readonly number[]): number {
    const { volume, blocks } = this
    const sectors = sizes.reduce((sum, bytes) => sum + sectorAbove(bytes, blocks.blockBytes), 0)
    const needed = sectors * volume.superblock.options.dataReplicas
    volume.capacity.grant(needed)
    return needed
  }

  /** What was granted is used, or not needed after all. */
  release(sectors: number): void {
    this.volume.capacity.release(sectors)
  }

  /** See `fill`. */
  done(): void {
    this.blocks.done()
  }

  /** fallocate(2). Throws VolumeError ENOENT, EISDIR, EINVAL, EROFS, EFBIG, ENOSPC, EIO. */
  allocate(
    ref: Readonly<NodeRef>,
    offset: number,
    length: number,
    mode: AllocateMode,
    also: AlsoChange = this.touch,
  ): void {
    this.settle()
    const file = this.files.open(ref)
    checkRange(ref, offset, length)
    if (length === 0) throw new VolumeError('EINVAL', ref.toString(), 'a range of no bytes')
    const end = offset + length
    switch (mode) {
      case 'punch-hole':
        this.holes.punch(file, offset, end, also)
        break
      case 'zero-range':
      case 'zero-range-keep-size':
        this.promises.zero(file, offset, end, mode === 'zero-range', also)
        break
      case 'allocate':
      case 'allocate-keep-size':
        this.promises.allocate(file, offset, end, mode === 'allocate', also)
        break
    }
  }

  /** Cuts or lengthens a file to `size` bytes. Throws VolumeError ENOENT, EISDIR, EINVAL, EROFS, EFBIG, EIO. */
  resize(ref: Readonly<NodeRef>, size: number, also: AlsoChange = this.touch): void {
    this.settle()
    const file = this.files.open(ref)
    checkRange(ref, size, 0)
    this.resizing.resize(file, size, also)
  }

  /**
   * Copies bytes from one file to another, or within one; what can be shared is. Returns how many: fewer at the end of the source. Throws
   * VolumeError: EINVAL if the ranges overlap, and what `write` throws.
   */
  copyRange(
    from: Readonly<NodeRef>,
    fromOffset: number,
    to: Readonly<NodeRef>,
    toOffset: number,
    length: number,
    also: AlsoChange = this.touch,
  ): number {
    this.settle()
    const source = this.files.open(from, false)
    const target = this.files.open(to)
    checkRange(from, fromOffset, 0)
    const bytes = Math.max(0, Math.min(length, source.size - fromOffset))
    checkRange(to, toOffset, bytes)
    if (bytes === 0) return 0
    if (from.equals(to) && fromOffset < toOffset + bytes && toOffset < fromOffset + bytes) {
      throw new VolumeError('EINVAL', to.toString(), 'is copied from a range to one that overlaps it')
    }
    let done = this.copying.share(source, fromOffset, target, toOffset, bytes, also)
    const buffer = done < bytes ? new Uint8Array(Math.min(PIECE_BYTES, bytes - done)) : this.piece
    while (done < bytes) {
      const part = buffer.subarray(0, Math.min(buffer.length, bytes - done))
      this.blocks.read(source, fromOffset + done, part)
      this.write(to, toOffset + done, part, also)
      done += part.length
    }
    return done
  }

  /** Looks at as much from `at` on as goes into one transaction, if there are not too many extents. */
  private lookAtPiece(file: ChangingFile, at: number, end: number): void {
    const { blockBytes } = this.blocks
    const start = sectorBelow(at, blockBytes)
    const wanted = Math.min(end, start * SECTOR + PIECE_BYTES)
    this.look.look(file, start, sectorAbove(wanted, blockBytes), EXTENTS_OVERWRITTEN_MAX)
  }

  /** Writes as much from `at` on as was looked at. Returns where it ends. */
  private writePiece(file: ChangingFile, at: number, data: Uint8Array, also: AlsoChange): number {
    const { look, blocks, files } = this
    const { blockBytes } = blocks
    const start = Math.floor(at / blockBytes) * blockBytes
    const wanted = Math.min(at + data.length, start + PIECE_BYTES)
    const end = Math.min(wanted, sectorAbove(look.end * SECTOR, blockBytes) * SECTOR)
    const size = Math.max(file.size, end)
    const bytes = this.wholeBlocks(file, at, end, data)
    const isFree = look.needed === 0 || !blocks.isInline(start, bytes.length, size)
    try {
      files.change(
        file,
        (updates, inode) => {
          if ((inode.flags & InodeFlag.sizeDirty) === 0 && size > inode.size) setSize(inode, size)
          return blocks.put(updates, file, start, bytes, size)
        },
        also,
        // What the allocator gives at the usual watermark leaves enough for the btrees.
        isFree,
      )
    } finally {
      blocks.done()
    }
    return end
  }

  /** The blocks that the bytes from `at` to `end`, the first of `data`, are part of: `data` itself if that is whole blocks. */
  private wholeBlocks(file: ChangingFile, at: number, end: number, data: Uint8Array): Uint8Array {
    const { blockBytes } = this.blocks
    const fresh = data.subarray(0, end - at)
    const before = at % blockBytes
    const length = Math.ceil((before + fresh.length) / blockBytes) * blockBytes
    if (length === fresh.length) return fresh
    if (this.piece.length < length) this.piece = new Uint8Array(Math.max(length, 16 * blockBytes))
    const bytes = this.piece.subarray(0, length)
    if (before > 0) this.blocks.read(file, at - before, bytes.subarray(0, before))
    const behind = bytes.subarray(before + fresh.length)
    if (end < file.size && behind.length > 0) this.blocks.read(file, end, behind)
    else behind.fill(0)
    bytes.set(fresh, before)
    return bytes
  }
}

function sectorBelow(byte: number, blockBytes: number): number {
  return (Math.floor(byte / blockBytes) * blockBytes) / SECTOR
}

function sectorAbove(byte: number, blockBytes: number): number {
  return (Math.ceil(byte / blockBytes) * blockBytes) / SECTOR
}

/** Throws VolumeError EINVAL, EFBIG. */
function checkRange(ref: Readonly<NodeRef>, offset: number, length: number): void {
  if (!(offset >= 0) || !(length >= 0))
    throw new VolumeError('EINVAL', ref.toString(), `byte ${offset} and ${length} more`)
  if (offset + length > FILE_BYTES_MAX) {
    throw new VolumeError('EFBIG', ref.toString(), `${offset + length} bytes, ${FILE_BYTES_MAX} are possible`)
  }
}
