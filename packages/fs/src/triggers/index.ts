/** What follows from changes of keys that make up files: what this package registers with the database. */

import { BtreeId } from '@cowherd/db'
import type { KeyTrigger } from '@cowherd/db'
import { inodeTrigger } from './inode.ts'
import { reflinkTrigger, sharedDataTrigger } from './reflink.ts'
import { subvolumeTrigger } from './subvolume.ts'

/** By btree. */
export const fsTriggers: ReadonlyMap<number, readonly KeyTrigger[]> = new Map([
  [BtreeId.extents, [reflinkTrigger]],
  [BtreeId.reflink, [sharedDataTrigger]],
  [BtreeId.inodes, [inodeTrigger]],
  [BtreeId.subvolumes, [subvolumeTrigger]],
])
