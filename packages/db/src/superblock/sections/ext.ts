/**
 * Section `ext`: what the next start has to do and may do silently. The passes are bits by their stable ids.
 * Format chapter 1, 4.12 to 4.14.
 */

import { array, column, struct, u64 } from '@cowherd/kernel-lib'
import { BTREE_NAMES } from '../../btree-ids.ts'
import { ERROR_NAMES } from '../error-ids.ts'
import { bitNames } from '../features.ts'
import { passNames } from '../recovery-passes.ts'
import { findSection, makeSection, requireBytes, SectionHeader, type Section } from './section.ts'

export const ExtRecord = struct({
  header: SectionHeader,
  recoveryPassesRequired: array(u64, 2),
  errorsSilent: array(u64, 8),
  btreesLostData: u64, // older volumes end before this
})

const EXT_BYTES_MIN = 88

export interface ExtSection {
  /** Recovery passes that must run at the next start: bit = stable pass id. */
  readonly passesRequired: bigint
  /** Errors to repair without a report: bit = error id. */
  readonly errorsSilent: bigint
  /** Btrees known to have lost data: bit = btree id. */
  readonly btreesLostData: bigint
}

/** The section, undefined if there is none (before the first start). Throws Malformed. */
export function readExt(sections: readonly Section[]): ExtSection | undefined {
  const section = findSection(sections, 'ext')
  return section === undefined ? undefined : extOf(section)
}

/** The section of a volume that is in order. */
export function makeEmptyExt(): Section {
  return makeSection('ext', new Uint8Array(ExtRecord.size - SectionHeader.size))
}

/** As `show-super` prints the section. */
export function printExt(section: Section): string {
  const { passesRequired, errorsSilent, btreesLostData } = extOf(section)
  const lines: [string, string[]][] = [
    ['Recovery passes required:', passNames(passesRequired)],
    ['Errors to silently fix:', bitNames(errorsSilent, ERROR_NAMES)],
    ['Btrees with missing data:', bitNames(btreesLostData, BTREE_NAMES)],
  ]
  return lines.map(([name, bits]) => `${column(name, 43)}${bits.join(',')}\n`).join('')
}

function extOf(section: Section): ExtSection {
  requireBytes(section, EXT_BYTES_MIN)
  const record = ExtRecord.readPadded(section.bytes)
  return {
    passesRequired: wideNumber(record.recoveryPassesRequired),
    errorsSilent: wideNumber(record.errorsSilent),
    btreesLostData: record.btreesLostData,
  }
}

/** Words, least significant first, as one number. */
export function wideNumber(words: readonly bigint[]): bigint {
  return words.reduceRight((number, word) => (number << 64n) | word, 0n)
}
