/**
 * Where the writing of a journal begins: behind what a clean shutdown left, or behind what was found after a crash. Format chapter 3, 3.1,
 * 3.4.4, 3.5.3 and 3.7.4.
 */

import type { Member, SeqRange } from '../superblock/index.ts'
import { journalBucketAt } from '../superblock/index.ts'
import type { RingStart } from './journal-ring.ts'
import type { FoundEntry, JournalDevice } from './journal-scan.ts'
import type { JournalSelection } from './journal-select.ts'

const SECTOR = 512
/** Numbers that are given up at every start after a crash: more than the entries that were open or on their way. */
const SEQS_GIVEN_UP = 8

export interface JournalStart {
  /** The number of the first entry. */
  readonly nextSeq: number
  /** The oldest entry that is needed still; `nextSeq` if none is. */
  readonly lastSeq: number
  /** By device index. */
  readonly rings: ReadonlyMap<number, RingStart>
  /** Torn entries, which nobody may find again: the byte at which each begins. */
  readonly torn: readonly { readonly device: number; readonly offset: number }[]
}

/** The start of a volume that was shut down cleanly. `journalSeq`: its newest entry; 0 if there was never any. */
export function startAfterShutdown(
  journalSeq: number,
  members: readonly Member[],
  devices: readonly JournalDevice[],
  blockBytes: number,
): JournalStart {
  const rings = new Map<number, RingStart>()
  for (const { index, buckets, bucketSectors } of devices) {
    if (buckets.count === 0) continue
    const { lastJournalBucket, lastJournalBucketSectors } = members[index]
    const isUsable =
      journalSeq > 0 &&
      lastJournalBucket < buckets.count &&
      lastJournalBucketSectors <= bucketSectors &&
      (lastJournalBucketSectors * SECTOR) % blockBytes === 0
    const position = isUsable
      ? { bucketIndex: lastJournalBucket, sectorsUsed: lastJournalBucketSectors }
      : { bucketIndex: 0, sectorsUsed: bucketSectors }
    rings.set(index, { ...position, seqs: undefined })
  }
  return { nextSeq: journalSeq + 1, lastSeq: journalSeq + 1, rings, torn: [] }
}

/**
 * What a start after a crash gives up: sequence numbers from `start` up to but not including `end`, which is the number of the first new
 * entry. The superblock says so before anything is written. Numbers that it gave up before are not used again either.
 */
export function seqsGivenUp(
  { newest, start }: Pick<JournalSelection, 'newest' | 'start'>,
  blacklist: readonly SeqRange[],
): { start: number; end: number } {
  const last = blacklist.length === 0 ? 0 : Number(blacklist[blacklist.length - 1].end)
  return { start: Number(newest) + 1, end: Math.max(Number(start) + SEQS_GIVEN_UP, last) }
}

/**
 * The start after a crash. `found`: all that the scan found; `nextSeq`: see `seqsGivenUp`. On each device writing goes on behind the newest
 * entry, or over it if it is a torn one.
 */
export function startAfterCrash(
  found: readonly FoundEntry[],
  { entries, newest }: Pick<JournalSelection, 'entries' | 'newest'>,
  nextSeq: number,
  devices: readonly JournalDevice[],
  blockBytes: number,
): JournalStart {
  const rings = new Map<number, RingStart>()
  const torn: { device: number; offset: number }[] = []
  for (const device of devices) {
    if (device.buckets.count > 0) rings.set(device.index, ringStart(device, found, Number(newest), blockBytes, torn))
  }
  return { nextSeq, lastSeq: Number(entries[0]?.seq ?? newest), rings, torn }
}

/** Adds to `torn`. */
function ringStart(
  { index, buckets, bucketSectors }: JournalDevice,
  found: readonly FoundEntry[],
  newest: number,
  blockBytes: number,
  torn: { device: number; offset: number }[],
): RingStart {
  const seqs = new Map<number, number>()
  /** By bucket: where the first torn entry begins, in sectors of the bucket. */
  const tornAt = new Map<number, number>()
  let bucketIndex = 0
  let sectorsUsed = bucketSectors
  for (const entry of found) {
    for (const { device, bucketIndex: bucket, sector, checksumGood } of entry.places) {
      if (device !== index) continue
      const at = sector - journalBucketAt(buckets, bucket) * bucketSectors
      const seq = Number(entry.seq)
      seqs.set(bucket, seq) // ascending
      bucketIndex = bucket
      sectorsUsed = Math.min(at + sectorsOf(entry.bytes, blockBytes), bucketSectors)
      if (checksumGood || seq <= newest) continue
      torn.push({ device, offset: sector * SECTOR })
      tornAt.set(bucket, Math.min(at, tornAt.get(bucket) ?? bucketSectors))
    }
  }
  return { bucketIndex, sectorsUsed: Math.min(sectorsUsed, tornAt.get(bucketIndex) ?? sectorsUsed), seqs }
}

function sectorsOf(bytes: number, blockBytes: number): number {
  return (Math.ceil(bytes / blockBytes) * blockBytes) / SECTOR
}
