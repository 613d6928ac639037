/**
 * Copies one file that is no directory: data, device, fifo, link, and then its attributes. It is made anew (O_EXCL, O_NOFOLLOW); what
 * exists is refused, or replaced when forced. A file that could not be finished is removed.
 */

import { closeSync, constants, openSync, symlinkSync, unlinkSync } from 'node:fs'
import { VolumeError } from '@cowherd/db'
import { FileType, type FileSystemReader, type DataReader } from '@cowherd/fs'
import { NativeError, type Native } from '@cowherd/shim'
import { sizeText } from '../cli/text.ts'
import { failureText, pathText } from '../cli/volume-path.ts'
import { AttributeCopier, type Original } from './attributes.ts'
import { codeOf, targetFailure } from './destination.ts'
import { FileCopy } from './file-copy.ts'
import type { Losses } from './unkept.ts'

export interface NodeCopyOptions {
  /** Replace what exists. */
  readonly force: boolean
  readonly native: Native | undefined
  readonly unkept: Losses
}

/** A stretch of a file that could not be read, and why. */
export interface LostStretch {
  readonly start: number
  readonly end: number
  readonly reason: string
}

/** A part of a file's data, from `start` to `end`. */
export interface Part {
  readonly fd: number
  readonly start: number
  readonly end: number
}

/** Files are copied in pieces of this size. */
const PIECE_BYTES = 1 << 20
const BLOCK_BYTES = 4096
const CREATE = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | (constants.O_NOFOLLOW ?? 0)

export class NodeCopier {
  readonly attributes: AttributeCopier
  readonly #fs: FileSystemReader
  readonly #options: NodeCopyOptions
  readonly #buffer = new Uint8Array(PIECE_BYTES)

  constructor(fs: FileSystemReader, options: NodeCopyOptions) {
    this.#fs = fs
    this.#options = options
    this.attributes = new AttributeCopier(fs, options.native, options.unkept)
  }

  /**
   * Copies `original` to `target`. Yields between two pieces; returns whether there is a copy now. `fail` hears what is missing.
   * Throws CommandError if nothing more can be copied.
   */
  *copy(original: Original, target: Buffer, fail: (text: string) => void): Generator<undefined, boolean, undefined> {
    try {
      switch (original.inode.mode & FileType.mask) {
        case FileType.regular:
          yield* this.#copyFile(original, target, fail)
          return true
        case FileType.symlink: {
          const to = Buffer.from(this.#fs.readlink(original.ref))
          this.make(target, () => symlinkSync(to, target))
          this.attributes.finishLink(target, original)
          return true
        }
        case FileType.fifo:
        case FileType.socket:
        case FileType.block:
        case FileType.character:
          return this.#makeNode(original, target)
        default:
          fail(`${pathText(original.path)}: of no known type; it is not copied`)
          return false
      }
    } catch (error) {
      fail(copyFailure(original, target, error))
      return false
    }
  }

  /** Makes the file that a part of `original` is going to be copied to, writable for its owner only. Returns its descriptor. */
  begin(target: Buffer): number {
    return this.make(target, () => openSync(target, CREATE, 0o600))
  }

  /** Copies a part of `original`'s data. Yields between two pieces; returns what could not be read. */
  *copyPart(original: Original, part: Part): Generator<undefined, LostStretch[], undefined> {
    const open = this.#fs.open(original.ref, pathText(original.path))
    try {
      return yield* this.#copyData(original, open, part)
    } finally {
      open.close()
    }
  }

  /** Gives a file that was begun, and has all its data now, the attributes of its original. */
  finish(fd: number, target: Buffer, original: Original): void {
    this.attributes.finishOpen(fd, target, original, this.attributes.attributesOf(original), 0o600)
  }

  /** Makes something at `target`; when forced, what is there goes. */
  make<T>(target: Buffer, make: () => T): T {
    try {
      return make()
    } catch (error) {
      if (codeOf(error) !== 'EEXIST' || !this.#options.force) throw error
      unlinkSync(target)
      return make()
    }
  }

  *#copyFile(original: Original, target: Buffer, fail: (text: string) => void): Generator<undefined, void, undefined> {
    const { inode, path, ref } = original
    const open = this.#fs.open(ref, pathText(path))
    const attributes = this.attributes.attributesOf(original)
    // with attributes still to set, the file must be writable for its owner
    const madeWith = attributes.length === 0 ? inode.mode & 0o777 : 0o600
    const fd = this.make(target, () => openSync(target, CREATE, madeWith))
    let isWhole = false
    try {
      const lost = yield* this.#copyData(original, open, { fd, start: 0, end: open.size })
      for (const stretch of lost) fail(lostText(stretch))
      this.attributes.finishOpen(fd, target, original, attributes, madeWith)
      isWhole = true
    } finally {
      open.close()
      closeSync(fd)
      if (!isWhole) unlinkSync(target)
    }
  }

  *#copyData({ inode, path }: Original, open: DataReader, part: Part): Generator<undefined, LostStretch[], undefined> {
    const allocated = inode.sectors * 512
    const hasHoles = allocated < open.size && (allocated === 0 || open.size > BLOCK_BYTES)
    const copy = new FileCopy(open, part, this.#buffer, { hasHoles })
    while (copy.step()) yield
    return copy.lost.map(({ start, end, error }) => ({ start, end, reason: failureText(path, error) }))
  }

  #makeNode(original: Original, target: Buffer): boolean {
    const { native, unkept } = this.#options
    const { mode, deviceMajor, deviceMinor } = original.inode
    const type = mode & FileType.mask
    const kind = type === FileType.fifo ? 'fifos' : type === FileType.socket ? 'sockets' : 'device nodes'
    if (native === undefined) {
      unkept.add(kind, original.path, 'the package koffi is not installed')
      return false
    }
    try {
      this.make(target, () => native.mknod(target, type | (mode & 0o777), deviceMajor, deviceMinor))
    } catch (error) {
      if (!(error instanceof NativeError) || error.code !== 'EPERM') throw error
      unkept.add(kind, original.path, 'only root can make them')
      return false
    }
    this.attributes.finish(target, original)
    return true
  }
}

/** Why `original` was not copied to `target`. Throws CommandError if nothing more can be copied, and what is a bug. */
export function copyFailure({ path }: Original, target: Uint8Array, error: unknown): string {
  return error instanceof VolumeError ? failureText(path, error) : targetFailure(target, error)
}

export function lostText({ start, end, reason }: LostStretch): string {
  return `${reason}; ${sizeText(end - start)} from byte ${start} on could not be read and are zeros in the copy`
}
