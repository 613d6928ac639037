/**
 * Removes trees of a volume, from the bottom up, in memory that doesn't grow with them: names are read a few at a time, and those that can't be removed
 * are passed over.
 */

import { FIRST_NAME, NodeRef, type NameReader, type Inode } from '@cowherd/fs'
import type { Interruption } from '../cli/interruption.ts'
import { pathText } from '../cli/volume-path.ts'
import { changeFailure } from './failure.ts'
import { placeBelow, type Place } from './place.ts'
import type { WritableFiles } from './writable-files.ts'

export interface RemovalOptions {
  readonly interruption: Pick<Interruption, 'due' | 'rest'>
  /** Told what could not be removed. */
  readonly fail: (text: string) => void
}

/** So many names are read at a time. */
const NAMES_MAX = 256
/** Format chapter 5, 5.4: a byte's worth of the types of names. */
const DIRECTORY = 4

/** A directory that is being emptied. */
interface Level {
  readonly place: Place
  readonly ref: NodeRef
  /** Names to be removed, and of what type their files are. */
  entries: { readonly name: Uint8Array; readonly target: NodeRef; readonly type: number }[]
  /** Where reading goes on. */
  nextHi: number
  nextLo: number
  isRead: boolean
  /** Something in it could not be removed, so that it can't either. */
  isKept: boolean
}

export class TreeRemoval {
  private readonly fs: WritableFiles
  private readonly options: RemovalOptions
  private readonly inode: Inode

  constructor(fs: WritableFiles, options: RemovalOptions) {
    this.fs = fs
    this.options = options
    this.inode = fs.newInode()
  }

  /** Removes a file, and all that is in it if it is a directory. Throws Interrupted, CommandError when nothing more can be removed. */
  async remove(place: Place, ref: NodeRef): Promise<void> {
    const { fs, inode, options } = this
    fs.getattr(ref, inode)
    if (!inode.isDirectory) {
      this.attempt(place, () => fs.unlink(place.directory, place.name))
      return
    }
    const levels = [this.levelOf(place, ref)]
    if (!this.mayEnter(place, ref)) return
    for (let level = levels.at(-1); level !== undefined; level = levels.at(-1)) {
      if (options.interruption.due()) await options.interruption.rest()
      const entry = this.nextEntry(level)
      if (entry === undefined) {
        levels.pop()
        const isGone = !level.isKept && this.attempt(level.place, () => this.rmdir(level.place))
        const above = levels.at(-1)
        if (above !== undefined && !isGone) above.isKept = true
        continue
      }
      const there = placeBelow(level.ref, level.place.path, entry.name)
      if (entry.type === DIRECTORY) {
        if (this.mayEnter(there, entry.target)) levels.push(this.levelOf(there, entry.target))
        else level.isKept = true
      } else if (!this.attempt(there, () => fs.unlink(level.ref, entry.name))) level.isKept = true
    }
  }

  private rmdir({ directory, name }: Place): void {
    this.fs.rmdir(directory, name)
  }

  /** A subvolume is not emptied: it would still be there. */
  private mayEnter({ directory, path }: Place, { subvolume }: NodeRef): boolean {
    if (subvolume === directory.subvolume) return true
    this.options.fail(`${pathText(path)}: is a subvolume; it is not removed`)
    return false
  }

  private levelOf(place: Place, ref: NodeRef): Level {
    return { place, ref, entries: [], nextHi: 0, nextLo: FIRST_NAME, isRead: false, isKept: false }
  }

  private nextEntry(level: Level): Level['entries'][number] | undefined {
    if (level.entries.length === 0 && !level.isRead) this.readNames(level)
    return level.entries.pop()
  }

  private readNames(level: Level): void {
    level.isRead = true
    this.attempt(level.place, () => {
      const reader = this.fs.openDirectory(level.ref)
      for (let found = reader.seek(level.nextHi, level.nextLo); found; found = reader.next()) {
        if (level.entries.length === NAMES_MAX) {
          level.isRead = false
          break
        }
        level.entries.push(entryOf(reader))
        level.nextHi = reader.nextOffsetHi
        level.nextLo = reader.nextOffsetLo
      }
    })
  }

  /** Tells why, and returns false, if that fails. Throws CommandError when nothing more can be removed. */
  private attempt({ path }: Place, action: () => void): boolean {
    try {
      action()
      return true
    } catch (error) {
      this.options.fail(changeFailure(path, error))
      return false
    }
  }
}

function entryOf({ name, target, type }: NameReader): Level['entries'][number] {
  return { name: name.slice(), target: new NodeRef().copy(target), type }
}
