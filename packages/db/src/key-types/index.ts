/** The key types that point to space and describe it: what the database itself knows. */

import type { KeyType } from '../key-type.ts'
import { accounting } from './accounting.ts'
import { alloc, allocV2, allocV3 } from './alloc-old.ts'
import { allocV4 } from './alloc-v4.ts'
import { backpointer } from './backpointer.ts'
import { cookie, deleted, error, hashWhiteout, set, whiteout } from './bare.ts'
import { btreePtr, btreePtrV2 } from './btree-ptr.ts'
import { bucketGens } from './bucket-gens.ts'
import { extent } from './extent.ts'
import { lru } from './lru.ts'
import { reflinkV } from './reflink-v.ts'
import { snapshot } from './snapshot.ts'
import { snapshotTree } from './snapshot-tree.ts'
import { stripe } from './stripe.ts'

export const dbKeyTypes: readonly KeyType[] = [
  deleted,
  whiteout,
  error,
  cookie,
  hashWhiteout,
  btreePtr,
  extent,
  alloc,
  stripe,
  reflinkV,
  btreePtrV2,
  allocV2,
  snapshot,
  allocV3,
  set,
  lru,
  allocV4,
  backpointer,
  bucketGens,
  snapshotTree,
  accounting,
]
