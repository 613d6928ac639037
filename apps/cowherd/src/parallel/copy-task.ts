/**
 * Copying as a task: a whole file, or a part of a large one that the main thread has made. Paths travel as text with a character for each
 * byte.
 */

import type { FileSystemReader, Inode } from '@cowherd/fs'
import { NodeRef } from '@cowherd/fs'
import type { Native } from '@cowherd/shim'
import { pathText } from '../cli/volume-path.ts'
import type { Original } from '../copy/attributes.ts'
import { NodeCopier, copyFailure, type LostStretch } from '../copy/node-copy.ts'
import { LossList, type LossEntry } from '../copy/unkept.ts'
import type { Task } from './task.ts'

export interface CopyItem {
  readonly subvolume: number
  readonly inodeHi: number
  readonly inodeLo: number
  /** In the volume, for messages. */
  readonly path: string
  readonly target: string
  /** A part of the data only, to a file that is open; the whole file if absent. */
  readonly part?: { readonly fd: number; readonly start: number; readonly end: number }
}

export interface CopyResult {
  /** There is a copy, or of a part all that could be read. */
  readonly isCopied: boolean
  readonly unkept: readonly LossEntry[]
  /** Of a part. */
  readonly lost: readonly LostStretch[]
  /** Why a part was not copied, which makes the whole copy worthless. */
  readonly failure?: string
}

const NOTHING: readonly never[] = []

export class CopyTask implements Task<CopyItem, CopyResult> {
  readonly copier: NodeCopier
  private readonly fs: FileSystemReader
  /** What could not be kept, of what was done since it was last taken. */
  readonly losses = new LossList()
  private readonly ref = new NodeRef()
  private readonly inode: Inode

  constructor(fs: FileSystemReader, options: { readonly force: boolean; readonly native: Native | undefined }) {
    this.fs = fs
    this.inode = fs.newInode()
    this.copier = new NodeCopier(fs, { ...options, unkept: this.losses })
  }

  nameOf({ path }: CopyItem): string {
    return pathText(bytesOf(path))
  }

  *run(item: CopyItem, fail: (text: string) => void): Generator<CopyResult | undefined, void, undefined> {
    const { subvolume, inodeHi, inodeLo, part } = item
    const ref = this.ref.set(subvolume, inodeHi, inodeLo)
    const original: Original = { ref, inode: this.inode, path: bytesOf(item.path) }
    const target = bytesOf(item.target)
    let lost: readonly LostStretch[] = NOTHING
    let isCopied = false
    let failure: string | undefined
    try {
      this.fs.getattr(ref, this.inode)
      if (part === undefined) isCopied = yield* this.copier.copy(original, target, fail)
      else lost = yield* this.copier.copyPart(original, part)
    } catch (error) {
      failure = copyFailure(original, target, error)
    }
    if (part === undefined && failure !== undefined) fail(failure)
    yield {
      isCopied: part === undefined ? isCopied : failure === undefined,
      unkept: this.losses.take(),
      lost,
      ...(failure === undefined ? {} : { failure }),
    }
  }
}

/** The bytes of a path in its travelling form. */
export function bytesOf(path: string): Buffer {
  return Buffer.from(path, 'latin1')
}

/** A path's travelling form. */
export function travelling(path: Uint8Array): string {
  return Buffer.from(path.buffer, path.byteOffset, path.length).toString('latin1')
}
