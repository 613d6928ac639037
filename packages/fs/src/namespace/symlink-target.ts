/** The target of a symbolic link in the key itself, where there is room for it. Format chapter 5, 5.8.2, and 6, 6.1.7 and 6.7. */

import { BtreeId, Key, setBpos, type Bpos, type Updates } from '@cowherd/db'
import { changeSectors, setSize } from '../inode-versions.ts'
import type { Inode } from '../inode.ts'
import { INLINE_DATA } from '../key-types/inline-data.ts'
import type { Tree } from './tree.ts'

const SECTOR = 512
const INLINE_BYTES_MAX = 1024

/** One for all calls: nothing here calls back. */
const key = new Key()
const pos: Bpos = new Uint32Array(5)

/** True if the target isn't too long. */
export function fitsInline({ shape }: Tree, target: Uint8Array): boolean {
  return target.length <= Math.min((shape.blockSectors * SECTOR) / 2, INLINE_BYTES_MAX)
}

/** Puts the target of a link that is being made; the volume has the feature `inline_data`. The inode is left to the caller to put. */
export function putTarget({ shape }: Tree, updates: Updates, inode: Inode, target: Uint8Array): void {
  const { blockSectors } = shape
  setBpos(pos, inode.numberHi, inode.numberLo, 0, blockSectors, inode.snapshot)
  updates.put(BtreeId.extents, key.make(INLINE_DATA, pos, target, blockSectors))
  setSize(inode, target.length)
  changeSectors(inode, blockSectors)
}
