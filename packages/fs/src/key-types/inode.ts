/** Key type `inode`: the oldest form of an inode; read only. Its head and its packed fields are described in ../inode.ts. Format chapter 5, 5.2.13. */

import type { KeyType } from '@cowherd/db'
import { INODE_V1 } from '../inode.ts'
import { checkInode, describeInode, printInode } from './inode-value.ts'

export const inode: KeyType = {
  number: INODE_V1,
  name: 'inode',
  minValueBytes: 16,
  check: checkInode,
  print: printInode,
  describe: describeInode,
}
