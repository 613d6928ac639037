/**
 * Feature bits. An unknown incompatible feature makes a volume unreadable for us; unknown compatible ones don't matter.
 * Format chapter 1, 3.3 and 3.4.
 */

/** Incompatible features by bit number. */
export const FEATURES = [
  'lz4',
  'gzip',
  'zstd',
  'atomic_nlink',
  'ec',
  'journal_seq_blacklist_v3',
  'reflink',
  'new_siphash',
  'inline_data',
  'new_extent_overwrite',
  'incompressible',
  'btree_ptr_v2',
  'extents_above_btree_updates',
  'btree_updates_journalled',
  'reflink_inline_data',
  'new_varint',
  'journal_no_flush',
  'alloc_v2',
  'extents_across_btree_nodes',
] as const

/** Compatible features by bit number. */
export const COMPAT_FEATURES = [
  'alloc_info',
  'alloc_metadata',
  'extents_above_btree_updates_done',
  'bformat_overflow_done',
] as const

/** True if `features` has the feature called `name`. */
export function hasFeature(features: bigint, name: (typeof FEATURES)[number]): boolean {
  return ((features >> BigInt(FEATURES.indexOf(name))) & 1n) === 1n
}

/** The numbers of the bits that are set in `word`, ascending. */
export function setBits(word: bigint): number[] {
  const bits: number[] = []
  for (let bit = 0, rest = word; rest !== 0n; bit++, rest >>= 1n) {
    if ((rest & 1n) === 1n) bits.push(bit)
  }
  return bits
}

/** The names of the bits that are set; bits without a name are left out. */
export function bitNames(word: bigint, names: readonly string[]): string[] {
  return names.filter((_, bit) => (word >> BigInt(bit)) & 1n)
}
