/** Key type `inode_v2`: an older form of an inode; read only. Its head and its packed fields are described in ../inode.ts. Format chapter 5, 5.2.13. */

import type { KeyType } from '@cowherd/db'
import { INODE_V2 } from '../inode.ts'
import { checkInode, describeInode, printInode } from './inode-value.ts'

export const inodeV2: KeyType = {
  number: INODE_V2,
  name: 'inode_v2',
  minValueBytes: 32,
  check: checkInode,
  print: printInode,
  describe: describeInode,
}
