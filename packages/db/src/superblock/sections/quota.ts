/** Section `quota`: time and warning limits of user, group and project quotas. Format chapter 1, 4.5. */

export const QUOTA_TYPES = ['user', 'group', 'project'] as const

/** Limits of one quota type: seconds over the soft limit, number of warnings. */
export interface QuotaLimits {
  readonly flags: bigint
  readonly spaceTimeLimit: number
  readonly spaceWarnLimit: number
  readonly inodesTimeLimit: number
  readonly inodesWarnLimit: number
}
