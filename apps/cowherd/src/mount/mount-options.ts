/**
 * What `-o` may ask of a mount: the options of opening a volume, those of ours, and those that are the kernel's. They come from the
 * command line, or through mount(8) from /etc/fstab, which adds words that are meant for itself.
 */

import { availableParallelism } from 'node:os'
import { CommandError, ExitCode } from '../cli/exit-code.ts'

export interface MountPlan {
  readonly missing: 'none' | 'degraded' | 'very_degraded'
  readonly norecovery: boolean
  readonly nolock: boolean
  readonly access: 'read' | 'write-if-possible' | 'write'
  /** Which option keeps it from being written although nobody has asked for that. */
  readonly readOnlyBy: string | undefined
  readonly writesThrough: boolean
  /** After how many milliseconds at most what was done is on stable storage, where it was said. */
  readonly journalFlushDelayMs: number | undefined
  /** The subvolume or snapshot to mount. */
  readonly subvolume: string | undefined
  /** Bound of the node cache in bytes. */
  readonly cacheBytes: number | undefined
  /** How many threads serve the mount, if it is only read. */
  readonly threads: number
  /** For how long the kernel may use what it knows, where it was said. */
  readonly times: { attrSeconds?: number; entrySeconds?: number; negativeSeconds?: number }
  /** For the kernel. */
  readonly kernel: readonly string[]
}

/** The kernel's own, passed on as they are. */
const KERNEL_OPTIONS: ReadonlySet<string> = new Set(
  (
    'allow_other default_permissions noatime atime relatime norelatime nodiratime nosuid suid nodev dev noexec exec ' +
    'sync dirsync'
  ).split(' '),
)
/** Words of /etc/fstab that are meant for others. */
const FOREIGN = /^(defaults|auto|noauto|users?|nouser|owner|group|nofail|_netdev|async|comment=.*|[xX][-.].*)$/
const TIMES = {
  attr_timeout: 'attrSeconds',
  entry_timeout: 'entrySeconds',
  negative_timeout: 'negativeSeconds',
} as const

/** The options with a value, and what it is; for help and for messages. */
export const MOUNT_OPTION_HELP =
  'mount options: ro, rw, degraded, very_degraded, norecovery, nolock, subvol=PATH, allow_other, default_permissions, ' +
  'journal_flush_delay=MILLISECONDS, writethrough, ' +
  'attr_timeout=SECONDS, entry_timeout=SECONDS, negative_timeout=SECONDS, cache_size=BYTES, threads=N (1 to 64; 0 or ' +
  'without a number: as many as there are processors, at most 8), noatime, ...'

/** The greatest delay that a volume can have, too. */
const DELAY_MS_MAX = 0xffff_ffff

/** Reads the lists given with `-o`. Throws CommandError (usage) for what we don't have. */
export function parseMountPlan(lists: readonly string[]): MountPlan {
  let missing: MountPlan['missing'] = 'none'
  let norecovery = false
  let nolock = false
  let asked: 'ro' | 'rw' | undefined
  let writesThrough = false
  let journalFlushDelayMs: number | undefined
  let subvolume: string | undefined
  let cacheBytes: number | undefined
  let threads = 1
  const times: MountPlan['times'] = {}
  const kernel = new Set<string>()
  for (const option of lists.flatMap((list) => list.split(','))) {
    const [name, value] = nameAndValue(option)
    if (option === '' || FOREIGN.test(option)) continue
    else if (READ_ONLY.has(option)) asked = 'ro'
    else if (option === 'rw') asked = 'rw'
    else if (option === 'writethrough') writesThrough = true
    else if (name === 'journal_flush_delay') journalFlushDelayMs = millisecondsOf(option, value)
    else if (option === 'degraded') missing = missing === 'very_degraded' ? missing : 'degraded'
    else if (option === 'very_degraded') missing = 'very_degraded'
    else if (option === 'norecovery') norecovery = true
    else if (option === 'nolock') nolock = true
    else if (name === 'subvol' && value !== '') subvolume = value
    else if (name === 'cache_size') cacheBytes = bytesOf(option, value)
    else if (name === 'threads') threads = threadsOf(option, value)
    else if (name in TIMES) times[TIMES[name as keyof typeof TIMES]] = secondsOf(option, value)
    else if (KERNEL_OPTIONS.has(option)) kernel.add(option)
    else if (name === 'max_read' && /^\d+$/.test(value)) kernel.add(option)
    else throw usage(option, `no such option (${MOUNT_OPTION_HELP})`)
  }
  const obstacle = norecovery ? 'norecovery' : nolock ? 'nolock' : undefined
  if (asked === 'rw' && obstacle !== undefined) throw usage('rw', `a volume is only read with ${obstacle}`)
  const access = asked === 'ro' || obstacle !== undefined ? 'read' : asked === 'rw' ? 'write' : 'write-if-possible'
  // Who lets others in has their rights checked: the files' owners are as on the volume. Nobody else has them checked: the kernel would ask for a
  // directory's mode after each change in it.
  if (kernel.has('allow_other')) kernel.add('default_permissions')
  return {
    ...{ missing, norecovery, nolock, access, readOnlyBy: asked === 'ro' ? undefined : obstacle },
    ...{ writesThrough, journalFlushDelayMs, subvolume, cacheBytes, threads, times, kernel: [...kernel] },
  }
}

/** Nothing is written: with these words it is meant. */
const READ_ONLY: ReadonlySet<string> = new Set(['ro', 'read_only', 'nochanges'])

function nameAndValue(option: string): [name: string, value: string] {
  const at = option.indexOf('=')
  return at < 0 ? [option, ''] : [option.slice(0, at), option.slice(at + 1)]
}

function secondsOf(option: string, value: string): number {
  const seconds = Number(value)
  if (value === '' || !(seconds >= 0) || seconds === Infinity) throw usage(option, 'a number of seconds is wanted')
  return Math.min(seconds, SECONDS_MAX)
}

/** The kernel reckons for ever from about here on. */
const SECONDS_MAX = 1 << 30

function millisecondsOf(option: string, value: string): number {
  const milliseconds = Number(value)
  if (/^\d+$/.test(value) && milliseconds >= 1 && milliseconds <= DELAY_MS_MAX) return milliseconds
  throw usage(option, 'a number of milliseconds is wanted, at least 1')
}

function bytesOf(option: string, value: string): number {
  const match = /^(\d+)([kmg]?)$/i.exec(value)
  if (match === null) throw usage(option, 'a number of bytes is wanted, or of K, M or G')
  return Number(match[1]) * 1024 ** ' kmg'.indexOf((match[2] ?? '').toLowerCase() || ' ')
}

const THREADS_MAX = 64
/** More rarely help, and each takes memory. */
const THREADS_UNASKED_MAX = 8

function threadsOf(option: string, value: string): number {
  const threads = Number(value)
  if (option === 'threads' || value === '0') return Math.min(availableParallelism(), THREADS_UNASKED_MAX)
  if (!/^\d+$/.test(value) || threads > THREADS_MAX)
    throw usage(option, `a number of threads is wanted, 1 to ${THREADS_MAX}`)
  return threads
}

function usage(option: string, why: string): CommandError {
  return new CommandError(ExitCode.usage, `-o ${option}: ${why}`)
}
