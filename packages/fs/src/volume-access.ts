/** What the filesystem asks of the database: a part of `Volume`, which tests replace by keys in memory. */

import type { Key, KeyCursor, VolumeShape } from '@cowherd/db'
import type { Codecs } from '@cowherd/shim'

export interface VolumeAccess {
  readonly superblock: {
    readonly version: number
    readonly timeBaseNs: bigint
    readonly timePrecisionNs: number
  }
  readonly shape: VolumeShape
  readonly codecs: Pick<Codecs, 'crc32c' | 'crc64' | 'sha256'>
  readonly snapshots: { has(id: number): boolean }
  cursor(btree: number): KeyCursor
  snapshotCursor(btree: number, snapshot: number): KeyCursor
  readExtent(key: Key, skip: number, target: Uint8Array, who: string): void
}
