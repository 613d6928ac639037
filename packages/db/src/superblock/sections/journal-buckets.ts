/**
 * Sections `journal` and `journal_v2`: the buckets of this device's journal, in ring order. `journal_v2` stores runs of
 * buckets and wins if both exist. These sections differ between the devices of a volume. Format chapter 1, 4.8; 3, 3.1.
 */

/** A run of consecutive buckets. */
export interface BucketRun {
  readonly start: number
  readonly count: number
}

/**
 * A device's journal buckets in ring order. The position in this order is the "journal bucket index". Kept as runs: a
 * damaged superblock may claim two milliards of buckets in 24 bytes.
 */
export interface JournalBuckets {
  readonly runs: readonly BucketRun[]
  /** Number of buckets in all runs; 0 = no journal on this device. */
  readonly count: number
}
