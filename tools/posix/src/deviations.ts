/**
 * Where filesystems of Linux are known to do otherwise: each with the reason. What is listed here has failed there; it isn't
 * a fault of the directory that is tried, nor of the suite. Kernels differ, so that a case listed may also hold.
 */

import type { CaseResult, FailedCase, PosixRun } from './results.ts'

interface Deviation {
  /** Names of cases, or the part of it up to a `*`. */
  readonly cases: readonly string[]
  readonly reason: string
}

const IN_MEMORY: readonly Deviation[] = [
  {
    cases: ['mmap/tail_isnt_kept'],
    reason:
      'its pages are all that there is of a file: nothing is written back, so nothing zeroes the tail of the last one',
  },
  {
    cases: ['mmap/holes_stay'],
    reason: 'a page of a hole that is looked at through a shared mapping is allocated',
  },
]

/** Of any server: the kernel keeps no times of access for them. */
const SERVED: readonly Deviation[] = [
  {
    cases: ['times/read'],
    reason:
      "what was written lies in the kernel's cache, which answers the read: the server hears of none, and can note none",
  },
]

const DEVIATIONS: Readonly<Record<string, readonly Deviation[]>> = {
  tmpfs: IN_MEMORY,
  overlay: IN_MEMORY, // when it lies over tmpfs
  xfs: [
    { cases: ['symlink/longest'], reason: 'a symlink holds 1023 bytes at most' },
    { cases: ['mknod/devices'], reason: "numbers of devices are kept as System V's: 14 bits and 18" },
  ],
  'fuse.cowherd': SERVED,
  'fuseblk.cowherd': SERVED,
  btrfs: [
    { cases: ['statfs/follows'], reason: 'free space is counted by chunks, and given back by transactions to come' },
    { cases: ['xattr/trusted'], reason: 'it lists the name space trusted to everybody' },
  ],
  // Linux 6.12.
  bcachefs: [
    {
      cases: ['names/too_long', 'paths/*'],
      reason: 'looking for a name that is too long is ENOENT; only making it is ENAMETOOLONG',
    },
    { cases: ['acl/types'], reason: 'symlinks take access control lists' },
    { cases: ['readdir/small_buffers'], reason: 'with room for one entry only, a listing ends early' },
    { cases: ['times/unlink'], reason: "the ctime of a file that has other names still isn't changed in memory" },
  ],
}

/** Why a case may fail on a filesystem of this type, or undefined if it may not. */
export function deviationOf(filesystem: string, name: string): string | undefined {
  return DEVIATIONS[filesystem]?.find(({ cases }) => cases.some((pattern) => matches(pattern, name)))?.reason
}

function matches(pattern: string, name: string): boolean {
  return pattern.endsWith('*') ? name.startsWith(pattern.slice(0, -1)) : name === pattern
}

/** The cases that failed, and should not have. */
export function faultsOf({ filesystem, results }: PosixRun): FailedCase[] {
  return results.filter(isFailed).filter(({ name }) => deviationOf(filesystem, name) === undefined)
}

function isFailed(result: CaseResult): result is FailedCase {
  return result.outcome === 'failed'
}
