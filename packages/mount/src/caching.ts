/**
 * What the kernel may remember, and for how long. On a volume that is only read nothing ever changes; one that is written is changed by
 * nobody but through the mount, so the kernel knows of every change: it drops by itself what it has remembered of the directories and files
 * that are concerned. Either way names, absent names, attributes, pages, listings and targets of links are kept as long as there is memory
 * for them. Caching is the greatest lever on speed: a second `find` doesn't reach us at all.
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

export const SOLE_USER_TIMES: CacheTimes = {
  attrSeconds: FOR_EVER_SECONDS,
  entrySeconds: FOR_EVER_SECONDS,
  negativeSeconds: FOR_EVER_SECONDS,
}

/** How a volume is mounted, as far as the kernel has to know. */
export interface MountManner {
  /** The kernel reads access control lists, and checks them as it checks owners and modes. */
  readonly checksPermissions: boolean
  readonly isWritable: boolean
  /** What is written comes to us at once; else the kernel keeps it for a while. */
  readonly writesThrough: boolean
}

const ALWAYS: readonly FeatureName[] = [
  'asyncDio',
  'doReaddirplus',
  'readdirplusAuto',
  'parallelDirops',
  'cacheSymlinks',
  'explicitInvalData', // pages are as good as the kernel's own: no change of times or sizes says otherwise
  'noOpenSupport', // no OPEN and RELEASE: files need no handle, and their pages stay
  'noOpendirSupport',
]

/**
 * What is asked of the kernel. Not `atomicOTrunc`: without OPEN nobody would hear of O_TRUNC, so it comes as SETATTR. Not `autoInvalData`:
 * see `explicitInvalData`.
 */
export function wantedFeatures({ checksPermissions, isWritable, writesThrough }: MountManner): FeatureName[] {
  const wanted = [...ALWAYS]
  if (checksPermissions) wanted.push('posixAcl')
  if (isWritable) {
    wanted.push('dontMask') // the umask doesn't count where a directory has a default list
    wanted.push('handleKillprivV2') // we are told when set-user-id has to go: the kernel needn't look before each write
    wanted.push('setxattrExt')
  }
  if (isWritable && !writesThrough) wanted.push('writebackCache')
  return wanted
}
