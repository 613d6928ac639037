/**
 * Where on a mount the files lie that were met: commands name files by numbers, the system by paths.
 *
 * A file is reached through a descriptor of its directory, and that one through a descriptor of the directory above it. So nobody leads us out of
 * the volume by putting a symbolic link where a directory was, and what has been renamed meanwhile, or is hidden by another mount, is noticed: what is
 * found under a name is the file that was met there, or it isn't there any more.
 *
 *     /proc/self/fd/DIRECTORY/NAME
 */

import { closeSync, constants, fstatSync, lstatSync, openSync, type BigIntStats } from 'node:fs'
import { VolumeError } from '@cowherd/db'
import { NodeRef } from '@cowherd/fs'
import { asVolume } from './mount-error.ts'
import { numberOf, setNumber } from './file-number.ts'

/** A name in a directory under which a file was met; the root has neither. */
interface Met {
  readonly directory: bigint | undefined
  readonly name: Buffer
}

/** Only a place in the tree: nothing is read through it. Node has no name for it. */
export const O_PATH = 0o10000000
const DIRECTORIES_OPEN = 128
/** Of files with one name, so many are remembered: more than a listing of a directory keeps at a time. */
const FILES_MET = 1 << 20
const SLASH = Buffer.from('/')

export class Places {
  /** Number of the root directory. */
  readonly root: bigint
  private readonly device: bigint
  private readonly rootFd: number
  /** Directories, and files with several names: they are asked for long after they were met. */
  private readonly kept = new Map<bigint, Met>()
  private readonly recent = new Map<bigint, Met>()
  /** Descriptors by numbers of directories; the one that was used last comes last. */
  private readonly open = new Map<bigint, number>()

  /** `directory` is where the volume is mounted. Throws VolumeError if it can't be entered. */
  constructor(directory: string) {
    this.rootFd = asVolume(directory, () => openSync(directory, O_PATH | constants.O_DIRECTORY))
    const { ino, dev } = fstatSync(this.rootFd, { bigint: true })
    this.root = ino
    this.device = dev
    this.kept.set(ino, { directory: undefined, name: Buffer.from('.') })
  }

  /** Device number of the mount, as stat(2) tells it. */
  get deviceNumber(): bigint {
    return this.device
  }

  close(): void {
    for (const fd of this.open.values()) closeSync(fd)
    this.open.clear()
    closeSync(this.rootFd)
  }

  /** The path of a name in a directory, valid until the next call. Throws VolumeError ENOENT if the directory isn't where it was met. */
  pathIn(directory: Readonly<NodeRef>, name: Uint8Array): Buffer {
    return inside(this.descriptorOf(numberOf(directory)), name)
  }

  /** The same, valid until `action` returns, whatever other paths it asks for. */
  keeping<T>(directory: Readonly<NodeRef>, name: Uint8Array, action: (path: Buffer) => T): T {
    const there = this.pathIn(directory, Buffer.from('.'))
    const fd = asVolume(directory, () => openSync(there, O_PATH | constants.O_DIRECTORY))
    try {
      return action(inside(fd, name))
    } finally {
      closeSync(fd)
    }
  }

  /** The path of a file, valid until the next call. Throws VolumeError ENOENT. */
  pathOf(ref: Readonly<NodeRef>): Buffer {
    const number = numberOf(ref)
    const { directory, name } = this.metAt(number, ref)
    return inside(directory === undefined ? this.rootFd : this.descriptorOf(directory), name)
  }

  /** A file's attributes. Throws VolumeError ENOENT if it isn't where it was met. */
  statOf(ref: Readonly<NodeRef>): BigIntStats {
    const stat = asVolume(ref, () => lstatSync(this.pathOf(ref), { bigint: true }))
    this.expect(stat, numberOf(ref), ref)
    return stat
  }

  /** Throws VolumeError ENOENT unless `stat` is that of the file. */
  expect({ ino, dev }: BigIntStats, number: bigint, where: { toString(): string }): void {
    if (ino !== number || dev !== this.device) throw gone(where)
  }

  /** A file was met: its name in a directory. Sets `ref` to it; false if another filesystem is mounted there. */
  meet(directory: Readonly<NodeRef>, name: Uint8Array, stat: BigIntStats, ref: NodeRef): boolean {
    if (stat.dev !== this.device) return false
    setNumber(ref, stat.ino)
    if (stat.ino === this.root) return true
    const met: Met = { directory: numberOf(directory), name: Buffer.from(name) }
    if (stat.isDirectory() || stat.nlink > 1n) {
      this.recent.delete(stat.ino)
      this.kept.set(stat.ino, met)
      return true
    }
    const { recent } = this
    if (recent.size >= FILES_MET)
      for (const [oldest] of recent) {
        recent.delete(oldest)
        break
      }
    recent.set(stat.ino, met)
    return true
  }

  /** The file has the name no more; another one of a number of its own may get it. */
  forget(ref: Readonly<NodeRef>): void {
    const number = numberOf(ref)
    this.recent.delete(number)
    if (number === this.root || !this.kept.delete(number)) return
    const fd = this.open.get(number)
    this.open.delete(number)
    if (fd !== undefined) closeSync(fd)
  }

  /** The directory in which a file was met; the root is in itself. Throws VolumeError ENOENT. */
  parentOf(ref: Readonly<NodeRef>, parent: NodeRef): void {
    setNumber(parent, this.metAt(numberOf(ref), ref).directory ?? this.root)
  }

  /** The names from the root to a file. Throws VolumeError ENOENT. */
  namesTo(ref: Readonly<NodeRef>): Buffer[] {
    const names: Buffer[] = []
    for (let met = this.metAt(numberOf(ref), ref); met.directory !== undefined; met = this.metAt(met.directory, ref)) {
      names.unshift(met.name)
    }
    return names
  }

  private metAt(number: bigint, where: { toString(): string }): Met {
    const met = this.kept.get(number) ?? this.recent.get(number)
    if (met === undefined) throw gone(where)
    return met
  }

  /** An open descriptor of a directory, valid until the next call. */
  private descriptorOf(number: bigint): number {
    const way: bigint[] = []
    let at = number
    let fd = this.openAt(at)
    for (; fd === undefined; fd = this.openAt(at)) {
      way.push(at)
      at = this.metAt(at, NodeRefText.of(at)).directory ?? this.root
    }
    for (let next = way.pop(); next !== undefined; next = way.pop()) fd = this.enter(fd, next)
    return fd
  }

  private openAt(number: bigint): number | undefined {
    if (number === this.root) return this.rootFd
    const fd = this.open.get(number)
    if (fd === undefined) return undefined
    this.open.delete(number)
    this.open.set(number, fd)
    return fd
  }

  /** Opens a directory that was met in the one that is open as `above`. */
  private enter(above: number, number: bigint): number {
    const where = NodeRefText.of(number)
    const { name } = this.metAt(number, where)
    const flags = O_PATH | constants.O_DIRECTORY | constants.O_NOFOLLOW
    const fd = asVolume(where, () => openSync(inside(above, name), flags))
    try {
      this.expect(fstatSync(fd, { bigint: true }), number, where)
    } catch (error) {
      closeSync(fd)
      throw error
    }
    this.open.set(number, fd)
    if (this.open.size > DIRECTORIES_OPEN) this.closeOldest(number)
    return fd
  }

  private closeOldest(except: bigint): void {
    for (const [number, fd] of this.open) {
      if (number === except) continue
      this.open.delete(number)
      closeSync(fd)
      return
    }
  }
}

/** How messages call the file with a number. */
const NodeRefText = { of: (number: bigint) => setNumber(new NodeRef(), number) }

function inside(directory: number, name: Uint8Array): Buffer {
  return Buffer.concat([Buffer.from(`/proc/self/fd/${directory}`), SLASH, name])
}

function gone(where: { toString(): string }): VolumeError {
  return new VolumeError('ENOENT', where.toString(), 'is not there any more, or hidden by another mount')
}
