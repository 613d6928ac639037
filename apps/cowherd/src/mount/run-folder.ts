/**
 * Where a running mount can be reached: a socket for each, in a folder that only its owner can enter. Its name has the mount's device
 * number, which /proc/self/mountinfo tells for any directory, and the process: the number is free for the next mount a moment before the
 * process is gone.
 *
 *     root          /run/cowherd
 *     other users   $XDG_RUNTIME_DIR/cowherd or, where there is none, /tmp/cowherd-UID
 */

import { lstatSync, mkdirSync, readdirSync, readFileSync, unlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import type { MountEntry } from '@cowherd/fuse'

/**
 * Where a mount of our own may make its socket; its folder is made, and sockets of processes that were killed are cleared away. Undefined
 * if no folder is to be had.
 */
export function ownSocket(entry: MountEntry, env: Readonly<Record<string, string | undefined>>): string | undefined {
  const uid = process.geteuid?.() ?? 0
  const folder = foldersOf(uid, env).find((each) => isOurs(each, uid, true))
  if (folder === undefined) return undefined
  for (const name of readdirSync(folder)) {
    const socket = SOCKET.exec(name)
    const isLeft = socket !== null && (socket[1] === nameOfDevice(entry) || !isRunning(Number(socket[2])))
    if (isLeft) removeSocket(join(folder, name))
  }
  return join(folder, `mount-${nameOfDevice(entry)}-${process.pid}.sock`)
}

/** Where the socket of anyone's mount may be. Folders that others than its owner could have made are passed over. */
export function socketsOf(entry: MountEntry, env: Readonly<Record<string, string | undefined>>): string[] {
  const uid = Number(
    /^user_id=(\d+)$/.exec(entry.superOptions.find((option) => option.startsWith('user_id=')) ?? '')?.[1],
  )
  return foldersOf(uid, env)
    .filter((folder) => isOurs(folder, uid, false))
    .flatMap((folder) => namesIn(folder).map((name) => join(folder, name)))
    .filter((path) => deviceOfSocket(path) === nameOfDevice(entry))
}

/** The sockets of all mounts of this user. */
export function socketsOfAll(env: Readonly<Record<string, string | undefined>>): string[] {
  const uid = process.geteuid?.() ?? 0
  return foldersOf(uid, env)
    .filter((folder) => isOurs(folder, uid, false))
    .flatMap((folder) => namesIn(folder).map((name) => join(folder, name)))
    .filter((path) => isRunning(Number(SOCKET.exec(basename(path))?.[2])))
}

/** The device number in the name of a socket. */
export function deviceOfSocket(path: string): string {
  return SOCKET.exec(basename(path))?.[1] ?? ''
}

/** Removes a socket; it may be gone. */
export function removeSocket(path: string): void {
  try {
    unlinkSync(path)
  } catch {
    // somebody was faster, or may do it
  }
}

/** Whether a process runs. One that has ended and waits for its parent to notice doesn't: init may take its time. */
export function isRunning(pid: number): boolean {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
    return !/^[ZX]/.test(stat.slice(stat.lastIndexOf(')') + 2))
  } catch {
    return false
  }
}

const SOCKET = /^mount-(\d+-\d+)-(\d+)\.sock$/

/** A mount's device number, as the names of sockets have it. */
export function nameOfDevice({ major, minor }: MountEntry): string {
  return `${major}-${minor}`
}

/** Nothing where we may not look: the mount is another user's. */
function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder)
  } catch {
    return []
  }
}

function foldersOf(uid: number, env: Readonly<Record<string, string | undefined>>): string[] {
  const common = join(tmpdir(), `cowherd-${uid}`)
  if (uid === 0) return ['/run/cowherd', common]
  const own = uid === process.geteuid?.() ? env['XDG_RUNTIME_DIR'] : undefined
  return [join(own ?? `/run/user/${uid}`, 'cowherd'), common]
}

/** True if the folder belongs to `uid` alone; with `make` it is made if it is missing. */
function isOurs(folder: string, uid: number, make: boolean): boolean {
  try {
    if (make) mkdirSync(folder, { mode: 0o700 })
  } catch {
    // it is there, or can't be: the next lines tell
  }
  try {
    const stat = lstatSync(folder)
    return stat.isDirectory() && stat.uid === uid && (stat.mode & 0o077) === 0
  } catch {
    return false
  }
}
