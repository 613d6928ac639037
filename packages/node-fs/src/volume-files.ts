/**
 * The files of a volume, with the calls of `node:fs/promises`. The engine that does them is a thread of its own: nothing blocks the caller's, and calls that
 * are made without waiting for one another are done in the order in which they were made.
 *
 * Paths are those of the volume: `/` is its root, and where relative ones begin too. Errors are `VolumeFileError`: `code`, `errno`, `syscall` and `path`
 * are as in errors of `node:fs`. Permissions are not checked. Nothing is on stable storage before `sync`, `close` or a handle's `sync` has resolved.
 */

import { constants } from 'node:fs'
import type { EngineLink } from './engine-link.ts'
import { decoded, encoded, encodingOf, VolumeFileHandle, type Data, type EncodingOption } from './file-handle.ts'
import {
  CALL_BYTES_MAX,
  type Attributes,
  type ListingPlace,
  type Path,
  type RoomRecord,
  type Which,
} from './messages.ts'
import { openFlags, type OpenMode } from './open-flags.ts'
import { timeOf, type TimeLike } from './time-like.ts'
import { VolumeFileError, type CallPlace } from './volume-file-error.ts'
import { DirectoryEntry, VolumeStats } from './volume-stats.ts'

/** Options of a call, or the encoding. */
type Encoding = EncodingOption | BufferEncoding | null

export interface WriteOptions extends EncodingOption {
  readonly mode?: number
  readonly flag?: OpenMode
}

export interface ListOptions {
  readonly encoding?: BufferEncoding | 'buffer' | null
  readonly withFileTypes?: boolean
  /** With all below: names are paths from the directory then. */
  readonly recursive?: boolean
}

const FILE_MODE = 0o666
const DIRECTORY_MODE = 0o777
const START: ListingPlace = { hi: 0, lo: 0 }

export class VolumeFiles {
  private readonly engine: EngineLink
  private closing: Promise<void> | undefined

  /** @internal `openVolumeFiles` makes it. */
  constructor(engine: EngineLink) {
    this.engine = engine
  }

  async open(path: Path, flags: OpenMode = 'r', mode = FILE_MODE): Promise<VolumeFileHandle> {
    const words: [Path, ReturnType<typeof openFlags>, number] = [path, openFlags(flags), mode]
    const fd = await this.engine.call('open', () => words, this.place('open', path))
    return new VolumeFileHandle(this.engine, fd, textOf(path))
  }

  async readFile(path: Path, options?: (EncodingOption & { readonly encoding?: null }) | null): Promise<Buffer>
  async readFile(
    path: Path,
    options: (EncodingOption & { readonly encoding: BufferEncoding }) | BufferEncoding,
  ): Promise<string>
  async readFile(path: Path, options?: Encoding): Promise<Buffer | string> {
    const freight = { answerBytes: CALL_BYTES_MAX }
    const whole = await this.engine.call('readFile', () => [path], this.place('open', path), freight)
    if (whole !== undefined) return decoded(Buffer.from(whole.buffer, whole.byteOffset, whole.length), options)
    await using file = await this.open(path)
    return decoded(await file.readFile(), options)
  }

  /** A file that takes no more than 4 MiB is written in one call; a larger one by several, and may be there in part if one fails. */
  async writeFile(path: Path, data: Data, options: WriteOptions | BufferEncoding = {}): Promise<void> {
    const { flag = 'w', mode = FILE_MODE } = typeof options === 'string' ? {} : options
    const bytes = encoded(data, options)
    if (bytes.length <= CALL_BYTES_MAX) {
      const flags = openFlags(flag)
      await this.engine.call('writeFile', (sent) => [path, flags, mode, sent], this.place('open', path), {
        data: bytes,
      })
      return
    }
    await using file = await this.open(path, flag, mode)
    await file.write(bytes)
  }

  async appendFile(path: Path, data: Data, options: WriteOptions | BufferEncoding = {}): Promise<void> {
    await this.writeFile(path, data, { flag: 'a', ...(typeof options === 'string' ? { encoding: options } : options) })
  }

  /** Copies data within the volume: extents that can be shared are, and take no room. `COPYFILE_EXCL` refuses to replace a file. */
  async copyFile(path: Path, newPath: Path, mode = 0): Promise<void> {
    await using from = await this.open(path)
    const { mode: permissions, size } = await from.stat()
    const isNew = (mode & constants.COPYFILE_EXCL) !== 0
    await using to = await this.open(newPath, isNew ? 'wx' : 'w', permissions & 0o777)
    for (let offset = 0; offset < size;) {
      const [at, length] = [offset, Math.min(size - offset, CALL_BYTES_MAX)]
      const words = (): [number, number, number, number] => [from.fd, to.fd, at, length]
      const done = await this.engine.call('copyRange', words, this.place('copyfile', path, newPath))
      if (done === 0) break // it was cut meanwhile
      offset += done
    }
  }

  async readdir(
    path: Path,
    options: ListOptions & { readonly encoding: 'buffer'; readonly withFileTypes: true },
  ): Promise<DirectoryEntry<Buffer>[]>
  async readdir(path: Path, options: ListOptions & { readonly withFileTypes: true }): Promise<DirectoryEntry[]>
  async readdir(path: Path, options: 'buffer' | (ListOptions & { readonly encoding: 'buffer' })): Promise<Buffer[]>
  async readdir(
    path: Path,
    options?: (ListOptions & { readonly withFileTypes?: false }) | BufferEncoding | null,
  ): Promise<string[]>
  async readdir(
    path: Path,
    options: ListOptions | BufferEncoding | 'buffer' | null = {},
  ): Promise<(string | Buffer)[] | DirectoryEntry<string | Buffer>[]> {
    const { withFileTypes = false, recursive = false } = typeof options === 'object' && options !== null ? options : {}
    const encoding = encodingOf(options as EncodingOption | string | null) ?? 'utf8'
    const found = await this.listed(path, Buffer.alloc(0), recursive)
    const shown = (name: Buffer): string | Buffer =>
      encoding === 'buffer' ? name : name.toString(encoding as BufferEncoding)
    if (!withFileTypes) return found.map(({ below, name }) => shown(joined(below, name)))
    return found.map(({ below, name, type }) => {
      const parent = below.length === 0 ? textOf(path) : joined(bytesOf(path), below).toString()
      return new DirectoryEntry(shown(name), parent, type)
    })
  }

  /** The path of a file without symbolic links, from the root. */
  async realpath(path: Path): Promise<string> {
    return textOf(await this.engine.call('realpath', () => [path], this.place('realpath', path)))
  }

  /** With `recursive` those on the way are made too, and it is no error if it is there; the first that was made is told then. */
  async mkdir(
    path: Path,
    options: { readonly recursive?: boolean; readonly mode?: number } | number = {},
  ): Promise<string | undefined> {
    const { recursive = false, mode = DIRECTORY_MODE } = typeof options === 'number' ? { mode: options } : options
    if (recursive) return this.makeWay(path, mode)
    await this.engine.call('mkdir', () => [path, mode], this.place('mkdir', path))
    return undefined
  }

  async rmdir(path: Path): Promise<void> {
    await this.engine.call('rmdir', () => [path], this.place('rmdir', path))
  }

  async unlink(path: Path): Promise<void> {
    await this.engine.call('unlink', () => [path], this.place('unlink', path))
  }

  /** Removes a file; with `recursive` a directory with all below. `force`: it is no error if there is none. */
  async rm(
    path: Path,
    { recursive = false, force = false }: { recursive?: boolean; force?: boolean } = {},
  ): Promise<void> {
    try {
      const stats = await this.lstat(path)
      if (!stats.isDirectory()) await this.unlink(path)
      else if (recursive) await this.removeTree(bytesOf(path))
      else throw new VolumeFileError('EISDIR', this.place('rm', path))
    } catch (error) {
      if (!(force && error instanceof VolumeFileError && error.code === 'ENOENT')) throw error
    }
  }

  async rename(path: Path, newPath: Path): Promise<void> {
    await this.engine.call('rename', () => [path, newPath], this.place('rename', path, newPath))
  }

  /** Makes another name for a file. */
  async link(path: Path, newPath: Path): Promise<void> {
    await this.engine.call('link', () => [path, newPath], this.place('link', path, newPath))
  }

  async symlink(target: Path, path: Path): Promise<void> {
    await this.engine.call('symlink', () => [target, path], this.place('symlink', target, path))
  }

  async readlink(path: Path, options: 'buffer' | { readonly encoding: 'buffer' }): Promise<Buffer>
  async readlink(path: Path, options?: Encoding): Promise<string>
  async readlink(
    path: Path,
    options?: Encoding | 'buffer' | { readonly encoding: 'buffer' },
  ): Promise<string | Buffer> {
    const target = Buffer.from(await this.engine.call('readlink', () => [path], this.place('readlink', path)))
    const encoding = encodingOf(options as EncodingOption | string | null | undefined) ?? 'utf8'
    return encoding === 'buffer' ? target : target.toString(encoding as BufferEncoding)
  }

  async stat(path: Path): Promise<VolumeStats> {
    return new VolumeStats(await this.engine.call('stat', () => [followed(path)], this.place('stat', path)))
  }

  async lstat(path: Path): Promise<VolumeStats> {
    return new VolumeStats(await this.engine.call('stat', () => [itself(path)], this.place('lstat', path)))
  }

  /** Whether the file is there; rights are not looked at. */
  async access(path: Path): Promise<void> {
    await this.engine.call('stat', () => [followed(path)], this.place('access', path))
  }

  async chmod(path: Path, mode: number): Promise<void> {
    await this.change('chmod', followed(path), path, { mode })
  }

  async chown(path: Path, uid: number, gid: number): Promise<void> {
    await this.change('chown', followed(path), path, { uid, gid })
  }

  async lchown(path: Path, uid: number, gid: number): Promise<void> {
    await this.change('lchown', itself(path), path, { uid, gid })
  }

  async utimes(path: Path, atime: TimeLike, mtime: TimeLike): Promise<void> {
    await this.change('utime', followed(path), path, { atime: timeOf(atime), mtime: timeOf(mtime) })
  }

  async lutimes(path: Path, atime: TimeLike, mtime: TimeLike): Promise<void> {
    await this.change('lutime', itself(path), path, { atime: timeOf(atime), mtime: timeOf(mtime) })
  }

  async truncate(path: Path, size = 0): Promise<void> {
    await this.change('open', followed(path), path, { size }) // which node:fs does for it
  }

  /** The names of a file's extended attributes; those of `node:fs` have none. */
  async listXattrs(path: Path): Promise<string[]> {
    const names = await this.engine.call('listXattrs', () => [followed(path)], this.place('listxattr', path))
    return names.map(textOf)
  }

  /** The value of an extended attribute; undefined if there is none. */
  async getXattr(path: Path, name: string): Promise<Buffer | undefined> {
    const value = await this.engine.call('getXattr', () => [followed(path), name], this.place('getxattr', path))
    return value === undefined ? undefined : Buffer.from(value)
  }

  async setXattr(path: Path, name: string, value: Data): Promise<void> {
    const bytes = encoded(value, undefined)
    await this.engine.call('setXattr', () => [followed(path), name, bytes], this.place('setxattr', path))
  }

  /** Throws ENODATA if there is none. */
  async removeXattr(path: Path, name: string): Promise<void> {
    await this.engine.call('removeXattr', () => [followed(path), name], this.place('removexattr', path))
  }

  /** How much room there is. */
  async room(): Promise<RoomRecord> {
    return this.engine.call('room', () => [], this.place('statfs'))
  }

  /** Brings all that was done to stable storage. */
  async sync(): Promise<void> {
    await this.engine.call('sync', () => [], this.place('sync'))
  }

  /**
   * Does what was asked for before, closes what is open, shuts the volume down, and ends its thread. Nothing can be done after; closing it again does
   * nothing. Throws VolumeFileError if the volume could not be shut down: the next who opens it recovers it.
   */
  async close(): Promise<void> {
    this.closing ??= this.shutDown()
    await this.closing
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  private async shutDown(): Promise<void> {
    const closed = this.engine.call('close', () => [], { syscall: 'close' })
    await closed.finally(() => this.engine.end())
  }

  private async change(syscall: string, which: Which, path: Path, attributes: Attributes): Promise<void> {
    await this.engine.call('change', () => [which, attributes], this.place(syscall, path))
  }

  /** Throws VolumeFileError EBADF when the volume is closed. */
  private place(syscall: string, path?: Path, dest?: Path): CallPlace {
    const place = { syscall, path, dest }
    if (this.closing !== undefined) throw new VolumeFileError('EBADF', place)
    return place
  }

  /** What is in a directory that lies at `below` under `top`, and with `recursive` what is below. */
  private async listed(top: Path, below: Buffer, recursive: boolean): Promise<Listed[]> {
    const path = below.length === 0 ? top : joined(bytesOf(top), below)
    const found: Listed[] = []
    for (let from: ListingPlace | undefined = START; from !== undefined;) {
      const place: ListingPlace = from
      const { names, next } = await this.engine.call('list', () => [path, place], this.place('scandir', path))
      for (const { name, type } of names) {
        const entry = { below, name: Buffer.from(name), type }
        found.push(entry)
        if (recursive && type === DIRECTORY) found.push(...(await this.listed(top, joined(below, entry.name), true)))
      }
      from = next
    }
    return found
  }

  private async removeTree(path: Buffer): Promise<void> {
    for (const { name, type } of await this.listed(path, Buffer.alloc(0), false)) {
      const there = joined(path, name)
      if (type === DIRECTORY) await this.removeTree(there)
      else await this.unlink(there)
    }
    await this.rmdir(path)
  }

  private async makeWay(path: Path, mode: number): Promise<string | undefined> {
    const names = textNames(bytesOf(path))
    const isAbsolute = bytesOf(path)[0] === SLASH
    let first: string | undefined
    let way: Buffer = Buffer.from(isAbsolute ? '/' : '')
    for (const name of names) {
      way = joined(way, name)
      const there = way
      try {
        await this.engine.call('mkdir', () => [there, mode], this.place('mkdir', path))
        first ??= there.toString()
      } catch (error) {
        if (!(error instanceof VolumeFileError) || error.code !== 'EEXIST') throw error
        if (!(await this.stat(there)).isDirectory()) {
          throw new VolumeFileError(there.equals(bytesOf(path)) ? 'EEXIST' : 'ENOTDIR', this.place('mkdir', path))
        }
      }
    }
    return first
  }
}

interface Listed {
  readonly below: Buffer
  readonly name: Buffer
  readonly type: number
}

const DIRECTORY = 4
const SLASH = 0x2f

function followed(path: Path): Which {
  return { path, follows: true }
}

function itself(path: Path): Which {
  return { path, follows: false }
}

function bytesOf(path: Path): Buffer {
  return typeof path === 'string' ? Buffer.from(path) : Buffer.from(path.buffer, path.byteOffset, path.length)
}

function textOf(path: Path): string {
  return typeof path === 'string' ? path : bytesOf(path).toString()
}

/** With a slash between, if there is something before it that has none. */
function joined(above: Buffer, name: Buffer): Buffer {
  if (above.length === 0) return name
  return Buffer.concat(above.at(-1) === SLASH ? [above, name] : [above, Buffer.of(SLASH), name])
}

/** The names of a path, those left out that lead nowhere else. */
function textNames(path: Buffer): Buffer[] {
  const names: Buffer[] = []
  for (let start = 0; start < path.length;) {
    const slash = path.indexOf(SLASH, start)
    const end = slash < 0 ? path.length : slash
    const name = path.subarray(start, end)
    if (name.length > 0 && name.toString() !== '.') names.push(name)
    start = end + 1
  }
  return names
}
