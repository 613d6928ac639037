/**
 * Section `downgrade`: tells older implementations what to check when they take over the volume. Records follow one
 * another on two-byte boundaries. Format chapter 1, 4.15.
 */

import { array, struct, u16, u64 } from '@cowherd/kernel-lib'
import { errorName } from '../error-ids.ts'
import { Malformed } from '../malformed.ts'
import { passBits, passNames } from '../recovery-passes.ts'
import { version, versionMajor, versionText } from '../versions.ts'
import { wideNumber } from './ext.ts'
import { findSection, makeSection, SectionHeader, viewOf, type Section } from './section.ts'

/** Error ids, two bytes each, follow. */
export const DowngradeHead = struct({ version: u16, recoveryPasses: array(u64, 2), nrErrors: u16 })

/** Errors of counters of space. */
const USAGE_ERRORS = [76, 77, 78, 68, 69, 70, 71, 72, 74, 73, 75]

/** What to do when the volume goes to a version below `version`. */
export interface DowngradeEntry {
  readonly version: number
  /** Bit = stable pass id. */
  readonly passes: bigint
  /** Error ids to repair silently. */
  readonly errors: readonly number[]
}

/** The entries; none if there is no section. `version` is the superblock's. Throws Malformed. */
export function readDowngrade(sections: readonly Section[], version: number): DowngradeEntry[] {
  const section = findSection(sections, 'downgrade')
  if (section === undefined) return []
  const entries = entriesOf(section)
  for (const entry of entries) {
    if (versionMajor(entry.version) !== versionMajor(version)) {
      throw new Malformed(`section downgrade: entry for major version ${versionMajor(entry.version)}`)
    }
  }
  return entries
}

/** What a volume of version 1.13 tells older implementations. Format chapter 1, 4.15a. */
export const DOWNGRADES: readonly DowngradeEntry[] = [
  { version: version(1, 9), passes: passBits('check_allocations'), errors: [...USAGE_ERRORS, 80] },
  { version: version(1, 10), passes: passBits('check_allocations'), errors: [...USAGE_ERRORS, 273, 80] },
  { version: version(1, 12), passes: passBits('check_allocations'), errors: [272] },
]

/** The section of these entries. */
export function makeDowngrade(entries: readonly DowngradeEntry[]): Section {
  const parts = entries.map(({ version, passes, errors }) => {
    const recoveryPasses = [BigInt.asUintN(64, passes), passes >> 64n]
    const head = DowngradeHead.bytes({ version, recoveryPasses, nrErrors: errors.length })
    return [...head, ...new Uint8Array(Uint16Array.from(errors).buffer)]
  })
  return makeSection('downgrade', Uint8Array.from(parts.flat()))
}

/** As `show-super` prints the section. */
export function printDowngrade(section: Section): string {
  return entriesOf(section)
    .map(
      ({ version, passes, errors }) =>
        `version:\t${versionText(version)}\n` +
        `recovery passes:\t${passNames(passes).join(',')}\n` +
        `errors:\t${errors.map(errorName).join(',')}\n`,
    )
    .join('')
}

/** A fragment at the end is padding; error ids that don't fit are left out, as nothing here is needed to read. */
function entriesOf({ bytes }: Section): DowngradeEntry[] {
  const view = viewOf(bytes)
  const entries: DowngradeEntry[] = []
  for (let at = SectionHeader.size; at + DowngradeHead.size <= bytes.length;) {
    const { version, recoveryPasses, nrErrors } = DowngradeHead.read(view, at)
    at += DowngradeHead.size
    const fitting = Math.min(nrErrors, Math.floor((bytes.length - at) / 2))
    const errors = Array.from({ length: fitting }, (_, i) => view.getUint16(at + 2 * i, true))
    entries.push({ version, passes: wideNumber(recoveryPasses), errors })
    at += 2 * nrErrors
  }
  return entries
}
