/**
 * Mounting: opens /dev/fuse, has it mounted on a directory, and returns the descriptor that a session serves.
 *
 *     root          open /dev/fuse; mount(8) with the descriptor inherited as number 3
 *     other users   fusermount3 (set-uid root) opens and mounts, and sends the descriptor through a socket (needs koffi)
 *
 * The kernel's first request (INIT) waits in the descriptor; until it is answered everyone who looks at the mount waits.
 * A mount whose server has died stays, giving ENOTCONN to all; the next mount of the same kind on the same directory
 * clears it away.
 *
 * Sources: mount(8), fusermount3(1), the kernel's Documentation/filesystems/fuse.rst.
 */

import { spawnSync, type StdioOptions } from 'node:child_process'
import { accessSync, closeSync, constants, openSync, statSync, type Stats } from 'node:fs'
import { loadNative, type Native } from '@cowherd/shim'
import { codeOf } from './errno.ts'
import { codeOfComplaint, complaint, MountError, plainEnvironment, programProblem } from './mount-error.ts'
import { findMount, resolveMountPoint, type MountEntry } from './mount-table.ts'
import { isFuse, unmountCommand, unmountFailure } from './unmount.ts'

export interface MountOptions {
  /** Shown as the source in /proc/mounts: the volume's name. */
  readonly source: string
  /** Shown as the type: `fuse.SUBTYPE`. */
  readonly subtype: string
  /**
   * Mount options: `ro`, `noatime`, `allow_other`, `default_permissions`, `max_read=N`, ... `nosuid` and `nodev` are
   * set unless `suid` or `dev` are among them. Those that say what is mounted and for whom (`fd`, `user_id`, ...) are
   * refused: they are set here.
   */
  readonly options: readonly string[]
  /**
   * Root only: the path of a block device, which the mount is to stand for. It is of type `fuseblk.SUBTYPE` then, the device its source. The
   * kernel claims the device for itself: it must not be claimed (O_EXCL). It sends SYNCFS, and at the end DESTROY, for which umount(2) waits.
   */
  readonly blockDevice?: string
  /** The native calls to use; `undefined` does without. Left out: what the machine has. */
  readonly native?: Native | undefined
}

/**
 * Mounts /dev/fuse on `directory` and returns the device's descriptor, which the caller serves and closes. Waits for
 * child processes, never for the server. A dead mount of the same subtype there is cleared away first.
 * @throws MountError ENOENT, ENOTDIR, EBUSY (a FUSE mount is there), EACCES, EPERM, EINVAL (options), ENODEV, ...
 */
export function mountFuse(directory: string, options: MountOptions): number {
  refuseOwnOptions(directory, options.options)
  if (options.blockDevice !== undefined && process.geteuid?.() !== 0) {
    throw new MountError('EPERM', directory, 'a mount that stands for a block device takes root')
  }
  const mountPoint = resolveMountPoint(directory)
  clearStale(directory, options.subtype)
  const present = findMount(directory)
  // known without looking at it, which would wait if its server hangs or is this thread
  if (present !== undefined && isFuse(present)) {
    throw new MountError('EBUSY', directory, `already mounted: ${present.source}`)
  }
  needDirectory(directory, mountPoint)
  needDevice(directory)
  return process.geteuid?.() === 0
    ? mountAsRoot(directory, mountPoint, options)
    : mountAsUser(directory, mountPoint, options)
}

/**
 * Unmounts a FUSE mount on `directory` whose server is gone, lazily; only one of that subtype if one is given.
 * Returns whether there was one. A live mount is not touched; one that doesn't answer within 3 seconds counts as live.
 * @throws MountError if there is one and it can't be unmounted
 */
export function clearStale(directory: string, subtype?: string): boolean {
  for (let cleared = 0; cleared < STALE_MAX; cleared++) {
    const mount = findMount(directory)
    const candidate = mount !== undefined && isFuse(mount, subtype)
    if (!candidate || !isDead(mount)) return cleared > 0
    const [program, ...words] = unmountCommand(mount.mountPoint, true)
    const { status, output } = run(program, words, directory)
    if (status !== 0) throw unmountFailure(program, directory, mount.mountPoint, output)
  }
  return true
}

/** Dead mounts may lie upon each other. */
const STALE_MAX = 100

const DEVICE = '/dev/fuse'
const CHILD_MS_MAX = 30_000
const STAT_MS_MAX = 3000

/** They say what is mounted, for whom and how, and are set here. `auto_unmount` would keep fusermount3 running. */
const OWN_OPTIONS = /^(fd|rootmode|user_id|group_id|fsname|subtype|auto_unmount)(=|$)/

/** What mount(8) takes for a search, not for a name. */
const SOURCE_TAGS = /^(LABEL|UUID|PARTLABEL|PARTUUID|ID)=/

function refuseOwnOptions(directory: string, options: readonly string[]): void {
  const option = options.flatMap((each) => each.split(',')).find((each) => OWN_OPTIONS.test(each))
  if (option !== undefined) throw new MountError('EINVAL', directory, `the mount option ${option} can't be given`)
}

function needDirectory(directory: string, mountPoint: string): void {
  let stat: Stats
  try {
    stat = statSync(mountPoint)
  } catch (error) {
    const code = codeOf(error)
    throw new MountError(code, directory, code === 'ENOENT' ? 'no such directory' : code, { cause: error })
  }
  if (!stat.isDirectory()) throw new MountError('ENOTDIR', directory, 'not a directory')
}

/** The device must be open to the user even where fusermount3 opens it: it does so with the user's rights. */
function needDevice(directory: string): void {
  try {
    accessSync(DEVICE, constants.R_OK | constants.W_OK)
  } catch (error) {
    throw deviceProblem(directory, error)
  }
}

function deviceProblem(directory: string, error: unknown): MountError {
  const code = codeOf(error)
  const texts: Readonly<Record<string, string>> = {
    ENOENT: `${DEVICE} is missing: this system has no FUSE, or its module isn't loaded (modprobe fuse)`,
    ENODEV: `${DEVICE} can't be opened: this system has no FUSE, or its module isn't loaded (modprobe fuse)`,
    EACCES: `no permission to open ${DEVICE}`,
    EPERM: `no permission to open ${DEVICE}`,
  }
  return new MountError(code, directory, texts[code] ?? `${DEVICE} can't be opened (${code})`, { cause: error })
}

function mountAsRoot(directory: string, mountPoint: string, mount: MountOptions): number {
  const { source, subtype, options, blockDevice } = mount
  let device: number
  try {
    device = openSync(DEVICE, 'r+')
  } catch (error) {
    throw deviceProblem(directory, error)
  }
  try {
    const own = ['fd=3', 'rootmode=40000', `user_id=${process.getuid?.()}`, `group_id=${process.getgid?.()}`]
    const list = [...own, ...withSafeDefaults(options)].join(',')
    const name = blockDevice ?? (source === '' ? subtype : SOURCE_TAGS.test(source) ? `./${source}` : source)
    const type = `${blockDevice === undefined ? 'fuse' : 'fuseblk'}.${subtype}`
    // -i: no helper mount.fuse.SUBTYPE; -c: the source is a name, even if there is a file of that name
    const words = ['-i', '-c', '-t', type, '-o', list, '--', name, mountPoint]
    const { status, output } = run('mount', words, directory, ['ignore', 'pipe', 'pipe', device])
    if (status !== 0) throw mountFailure('mount', directory, mountPoint, output)
  } catch (error) {
    closeSync(device)
    throw error
  }
  return device
}

function mountAsUser(directory: string, mountPoint: string, options: MountOptions): number {
  const native = 'native' in options ? options.native : loadNative()
  if (native === undefined) {
    const problem = 'mounting as an ordinary user takes the package koffi (not installed), or root'
    throw new MountError('ENOSYS', directory, problem)
  }
  const { source, subtype } = options
  const own = [`fsname=${escapeOption(source === '' ? subtype : source)}`, `subtype=${escapeOption(subtype)}`]
  const list = [...own, ...withSafeDefaults(options.options)].join(',')
  const [ours, theirs] = native.socketPair()
  try {
    try {
      const environment = { _FUSE_COMMFD: '3' }
      const stdio: StdioOptions = ['ignore', 'pipe', 'pipe', theirs]
      const { status, output } = run('fusermount3', ['-o', list, '--', mountPoint], directory, stdio, environment)
      if (status !== 0) throw mountFailure('fusermount3', directory, mountPoint, output)
    } finally {
      closeSync(theirs)
    }
    const device = native.receiveDescriptor(ours)
    if (device === undefined) throw new MountError('EIO', directory, 'fusermount3 sent no descriptor')
    return device
  } finally {
    closeSync(ours)
  }
}

function mountFailure(program: string, directory: string, mountPoint: string, output: string): MountError {
  const text = complaint(program, mountPoint, output)
  return new MountError(codeOfComplaint(text), directory, text)
}

function withSafeDefaults(options: readonly string[]): string[] {
  const defaults = [options.includes('suid') ? [] : ['nosuid'], options.includes('dev') ? [] : ['nodev']]
  return [...new Set([...defaults.flat(), ...options])]
}

/** A value within fusermount3's list of options. */
function escapeOption(value: string): string {
  return value.replace(/[\\,]/g, '\\$&')
}

/**
 * Whether the server of a FUSE mount is gone: stat(2) says so. With a live server stat may take for ever, and once
 * the server has read the request it can't be killed; so a grandchild asks, which may be left behind. No answer in time
 * means that the mount is not dead.
 */
function isDead({ mountPoint }: MountEntry): boolean {
  const words = ['-c', 'stat -- "$1" 2>&1 & wait "$!"', 'sh', mountPoint]
  const { stdout } = spawnSync('sh', words, {
    stdio: ['ignore', 'pipe', 'ignore'],
    env: plainEnvironment(),
    encoding: 'utf8',
    timeout: STAT_MS_MAX,
    killSignal: 'SIGKILL',
  })
  // ENOTCONN, glibc: "Transport endpoint is ...", musl: "Socket ..."; ECONNABORTED, if it died while it was asked
  return /not connected|connection abort/i.test(stdout)
}

/** Runs a program to its end; what it printed on standard error is the output. */
function run(
  program: string,
  words: readonly string[],
  directory: string,
  stdio: StdioOptions = ['ignore', 'pipe', 'pipe'],
  environment: NodeJS.ProcessEnv = {},
): { status: number | null; output: string } {
  const env = { ...plainEnvironment(), ...environment }
  const { status, stderr, error } = spawnSync(program, words, { stdio, env, encoding: 'utf8', timeout: CHILD_MS_MAX })
  if (error !== undefined) throw programProblem(program, directory, error)
  return { status, output: stderr }
}
