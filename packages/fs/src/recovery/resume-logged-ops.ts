/**
 * The recovery pass `resume_logged_ops`: operations of several transactions that were interrupted are finished. Format chapter 5, 5.10.
 *
 * What can't be finished is dropped: its file is gone, or it is of a kind that is not known.
 */

import { advanceBpos, BtreeId, copyBpos, KEY_POS_AT, POS_MIN, setBpos } from '@cowherd/db'
import type { Bpos, Key } from '@cowherd/db'
import type { InodeVersion } from '../extents/overwrite.ts'
import { loggedOpFinsert, LoggedOpFinsertValue } from '../key-types/logged-op-finsert.ts'
import { loggedOpTruncate, LoggedOpTruncateValue } from '../key-types/logged-op-truncate.ts'
import { subvolume, subvolumeSnapshot } from '../key-types/subvolume.ts'
import { RangeShift } from '../logged-ops/range-shift.ts'
import { truncateFile } from '../logged-ops/truncate.ts'
import type { WritableVolume } from '../writable-volume.ts'

/** Empties logged_ops. Throws KeyError for malformed keys, and what the database throws. */
export function resumeLoggedOps(volume: WritableVolume): void {
  const cursor = volume.cursor(BtreeId.loggedOps)
  const pos: Bpos = new Uint32Array(5)
  copyBpos(pos, POS_MIN)
  while (cursor.seek(pos)) {
    copyBpos(pos, cursor.key.words, KEY_POS_AT)
    finish(volume, pos, cursor.key)
    volume.write((updates) => updates.remove(BtreeId.loggedOps, pos), { frees: true })
    if (!advanceBpos(pos)) return
  }
}

function finish(volume: WritableVolume, at: Bpos, op: Key): void {
  if (op.type === loggedOpTruncate.number) {
    const value = LoggedOpTruncateValue.readPadded(op.value)
    const version = versionOf(volume, value)
    if (version !== undefined) truncateFile(volume, version, value.newSize)
  } else if (op.type === loggedOpFinsert.number) {
    const value = LoggedOpFinsertValue.readPadded(op.value)
    const version = versionOf(volume, value)
    if (version !== undefined) new RangeShift(volume, version, at, value).run()
  }
}

/** The inode, as the subvolume sees it now; undefined if the subvolume is gone. */
function versionOf(
  volume: WritableVolume,
  { subvolume: id, inode }: Readonly<{ subvolume: number; inode: bigint }>,
): InodeVersion | undefined {
  const cursor = volume.cursor(BtreeId.subvolumes)
  const pos: Bpos = new Uint32Array(5)
  setBpos(pos, 0, 0, 0, id, 0)
  const { key } = cursor
  const isThere = cursor.seek(pos) && key.type === subvolume.number && key.inode === 0 && key.offset === id
  if (!isThere) return undefined
  return {
    numberHi: Number(inode >> 32n),
    numberLo: Number(inode & 0xffffffffn),
    snapshot: subvolumeSnapshot(key),
  }
}
