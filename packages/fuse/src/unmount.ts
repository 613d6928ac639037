/**
 * Unmounting FUSE mounts: umount(8) as root, fusermount3 as an ordinary user.
 *
 * The mount's own server must go on serving meanwhile (the kernel may write back and look things up first), so `unmount`
 * only waits for a child process; and neither it nor the child look at the mount. Whether the server has ended by then
 * is another matter: it sees ENODEV when the mount is gone.
 *
 * Sources: umount(8), umount(2), fusermount3(1).
 */

import { spawn } from 'node:child_process'
import { readdir, readFile, readlink } from 'node:fs/promises'
import { processName } from '@cowherd/shim'
import { codeOfComplaint, complaint, MountError, plainEnvironment, programProblem } from './mount-error.ts'
import { findMount, isBelow, mountsBelow, type MountEntry } from './mount-table.ts'

export interface UnmountOptions {
  /** Takes the mount off its directory at once; it ends when nobody uses it any more. */
  readonly lazy?: boolean
}

/**
 * Unmounts the topmost mount on `directory`.
 * @throws MountError EBUSY if it is in use (the message says by whom), EINVAL if no FUSE mount is there, EPERM if it is
 * another user's
 */
export async function unmount(directory: string, options: UnmountOptions = {}): Promise<void> {
  const mount = findMount(directory)
  if (mount === undefined) throw new MountError('EINVAL', directory, 'nothing is mounted there')
  if (!isFuse(mount)) throw new MountError('EINVAL', directory, `not a FUSE mount but ${mount.type}`)
  refuseOthersMount(directory, mount)
  const [program, ...words] = unmountCommand(mount.mountPoint, options.lazy === true)
  const { status, output } = await runChild(program, words).catch((error: unknown) => {
    throw programProblem(program, directory, error)
  })
  if (status === 0) return
  const failure = unmountFailure(program, directory, mount.mountPoint, output)
  if (failure.code !== 'EBUSY') throw failure
  throw new MountError('EBUSY', directory, `in use${await usersText(mount.mountPoint)}`, { cause: failure })
}

/** Whether a server in userspace is behind the mount; one of that subtype, if one is given. */
export function isFuse({ type }: MountEntry, subtype?: string): boolean {
  const [kind = '', ...rest] = type.split('.')
  return (kind === 'fuse' || kind === 'fuseblk') && (subtype === undefined || rest.join('.') === subtype)
}

/**
 * The program and its arguments that unmount what is on `mountPoint`, an absolute path without symbolic links.
 * `-c` keeps umount from looking at the mount point (which would wait for a server that doesn't answer), `-i` from
 * handing the job to a helper.
 */
export function unmountCommand(mountPoint: string, lazy: boolean): [string, ...string[]] {
  if (process.geteuid?.() === 0) return ['umount', '-c', '-i', ...(lazy ? ['-l'] : []), '--', mountPoint]
  return ['fusermount3', '-u', ...(lazy ? ['-z'] : []), '--', mountPoint]
}

/** The error for a program of `unmountCommand` that failed. */
export function unmountFailure(program: string, directory: string, mountPoint: string, output: string): MountError {
  const text = complaint(program, mountPoint, output)
  return new MountError(codeOfComplaint(text), directory, `can't be unmounted: ${text}`)
}

/** fusermount3 would say that it doesn't know the mount. */
function refuseOthersMount(directory: string, { superOptions }: MountEntry): void {
  const user = process.getuid?.()
  if (process.geteuid?.() === 0 || superOptions.includes(`user_id=${user}`)) return
  const owner = superOptions.find((option) => option.startsWith('user_id='))?.slice('user_id='.length)
  throw new MountError('EPERM', directory, `mounted by another user (${owner === '0' ? 'root' : `user id ${owner}`})`)
}

function runChild(program: string, words: readonly string[]): Promise<{ status: number | null; output: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, words, { stdio: ['ignore', 'ignore', 'pipe'], env: plainEnvironment() })
    let output = ''
    child.stderr.setEncoding('utf8').on('data', (text: string) => (output += text))
    child.on('error', reject).on('close', (status) => resolve({ status, output }))
  })
}

/** ` by bash (1234), vim (1240) and 2 more`, or what is mounted below, or nothing if that can't be seen. */
async function usersText(mountPoint: string): Promise<string> {
  const below = mountsBelow(mountPoint)[0]
  if (below !== undefined) return `: ${below.mountPoint} is mounted below it`
  const users = await usersOf(mountPoint)
  if (users.length === 0) return ''
  const shown = users.slice(0, SHOWN_MAX).map((pid) => `${processName(pid) || 'process'} (${pid})`)
  const more = users.length - shown.length
  return ` by ${shown.join(', ')}${more > 0 ? ` and ${more} more` : ''}`
}

const SHOWN_MAX = 3

/**
 * The processes with a working or root directory, a program, an open or a mapped file in the mount, as far as we may see.
 * By name only, since looking at the files would ask the server. Not synchronous: reading the maps of a process may have
 * to wait until the server has answered that process.
 */
async function usersOf(mountPoint: string): Promise<number[]> {
  const users: number[] = []
  for (const entry of await readdir('/proc')) {
    if (/^\d+$/.test(entry) && (await uses(`/proc/${entry}`, mountPoint))) users.push(Number(entry))
  }
  return users
}

async function uses(process: string, mountPoint: string): Promise<boolean> {
  const files = await readdir(`${process}/fd`).catch(() => [])
  for (const link of ['cwd', 'root', 'exe', ...files.map((fd) => `fd/${fd}`)]) {
    const target = await readlink(`${process}/${link}`).catch(() => undefined)
    if (target !== undefined && isBelow(target, mountPoint)) return true
  }
  const maps = await readFile(`${process}/maps`, 'utf8').catch(() => '')
  return maps.includes(` ${mountPoint}/`)
}
