/**
 * Recovery passes by name, in the order in which they run. In the superblock a pass is a bit by its stable id, which
 * never changes while passes come, go and move. What each does: format chapter 7. Format chapter 1, appendix C.
 */

/** One pass. `fsck`: part of a full check. `always`: part of every start. */
export interface RecoveryPass {
  readonly id: number
  readonly name: string
  readonly when: 'fsck' | 'always' | 'asked'
}

export const RECOVERY_PASSES: readonly RecoveryPass[] = [
  { id: 37, name: 'scan_for_btree_nodes', when: 'asked' },
  { id: 4, name: 'check_topology', when: 'asked' },
  { id: 39, name: 'accounting_read', when: 'always' },
  { id: 0, name: 'alloc_read', when: 'always' },
  { id: 1, name: 'stripes_read', when: 'always' },
  { id: 2, name: 'initialize_subvolumes', when: 'asked' },
  { id: 3, name: 'snapshots_read', when: 'always' },
  { id: 5, name: 'check_allocations', when: 'fsck' },
  { id: 6, name: 'trans_mark_dev_sbs', when: 'always' },
  { id: 7, name: 'fs_journal_alloc', when: 'always' },
  { id: 8, name: 'set_may_go_rw', when: 'always' },
  { id: 9, name: 'journal_replay', when: 'always' },
  { id: 10, name: 'check_alloc_info', when: 'fsck' },
  { id: 11, name: 'check_lrus', when: 'fsck' },
  { id: 12, name: 'check_btree_backpointers', when: 'fsck' },
  { id: 13, name: 'check_backpointers_to_extents', when: 'fsck' },
  { id: 14, name: 'check_extents_to_backpointers', when: 'fsck' },
  { id: 15, name: 'check_alloc_to_lru_refs', when: 'fsck' },
  { id: 16, name: 'fs_freespace_init', when: 'always' },
  { id: 17, name: 'bucket_gens_init', when: 'asked' },
  { id: 38, name: 'reconstruct_snapshots', when: 'asked' },
  { id: 18, name: 'check_snapshot_trees', when: 'fsck' },
  { id: 19, name: 'check_snapshots', when: 'fsck' },
  { id: 20, name: 'check_subvols', when: 'fsck' },
  { id: 35, name: 'check_subvol_children', when: 'fsck' },
  { id: 21, name: 'delete_dead_snapshots', when: 'fsck' },
  { id: 22, name: 'fs_upgrade_for_subvolumes', when: 'asked' },
  { id: 24, name: 'check_inodes', when: 'fsck' },
  { id: 25, name: 'check_extents', when: 'fsck' },
  { id: 26, name: 'check_indirect_extents', when: 'fsck' },
  { id: 27, name: 'check_dirents', when: 'fsck' },
  { id: 28, name: 'check_xattrs', when: 'fsck' },
  { id: 29, name: 'check_root', when: 'fsck' },
  { id: 40, name: 'check_unreachable_inodes', when: 'fsck' },
  { id: 36, name: 'check_subvolume_structure', when: 'fsck' },
  { id: 30, name: 'check_directory_structure', when: 'fsck' },
  { id: 31, name: 'check_nlinks', when: 'fsck' },
  { id: 23, name: 'resume_logged_ops', when: 'always' },
  { id: 32, name: 'delete_dead_inodes', when: 'always' },
  { id: 33, name: 'fix_reflink_p', when: 'asked' },
  { id: 34, name: 'set_fs_needs_rebalance', when: 'asked' },
]

/** The names of the passes whose bits are set, in running order. Bits of unknown passes are left out. */
export function passNames(passes: bigint): string[] {
  return RECOVERY_PASSES.filter(({ id }) => (passes >> BigInt(id)) & 1n).map(({ name }) => name)
}

/** The set of passes with these names: bit = stable pass id. */
export function passBits(...names: string[]): bigint {
  return RECOVERY_PASSES.reduce((bits, { id, name }) => (names.includes(name) ? bits | (1n << BigInt(id)) : bits), 0n)
}
