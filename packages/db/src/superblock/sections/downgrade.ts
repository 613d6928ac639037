/**
 * Section `downgrade`: tells older implementations what to check when they take over the volume. Records follow one
 * another on two-byte boundaries. Format chapter 1, 4.15.
 */

import { array, struct, u16, u64 } from '@cowherd/kernel-lib'
import { errorName } from '../error-ids.ts'
import { Malformed } from '../malformed.ts'
import { passNames } from '../recovery-passes.ts'
import { versionMajor, versionText } from '../versions.ts'
import { wideNumber } from './ext.ts'
import { findSection, SectionHeader, viewOf, type Section } from './section.ts'

/** Error ids, two bytes each, follow. */
export const DowngradeHead = struct({ version: u16, recoveryPasses: array(u64, 2), nrErrors: u16 })

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
