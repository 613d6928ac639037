/**
 * Section `journal_seq_blacklist`: journal sequence numbers that were given out and lost in a crash. Journal entries and
 * node parts that carry one are ignored for ever. Format chapter 1, 4.9.
 */

import { Malformed } from '../malformed.ts'
import { findSection, makeSection, u64sOf, type Section } from './section.ts'

/** Sequence numbers from `start` up to but not including `end`. */
export interface SeqRange {
  readonly start: bigint
  readonly end: bigint
}

/** The ranges, ascending and disjoint; none if there is no section. Throws Malformed. */
export function readBlacklist(sections: readonly Section[]): SeqRange[] {
  const section = findSection(sections, 'journal_seq_blacklist')
  if (section === undefined) return []
  const ranges = rangesOf(section)
  ranges.forEach(({ start, end }, i) => {
    if (start >= end) throw new Malformed(`section journal_seq_blacklist: range ${start} to ${end} is empty`)
    if (i > 0 && start < ranges[i - 1].end) {
      throw new Malformed(`section journal_seq_blacklist: ranges out of order at ${start}`)
    }
  })
  return ranges
}

/** The section of these ranges, ascending and disjoint. */
export function makeBlacklist(ranges: readonly SeqRange[]): Section {
  const body = new BigUint64Array(ranges.flatMap(({ start, end }) => [start, end]))
  return makeSection('journal_seq_blacklist', new Uint8Array(body.buffer))
}

/** The ranges with another one, which is joined with all that it overlaps or touches. Format chapter 3, 3.5.2. */
export function withRange(ranges: readonly SeqRange[], { start, end }: SeqRange): SeqRange[] {
  const before = ranges.filter((range) => range.end < start)
  const after = ranges.filter((range) => range.start > end)
  const joined = ranges.slice(before.length, ranges.length - after.length)
  const first = joined.length > 0 && joined[0].start < start ? joined[0].start : start
  const last = joined.length > 0 && joined[joined.length - 1].end > end ? joined[joined.length - 1].end : end
  return [...before, { start: first, end: last }, ...after]
}

/** As `show-super` prints the section. */
export function printBlacklist(section: Section): string {
  return `${rangesOf(section)
    .map(({ start, end }) => `${start}-${end}`)
    .join(' ')}\n`
}

function rangesOf(section: Section): SeqRange[] {
  const values = u64sOf(section)
  return Array.from({ length: values.length >> 1 }, (_, i) => ({ start: values[2 * i], end: values[2 * i + 1] }))
}
