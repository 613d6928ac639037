/**
 * Copies trees of local files into a volume.
 *
 * Files are made one after the other, each in a few transactions, of which none waits for the devices: the volume is brought to stable storage when it is shut
 * down. A file that could not be finished is removed. What exists already is refused, or replaced when forced; a directory that exists is
 * then filled and keeps its attributes. What is kept in memory are the names of the directories on the way, and files with further names to come.
 */

import { readlinkSync } from 'node:fs'
import { VolumeError } from '@cowherd/db'
import type { NodeRef } from '@cowherd/fs'
import { FileType, type Inode, type WritableFileSystem } from '@cowherd/fs'
import type { Native } from '@cowherd/shim'
import type { Interruption } from '../cli/interruption.ts'
import type { Progress } from '../cli/progress.ts'
import { printable } from '../cli/text.ts'
import { pathText } from '../cli/volume-path.ts'
import { codeOf } from '../copy/destination.ts'
import { progressShare } from '../copy/tree-copy.ts'
import { Unkept } from '../copy/unkept.ts'
import { changeFailure, removeUnfinished } from './failure.ts'
import { LocalData } from './local-data.ts'
import {
  bytesOfName,
  isDirectory,
  isRegular,
  joinLocal,
  localFile,
  LocalAttributes,
  localNames,
  type LocalFile,
} from './local-files.ts'
import { LocalLinks } from './local-links.ts'
import { NewFiles, type FileHead, type Folder, type NewFile } from './new-files.ts'
import { lookAt, placeBelow, type Place } from './place.ts'
import { SmallFiles } from './small-files.ts'

export interface PutOptions {
  /** Replace what exists. */
  readonly force: boolean
  /** Leave out what is in directories on which another filesystem is mounted. */
  readonly oneFileSystem: boolean
  readonly native: Native | undefined
  readonly interruption: Pick<Interruption, 'due' | 'rest'>
  readonly progress: Progress
  /** The volume itself, which doesn't go into itself. */
  readonly isVolume: (file: LocalFile) => boolean
  /** Told what could not be copied. */
  readonly fail: (text: string) => void
  /** Told what is worth knowing. */
  readonly note: (text: string) => void
}

/** Files are copied in pieces of this size. */
const PIECE_BYTES = 1 << 20
const SECTOR = 512

/** A directory that is being filled. */
interface Level {
  readonly local: Buffer
  readonly names: readonly string[]
  next: number
  readonly folder: Folder
  readonly path: Uint8Array
  /** There was nothing in it. */
  readonly isNew: boolean
  /** What it is to be in the end; undefined if it stays as it is. */
  readonly ending: { readonly made: NewFile; readonly head: FileHead } | undefined
}

export class TreePut {
  readonly unkept = new Unkept()
  private readonly fs: WritableFileSystem
  private readonly options: PutOptions
  private readonly newFiles: NewFiles
  private readonly attributes: LocalAttributes
  private readonly links = new LocalLinks()
  private readonly smallFiles: SmallFiles
  private readonly buffer = new Uint8Array(PIECE_BYTES)
  private readonly inode: Inode
  private readonly levels: Level[] = []
  /** The filesystem of the tree. */
  private device = 0n
  /** The file that has some of its data. */
  private unfinished: Place | undefined

  constructor(fs: WritableFileSystem, options: PutOptions) {
    this.fs = fs
    this.options = options
    this.newFiles = new NewFiles(fs, this.unkept)
    this.smallFiles = new SmallFiles(fs, this.newFiles, options)
    this.attributes = new LocalAttributes(options.native, this.unkept)
    this.inode = fs.newInode()
  }

  /**
   * Copies a file and everything below it to `place`. Throws Interrupted after the user's wish, and CommandError when nothing more can be
   * copied: `abort` then.
   */
  async put(source: Buffer, place: Place): Promise<void> {
    const file = this.lookAt(source)
    if (file === undefined) return
    this.device = file.dev
    await this.putFile(file, this.newFiles.folder(place.directory), place, false)
    await this.run()
  }

  /** Copies what is in a local directory into `directory`, which also becomes as it if that is wanted. Throws as `put`. */
  async fill(source: Buffer, directory: NodeRef, path: Uint8Array, isToBecome = false): Promise<void> {
    const file = this.lookAt(source)
    if (file === undefined) return
    if (!isDirectory(file)) {
      this.options.fail(`${printable(source)}: not a directory`)
      return
    }
    this.device = file.dev
    const names = this.namesIn(file)
    const head = isToBecome ? { ...file, attributes: this.attributes.of(file) } : undefined
    // Before there is anything in it, so that nothing takes over what it had; once more at the end, for its times.
    if (head !== undefined) this.attempt(path, () => this.newFiles.adopt(directory, path, head))
    const folder = this.newFiles.folder(directory)
    const ending = head === undefined ? undefined : { made: { ref: directory, hasMode: true }, head }
    this.levels.push({ local: source, names, next: 0, folder, path, isNew: false, ending })
    await this.run()
  }

  /** After `put` threw: removes the file that is not whole. */
  abort(): void {
    this.removeUnfinished()
    this.smallFiles.end()
  }

  private removeUnfinished(): void {
    const { unfinished } = this
    this.unfinished = undefined
    if (unfinished !== undefined) removeUnfinished(this.fs, unfinished, this.options.note)
  }

  private async run(): Promise<void> {
    const { levels, options } = this
    for (let level = levels.at(-1); level !== undefined; level = levels.at(-1)) {
      if (options.interruption.due()) await options.interruption.rest()
      if (level.next === level.names.length) {
        levels.pop()
        this.leave(level)
        continue
      }
      const name = bytesOfName(level.names[level.next++])
      const file = this.lookAt(joinLocal(level.local, name))
      const place = placeBelow(level.folder.ref, level.path, name)
      if (file !== undefined) await this.putFile(file, level.folder, place, level.isNew)
    }
    this.smallFiles.flush()
  }

  /** Copies a file, or enters a directory. `isNew`: nothing of that name can be there. */
  private async putFile(file: LocalFile, folder: Folder, place: Place, isNew: boolean): Promise<void> {
    const { options } = this
    if (options.isVolume(file)) {
      options.note(`${printable(file.path)}: is the volume itself; it is left out`)
      return
    }
    const share = progressShare({ isRegular: isRegular(file), ...file })
    try {
      const there = isNew ? undefined : lookAt(this.fs, place)
      if (there !== undefined && !this.makeWay(file, there, place)) return
      if (isDirectory(file)) this.enter(file, folder, place)
      else if (!this.link(file, folder, place)) {
        const ref = await this.copy(file, folder, place, share)
        if (file.linkCount > 1 && ref !== undefined) this.links.addCopy(file, ref)
        if (ref !== undefined) return
      }
    } catch (error) {
      // What was given up in the middle of it is removed by who hears of that.
      options.fail(failure(file, place, error))
      this.removeUnfinished()
    }
    options.progress.add(share)
  }

  /** Deals with what is there where a file is to be made. Returns whether it can be made now. Throws VolumeError. */
  private makeWay(file: LocalFile, there: NodeRef, place: Place): boolean {
    const { fs, inode, options } = this
    const text = pathText(place.path)
    fs.getattr(there, inode)
    const isAdded = inode.isDirectory && isDirectory(file) && isLostAndFound(place)
    if (!options.force && !isAdded) options.fail(`${text}: exists already (--force replaces it)`)
    else if (inode.isDirectory && !isDirectory(file)) options.fail(`${text}: is a directory`)
    else if (inode.isDirectory) this.descend(file, this.newFiles.folder(there), place.path, undefined)
    else {
      fs.unlink(place.directory, place.name)
      return true
    }
    return false
  }

  private enter(file: LocalFile, folder: Folder, place: Place): void {
    const head = { ...file, attributes: this.attributes.of(file) }
    const made = this.newFiles.make(folder, place, head)
    this.descend(file, { ref: made.ref, bequeaths: false }, place.path, { made, head })
  }

  private descend(file: LocalFile, folder: Folder, path: Uint8Array, ending: Level['ending']): void {
    const isLeftOut = this.options.oneFileSystem && file.dev !== this.device
    const names = isLeftOut ? [] : this.namesIn(file)
    this.levels.push({ local: file.path, names, next: 0, folder, path, isNew: ending !== undefined, ending })
  }

  /** A directory gets its attributes when all that is in it is there. */
  private leave({ path, ending }: Level): void {
    this.smallFiles.flush()
    if (ending !== undefined) this.attempt(path, () => this.newFiles.finish(ending.made, path, ending.head))
  }

  /** Makes another name for a file that was copied. Returns false if it must be copied. */
  private link(file: LocalFile, folder: Folder, { name, path }: Place): boolean {
    const first = file.linkCount > 1 ? this.links.find(file) : undefined
    if (first === undefined) return false
    try {
      this.fs.link(first, folder.ref, name, this.inode)
      this.links.addLink(file)
      return true
    } catch (error) {
      const reason = error instanceof VolumeError ? LINK_REFUSALS[error.code] : undefined
      if (reason === undefined) throw error
      this.unkept.add('hard links', path, reason)
      return false
    }
  }

  /**
   * Copies a file that is no directory. Returns nothing for a file with one name that is going to be made, or that could not be. Throws VolumeError, and errors
   * of system calls.
   */
  private async copy(file: LocalFile, folder: Folder, place: Place, share: number): Promise<NodeRef | undefined> {
    const { newFiles, options } = this
    if ((file.mode & FileType.mask) === FileType.symlink) {
      const target = readlinkSync(file.path, 'buffer')
      return newFiles.makeLink(folder, place, { ...file, attributes: this.attributes.of(file) }, target)
    }
    const head = { ...file, attributes: this.attributes.of(file) }
    if (!isRegular(file)) {
      const made = newFiles.make(folder, place, head)
      newFiles.finish(made, place.path, head)
      return made.ref
    }
    if (this.handOver(file, folder, place, head)) return undefined
    const data = new LocalData(file, options.native, this.buffer)
    try {
      const made = newFiles.make(folder, place, head)
      this.unfinished = place
      const done = await this.copyData(data, made.ref, share)
      newFiles.finish(made, place.path, head, data.sizeWithHole)
      this.unfinished = undefined
      options.progress.add(share - done)
      return made.ref
    } finally {
      data.close()
    }
  }

  /** Has a small file made together with others. Returns whether it is such a file. Throws errors of system calls, CommandError. */
  private handOver(file: LocalFile, folder: Folder, place: Place, head: FileHead): boolean {
    const { smallFiles } = this
    const { size, sectors, linkCount } = file
    const hasHoles = sectors * SECTOR < size
    if (linkCount > 1 || hasHoles || !smallFiles.takes(folder, head, size)) return false
    const room = smallFiles.room(Math.max(size, 1))
    const data = new LocalData(file, undefined, room)
    try {
      const bytes = data.next() ? data.bytes : room.subarray(0, 0)
      if (bytes.length > size) return false // the kernel makes it up: its size says nothing
      smallFiles.add(folder, place, head, bytes)
      return true
    } finally {
      data.close()
    }
  }

  /** Returns how much of `share` was added to the progress. */
  private async copyData(data: LocalData, ref: NodeRef, share: number): Promise<number> {
    const { fs, options } = this
    let done = 0
    while (data.next()) {
      fs.write(ref, data.offset, data.bytes)
      const part = Math.min(share - done, data.bytes.length)
      options.progress.add(part)
      done += part
      if (options.interruption.due()) await options.interruption.rest()
    }
    return done
  }

  private lookAt(path: Buffer): LocalFile | undefined {
    try {
      return localFile(path)
    } catch (error) {
      this.options.fail(sourceFailure(path, error))
      return undefined
    }
  }

  private namesIn({ path }: LocalFile): string[] {
    try {
      return localNames(path)
    } catch (error) {
      this.options.fail(sourceFailure(path, error))
      return []
    }
  }

  private attempt(path: Uint8Array, action: () => void): void {
    try {
      action()
    } catch (error) {
      this.options.fail(changeFailure(path, error))
    }
  }
}

/** What each filesystem has: the one of a copied root is added to. */
function isLostAndFound({ path }: Place): boolean {
  return Buffer.from('lost+found').equals(path)
}

/** How much there is to copy, for the progress bar. What can't be looked at counts nothing. Throws Interrupted. */
export async function sizeOfTree(
  source: Buffer,
  { interruption, oneFileSystem }: Pick<PutOptions, 'interruption' | 'oneFileSystem'>,
): Promise<number> {
  let size = 0
  let device: bigint | undefined
  const levels: { readonly path: Buffer; readonly names: readonly string[]; next: number }[] = []
  const lookAt = (path: Buffer): void => {
    try {
      const file = localFile(path)
      device ??= file.dev
      size += progressShare({ isRegular: isRegular(file), ...file })
      if (!isDirectory(file) || (oneFileSystem && file.dev !== device)) return
      levels.push({ path, names: localNames(path), next: 0 })
    } catch (error) {
      if (codeOf(error) === '') throw error // else the copy will tell
    }
  }
  lookAt(source)
  for (let level = levels.at(-1); level !== undefined; level = levels.at(-1)) {
    if (interruption.due()) await interruption.rest()
    if (level.next === level.names.length) levels.pop()
    else lookAt(joinLocal(level.path, bytesOfName(level.names[level.next++])))
  }
  return size
}

/** Why a file was not copied. Throws CommandError if nothing more can be copied, and what is a bug. */
function failure(file: LocalFile, place: Place, error: unknown): string {
  return error instanceof VolumeError ? changeFailure(place.path, error) : sourceFailure(file.path, error)
}

/** What the local filesystem said of a file. Throws what is none of its errors. */
export function sourceFailure(path: Uint8Array, error: unknown): string {
  const code = codeOf(error)
  if (code === '') throw error
  return `${printable(path)}: ${SOURCE_MESSAGES[code] ?? `can't be read (${code})`}`
}

const SOURCE_MESSAGES: Readonly<Record<string, string>> = {
  ENOENT: 'no such file or directory',
  ENOTDIR: 'not a directory',
  EACCES: 'permission denied',
  EPERM: 'not permitted',
  ENAMETOOLONG: 'the path is too long',
}

const LINK_REFUSALS: Readonly<Record<string, string>> = {
  EXDEV: 'between subvolumes, or directories with other options, there are none',
  EMLINK: 'the file has as many as it can',
}
