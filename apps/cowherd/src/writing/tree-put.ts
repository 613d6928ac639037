/**
 * Copies trees of local files into a volume.
 *
 * Files are made one after the other, and nothing waits for the devices: the volume is brought to stable storage when it is shut
 * down. What exists already is refused, or replaced when forced; a directory that exists is
 * then filled and keeps its attributes. What is kept in memory are the names of the directories on the way, and files with further names to come.
 */

import { readlinkSync } from 'node:fs'
import { VolumeError } from '@cowherd/db'
import { FileType, type NodeRef } from '@cowherd/fs'
import { printable } from '../cli/text.ts'
import { pathText } from '../cli/volume-path.ts'
import { codeOf } from '../copy/destination.ts'
import { progressShare } from '../copy/tree-copy.ts'
import type { Losses } from '../copy/unkept.ts'
import { changeFailure, sourceFailure } from './failure.ts'
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
import type { FileHead, Folder, NewFile } from './new-files.ts'
import { placeBelow, type Place } from './place.ts'
import type { TargetOptions, TreeTarget } from './tree-target.ts'

export interface PutOptions extends TargetOptions {
  /** Replace what exists. */
  readonly force: boolean
  /** Leave out what is in directories on which another filesystem is mounted. */
  readonly oneFileSystem: boolean
  /** The volume itself, which doesn't go into itself. */
  readonly isVolume: (file: LocalFile) => boolean
}

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
  private readonly target: TreeTarget
  private readonly options: PutOptions
  private readonly unkept: Losses
  private readonly attributes: LocalAttributes
  private readonly links = new LocalLinks()
  private readonly levels: Level[] = []
  /** The filesystem of the tree. */
  private device = 0n

  /** `unkept` hears what can't be read of attributes. */
  constructor(target: TreeTarget, unkept: Losses, options: PutOptions) {
    this.target = target
    this.options = options
    this.unkept = unkept
    this.attributes = new LocalAttributes(options.native, unkept)
  }

  /**
   * Copies a file and everything below it to `place`. Throws Interrupted after the user's wish, and CommandError when nothing more can be
   * copied: `abort` then.
   */
  async put(source: Buffer, place: Place): Promise<void> {
    const file = this.lookAt(source)
    if (file === undefined) return
    this.device = file.dev
    await this.putFile(file, this.target.folder(place.directory), place, false)
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
    if (head !== undefined) this.attempt(path, () => this.target.adopt(directory, path, head))
    const folder = this.target.folder(directory)
    const ending = head === undefined ? undefined : { made: { ref: directory, hasMode: true }, head }
    this.levels.push({ local: source, names, next: 0, folder, path, isNew: false, ending })
    await this.run()
  }

  /** After `put` threw: removes the file that is not whole. */
  abort(): void {
    this.target.abort()
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
    this.target.settle()
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
      const there = isNew ? undefined : this.target.find(place)
      if (there !== undefined && !this.makeWay(file, there, place)) return
      if (isDirectory(file)) this.enter(file, folder, place)
      else if (!this.link(file, folder, place)) {
        const ref = await this.copy(file, folder, place, share)
        if (file.linkCount > 1 && ref !== undefined) this.links.addCopy(file, ref)
        return
      }
    } catch (error) {
      // What was given up in the middle of it is removed by who hears of that.
      options.fail(failure(file, place, error))
      this.target.giveUp()
    }
    options.progress.add(share)
  }

  /** Deals with what is there where a file is to be made. Returns whether it can be made now. Throws VolumeError. */
  private makeWay(
    file: LocalFile,
    { ref, isDirectory: isThere }: NonNullable<ReturnType<TreeTarget['find']>>,
    place: Place,
  ): boolean {
    const { target, options } = this
    const text = pathText(place.path)
    const isAdded = isThere && isDirectory(file) && isLostAndFound(place)
    if (!options.force && !isAdded) options.fail(`${text}: exists already (--force replaces it)`)
    else if (isThere && !isDirectory(file)) options.fail(`${text}: is a directory`)
    else if (isThere) this.descend(file, target.folder(ref), place.path, undefined)
    else {
      target.remove(place)
      return true
    }
    return false
  }

  private enter(file: LocalFile, folder: Folder, place: Place): void {
    const head = { ...file, attributes: this.attributes.of(file) }
    const made = this.target.makeDirectory(folder, place, head)
    this.descend(file, { ref: made.ref, bequeaths: false }, place.path, { made, head })
  }

  private descend(file: LocalFile, folder: Folder, path: Uint8Array, ending: Level['ending']): void {
    const isLeftOut = this.options.oneFileSystem && file.dev !== this.device
    const names = isLeftOut ? [] : this.namesIn(file)
    this.levels.push({ local: file.path, names, next: 0, folder, path, isNew: ending !== undefined, ending })
  }

  /** A directory gets its attributes when all that is in it is there. */
  private leave({ path, ending }: Level): void {
    this.target.settle()
    if (ending !== undefined) this.attempt(path, () => this.target.finishDirectory(ending.made, path, ending.head))
  }

  /** Makes another name for a file that was copied. Returns false if it must be copied. */
  private link(file: LocalFile, folder: Folder, { name, path }: Place): boolean {
    const first = file.linkCount > 1 ? this.links.find(file) : undefined
    if (first === undefined) return false
    try {
      this.target.link(first, folder, name)
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
   * Copies a file that is no directory, and adds its share to the progress. Returns it if it may have several names. Throws VolumeError, and errors of system
   * calls.
   */
  private async copy(file: LocalFile, folder: Folder, place: Place, share: number): Promise<NodeRef | undefined> {
    const { target } = this
    const head = { ...file, attributes: this.attributes.of(file) }
    if (isRegular(file)) return target.copy(file, folder, place, head, share)
    this.options.progress.add(share)
    if ((file.mode & FileType.mask) !== FileType.symlink) return target.makeNode(folder, place, head)
    return target.makeLink(folder, place, head, readlinkSync(file.path, 'buffer'))
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

const LINK_REFUSALS: Readonly<Record<string, string>> = {
  EXDEV: 'between subvolumes, or directories with other options, there are none',
  EMLINK: 'the file has as many as it can',
}
