/** Numbers of key types, and which of them each btree may have in its leaves. Format chapter 2, 2.3.1 and 2.4. */

export const Type = {
  deleted: 0,
  whiteout: 1,
  error: 2,
  cookie: 3,
  hashWhiteout: 4,
  btreePtr: 5,
  extent: 6,
  reservation: 7,
  inode: 8,
  inodeGeneration: 9,
  dirent: 10,
  xattr: 11,
  alloc: 12,
  quota: 13,
  stripe: 14,
  reflinkP: 15,
  reflinkV: 16,
  inlineData: 17,
  btreePtrV2: 18,
  indirectInlineData: 19,
  allocV2: 20,
  subvolume: 21,
  snapshot: 22,
  inodeV2: 23,
  allocV3: 24,
  set: 25,
  allocV4: 27,
  backpointer: 28,
  inodeV3: 29,
  bucketGens: 30,
  snapshotTree: 31,
  loggedOpTruncate: 32,
  loggedOpFinsert: 33,
  accounting: 34,
} as const

/** By number of the btree; those that are missing belong to newer versions, and may have anything. */
export const ALLOWED_TYPES: readonly ReadonlySet<number>[] = [
  new Set([
    ...[Type.whiteout, Type.error, Type.cookie, Type.extent],
    ...[Type.reservation, Type.reflinkP, Type.inlineData],
  ]),
  new Set([Type.whiteout, Type.inode, Type.inodeV2, Type.inodeV3, Type.inodeGeneration]),
  new Set([Type.whiteout, Type.hashWhiteout, Type.dirent]),
  new Set([Type.whiteout, Type.cookie, Type.hashWhiteout, Type.xattr]),
  new Set([Type.alloc, Type.allocV2, Type.allocV3, Type.allocV4]),
  new Set([Type.quota]),
  new Set([Type.stripe]),
  new Set([Type.reflinkV, Type.indirectInlineData, Type.error]),
  new Set([Type.subvolume]),
  new Set([Type.snapshot]),
  new Set([Type.set]), // lru
  new Set([Type.set]), // freespace
  new Set([Type.set]), // need_discard
  new Set([Type.backpointer]),
  new Set([Type.bucketGens]),
  new Set([Type.snapshotTree]),
  new Set([Type.set]), // deleted_inodes
  new Set([Type.loggedOpTruncate, Type.loggedOpFinsert]),
  new Set([Type.set, Type.cookie]), // rebalance_work
  new Set([Type.set]), // subvolume_children
  new Set([Type.accounting]),
]
