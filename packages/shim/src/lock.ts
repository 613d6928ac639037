/**
 * Locks on volumes in use: readers hold a shared lock on every device, writers an exclusive one. A lock belongs to the
 * open file and goes with its descriptor, also when the process dies.
 *
 * - Linux with koffi: flock(2). Without: util-linux' `flock` on the inherited descriptor, whose lock stays with our open
 *   file. On block devices the kernel's own claim (mounted, swap, part of another device) is probed with O_EXCL.
 * - macOS, BSD: flock(2) with koffi, else open(2) with O_SHLOCK or O_EXLOCK on a second descriptor kept beside ours.
 * - Elsewhere nothing can be locked; the caller gets a note to show.
 *
 * Programs that write without locking are found as well where the kernel tells (a lease on a regular file; Linux).
 */

import { closeSync, constants, fstatSync, openSync, type Stats } from 'node:fs'
import { DeviceError } from './block-device.ts'
import { holdersOf, kernelUsersOf, lockHoldersOf, loopDevicesOf, processName, processText } from './holders.ts'
import { loadNative, NativeError, type Native } from './native.ts'

export type LockKind = 'shared' | 'exclusive'

export interface LockOptions {
  /** The native calls to use; `undefined` does without. Left out: what the machine has. */
  readonly native?: Native | undefined
  /** Told, once per process, why nothing could be locked. */
  readonly note?: (text: string) => void
}

/** What must be kept as long as the lock: closing it, and the locked descriptor, releases the lock. */
export interface Lock {
  release(): void
}

/**
 * Locks the file or device open as `fd`, known to the user as `path`. Doesn't wait.
 * @throws DeviceError EBUSY if it is in use in a way that the lock excludes; the message says by whom.
 */
export function lockDevice(fd: number, path: string, kind: LockKind, options: LockOptions = {}): Lock {
  const native = 'native' in options ? options.native : loadNative()
  const stat = fstatSync(fd)
  const lock = takeLock(fd, path, stat, kind, native, options.note) // first: on refusal it knows by whom
  try {
    if (stat.isBlockDevice() && process.platform === 'linux') probeClaim(path, stat)
    if (stat.isFile() && process.platform === 'linux') refuseWriters(fd, path, stat, native)
  } catch (error) {
    lock.release()
    throw error
  }
  return lock
}

const KEPT_WITH_DESCRIPTOR: Lock = { release: () => undefined }

function takeLock(
  fd: number,
  path: string,
  stat: Stats,
  kind: LockKind,
  native: Native | undefined,
  note: ((text: string) => void) | undefined,
): Lock {
  if (native !== undefined) {
    try {
      if (!native.flock(fd, kind)) throw lockedBy(path, stat, kind)
    } catch (error) {
      if (!(error instanceof NativeError)) throw error
      noteOnce(note, `${path}: its filesystem takes no locks (${error.code}); other programs are not kept from writing`)
    }
    return KEPT_WITH_DESCRIPTOR
  }
  if (process.platform === 'linux') {
    const { spawnSync } = process.getBuiltinModule('node:child_process') // loaded here only: it takes 10 ms
    const options = [kind === 'shared' ? '-s' : '-x', '-n', '-E', `${CONFLICT}`, '3']
    const { status, error } = spawnSync('flock', options, { stdio: ['ignore', 'ignore', 'ignore', fd] })
    if (status === CONFLICT) throw lockedBy(path, stat, kind)
    if (status !== 0) {
      const why =
        error === undefined ? `flock ended with ${status}` : "neither koffi nor util-linux' flock is installed"
      noteOnce(note, `${path} is not locked (${why}); other programs are not kept from writing`)
    }
    return KEPT_WITH_DESCRIPTOR
  }
  const flag = BSD_OPEN_LOCK[process.platform]?.[kind]
  if (flag === undefined) {
    noteOnce(note, `${path} is not locked (this system has no way to); other programs are not kept from writing`)
    return KEPT_WITH_DESCRIPTOR
  }
  try {
    const second = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK | flag)
    return { release: () => closeSync(second) }
  } catch (error) {
    const code = codeOf(error)
    if (code === 'EAGAIN' || code === 'EWOULDBLOCK') throw lockedBy(path, stat, kind)
    noteOnce(note, `${path}: its filesystem takes no locks (${code}); other programs are not kept from writing`)
    return KEPT_WITH_DESCRIPTOR
  }
}

/** Exit status that `flock` is told to use for "somebody else has it". */
const CONFLICT = 75

const BSD_OPEN_LOCK: Readonly<Record<string, Readonly<Record<LockKind, number>>>> = {
  darwin: { shared: 0x10, exclusive: 0x20 },
  freebsd: { shared: 0x10, exclusive: 0x20 },
  openbsd: { shared: 0x10, exclusive: 0x20 },
}

/** Opening a block device with O_EXCL fails while the kernel uses it. Two probes at once disturb each other: try again. */
function probeClaim(path: string, stat: Stats): void {
  for (let tries = 1; ; tries++) {
    try {
      closeSync(openSync(path, constants.O_RDONLY | constants.O_EXCL))
      return
    } catch (error) {
      if (codeOf(error) !== 'EBUSY') return // the open descriptor shows that it can be read; this was only a question
      if (tries === 5) throw new DeviceError('EBUSY', path, `in use: ${kernelUsersText(path, stat)}`, { cause: error })
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 10)
    }
  }
}

function kernelUsersText(path: string, stat: Stats): string {
  const users = kernelUsersOf(path, stat)
  return users.length === 0 ? 'claimed by the kernel or another process' : users.join(', ')
}

/** Refuses a file that is open for writing elsewhere, and a file whose loop device is in use. */
function refuseWriters(fd: number, path: string, stat: Stats, native: Native | undefined): void {
  const written = native?.isOpenForWriting(fd)
  if (written === false) return
  const writer = holdersOf(stat).find((holder) => holder.writes)
  if (writer !== undefined && writer.pid !== process.pid) {
    throw new DeviceError('EBUSY', path, `in use: ${processText(writer)} has it open for writing`)
  }
  const loops = loopDevicesOf(path)
  if (written === true && writer === undefined && loops.length === 0) {
    throw new DeviceError('EBUSY', path, 'in use: another process has it open for writing')
  }
  for (const loop of loops) {
    try {
      closeSync(openSync(loop, constants.O_RDONLY | constants.O_EXCL))
    } catch (error) {
      if (codeOf(error) !== 'EBUSY') continue
      const device = attemptStat(loop)
      const users = device === undefined ? '' : `, ${kernelUsersText(loop, device)}`
      throw new DeviceError('EBUSY', path, `in use: attached as ${loop}${users}`, { cause: error })
    }
  }
}

function lockedBy(path: string, stat: Stats, kind: LockKind): DeviceError {
  const purpose = kind === 'shared' ? 'for writing' : 'open'
  const holders = holdersOf(stat).filter((holder) => holder.lock !== undefined)
  const holder = holders.find((each) => each.lock === 'exclusive') ?? holders[0]
  if (holder !== undefined) return new DeviceError('EBUSY', path, `in use: ${processText(holder)} has it ${purpose}`)
  const pid = lockHoldersOf(stat)[0]
  if (pid === undefined) return new DeviceError('EBUSY', path, `in use: another process has it ${purpose}`)
  const text = processText({ pid, name: processName(pid) })
  return new DeviceError('EBUSY', path, `in use: ${text} has it ${purpose}`)
}

let noted = false

function noteOnce(note: ((text: string) => void) | undefined, text: string): void {
  if (note === undefined || noted) return
  noted = true
  note(text)
}

function attemptStat(path: string): Stats | undefined {
  try {
    const fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)
    try {
      return fstatSync(fd)
    } finally {
      closeSync(fd)
    }
  } catch {
    return undefined
  }
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : 'unknown error'
}
