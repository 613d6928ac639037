/**
 * Where a running mount can be reached: a socket for each, in a folder that only its owner can enter. Its name is the mount's device
 * number, which /proc/self/mountinfo tells for any directory.
 *
 *     root          /run/cowherd
 *     other users   $XDG_RUNTIME_DIR/cowherd or, where there is none, /tmp/cowherd-UID
 */

import { lstatSync, mkdirSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { MountEntry } from '@cowherd/fuse'

/** The socket of a mount of our own; its folder is made. Undefined if no folder is to be had. */
export function ownSocket(entry: MountEntry, env: Readonly<Record<string, string | undefined>>): string | undefined {
  const uid = process.geteuid?.() ?? 0
  const folder = foldersOf(uid, env).find((each) => isOurs(each, uid, true))
  return folder === undefined ? undefined : join(folder, socketName(entry))
}

/** Where the socket of anyone's mount may be. Folders that others than its owner could have made are passed over. */
export function socketsOf(entry: MountEntry, env: Readonly<Record<string, string | undefined>>): string[] {
  const uid = Number(
    /^user_id=(\d+)$/.exec(entry.superOptions.find((option) => option.startsWith('user_id=')) ?? '')?.[1],
  )
  return foldersOf(uid, env)
    .filter((folder) => isOurs(folder, uid, false))
    .map((folder) => join(folder, socketName(entry)))
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

function socketName({ major, minor }: MountEntry): string {
  return `mount-${major}-${minor}.sock`
}
