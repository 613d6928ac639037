/** The btrees of a volume: number, name and what their keys look like. Format chapter 2, 2.3.1. */

export const BtreeId = {
  extents: 0,
  inodes: 1,
  dirents: 2,
  xattrs: 3,
  alloc: 4,
  quotas: 5,
  stripes: 6,
  reflink: 7,
  subvolumes: 8,
  snapshots: 9,
  lru: 10,
  freespace: 11,
  needDiscard: 12,
  backpointers: 13,
  bucketGens: 14,
  snapshotTrees: 15,
  deletedInodes: 16,
  loggedOps: 17,
  rebalanceWork: 18,
  subvolumeChildren: 19,
  accounting: 20,
} as const

/** Names as the format (and `bcachefs list -b`) spells them, by number. */
export const BTREE_NAMES: readonly string[] = [
  'extents',
  'inodes',
  'dirents',
  'xattrs',
  'alloc',
  'quotas',
  'stripes',
  'reflink',
  'subvolumes',
  'snapshots',
  'lru',
  'freespace',
  'need_discard',
  'backpointers',
  'bucket_gens',
  'snapshot_trees',
  'deleted_inodes',
  'logged_ops',
  'rebalance_work',
  'subvolume_children',
  'accounting',
]

/** Ids from here on are errors; ids between the known ones and this belong to newer versions. */
export const BTREE_ID_MAX = 63
export const BTREE_MAX_DEPTH = 4

const EXTENTS = new Set<number>([BtreeId.extents, BtreeId.reflink, BtreeId.freespace])
const SNAPSHOTS = new Set<number>([BtreeId.extents, BtreeId.inodes, BtreeId.dirents, BtreeId.xattrs])
const SNAPSHOT_FIELD = new Set<number>([BtreeId.deletedInodes, BtreeId.rebalanceWork, BtreeId.accounting])

/** Keys are ranges, positioned at their end. */
export const isExtentsBtree = (id: number): boolean => EXTENTS.has(id)
/** Keys carry a snapshot id and are inherited by descendant snapshots. */
export const hasSnapshots = (id: number): boolean => SNAPSHOTS.has(id)
/** The snapshot field is used, but as a plain part of the position. */
export const usesSnapshotField = (id: number): boolean => SNAPSHOT_FIELD.has(id)

/** The name of a btree, `unknown btree N` for those of newer versions. */
export function btreeName(id: number): string {
  return BTREE_NAMES[id] ?? `unknown btree ${id}`
}
