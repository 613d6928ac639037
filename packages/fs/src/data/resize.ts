/**
 * Cuts and lengthens files. Format chapter 6, 6.9.2, and 5, 5.10.
 *
 * A file that gets longer has a hole at its end: only its size changes, as what is behind it in its last block is zeros already. One that is cut
 * loses its extents in as many transactions as it takes. The first has the new size, and, unless it is the only one, a key in
 * logged_ops that makes the next start go on after a crash.
 */

import { BtreeId, copyBpos, Key, KEY_POS_AT, setBpos, type Bpos, type Updates } from '@cowherd/db'
import { EXTENTS_PER_STEP, removeExtents } from '../extents/overwrite.ts'
import { setSize } from '../inode-versions.ts'
import { loggedOpTruncate, LoggedOpTruncateValue } from '../key-types/logged-op-truncate.ts'
import { truncateFile } from '../logged-ops/truncate.ts'
import type { BlockWriter } from './block-writer.ts'
import type { AlsoChange, ChangingFile, ChangingFiles } from './changing-file.ts'
import type { DataVolume } from './data-volume.ts'

const SECTOR = 512
const MAX = 0xffffffff

export class Resize {
  private readonly volume: DataVolume
  private readonly files: ChangingFiles
  private readonly blocks: BlockWriter
  private readonly key = new Key()
  private readonly pos: Bpos = new Uint32Array(5)

  constructor(volume: DataVolume, files: ChangingFiles, blocks: BlockWriter) {
    this.volume = volume
    this.files = files
    this.blocks = blocks
  }

  /** Throws VolumeError EIO, ENOSPC. */
  resize(file: ChangingFile, size: number, also: AlsoChange): void {
    if (size < file.size) this.cut(file, size, also)
    else this.lengthen(file, size, also)
  }

  private lengthen(file: ChangingFile, size: number, also: AlsoChange): void {
    this.files.change(
      file,
      (_, inode) => {
        setSize(inode, size)
        return 0
      },
      also,
      true,
    )
  }

  private cut(file: ChangingFile, size: number, also: AlsoChange): void {
    const { files, blocks, volume } = this
    const { blockBytes } = blocks
    const behind = Math.ceil(size / blockBytes) * blockBytes
    let isWhole = true
    try {
      files.change(
        file,
        (updates, inode) => {
          const sectors = blocks.zero(updates, file, size, Math.min(behind, file.size), size)
          const removal = removeExtents(
            ...([updates, volume.snapshots, file.version, behind / SECTOR, Infinity, EXTENTS_PER_STEP] as const),
          )
          isWhole = removal.end === Infinity
          if (!isWhole) this.log(updates, file, size)
          setSize(inode, size)
          return sectors - removal.sectors
        },
        also,
        true,
      )
    } finally {
      blocks.done()
    }
    if (isWhole) return
    truncateFile(volume, file.version, BigInt(size))
    volume.write((updates) => updates.remove(BtreeId.loggedOps, this.pos), { frees: true })
  }

  /** Notes behind the last key of logged_ops, at `pos`, what is being done. */
  private log(updates: Updates, { ref, version }: ChangingFile, size: number): void {
    const { key, pos } = this
    setBpos(pos, 0, 0, MAX, MAX, MAX)
    const next = updates.peekBack(BtreeId.loggedOps, pos, key) ? key.offset + 1 : 1
    setBpos(pos, 0, 0, Math.floor(next / 0x100000000), next, 0)
    const inode = (BigInt(version.numberHi) << 32n) | BigInt(version.numberLo)
    const value = LoggedOpTruncateValue.bytes({
      subvolume: ref.subvolume,
      pad: undefined,
      inode,
      newSize: BigInt(size),
    })
    updates.put(BtreeId.loggedOps, key.make(loggedOpTruncate.number, pos, value))
    copyBpos(pos, key.words, KEY_POS_AT)
  }
}
