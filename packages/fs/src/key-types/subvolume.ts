/** Key type `subvolume`: one subvolume, in the subvolumes btree at (0, id). Format chapter 5, 5.7.1. */

import type { Key, KeyType } from '@cowherd/db'
import { KEY_WORDS } from '@cowherd/db'
import { bits32, pad, struct, u32, u64 } from '@cowherd/kernel-lib'
import { decimalAt, wideAt } from '../halves.ts'

/** Volumes from before the snapshots of version 0.15 to 1.5 have shorter values: missing fields are zero. */
export const SubvolumeValue = struct({
  flags: bits32({ readOnly: [0, 1], snapshot: [1, 2], unlinked: [2, 3] }),
  snapshot: u32,
  inode: u64,
  creationParent: u32,
  fsPathParent: u32,
  otime: u64,
  otimeHi: pad(8),
})

const SNAPSHOT = KEY_WORDS + SubvolumeValue.offsets.snapshot / 4
const INODE = KEY_WORDS + SubvolumeValue.offsets.inode / 4
const CREATION_PARENT = KEY_WORDS + SubvolumeValue.offsets.creationParent / 4
const FS_PATH_PARENT = KEY_WORDS + SubvolumeValue.offsets.fsPathParent / 4
const SUBVOLUME_ID_MAX = 0x7fffffff

/** The snapshot through which the subvolume sees the volume. */
export function subvolumeSnapshot(key: Key): number {
  return key.words[SNAPSHOT]
}

/** The subvolume that holds the name; 0 for none, and in volumes from before version 1.5. */
export function subvolumePathParent(key: Key): number {
  return FS_PATH_PARENT < key.u64s * 2 ? key.words[FS_PATH_PARENT] : 0
}

export const subvolume: KeyType = {
  number: 21,
  name: 'subvolume',
  minValueBytes: 16,
  check(key) {
    if (key.inode !== 0 || key.offset < 1 || key.offset > SUBVOLUME_ID_MAX) {
      return `subvol_pos_bad: subvolume key at ${key.posText}`
    }
    if (key.words[SNAPSHOT] === 0) return 'subvol_snapshot_bad: no snapshot'
    if (key.words[INODE] === 0 && key.words[INODE + 1] === 0) return 'subvol_inode_bad: no root inode'
    return undefined
  },
  print(key) {
    const text = 'root ' + decimalAt(key, INODE) + ' snapshot id ' + key.words[SNAPSHOT]
    if (key.valueBytes <= SubvolumeValue.offsets.creationParent) return text
    return text + ' creation_parent ' + key.words[CREATION_PARENT] + ' fs_parent ' + key.words[FS_PATH_PARENT]
  },
  describe(key) {
    const value = SubvolumeValue.readPadded(key.value)
    return {
      flags: Object.entries(value.flags).flatMap(([name, set]) => (set === 1 ? [name] : [])),
      root: wideAt(key, INODE),
      snapshot: value.snapshot,
      creation_parent: value.creationParent,
      fs_parent: value.fsPathParent,
      otime: value.otime <= Number.MAX_SAFE_INTEGER ? Number(value.otime) : value.otime,
    }
  },
}
