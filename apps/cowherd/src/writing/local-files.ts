/** Files of the local filesystem: what they are, in the terms of a volume. */

import { lstatSync, readdirSync, type BigIntStats } from 'node:fs'
import { FileType, type Attribute, type Time } from '@cowherd/fs'
import { NativeError, type Native } from '@cowherd/shim'
import { utf8 } from '../cli/text.ts'
import { attributeKind, type Losses } from '../copy/unkept.ts'
import type { FileHead } from './new-files.ts'

/** A local file. `dev` and `ino` say which. */
export interface LocalFile extends Omit<FileHead, 'attributes'> {
  readonly path: Buffer
  readonly dev: bigint
  readonly ino: bigint
  readonly linkCount: number
  readonly size: number
  /** What is allocated for it, in sectors of 512 bytes. */
  readonly sectors: number
}

const SECOND = 1_000_000_000n

/** Looks at a file, not at what it links to. Throws errors of system calls. */
export function localFile(path: Buffer): LocalFile {
  const stat = lstatSync(path, { bigint: true })
  return {
    path,
    mode: Number(stat.mode),
    uid: Number(stat.uid),
    gid: Number(stat.gid),
    atime: timeOf(stat.atimeNs),
    mtime: timeOf(stat.mtimeNs),
    ...deviceOf(stat),
    dev: stat.dev,
    ino: stat.ino,
    linkCount: Number(stat.nlink),
    size: Number(stat.size),
    sectors: Number(stat.blocks),
  }
}

/** The names in a directory, in the order of their bytes, each byte a character: they take a quarter of the memory that they take as bytes. */
export function localNames(path: Buffer): string[] {
  return readdirSync(path, 'latin1').sort()
}

export function bytesOfName(name: string): Buffer {
  return Buffer.from(name, 'latin1')
}

export function joinLocal(folder: Buffer, name: Uint8Array): Buffer {
  const isEnded = folder.at(-1) === SLASH
  const path = Buffer.allocUnsafe(folder.length + (isEnded ? 0 : 1) + name.length)
  path.set(folder)
  path[path.length - name.length - 1] = SLASH
  path.set(name, path.length - name.length)
  return path
}

const SLASH = 0x2f

export function isDirectory({ mode }: Pick<FileHead, 'mode'>): boolean {
  return (mode & FileType.mask) === FileType.directory
}

export function isRegular({ mode }: Pick<FileHead, 'mode'>): boolean {
  return (mode & FileType.mask) === FileType.regular
}

/** Reads extended attributes. */
export class LocalAttributes {
  private readonly native: Native | undefined
  private readonly unkept: Losses
  /** Filesystems that have none. */
  private readonly without = new Set<bigint>()

  constructor(native: Native | undefined, unkept: Losses) {
    this.native = native
    this.unkept = unkept
  }

  /** All that can be read of a file's attributes. What can't is a loss. Throws NativeError. */
  of({ path, dev }: Pick<LocalFile, 'path' | 'dev'>): Attribute[] {
    const { native, unkept, without } = this
    if (native === undefined) {
      unkept.add('extended attributes, where there are any', path, 'the package koffi is not installed')
      return []
    }
    if (without.has(dev)) return []
    let names: Uint8Array[]
    try {
      names = native.listXattrs(path)
    } catch (error) {
      if (!isUnsupported(error)) throw error
      without.add(dev)
      return []
    }
    return names.flatMap((name) => this.read(native, path, name))
  }

  private read(native: Native, path: Buffer, name: Uint8Array): Attribute[] {
    try {
      const value = native.getXattr(path, name)
      return value === undefined ? [] : [{ name, value }]
    } catch (error) {
      if (!(error instanceof NativeError)) throw error
      const reason = REASONS[error.code] ?? `can't be read (${error.code})`
      this.unkept.add(attributeKind(utf8(name) ?? 'extended attributes'), path, reason)
      return []
    }
  }
}

const REASONS: Readonly<Record<string, string>> = {
  EACCES: 'permission denied',
  EPERM: 'not permitted',
}

function isUnsupported(error: unknown): boolean {
  return error instanceof NativeError && (error.code === 'ENOTSUP' || error.code === 'EOPNOTSUPP')
}

/** Rounded down, also before 1970. */
function timeOf(ns: bigint): Time {
  const nanoseconds = Number(ns % SECOND)
  const seconds = Number(ns / SECOND)
  return nanoseconds < 0 ? { seconds: seconds - 1, nanoseconds: nanoseconds + 1e9 } : { seconds, nanoseconds }
}

/** Linux' and the others' way to put the two numbers into one. */
function deviceOf({ mode, rdev }: BigIntStats): { major: number; minor: number } {
  const type = Number(mode) & FileType.mask
  if (type !== FileType.block && type !== FileType.character) return { major: 0, minor: 0 }
  if (process.platform === 'darwin') return { major: Number(rdev >> 24n), minor: Number(rdev & 0xffffffn) }
  return {
    major: Number(((rdev >> 8n) & 0xfffn) | ((rdev >> 32n) & ~0xfffn)),
    minor: Number((rdev & 0xffn) | ((rdev >> 12n) & 0xffffff00n)),
  }
}
