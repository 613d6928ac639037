/**
 * Versions of the format: one number for every structure, `major << 10 | minor`. Format chapter 1, 1.2.
 * A newer minor version can be read (what is unknown is skipped); a newer major version can't.
 */

/** The number of a version. */
export function version(major: number, minor: number): number {
  return (major << 10) | minor
}

/** The version that is described here, and written. */
export const VERSION_CURRENT = version(1, 13)
/** The oldest version that can be read. */
export const VERSION_MIN = version(0, 9)
/** Below this, opening for writing forces an upgrade. */
export const VERSION_UPGRADE_FORCED_BELOW = version(1, 3)

const NAMES_0: readonly string[] = [
  'bkey_renumber',
  'inode_btree_change',
  'snapshot',
  'inode_backpointers',
  'btree_ptr_sectors_written',
  'snapshot_2',
  'reflink_p_fix',
  'subvol_dirent',
  'inode_v2',
  'freespace',
  'alloc_v4',
  'new_data_types',
  'backpointers',
  'inode_v3',
  'unwritten_extents',
  'bucket_gens',
  'lru_v2',
  'fragmentation_lru',
  'no_bps_in_alloc_keys',
  'snapshot_trees',
]
const NAMES_1: readonly string[] = [
  'major_minor',
  'snapshot_skiplists',
  'deleted_inodes',
  'rebalance_work',
  'member_seq',
  'subvolume_fs_parent',
  'btree_subvolume_children',
  'mi_btree_bitmap',
  'bucket_stripe_sectors',
  'disk_accounting_v2',
  'disk_accounting_v3',
  'disk_accounting_inum',
  'rebalance_work_acct_fix',
  'inode_has_child_snapshots',
]

export const versionMajor = (number: number): number => number >>> 10
export const versionMinor = (number: number): number => number & 1023

/** True if structures of this version can be read. */
export function isCompatibleVersion(number: number): boolean {
  return versionMajor(number) <= versionMajor(VERSION_CURRENT) && number >= VERSION_MIN
}

/** `1.13: inode_has_child_snapshots`; versions without a known name say so. */
export function versionText(number: number): string {
  const minor = versionMinor(number)
  const name =
    versionMajor(number) === 0 ? NAMES_0[minor - 10] : versionMajor(number) === 1 ? NAMES_1[minor] : undefined
  return `${versionMajor(number)}.${minor}: ${name ?? '(unknown version)'}`
}
