/** Whether a directory is empty, in the eyes of a snapshot. Format chapter 5, 5.5.3. */

import { advanceBposNoSnapshot, BtreeId, copyBpos, Key, KEY_POS_AT, peekVisible, setBpos } from '@cowherd/db'
import type { Ancestry, Bpos, Updates } from '@cowherd/db'
import type { InodeVersion } from './extents/overwrite.ts'
import { DIRENT, DIRENT_TARGET_AT, direntType, DT_SUBVOL } from './key-types/dirent.ts'

/** Those of all calls: nothing here calls back. */
const key = new Key()
const pos: Bpos = new Uint32Array(5)

/** `subvolume`: the one that sees the volume through the snapshot, 0 if none does. Names of subvolumes that belong to others don't count. */
export function isEmptyDirectory(
  updates: Updates,
  ancestry: Ancestry,
  { numberHi, numberLo, snapshot }: InodeVersion,
  subvolume: number,
): boolean {
  const ancestors = ancestry.ancestorsOf(snapshot)
  setBpos(pos, numberHi, numberLo, 0, 0, snapshot)
  while (peekVisible(updates, BtreeId.dirents, pos, ancestors, key)) {
    const isForeign = direntType(key) === DT_SUBVOL && key.words[DIRENT_TARGET_AT + 1] !== subvolume
    if (key.type === DIRENT && !isForeign) return false
    copyBpos(pos, key.words, KEY_POS_AT)
    if (!advanceBposNoSnapshot(pos) || pos[3] !== numberLo || pos[4] !== numberHi) return true
    pos[0] = snapshot
  }
  return true
}
