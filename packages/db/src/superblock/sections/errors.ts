/** Section `errors`: how often each kind of damage was ever found, and when last. Informative. Format chapter 1, 4.11. */

import { localTimeText } from '@cowherd/kernel-lib'
import { errorName } from '../error-ids.ts'
import { Malformed } from '../malformed.ts'
import { findSection, u64sOf, type Section } from './section.ts'

export interface ErrorCount {
  /** Error id (`ERROR_NAMES`). */
  readonly id: number
  readonly count: bigint
  /** Seconds since 1970. */
  readonly lastTime: bigint
}

/** The counts, by ascending id. Throws Malformed. */
export function readErrors(sections: readonly Section[]): ErrorCount[] {
  const section = findSection(sections, 'errors')
  if (section === undefined) return []
  const counts = countsOf(section)
  counts.forEach(({ id, count }, i) => {
    if (count === 0n) throw new Malformed(`section errors: ${errorName(id)} counted 0 times`)
    if (i > 0 && id <= counts[i - 1].id) throw new Malformed(`section errors: ${errorName(id)} is out of order`)
  })
  return counts
}

/** As `show-super` prints the section. */
export function printErrors(section: Section): string {
  return countsOf(section)
    .map(
      ({ id, count, lastTime }) => `${errorName(id).padEnd(44)}${String(count).padEnd(16)}${localTimeText(lastTime)}\n`,
    )
    .join('')
}

/** Two words each: id in the lowest 16 bits of the first, the count above; time in the second. */
function countsOf(section: Section): ErrorCount[] {
  const values = u64sOf(section)
  return Array.from({ length: values.length >> 1 }, (_, i) => ({
    id: Number(values[2 * i] & 0xffffn),
    count: values[2 * i] >> 16n,
    lastTime: values[2 * i + 1],
  }))
}
