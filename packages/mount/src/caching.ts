/**
 * What the kernel may remember, and for how long. On a volume that is only read nothing ever changes: names, absent names, attributes,
 * pages, listings and targets of links are kept as long as there is memory for them. Caching is the greatest lever on speed: a second
 * `find` doesn't reach us at all.
 */

import type { FeatureName } from '@cowherd/fuse'

/** Times for which the kernel uses what it knows without asking, in seconds. */
export interface CacheTimes {
  readonly attrSeconds: number
  readonly entrySeconds: number
  /** For names that do not exist; 0 asks each time. */
  readonly negativeSeconds: number
}

/** As good as for ever, and far from where the kernel's reckoning would overflow. */
export const FOR_EVER_SECONDS = 1 << 30

export const READ_ONLY_TIMES: CacheTimes = {
  attrSeconds: FOR_EVER_SECONDS,
  entrySeconds: FOR_EVER_SECONDS,
  negativeSeconds: FOR_EVER_SECONDS,
}

/** What is asked of the kernel. With `checksPermissions` it reads access control lists, and checks them. */
export function wantedFeatures(checksPermissions: boolean): FeatureName[] {
  const wanted: FeatureName[] = [
    'asyncDio',
    'doReaddirplus',
    'readdirplusAuto',
    'parallelDirops',
    'cacheSymlinks',
    'explicitInvalData',
    'noOpenSupport', // no OPEN and RELEASE: files need no handle, and their pages stay
    'noOpendirSupport',
  ]
  return checksPermissions ? [...wanted, 'posixAcl'] : wanted
}
