/** What the filesystem asks of the database: a part of `Volume`, which tests replace by keys in memory. */

import type { Key, KeyCursor, Member, Named, Options, VolumeShape } from '@cowherd/db'
import type { Codecs } from '@cowherd/shim'

export interface VolumeAccess {
  readonly superblock: {
    readonly timeBaseNs: bigint
    readonly timePrecisionNs: number
    readonly members: readonly Pick<
      Member,
      'index' | 'alive' | 'state' | 'bucketCount' | 'firstBucket' | 'bucketSectors'
    >[]
    readonly options: Pick<Options, 'gcReserveBytes' | 'gcReservePercent'>
  }
  readonly shape: VolumeShape
  readonly codecs: Pick<Codecs, 'crc32c' | 'crc64' | 'sha256'>
  readonly snapshots: { has(id: number): boolean }
  /** Is another number whenever the volume may have changed. Left out: it never does. */
  readonly changes?: number
  cursor(btree: number): KeyCursor
  snapshotCursor(btree: number, snapshot: number): KeyCursor
  readExtent(key: Key, skip: number, target: Uint8Array, who: Named): void
}
