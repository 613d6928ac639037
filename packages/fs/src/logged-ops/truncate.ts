/**
 * Truncating a file: its size first, then what lies behind, in as many transactions as it takes. Format chapter 5, 5.10, and 6, 6.9.2.
 *
 * A key in logged_ops, which is the caller's, makes the next start call this again after a crash in between.
 */

import { EXTENTS_PER_STEP, removeExtents, type InodeVersion } from '../extents/overwrite.ts'
import { changeSectors, loadInode, setSize, storeInode } from '../inode-versions.ts'
import { Inode } from '../inode.ts'
import type { WritableVolume } from '../writable-volume.ts'

const SECTOR = 512

/** One for all calls: nothing here calls back. */
const inode = new Inode()

/**
 * Makes a file as long as `size` bytes in the eyes of a snapshot; nothing happens if it isn't there. The bytes behind `size` in its block are zero
 * already. Times stay as they are. Throws KeyError for malformed keys, and what the database throws.
 */
export function truncateFile(volume: WritableVolume, version: InodeVersion, size: bigint): void {
  const blockBytes = BigInt(volume.shape.blockSectors * SECTOR)
  let from = Number((size + blockBytes - 1n) / blockBytes) * volume.shape.blockSectors
  let isDone = false
  while (!isDone) {
    volume.write(
      (updates) => {
        isDone = !loadInode(updates, volume.snapshots, version, version.snapshot, inode)
        if (isDone) return
        const removal = removeExtents(updates, volume.snapshots, version, from, Infinity, EXTENTS_PER_STEP)
        setSize(inode, size)
        changeSectors(inode, -removal.sectors)
        storeInode(updates, inode)
        from = removal.end
        isDone = from === Infinity
      },
      { frees: true },
    )
  }
}
