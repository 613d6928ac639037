/**
 * A change of a volume's devices that takes effect all at once. The keys that belong to it (buckets, free space, counters) and the superblock
 * that says so must not be seen without each other, on whichever device; and a superblock is no key. So all is prepared where nobody looks:
 *
 *     volume        shut down cleanly: the superblock says where the btrees' roots are, and nothing else counts
 *     btree nodes   go to free buckets; none that the superblock leads to is written to
 *     journal       goes to buckets that the superblock on the devices doesn't know as those of a journal
 *     superblock    is held back; then it is written once, and the volume is the new one, shut down cleanly
 *
 * A device's journal buckets are named by its own superblock alone. So only one device gets any, and its superblock is written first, whole.
 *
 * Whenever the power is cut before that last step the volume is the old one, untouched. Format chapter 1, 7.4.
 */

import { Database, Takeover, type DatabaseOptions } from './database.ts'
import { VolumeError } from './errors.ts'
import type { JournalDevice } from './journal/journal-scan.ts'
import type { Assembly, JournalBuckets } from './superblock/index.ts'

/** The device whose own superblock changes: it gets journal buckets, at the end of its list, from `firstIndex` on. */
export interface JournalHost {
  readonly device: number
  readonly firstIndex: number
}

export class StagedDatabase extends Database {
  private readonly host: JournalHost

  /**
   * `assembly`: of the devices as they will be, with the superblocks that they will have; the volume was shut down cleanly. The host's new journal
   * buckets are free, and without any journal entries. Throws VolumeError.
   */
  constructor(assembly: Assembly, options: DatabaseOptions, host: JournalHost) {
    const nextSeq = Number(assembly.best.cleanSection?.journalSeq ?? 0n) + 1
    const ring = { bucketIndex: 0, sectorsUsed: 0, seqs: undefined }
    // nothing of the volume changes but where it lies
    super(assembly, { ...options, triggers: new Map(), passes: {} }, new Takeover(), {
      start: { nextSeq, lastSeq: nextSeq, rings: new Map([[host.device, ring]]), torn: [] },
      journal: journalOf(assembly, host),
    })
    this.host = host
  }

  /**
   * Makes the volume the new one, shut down cleanly. If it throws, the volume is either: the old one, if nothing of the new one is found on
   * any device. Throws VolumeError.
   */
  takeEffect(): void {
    const { maintenance, journal, health, live } = this.parts
    const { device: index, firstIndex } = this.host
    this.guard(() => {
      maintenance.writeBack()
      const { journalSeq, records, positions, devices } = journal.writeEmptyFlush()
      // to go on with fewer devices, as is done otherwise, would be another change than was asked for
      if (health.hasFailures) throw new VolumeError('EIO', '', 'a device has failed: nothing was changed')
      const moved = positions.map(({ device, bucketIndex, sectorsUsed }) => {
        return { device, bucketIndex: firstIndex + bucketIndex, sectorsUsed }
      })
      live.markClean(journalSeq, records, moved, devices)
      live.release(index)
    })
  }
}

/** The journal of the host, as far as it is new. */
function journalOf(assembly: Assembly, { device: index, firstIndex }: JournalHost): JournalDevice {
  const device = assembly.devices[index]
  const buckets = assembly.journalBuckets[index]
  if (device === undefined || buckets === undefined) throw new RangeError(`device ${index} has no journal`)
  const { bucketSectors } = assembly.best.members[index]
  return { index, device, buckets: from(buckets, firstIndex), bucketSectors }
}

/** Those from index `first` on. */
function from({ runs, count }: JournalBuckets, first: number): JournalBuckets {
  let skip = first
  const left = runs.flatMap((run) => {
    const skipped = Math.min(skip, run.count)
    skip -= skipped
    return run.count === skipped ? [] : [{ start: run.start + skipped, count: run.count - skipped }]
  })
  return { runs: left, count: count - first }
}
