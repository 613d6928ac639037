/** The key types that make up files: what this package registers with the database. */

import type { KeyType } from '@cowherd/db'
import { dirent } from './dirent.ts'
import { indirectInlineData } from './indirect-inline-data.ts'
import { inlineData } from './inline-data.ts'
import { inodeGeneration } from './inode-generation.ts'
import { inodeV2 } from './inode-v2.ts'
import { inodeV3 } from './inode-v3.ts'
import { inode } from './inode.ts'
import { loggedOpFinsert } from './logged-op-finsert.ts'
import { loggedOpTruncate } from './logged-op-truncate.ts'
import { quota } from './quota.ts'
import { reflinkP } from './reflink-p.ts'
import { reservation } from './reservation.ts'
import { subvolume } from './subvolume.ts'
import { xattr } from './xattr.ts'

export const fsKeyTypes: readonly KeyType[] = [
  reservation,
  inode,
  inodeGeneration,
  dirent,
  xattr,
  quota,
  reflinkP,
  inlineData,
  indirectInlineData,
  subvolume,
  inodeV2,
  inodeV3,
  loggedOpTruncate,
  loggedOpFinsert,
]
