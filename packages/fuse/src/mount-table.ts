/**
 * The table of mounts, /proc/self/mountinfo, and what is mounted on a directory.
 *
 * Nothing here touches what is mounted: a live FUSE mount answers only while its server runs (which may be this very
 * thread), a dead one gives ENOTCONN to everything but readlink(2) on its root.
 *
 * Sources: proc_pid_mountinfo(5); path_resolution(7).
 */

import { readFileSync, readlinkSync, realpathSync } from 'node:fs'
import { basename, dirname, join, resolve } from 'node:path'
import { unescapeField } from '@cowherd/shim'
import { codeOf } from './errno.ts'
import { MountError } from './mount-error.ts'

/** One line of the table. */
export interface MountEntry {
  readonly mountPoint: string
  /** `fuse.cowherd`, `ext4`, ... */
  readonly type: string
  /** What is mounted: a device, or the name that a FUSE server gave. */
  readonly source: string
  /** The filesystem's device number. The minor number names a FUSE connection in /sys/fs/fuse/connections. */
  readonly major: number
  readonly minor: number
  /** Of the mount: `rw`, `nosuid`, ... */
  readonly options: readonly string[]
  /** Of the filesystem: `rw`, `user_id=0`, ... */
  readonly superOptions: readonly string[]
}

/**
 * The topmost mount whose mount point is exactly `directory`, or undefined.
 * @throws MountError if the path can't be resolved
 */
export function findMount(directory: string): MountEntry | undefined {
  return topmostAt(resolveMountPoint(directory), readMounts())
}

/** The mounts below `mountPoint`, itself left out. */
export function mountsBelow(mountPoint: string): MountEntry[] {
  return readMounts().filter(({ mountPoint: other }) => other !== mountPoint && isBelow(other, mountPoint))
}

/** Whether `path` is `folder` or in it. */
export function isBelow(path: string, folder: string): boolean {
  return path === folder || folder === '/' || path.startsWith(`${folder}/`)
}

/**
 * The absolute path of `directory` without symbolic links, found without looking at the directory itself.
 * @throws MountError ENOENT, ENOTDIR, EACCES, ELOOP, ... of its parents; ENOENT for itself
 */
export function resolveMountPoint(directory: string): string {
  let path = resolve(directory)
  for (let links = 0; links < LINKS_MAX; links++) {
    if (path === '/') return path
    try {
      path = join(realpathSync(dirname(path)), basename(path))
      path = resolve(dirname(path), readlinkSync(path))
    } catch (error) {
      const code = codeOf(error)
      if (code === 'EINVAL') return path // not a link
      throw new MountError(code, directory, PROBLEMS[code] ?? code, { cause: error })
    }
  }
  throw new MountError('ELOOP', directory, 'too many symbolic links')
}

const LINKS_MAX = 40 // as in Linux

const PROBLEMS: Readonly<Record<string, string>> = {
  EACCES: 'no permission to look it up',
  ENOENT: 'no such directory',
  ENOTDIR: 'not a directory',
  ENOTCONN: 'it lies in a FUSE mount whose server is gone',
  ELOOP: 'too many symbolic links',
}

interface TableLine extends MountEntry {
  readonly id: string
  readonly parent: string
}

function readMounts(): TableLine[] {
  return parseMountTable(readFileSync('/proc/self/mountinfo', 'utf8'))
}

/** The lines of a mountinfo file. */
export function parseMountTable(table: string): TableLine[] {
  const lines: TableLine[] = []
  for (const line of table.split('\n')) {
    // 36 35 98:0 /root /mount/point rw,noatime shared:1 master:2 - ext3 /dev/sda1 rw,errors=continue
    const fields = line.split(' ')
    const [id, parent, device = '', , mountPoint, options = ''] = fields
    const separator = fields.indexOf('-', 6)
    const [type, source = '', superOptions = ''] = separator === -1 ? [] : fields.slice(separator + 1)
    if (id === undefined || parent === undefined || mountPoint === undefined || type === undefined) continue
    const [major = NaN, minor = NaN] = device.split(':').map(Number)
    lines.push({
      id,
      parent,
      mountPoint: unescapeField(mountPoint),
      type: unescapeField(type),
      source: unescapeField(source),
      major,
      minor,
      options: options.split(','),
      superOptions: superOptions.split(',').map(unescapeField),
    })
  }
  return lines
}

/**
 * The mount that path lookup ends in, if it ends at the mount's root. Descends from mount to mount as the lookup does:
 * of the mounts on the current one, the one that the path meets first. So mounts are passed by that others hide.
 */
export function topmostAt(path: string, table: readonly TableLine[]): MountEntry | undefined {
  const ids = new Set(table.map(({ id }) => id))
  let onCurrent = table.filter(({ id, parent }) => parent === id || !ids.has(parent))
  let current: TableLine | undefined
  for (let steps = 0; steps <= table.length; steps++) {
    const met = onCurrent
      .filter(({ mountPoint }) => isBelow(path, mountPoint))
      .reduce<TableLine | undefined>(
        (a, b) => (a !== undefined && a.mountPoint.length <= b.mountPoint.length ? a : b),
        undefined,
      )
    if (met === undefined) break
    current = met
    onCurrent = table.filter(({ id, parent }) => parent === met.id && id !== met.id)
  }
  if (current?.mountPoint !== path) return undefined
  const { id: _id, parent: _parent, ...entry } = current
  return entry
}
