/** Key type `logged_op_truncate`: a truncation that a crash interrupted. Format chapter 5, 5.10. */

import type { KeyType } from '@cowherd/db'
import { KEY_WORDS } from '@cowherd/db'
import { pad, struct, u32, u64 } from '@cowherd/kernel-lib'
import { decimalAt, wideAt } from '../halves.ts'

export const LoggedOpTruncateValue = struct({ subvolume: u32, pad: pad(4), inode: u64, newSize: u64 })

const SUBVOLUME = KEY_WORDS + LoggedOpTruncateValue.offsets.subvolume / 4
const INODE = KEY_WORDS + LoggedOpTruncateValue.offsets.inode / 4
const NEW_SIZE = KEY_WORDS + LoggedOpTruncateValue.offsets.newSize / 4

export const loggedOpTruncate: KeyType = {
  number: 32,
  name: 'logged_op_truncate',
  minValueBytes: LoggedOpTruncateValue.size,
  print(key) {
    return (
      'subvol=' + key.words[SUBVOLUME] + ' inum=' + decimalAt(key, INODE) + ' new_i_size=' + decimalAt(key, NEW_SIZE)
    )
  },
  describe: (key) => ({
    subvol: key.words[SUBVOLUME],
    inum: wideAt(key, INODE),
    new_i_size: wideAt(key, NEW_SIZE),
  }),
}
