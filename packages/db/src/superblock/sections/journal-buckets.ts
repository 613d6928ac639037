/**
 * Sections `journal` and `journal_v2`: the buckets of this device's journal, in ring order. `journal_v2` stores runs of
 * buckets and wins if both exist. These sections differ between the devices of a volume. Format chapter 1, 4.8; 3, 3.1.
 */

import type { DeviceShape } from '../../key-type.ts'
import { Malformed } from '../malformed.ts'
import { findSection, makeSection, SECTION_NAMES, u64sOf, type Section, type SectionName } from './section.ts'

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

/** The bucket at journal bucket index `index`. */
export function journalBucketAt(buckets: JournalBuckets, index: number): number {
  let before = 0
  for (const { start, count } of buckets.runs) {
    if (index < before + count) return start + index - before
    before += count
  }
  throw new RangeError(`journal bucket index ${index} of ${buckets.count}`)
}

/** This device's journal buckets; `member` is this device's record. Throws Malformed. */
export function readJournalBuckets(sections: readonly Section[], member: DeviceShape): JournalBuckets {
  const v1 = findSection(sections, 'journal')
  const v2 = findSection(sections, 'journal_v2')
  const runs1 = v1 === undefined ? [] : checkedRuns('journal', runsOf(v1), member)
  const runs2 = v2 === undefined ? [] : checkedRuns('journal_v2', runsOf(v2), member)
  const runs = v2 === undefined ? runs1 : runs2
  return { runs, count: runs.reduce((sum, run) => sum + run.count, 0) }
}

/** Section `journal_v2` of the buckets in ring order. */
export function makeJournalBuckets(buckets: readonly number[]): Section {
  const runs: { start: number; count: number }[] = []
  for (const bucket of buckets) {
    const last = runs.at(-1)
    if (last !== undefined && last.start + last.count === bucket) last.count++
    else runs.push({ start: bucket, count: 1 })
  }
  const body = new BigUint64Array(runs.flatMap(({ start, count }) => [BigInt(start), BigInt(count)]))
  return makeSection('journal_v2', new Uint8Array(body.buffer))
}

/** As `show-super` prints the section. */
export function printJournalBuckets(section: Section): string {
  const runs = runsOf(section).map(([start, count]) =>
    section.type === JOURNAL_V1 ? ` ${start}` : ` ${start}-${start + count}`,
  )
  return `Buckets: ${runs.join('')}\n`
}

const JOURNAL_V1 = SECTION_NAMES.indexOf('journal')
const COUNT_MAX = 0xffffffff

type RawRun = readonly [start: bigint, count: bigint]

function runsOf(section: Section): RawRun[] {
  const values = u64sOf(section)
  if (section.type === JOURNAL_V1) return values.map((bucket) => [bucket, 1n])
  return Array.from({ length: values.length >> 1 }, (_, i) => [values[2 * i], values[2 * i + 1]])
}

function checkedRuns(name: SectionName, raw: readonly RawRun[], member: DeviceShape): BucketRun[] {
  const complain = (what: string) => new Malformed(`section ${name}: ${what}`)
  let total = 0
  const runs = raw.map(([start, count]): BucketRun => {
    if (start === 0n) throw complain('a journal bucket at the superblock (bucket 0)')
    if (count === 0n) throw complain(`an empty run of buckets at ${start}`)
    if (start < member.firstBucket) throw complain(`bucket ${start} is before the first one (${member.firstBucket})`)
    if (start + count > member.bucketCount) {
      throw complain(`bucket ${start + count - 1n} is past the end of the device (${member.bucketCount} buckets)`)
    }
    total += Number(count)
    return { start: Number(start), count: Number(count) }
  })
  if (total > COUNT_MAX) throw complain(`${total} buckets are too many`)
  const sorted = [...runs].sort((a, b) => a.start - b.start)
  sorted.forEach((run, i) => {
    if (i > 0 && run.start < sorted[i - 1].start + sorted[i - 1].count) throw complain(`bucket ${run.start} twice`)
  })
  return runs
}
