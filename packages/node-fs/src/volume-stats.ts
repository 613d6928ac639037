/** What is told of files, with the fields and methods of `Stats` and `Dirent` of `node:fs`. */

import type { Stats } from 'node:fs'
import type { Time } from '@cowherd/fs'
import type { StatRecord } from './messages.ts'

const TYPE = { fifo: 1, character: 2, directory: 4, block: 6, regular: 8, symlink: 10, socket: 12 } as const
const TYPE_SHIFT = 12

/** What the type of a file is asked for. `type`: the bits of the mode, shifted down by 12. */
class FileKind {
  readonly #type: number

  constructor(type: number) {
    this.#type = type
  }

  isFile(): boolean {
    return this.#type === TYPE.regular
  }
  isDirectory(): boolean {
    return this.#type === TYPE.directory
  }
  isSymbolicLink(): boolean {
    return this.#type === TYPE.symlink
  }
  isFIFO(): boolean {
    return this.#type === TYPE.fifo
  }
  isSocket(): boolean {
    return this.#type === TYPE.socket
  }
  isBlockDevice(): boolean {
    return this.#type === TYPE.block
  }
  isCharacterDevice(): boolean {
    return this.#type === TYPE.character
  }
}

/** `dev` is the number of the subvolume: within one, `ino` tells files apart. Times are exact in the fields `...Ns`. */
export class VolumeStats extends FileKind implements Stats {
  readonly dev: number
  readonly ino: number
  readonly mode: number
  readonly nlink: number
  readonly uid: number
  readonly gid: number
  readonly rdev: number
  readonly size: number
  readonly blksize: number
  readonly blocks: number
  readonly atimeNs: bigint
  readonly mtimeNs: bigint
  readonly ctimeNs: bigint
  readonly birthtimeNs: bigint

  constructor(record: StatRecord) {
    super(record.mode >> TYPE_SHIFT)
    this.dev = record.subvolume
    this.ino = Number(record.inode)
    this.mode = record.mode
    this.nlink = record.linkCount
    this.uid = record.uid
    this.gid = record.gid
    this.rdev = deviceNumber(record.deviceMajor, record.deviceMinor)
    this.size = record.size
    this.blksize = record.blockBytes
    this.blocks = record.sectors
    this.atimeNs = nanoseconds(record.atime)
    this.mtimeNs = nanoseconds(record.mtime)
    this.ctimeNs = nanoseconds(record.ctime)
    this.birthtimeNs = nanoseconds(record.birth)
  }

  get atimeMs(): number {
    return milliseconds(this.atimeNs)
  }
  get mtimeMs(): number {
    return milliseconds(this.mtimeNs)
  }
  get ctimeMs(): number {
    return milliseconds(this.ctimeNs)
  }
  get birthtimeMs(): number {
    return milliseconds(this.birthtimeNs)
  }
  get atime(): Date {
    return new Date(this.atimeMs)
  }
  get mtime(): Date {
    return new Date(this.mtimeMs)
  }
  get ctime(): Date {
    return new Date(this.ctimeMs)
  }
  get birthtime(): Date {
    return new Date(this.birthtimeMs)
  }
}

/** A name in a directory, and what it leads to. */
export class DirectoryEntry<Name extends string | Buffer = string> extends FileKind {
  readonly name: Name
  /** The directory, as it was named. */
  readonly parentPath: string

  constructor(name: Name, parentPath: string, type: number) {
    super(type)
    this.name = name
    this.parentPath = parentPath
  }
}

function nanoseconds({ seconds, nanoseconds }: Time): bigint {
  return BigInt(seconds) * 1_000_000_000n + BigInt(nanoseconds)
}

function milliseconds(ns: bigint): number {
  return Number(ns) / 1e6
}

/** As Linux packs it in 32 bits; larger numbers in the bits above. */
function deviceNumber(major: number, minor: number): number {
  return (major & 0xfff) * 0x100 + (minor & 0xff) + (minor >>> 8) * 0x100000
}
