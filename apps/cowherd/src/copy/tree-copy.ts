/**
 * Copies trees of files out of a volume.
 *
 * Nothing is written outside the target, whatever the volume holds: names with a slash and dot names are refused, every file is
 * made anew (O_EXCL, O_NOFOLLOW) in a directory that we made, and a directory gets its own mode, owner and times last.
 * What exists already is refused, or replaced when forced; a directory that exists is then filled and keeps its attributes.
 */

import { closeSync, constants, linkSync, lstatSync, mkdirSync, openSync, symlinkSync, unlinkSync } from 'node:fs'
import { VolumeError } from '@cowherd/db'
import { FileType, TreeWalk, type FileSystem, type Inode, type WalkEntry } from '@cowherd/fs'
import { NativeError, type Native } from '@cowherd/shim'
import { CommandError, ExitCode } from '../cli/exit-code.ts'
import type { Interruption } from '../cli/interruption.ts'
import type { Progress } from '../cli/progress.ts'
import { printable, sizeText } from '../cli/text.ts'
import { failureText, joinPaths, pathText, type NamedFile } from '../cli/volume-path.ts'
import { AttributeCopier, type Original } from './attributes.ts'
import { FileCopy } from './file-copy.ts'
import { LinkTable } from './link-table.ts'
import { Unkept } from './unkept.ts'

export interface CopyOptions {
  /** Replace what exists. */
  readonly force: boolean
  readonly native: Native | undefined
  readonly interruption: Pick<Interruption, 'due' | 'rest'>
  readonly progress: Progress
  /** Told what could not be copied. */
  readonly fail: (text: string) => void
}

/** Files are copied in pieces of this size. */
const PIECE_BYTES = 1 << 20
const BLOCK_BYTES = 4096
const CREATE = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | (constants.O_NOFOLLOW ?? 0)
/** Errors of the destination after which nothing more can be copied. */
const HOPELESS: ReadonlySet<string> = new Set(['ENOSPC', 'EDQUOT', 'EROFS', 'EIO', 'ENODEV'])

/** A directory of the copy that is being filled. */
interface Level {
  readonly target: Buffer
  /** We made it, so it gets the attributes of its original. */
  readonly isOurs: boolean
}

export class TreeCopy {
  readonly unkept = new Unkept()
  readonly #fs: FileSystem
  readonly #options: CopyOptions
  readonly #attributes: AttributeCopier
  readonly #buffer = new Uint8Array(PIECE_BYTES)
  /** Where the first name of a file with several was copied to. */
  readonly #links = new LinkTable()
  #levels: Level[] = []

  constructor(fs: FileSystem, options: CopyOptions) {
    this.#fs = fs
    this.#options = options
    this.#attributes = new AttributeCopier(fs, options.native, this.unkept)
  }

  /**
   * Copies `file` and everything below it to `target`. With `merge`, a directory `target` may exist.
   * @throws Interrupted after the user's wish, when the file that was being written is removed
   */
  async copy(file: NamedFile, target: Buffer, { merge = false } = {}): Promise<void> {
    const { interruption } = this.#options
    this.#levels = []
    let pending: { entry: WalkEntry; target: Buffer } | undefined
    let entered: WalkEntry | undefined
    const walk = new TreeWalk(
      this.#fs,
      {
        visit: (entry) => {
          entered = entry
          const parent = this.#levels[entry.depth - 1]
          if (entry.depth > 0 && (parent === undefined || !isSafeName(entry.name))) {
            this.#options.fail(`${this.#pathOf(file, entry)}: a name that no file may have; it is not copied`)
            return false
          }
          const place = parent === undefined ? target : childPath(parent.target, entry.name)
          if (entry.inode.isDirectory) return this.#enter(entry, place, merge && entry.depth === 0)
          pending = { entry, target: place }
          return false
        },
        leave: (entry) => this.#leave(file, entry),
        fail: (path, error) => {
          this.#options.fail(failureText(joinPaths(file.path, path), error))
          // a directory that can't be listed is entered, but not left
          if (entered?.inode.isDirectory === true && entered.path === path) this.#leave(file, entered)
        },
      },
      file.ref,
    )
    for (let more = true; more;) {
      more = walk.step()
      if (pending !== undefined) {
        const { entry, target } = pending
        pending = undefined
        await this.#copyOne(file, entry, target)
      }
      if (interruption.due()) await interruption.rest()
    }
  }

  #pathOf(file: NamedFile, entry: WalkEntry): string {
    return pathText(joinPaths(file.path, entry.path))
  }

  /** Makes a directory. Returns false if what is in it can't be copied. */
  #enter(entry: WalkEntry, target: Buffer, merge: boolean): boolean {
    this.#levels.length = entry.depth
    try {
      try {
        mkdirSync(target, 0o700)
        this.#levels.push({ target, isOurs: true })
      } catch (error) {
        if (codeOf(error) !== 'EEXIST' || !(merge || this.#options.force)) throw error
        const isDirectory = lstatSync(target).isDirectory() || (merge && entry.depth === 0)
        if (!isDirectory) {
          unlinkSync(target)
          mkdirSync(target, 0o700)
        }
        this.#levels.push({ target, isOurs: !isDirectory })
      }
      return true
    } catch (error) {
      this.#failTarget(target, error)
      return false
    }
  }

  #leave(file: NamedFile, entry: WalkEntry): void {
    const level = this.#levels[entry.depth]
    this.#levels.length = entry.depth
    if (level?.isOurs !== true) return
    try {
      this.#attributes.finish(level.target, original(file, entry))
    } catch (error) {
      this.#failEither(file, entry, level.target, error)
    }
  }

  async #copyOne(file: NamedFile, entry: WalkEntry, target: Buffer): Promise<void> {
    const { inode } = entry
    try {
      const first = inode.linkCount > 1 ? this.#links.pathOf(entry.ref) : undefined
      if (first !== undefined && this.#link(file, entry, first, target)) return
      switch (inode.mode & FileType.mask) {
        case FileType.regular:
          await this.#copyFile(file, entry, target)
          break
        case FileType.symlink: {
          const to = Buffer.from(this.#fs.readlink(entry.ref))
          this.#make(target, () => symlinkSync(to, target))
          this.#attributes.finishLink(target, original(file, entry))
          break
        }
        case FileType.fifo:
        case FileType.socket:
        case FileType.block:
        case FileType.character:
          if (!this.#makeNode(file, entry, target)) return
          break
        default:
          this.#options.fail(`${this.#pathOf(file, entry)}: of no known type; it is not copied`)
          return
      }
      if (inode.linkCount > 1) this.#links.addCopy(entry.ref, inode.linkCount, target)
    } catch (error) {
      this.#failEither(file, entry, target, error)
    }
  }

  async #copyFile(file: NamedFile, entry: WalkEntry, target: Buffer): Promise<void> {
    const { inode } = entry
    const { interruption, progress } = this.#options
    const what = original(file, entry)
    const open = this.#fs.open(entry.ref, this.#pathOf(file, entry))
    const attributes = this.#attributes.attributesOf(what)
    // with attributes still to set, the file must be writable for its owner
    const madeWith = attributes.length === 0 ? inode.mode & 0o777 : 0o600
    const fd = this.#make(target, () => openSync(target, CREATE, madeWith))
    let isWhole = false
    let left = progressShare(inode)
    try {
      const allocated = inode.sectors * 512
      const hasHoles = allocated < open.size && (allocated === 0 || open.size > BLOCK_BYTES)
      const copy = new FileCopy(open, fd, this.#buffer, { hasHoles })
      for (let length = copy.step(); length >= 0; length = copy.step()) {
        const part = Math.min(left, length)
        left -= part
        progress.add(part)
        if (interruption.due()) await interruption.rest()
      }
      for (const { start, end, error } of copy.lost) {
        const size = sizeText(end - start)
        const holes = `${size} from byte ${start} on could not be read and are zeros in the copy`
        this.#options.fail(`${failureText(what.path, error)}; ${holes}`)
      }
      this.#attributes.finishOpen(fd, target, what, attributes, madeWith)
      isWhole = true
    } finally {
      open.close()
      closeSync(fd)
      if (!isWhole) unlinkSync(target)
    }
    progress.add(left)
  }

  /** Makes another name for a file that was copied. Returns false if it must be copied again. */
  #link(file: NamedFile, entry: WalkEntry, first: Buffer, target: Buffer): boolean {
    try {
      this.#make(target, () => linkSync(first, target))
      this.#links.addLink(entry.ref)
      this.#options.progress.add(progressShare(entry.inode))
      return true
    } catch (error) {
      const code = codeOf(error)
      if (code !== 'EPERM' && code !== 'EMLINK' && code !== 'ENOTSUP' && code !== 'EOPNOTSUPP') throw error
      this.unkept.add('hard links', joinPaths(file.path, entry.path), `the destination has none (${code})`)
      return false
    }
  }

  #makeNode(file: NamedFile, entry: WalkEntry, target: Buffer): boolean {
    const { native } = this.#options
    const { mode, deviceMajor, deviceMinor } = entry.inode
    const type = mode & FileType.mask
    const kind = type === FileType.fifo ? 'fifos' : type === FileType.socket ? 'sockets' : 'device nodes'
    const path = joinPaths(file.path, entry.path)
    if (native === undefined) {
      this.unkept.add(kind, path, 'the package koffi is not installed')
      return false
    }
    try {
      this.#make(target, () => native.mknod(target, type | (mode & 0o777), deviceMajor, deviceMinor))
    } catch (error) {
      if (!(error instanceof NativeError) || error.code !== 'EPERM') throw error
      this.unkept.add(kind, path, 'only root can make them')
      return false
    }
    this.#attributes.finish(target, original(file, entry))
    return true
  }

  /** Makes something at `target`; when forced, what is there goes. */
  #make<T>(target: Buffer, make: () => T): T {
    try {
      return make()
    } catch (error) {
      if (codeOf(error) !== 'EEXIST' || !this.#options.force) throw error
      unlinkSync(target)
      return make()
    }
  }

  #failEither(file: NamedFile, entry: WalkEntry, target: Buffer, error: unknown): void {
    if (error instanceof VolumeError) this.#options.fail(failureText(joinPaths(file.path, entry.path), error))
    else this.#failTarget(target, error)
  }

  /** The destination took something badly. */
  #failTarget(target: Buffer, error: unknown): void {
    const code = codeOf(error)
    if (code === '') throw error
    const text = `${printable(target)}: ${MESSAGES[code] ?? `can't be written (${code})`}`
    if (HOPELESS.has(code)) throw new CommandError(ExitCode.incomplete, text, { cause: error })
    this.#options.fail(text)
  }
}

const MESSAGES: Readonly<Record<string, string>> = {
  EEXIST: 'exists already (--force replaces it)',
  EISDIR: 'is a directory',
  ENOTDIR: 'not a directory',
  ENOENT: 'no such directory',
  EACCES: 'permission denied',
  EPERM: 'not permitted',
  ENOSPC: 'no space left',
  EDQUOT: 'quota exceeded',
  EROFS: 'read-only file system',
  ENAMETOOLONG: 'the name is too long for the destination',
  EFBIG: 'too large for the destination',
  EILSEQ: 'a name that the destination does not take',
}

/**
 * How much each name of a file counts for on the progress bar: its part of the size, but not of the holes of a sparse file. (Data may
 * be compressed, and what is allocated is known in compressed form only.)
 */
export function progressShare(inode: Pick<Inode, 'isRegular' | 'size' | 'sectors' | 'linkCount'>): number {
  if (!inode.isRegular) return 0
  return Math.ceil(Math.min(inode.size, inode.sectors * 512 * 4 + BLOCK_BYTES) / Math.max(1, inode.linkCount))
}

function original(file: NamedFile, { ref, inode, path }: WalkEntry): Original {
  return { ref, inode, path: joinPaths(file.path, path) }
}

const SLASH = 0x2f
const DOT = 0x2e

/** False for names that would lead elsewhere. */
function isSafeName(name: Uint8Array): boolean {
  if (name.length === 0 || (name[0] === DOT && (name.length === 1 || (name.length === 2 && name[1] === DOT))))
    return false
  return !name.includes(SLASH) && !name.includes(0)
}

function childPath(parent: Buffer, name: Uint8Array): Buffer {
  const path = Buffer.allocUnsafe(parent.length + 1 + name.length)
  path.set(parent)
  path[parent.length] = SLASH
  path.set(name, parent.length + 1)
  return path
}

/** errno name of a failed system call, empty for other errors. */
function codeOf(error: unknown): string {
  const isSystemError = error instanceof NativeError || (error instanceof Error && 'syscall' in error)
  return isSystemError && 'code' in error && typeof error.code === 'string' ? error.code : ''
}
