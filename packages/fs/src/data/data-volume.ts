/** What file data asks of a database that it is written to: a part of `Database`. */

import type { Capacity, DataOptions, ExtentWriter } from '@cowherd/db'
import type { VolumeAccess } from '../volume-access.ts'
import type { WritableVolume } from '../writable-volume.ts'

export interface DataVolume extends Omit<VolumeAccess, 'snapshots'>, Omit<WritableVolume, 'live' | 'shape'> {
  readonly superblock: VolumeAccess['superblock'] & { readonly options: DataOptions }
  readonly snapshots: VolumeAccess['snapshots'] & WritableVolume['snapshots']
  /** The superblock: `addFeature` says whether `write` has to follow before the feature is used. */
  readonly live: { addFeature(feature: 'reflink' | 'inline_data'): boolean; write(): void }
  readonly data: Pick<ExtentWriter, 'newExtents' | 'write' | 'merge'>
  readonly capacity: Pick<Capacity, 'grant' | 'release'>
}
