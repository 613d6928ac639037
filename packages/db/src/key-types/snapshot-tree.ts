/** Key type `snapshot_tree`: one tree of snapshots, at (0, id). Format chapter 5, 5.7.3. */

import { struct, u32 } from '@cowherd/kernel-lib'
import type { KeyType } from '../key-type.ts'

export const SnapshotTreeValue = struct({
  masterSubvolume: u32,
  rootSnapshot: u32,
})

export const snapshotTree: KeyType = {
  number: 31,
  name: 'snapshot_tree',
  minValueBytes: SnapshotTreeValue.size,
  check(key) {
    const inRange = key.inodeHi === 0 && key.inodeLo === 0 && key.offsetHi === 0 && key.offsetLo !== 0
    return inRange ? undefined : 'snapshot_tree_pos_bad'
  },
  print(key) {
    const { masterSubvolume, rootSnapshot } = SnapshotTreeValue.readPadded(key.value)
    return `subvol ${masterSubvolume} root snapshot ${rootSnapshot}`
  },
  describe(key) {
    const { masterSubvolume, rootSnapshot } = SnapshotTreeValue.readPadded(key.value)
    return { master_subvol: masterSubvolume, root_snapshot: rootSnapshot }
  },
}
