/**
 * Small files on their way into a volume: they wait until there are some for one directory, and are made in one transaction then. If that can't be, they are made one
 * by one, so that each has its own message.
 */

import { VolumeError } from '@cowherd/db'
import { NodeRef, type WholeFile } from '@cowherd/fs'
import { CommandError } from '../cli/exit-code.ts'
import { changeFailure, removeUnfinished } from './failure.ts'
import { isOption, type FileHead, type Folder, type NewFiles } from './new-files.ts'
import type { Place } from './place.ts'
import type { WritableFiles } from './writable-files.ts'

/** What fits into one transaction without making it a large one. */
const FILES_MAX = 32
const BYTES_MAX = 1 << 20

export interface SmallFilesOptions {
  /** Told what could not be made. */
  readonly fail: (text: string) => void
  readonly note: (text: string) => void
}

interface Waiting {
  readonly place: Place
  readonly head: FileHead
  readonly file: WholeFile
}

export class SmallFiles {
  private readonly fs: WritableFiles
  private readonly newFiles: NewFiles
  private readonly options: SmallFilesOptions
  private readonly buffer = new Uint8Array(BYTES_MAX)
  private used = 0
  private folder: Folder | undefined
  private waiting: Waiting[] = []
  private readonly targets = Array.from({ length: FILES_MAX }, () => new NodeRef())

  constructor(fs: WritableFiles, newFiles: NewFiles, options: SmallFilesOptions) {
    this.fs = fs
    this.newFiles = newFiles
    this.options = options
  }

  /** Whether a regular file can be made in this way: it has one name, and no holes. */
  takes(folder: Folder, { attributes }: FileHead, bytes: number): boolean {
    return bytes <= BYTES_MAX && !folder.bequeaths && !attributes.some(isOption)
  }

  /** Where a file's data are to be put before it is added. Throws as `flush`. */
  room(bytes: number): Uint8Array {
    if (this.used + bytes > BYTES_MAX) this.flush()
    return this.buffer.subarray(this.used, this.used + bytes)
  }

  /** Has a file made, now or later; `data` lies at the beginning of the room for it. Throws as `flush`. */
  add(folder: Folder, place: Place, head: FileHead, data: Uint8Array): void {
    if (this.folder !== folder) this.flush()
    const { uid, gid, mode, atime, mtime, attributes } = head
    this.folder = folder
    this.used = data.byteOffset + data.length
    this.waiting.push({ place, head, file: { name: place.name, mode, uid, gid, atime, mtime, attributes, data } })
    if (this.waiting.length === FILES_MAX) this.flush()
  }

  /** Whether a file of that name waits to be made. */
  has(name: Uint8Array): boolean {
    return this.waiting.some(({ place }) => Buffer.compare(place.name, name) === 0)
  }

  /** Makes the files that wait. Throws CommandError when nothing more can be made. */
  flush(): void {
    const { waiting, folder, fs } = this
    this.waiting = []
    this.folder = undefined
    this.used = 0
    if (folder === undefined || waiting.length === 0) return
    try {
      const files = waiting.map(({ file }) => file)
      fs.createWhole(folder.ref, files, this.targets)
    } catch (error) {
      if (!(error instanceof VolumeError)) throw error
      for (const each of waiting) this.makeAlone(folder, each)
    }
  }

  /** When something else has failed: makes the files that wait, as far as that can be. */
  end(): void {
    try {
      this.flush()
    } catch (error) {
      if (!(error instanceof CommandError)) throw error // it says what was said before
    }
  }

  private makeAlone(folder: Folder, { place, head, file }: Waiting): void {
    const { fs, newFiles, options } = this
    let isMade = false
    try {
      const made = newFiles.make(folder, place, head)
      isMade = true
      if (file.data.length > 0) fs.write(made.ref, 0, file.data)
      newFiles.finish(made, place.path, head)
    } catch (error) {
      if (isMade) removeUnfinished(fs, place, options.note)
      options.fail(changeFailure(place.path, error))
    }
  }
}
