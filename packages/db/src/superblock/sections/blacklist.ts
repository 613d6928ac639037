/**
 * Section `journal_seq_blacklist`: journal sequence numbers that were given out and lost in a crash. Journal entries and
 * node parts that carry one are ignored for ever. Format chapter 1, 4.9.
 */

import { Malformed } from '../malformed.ts'
import { findSection, u64sOf, type Section } from './section.ts'

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
