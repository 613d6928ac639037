/**
 * Who uses a file or a disk: processes that have it open, mounts, and other users inside the kernel.
 *
 * For error messages only, so it may be slow (it walks /proc, 10 ms and more), sees what the caller may see, and never
 * throws: what can't be found out is left out. Linux; elsewhere nothing is found.
 *
 * Sources: proc_pid_fd(5), proc_pid_fdinfo(5), proc_locks(5), proc_pid_mountinfo(5), sysfs block/ directories.
 */

import { readdirSync, readFileSync, realpathSync, statSync, type Stats } from 'node:fs'

/** A process that has a file open. */
export interface Holder {
  readonly pid: number
  /** The command's name, as `ps` shows it. */
  readonly name: string
  readonly writes: boolean
  /** The advisory lock that it holds on the file. */
  readonly lock: 'shared' | 'exclusive' | undefined
}

/** The processes that have the file or device of `file` open, this one last. */
export function holdersOf(file: Stats): Holder[] {
  const holders: Holder[] = []
  for (const entry of list('/proc')) {
    const pid = Number(entry)
    if (!Number.isInteger(pid)) continue
    for (const fd of list(`/proc/${entry}/fd`)) {
      const stat = attempt(() => statSync(`/proc/${entry}/fd/${fd}`))
      if (stat === undefined || !isSame(stat, file)) continue
      const info = text(`/proc/${entry}/fdinfo/${fd}`)
      const accessMode = parseInt(/^flags:\s*([0-7]+)/m.exec(info)?.[1] ?? '0', 8) & 3
      const lock = /^lock:.*\b(READ|WRITE)\b/m.exec(info)?.[1]
      holders.push({
        pid,
        name: processName(pid),
        writes: accessMode !== 0,
        lock: lock === undefined ? undefined : lock === 'READ' ? 'shared' : 'exclusive',
      })
    }
  }
  return holders.sort((a, b) => Number(a.pid === process.pid) - Number(b.pid === process.pid))
}

/** The process ids that /proc/locks names for the file, also those whose files we may not look at. */
export function lockHoldersOf(file: Stats): number[] {
  const pids: number[] = []
  for (const line of text('/proc/locks').split('\n')) {
    const match = /\b(?:READ|WRITE)\s+(\d+)\s+[0-9a-f]+:[0-9a-f]+:(\d+)\s/.exec(line)
    const pid = Number(match?.[1])
    if (pid > 0 && Number(match?.[2]) === file.ino) pids.push(pid)
  }
  return pids
}

/** What inside the kernel uses the block device `path`: mount points, swap, devices stacked upon it; as phrases. */
export function kernelUsersOf(path: string, device: Stats): string[] {
  const number = deviceNumber(device.rdev)
  const users: string[] = []
  for (const line of text('/proc/self/mountinfo').split('\n')) {
    const [, , mountNumber, , mountPoint, ...rest] = line.split(' ')
    const source = rest[rest.indexOf('-') + 2] ?? ''
    if (mountPoint === undefined) continue
    // a filesystem on several devices has a number of its own, and names them all as its source
    const named =
      source.startsWith('/dev/') && source.split(':').some((name) => isBlockDevice(unescapeField(name), device))
    if (mountNumber === number || named) users.push(`mounted at ${unescapeField(mountPoint)}`)
  }
  for (const line of text('/proc/swaps').split('\n').slice(1)) {
    const name = line.split(/\s/)[0] ?? ''
    if (name !== '' && isBlockDevice(unescapeField(name), device)) users.push('used for swapping')
  }
  for (const holder of list(`/sys/dev/block/${number}/holders`)) users.push(`part of /dev/${holder}`)
  if (users.length === 0 && path !== '') {
    for (const holder of holdersOf(device)) {
      if (holder.pid !== process.pid) users.push(`open in ${processText(holder)}`)
    }
  }
  return [...new Set(users)]
}

/** Loop devices (`/dev/loop0`) that the regular file `path` is attached to for writing. */
export function loopDevicesOf(path: string): string[] {
  const whole = attempt(() => realpathSync(path))
  if (whole === undefined) return []
  return list('/sys/block')
    .filter((name) => name.startsWith('loop'))
    .filter((name) => text(`/sys/block/${name}/loop/backing_file`).replace(/\n$/, '') === whole)
    .filter((name) => text(`/sys/block/${name}/ro`).trim() === '0')
    .map((name) => `/dev/${name}`)
}

/** `process 4711 (qemu-system-x86)` */
export function processText(holder: { pid: number; name: string }): string {
  if (holder.pid === process.pid) return 'this process itself'
  return holder.name === '' ? `process ${holder.pid}` : `process ${holder.pid} (${holder.name})`
}

/** The command's name of a process, empty if it can't be seen. */
export function processName(pid: number): string {
  return text(`/proc/${pid}/comm`).trim()
}

/** `8:1`, as sysfs and mountinfo write device numbers. */
export function deviceNumber(rdev: number): string {
  const wide = BigInt(rdev)
  const major = ((wide >> 8n) & 0xfffn) | ((wide >> 32n) & 0xfffff000n)
  const minor = (wide & 0xffn) | ((wide >> 12n) & 0xffffff00n)
  return `${major}:${minor}`
}

/** The same file, or the same block device under whatever name. */
function isSame(a: Stats, b: Stats): boolean {
  if (b.isBlockDevice()) return a.isBlockDevice() && a.rdev === b.rdev
  return a.ino === b.ino && a.dev === b.dev
}

function isBlockDevice(path: string, device: Stats): boolean {
  const stat = attempt(() => statSync(path))
  return stat !== undefined && stat.isBlockDevice() && stat.rdev === device.rdev
}

/** Undoes the octal escapes of a field of /proc/self/mountinfo, /proc/mounts or /proc/swaps. */
export function unescapeField(field: string): string {
  return field.replace(/\\([0-7]{3})/g, (_, digits: string) => String.fromCharCode(parseInt(digits, 8)))
}

function list(folder: string): string[] {
  return attempt(() => readdirSync(folder)) ?? []
}

function text(path: string): string {
  return attempt(() => readFileSync(path, 'utf8')) ?? ''
}

function attempt<T>(action: () => T): T | undefined {
  try {
    return action()
  } catch {
    return undefined
  }
}
