/** Key type `quota`: the limits of one user, group or project, in the quotas btree at (kind, id). Format chapter 5, 5.9. */

import type { KeyType } from '@cowherd/db'
import { KEY_WORDS } from '@cowherd/db'
import { struct, u64 } from '@cowherd/kernel-lib'
import { decimalAt, wideAt } from '../halves.ts'

/** Space in sectors, inodes in pieces; 0 is no limit. */
export const QuotaValue = struct({
  spaceHardLimit: u64,
  spaceSoftLimit: u64,
  inodesHardLimit: u64,
  inodesSoftLimit: u64,
})

const SPACE_HARD = KEY_WORDS + QuotaValue.offsets.spaceHardLimit / 4
const SPACE_SOFT = KEY_WORDS + QuotaValue.offsets.spaceSoftLimit / 4
const INODES_HARD = KEY_WORDS + QuotaValue.offsets.inodesHardLimit / 4
const INODES_SOFT = KEY_WORDS + QuotaValue.offsets.inodesSoftLimit / 4

const KINDS = ['user', 'group', 'project']

export const quota: KeyType = {
  number: 13,
  name: 'quota',
  minValueBytes: QuotaValue.size,
  check(key) {
    return key.inode >= KINDS.length ? `quota_type_invalid: quota key at ${key.posText}` : undefined
  },
  print(key) {
    return (
      'space hardlimit ' +
      decimalAt(key, SPACE_HARD) +
      ' softlimit ' +
      decimalAt(key, SPACE_SOFT) +
      'inodes hardlimit ' +
      decimalAt(key, INODES_HARD) +
      ' softlimit ' +
      decimalAt(key, INODES_SOFT)
    )
  },
  describe(key) {
    return {
      kind: KINDS[key.inode] ?? key.inode,
      id: key.offset,
      space: { hardlimit: wideAt(key, SPACE_HARD), softlimit: wideAt(key, SPACE_SOFT) },
      inodes: { hardlimit: wideAt(key, INODES_HARD), softlimit: wideAt(key, INODES_SOFT) },
    }
  },
}
