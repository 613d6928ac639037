/** What the filesystem asks of a database that it writes to: a part of `Database`, which tests replace by keys in memory. */

import type { Ancestry, KeyCursor, Updates, VolumeShape } from '@cowherd/db'

export interface WritableVolume {
  readonly shape: Pick<VolumeShape, 'blockSectors'>
  readonly snapshots: Ancestry
  /** The superblock: `addFeature` says whether `write` has to follow before the feature is used. */
  readonly live: { addFeature(feature: 'reflink'): boolean; write(): void }
  cursor(btree: number): KeyCursor
  /** Commits one transaction. `frees`: it only frees space, and is let through on a full volume. */
  write(change: (updates: Updates) => void, options?: { readonly frees?: boolean }): unknown
}
