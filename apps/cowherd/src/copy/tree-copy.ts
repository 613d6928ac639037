/**
 * Copies trees of files out of a volume.
 *
 * Nothing is written outside the target, whatever the volume holds: names with a slash and dot names are refused, every file is
 * made anew (O_EXCL, O_NOFOLLOW) in a directory that we made, and a directory gets its own mode, owner and times last.
 * What exists already is refused, or replaced when forced; a directory that exists is then filled and keeps its attributes.
 *
 * One thread walks and makes the directories; files are copied by several, and all that is told comes in the order of the walk. Whatever
 * depends on what came of files before it waits for its turn: further names of a file that was copied, and a directory's attributes.
 */

import { closeSync, linkSync, lstatSync, mkdirSync, unlinkSync } from 'node:fs'
import { NodeRef, TreeWalk, type FileSystemReader, type Inode, type WalkEntry } from '@cowherd/fs'
import type { Native } from '@cowherd/shim'
import type { Interruption } from '../cli/interruption.ts'
import type { Progress } from '../cli/progress.ts'
import { failureText, joinPaths, pathText, type NamedFile } from '../cli/volume-path.ts'
import { bytesOf, CopyTask, travelling, type CopyItem, type CopyResult } from '../parallel/copy-task.ts'
import { OrderedWork, type OrderedWorkOptions } from '../parallel/ordered-work.ts'
import type { Original } from './attributes.ts'
import { codeOf, targetFailure } from './destination.ts'
import { LinkTable } from './link-table.ts'
import { copyFailure, lostText, type LostStretch } from './node-copy.ts'
import { Unkept } from './unkept.ts'

/** By whom files are copied. */
export type CopyWork = OrderedWork<CopyItem, CopyResult>

export interface CopyOptions extends Partial<
  Pick<OrderedWorkOptions<CopyItem, CopyResult>, 'readers' | 'aloneMs' | 'takesPart' | 'batchBytes'>
> {
  /** Replace what exists. */
  readonly force: boolean
  /** Much larger files are copied in parts of this size, by several threads. */
  readonly partBytes?: number
  readonly native: Native | undefined
  readonly interruption: Pick<Interruption, 'due' | 'rest'>
  readonly progress: Progress
  /** Told what could not be copied. */
  readonly fail: (text: string) => void
  /** Told what is worth knowing. */
  readonly note?: (text: string) => void
}

const BLOCK_BYTES = 4096
const PART_BYTES = 16 << 20
/** The parts of very large files are larger. */
const PARTS_MAX = 1024

/** A directory of the copy that is being filled. */
interface Level {
  readonly target: Buffer
  /** We made it, so it gets the attributes of its original. */
  readonly isOurs: boolean
}

/** A large file that is being copied in parts. */
interface Unfinished {
  readonly fd: number
  readonly target: Buffer
  readonly lost: LostStretch[]
  failure: string | undefined
}

export class TreeCopy {
  readonly unkept = new Unkept()
  readonly work: CopyWork
  readonly #fs: FileSystemReader
  readonly #options: CopyOptions
  readonly #task: CopyTask
  /** Where the first name of a file with several was copied to. */
  readonly #links = new LinkTable()
  /** Files with several names of which the first is underway. */
  readonly #underway = new Map<string, number>()
  readonly #unfinished = new Set<Unfinished>()
  readonly #inode: Inode
  #levels: Level[] = []
  #lastTarget: Buffer = Buffer.alloc(0)

  constructor(fs: FileSystemReader, options: CopyOptions) {
    this.#fs = fs
    this.#options = options
    this.#inode = fs.newInode()
    this.#task = new CopyTask(fs, options)
    this.work = new OrderedWork({ note: () => undefined, ...options, task: this.#task })
  }

  /**
   * Copies `file` and everything below it to `target`. With `merge`, a directory `target` may exist.
   * @throws Interrupted after the user's wish, and CommandError when nothing more can be copied: `abort` then
   */
  async copy(file: NamedFile, target: Buffer, { merge = false } = {}): Promise<void> {
    const { work } = this
    this.#levels = []
    let entered: WalkEntry | undefined
    const walk = new TreeWalk(
      this.#fs,
      {
        visit: (entry) => {
          entered = entry
          const parent = this.#levels[entry.depth - 1]
          if (entry.depth > 0 && (parent === undefined || !isSafeName(entry.name))) {
            const path = pathText(joinPaths(file.path, entry.path))
            this.#failLater(`${path}: a name that no file may have; it is not copied`)
            return false
          }
          const place = parent === undefined ? target : childPath(parent.target, entry.name)
          if (entry.inode.isDirectory) return this.#enter(entry, place, merge && entry.depth === 0)
          this.#handOver(original(file, entry), place)
          return false
        },
        leave: (entry) => this.#leave(file, entry),
        fail: (path, error) => {
          this.#failLater(failureText(joinPaths(file.path, path), error))
          // a directory that can't be listed is entered, but not left
          if (entered?.inode.isDirectory === true && entered.path === path) this.#leave(file, entered)
        },
      },
      file.ref,
    )
    while (walk.step()) if (work.isFull) await work.advance()
    await work.finish()
  }

  /** After `copy` threw: has the other threads give up what they are at, and removes every file that is not whole. */
  async abort(): Promise<void> {
    const unstoppable = await this.work.abort()
    for (const { target, part } of unstoppable) if (part === undefined) remove(bytesOf(target))
    for (const { fd, target } of this.#unfinished) {
      if (unstoppable.length === 0) closeSync(fd) // else somebody may write to it
      remove(target)
    }
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
      this.work.then(() => this.#options.fail(targetFailure(target, error)))
      return false
    }
  }

  /** A directory gets its attributes when all that is in it is there. */
  #leave(file: NamedFile, entry: WalkEntry): void {
    const level = this.#levels[entry.depth]
    this.#levels.length = entry.depth
    if (level?.isOurs !== true) return
    const what = original(file, entry)
    this.work.then(() => {
      this.#attempt(what, level.target, () => this.#task.copier.attributes.finish(level.target, this.#current(what)))
    })
  }

  /** Has a file copied. Further names of one that was, or may be, are made in their turn. */
  #handOver(what: Original, target: Buffer): void {
    const { inode, ref } = what
    const share = progressShare(inode)
    const isSameName = this.#lastTarget.equals(target) // in a damaged directory
    this.#lastTarget = target
    if (
      isSameName ||
      (inode.linkCount > 1 && (this.#underway.has(ref.toString()) || this.#links.pathOf(ref) !== undefined))
    ) {
      const { linkCount } = inode
      this.work.then(async () => {
        await this.#linkOrCopy(what, linkCount, target)
        this.#options.progress.add(share)
      })
    } else if (isLarge(inode, this.#options.partBytes)) {
      this.#copyInParts(what, target)
    } else {
      const isLinked = this.#begins(what)
      const bytes = inode.isRegular ? Math.min(inode.size, 512 * inode.sectors) : 0
      this.work.add(itemOf(what, target), bytes, (result) => {
        this.#ends(what, isLinked, target, result)
        this.#options.progress.add(share)
      })
    }
  }

  /** Copies a large file in parts, by several threads. */
  #copyInParts(what: Original, target: Buffer): void {
    const { copier } = this.#task
    const { size } = what.inode
    let file: Unfinished
    try {
      file = { fd: copier.begin(target), target, lost: [], failure: undefined }
    } catch (error) {
      this.work.then(() => this.#options.fail(copyFailure(what, target, error)))
      return
    }
    const isLinked = this.#begins(what)
    this.#unfinished.add(file)
    const share = progressShare(what.inode)
    const { partBytes: least = PART_BYTES } = this.#options
    const partBytes = least * Math.ceil(size / (least * PARTS_MAX))
    for (let start = 0; start < size; start += partBytes) {
      const end = Math.min(start + partBytes, size)
      const item = { ...itemOf(what, target), part: { fd: file.fd, start, end } }
      this.work.add(item, end - start, ({ lost, failure }) => {
        addStretches(file.lost, lost)
        file.failure ??= failure
        this.#options.progress.add(partOf(share, end, size) - partOf(share, start, size))
      })
    }
    this.work.then(() => this.#finishParts(what, file, isLinked))
  }

  #finishParts(what: Original, file: Unfinished, isLinked: boolean): void {
    const { fd, target, lost, failure } = file
    if (failure !== undefined) this.#options.fail(failure)
    for (const stretch of failure === undefined ? lost : []) this.#options.fail(lostText(stretch))
    const isCopied =
      failure === undefined &&
      this.#attempt(what, target, () => this.#task.copier.finish(fd, target, this.#current(what)))
    closeSync(fd)
    if (!isCopied) remove(target)
    this.#unfinished.delete(file)
    this.#ends(what, isLinked, target, { isCopied, unkept: [], lost: [] })
  }

  /** A file with several names is underway. Returns whether it is such a file. */
  #begins({ inode, ref }: Original): boolean {
    if (inode.linkCount <= 1) return false
    const key = ref.toString()
    this.#underway.set(key, inode.linkCount)
    return true
  }

  #ends({ ref }: Original, isLinked: boolean, target: Buffer, { isCopied, unkept }: CopyResult): void {
    this.unkept.addAll(unkept)
    if (!isLinked) return
    const key = ref.toString()
    if (isCopied) this.#links.addCopy(ref, this.#underway.get(key) ?? 0, target)
    this.#underway.delete(key)
  }

  /** A file of which a name was met before, when all names before are done: it becomes a link, unless there is nothing to link to. */
  async #linkOrCopy(what: Original, linkCount: number, target: Buffer): Promise<void> {
    const first = this.#links.pathOf(what.ref)
    let isLink = false
    const isTried = first === undefined || this.#attempt(what, target, () => (isLink = this.#link(what, first, target)))
    if (!isTried || isLink) return
    const { isCopied, unkept } = await this.work.doNow(itemOf(what, target))
    this.unkept.addAll(unkept)
    if (isCopied) this.#links.addCopy(what.ref, linkCount, target)
  }

  /** Makes another name for a file that was copied. Returns false if it must be copied again. */
  #link({ path, ref }: Original, first: Buffer, target: Buffer): boolean {
    try {
      this.#task.copier.make(target, () => linkSync(first, target))
      this.#links.addLink(ref)
      return true
    } catch (error) {
      const code = codeOf(error)
      if (code !== 'EPERM' && code !== 'EMLINK' && code !== 'ENOTSUP' && code !== 'EOPNOTSUPP') throw error
      this.unkept.add('hard links', path, `the destination has none (${code})`)
      return false
    }
  }

  /** Tells why, and returns false, if `action` fails for the original or the destination. */
  #attempt(what: Original, target: Buffer, action: () => void): boolean {
    try {
      action()
      return true
    } catch (error) {
      this.#options.fail(copyFailure(what, target, error))
      return false
    } finally {
      this.unkept.addAll(this.#task.losses.take())
    }
  }

  #failLater(text: string): void {
    this.work.then(() => this.#options.fail(text))
  }

  /** `what` with its inode, which the walk has overwritten since. */
  #current(what: Original): Original {
    this.#fs.getattr(what.ref, this.#inode)
    return { ...what, inode: this.#inode }
  }
}

/**
 * How much each name of a file counts for on the progress bar: its part of the size, but not of the holes of a sparse file. (Data may
 * be compressed, and what is allocated is known in compressed form only.)
 */
export function progressShare(inode: Pick<Inode, 'isRegular' | 'size' | 'sectors' | 'linkCount'>): number {
  if (!inode.isRegular) return 0
  return Math.ceil(Math.min(inode.size, inode.sectors * 512 * 4 + BLOCK_BYTES) / Math.max(1, inode.linkCount))
}

function partOf(share: number, offset: number, size: number): number {
  return Math.floor((share * offset) / size)
}

/** True if it has so much data that several threads shall copy it. */
function isLarge({ isRegular, size, sectors }: Inode, partBytes = PART_BYTES): boolean {
  return isRegular && size >= 2 * partBytes && sectors * 512 >= partBytes
}

/** Adds the stretches of the next part; one that begins where the last one ends continues it. */
function addStretches(all: LostStretch[], more: readonly LostStretch[]): void {
  for (const stretch of more) {
    const last = all.at(-1)
    if (last?.end === stretch.start) all[all.length - 1] = { ...last, end: stretch.end }
    else all.push(stretch)
  }
}

function original(file: NamedFile, { ref, inode, path }: WalkEntry): Original {
  return { ref: new NodeRef().copy(ref), inode, path: joinPaths(file.path, path).slice() }
}

function itemOf({ ref, path }: Original, target: Buffer): CopyItem {
  const { subvolume, inodeHi, inodeLo } = ref
  return { subvolume, inodeHi, inodeLo, path: travelling(path), target: travelling(target) }
}

/** Removes a file that is not whole; another thread may have done so. */
function remove(target: Buffer): void {
  try {
    unlinkSync(target)
  } catch (error) {
    if (codeOf(error) !== 'ENOENT') throw error
  }
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
