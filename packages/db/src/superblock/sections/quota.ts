/** Section `quota`: time and warning limits of user, group and project quotas. Format chapter 1, 4.5. */

import { array, struct, u32, u64 } from '@cowherd/kernel-lib'
import { findSection, requireBytes, SectionHeader, viewOf, type Section } from './section.ts'

export const QuotaRecord = struct({
  flags: u64,
  spaceTimeLimit: u32,
  spaceWarnLimit: u32,
  inodesTimeLimit: u32,
  inodesWarnLimit: u32,
})

export const QUOTA_TYPES = ['user', 'group', 'project'] as const

const QuotaSection = struct({ header: SectionHeader, limits: array(QuotaRecord, QUOTA_TYPES.length) })

/** Limits of one quota type: seconds over the soft limit, number of warnings. */
export interface QuotaLimits {
  readonly flags: bigint
  readonly spaceTimeLimit: number
  readonly spaceWarnLimit: number
  readonly inodesTimeLimit: number
  readonly inodesWarnLimit: number
}

/** The limits by quota type; none if quotas were never on. Throws Malformed. */
export function readQuota(sections: readonly Section[]): QuotaLimits[] {
  const section = findSection(sections, 'quota')
  return section === undefined ? [] : limitsOf(section)
}

/** As `show-super` prints the section. */
export function printQuota(section: Section): string {
  return limitsOf(section)
    .map(
      (limits, type) =>
        `${QUOTA_TYPES[type]}: flags ${limits.flags.toString(16)}` +
        ` space timelimit ${limits.spaceTimeLimit} warnlimit ${limits.spaceWarnLimit}` +
        ` inodes timelimit ${limits.inodesTimeLimit} warnlimit ${limits.inodesWarnLimit}\n`,
    )
    .join('')
}

function limitsOf(section: Section): QuotaLimits[] {
  requireBytes(section, QuotaSection.size)
  return QuotaSection.read(viewOf(section.bytes), 0).limits
}
