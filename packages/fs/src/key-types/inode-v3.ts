/** Key type `inode_v3`: one file, in the inodes btree at (0, inode number). Its head and its packed fields are described in
 * ../inode.ts. Format chapter 5, 5.2.1. */

import type { KeyType } from '@cowherd/db'
import { INODE_V3, InodeV3Head } from '../inode.ts'
import { checkInode, describeInode, printInode } from './inode-value.ts'

export const inodeV3: KeyType = {
  number: INODE_V3,
  name: 'inode_v3',
  beginsWithSeq: true,
  minValueBytes: InodeV3Head.size,
  check: checkInode,
  print: printInode,
  describe: describeInode,
}
