/**
 * Makes the files of an archive in a directory of a volume.
 *
 * Nothing is made outside that directory: names that lead upwards are refused, and no symbolic link on the way is followed. Archives name a file's directories
 * before it, as a rule, and all that is in a directory together; both may be otherwise. A directory's attributes are set when the next name lies elsewhere, and when
 * more comes later, its times are put back. What exists already is refused, or replaced when forced; what this archive has made is replaced by what it has
 * later. Which that is, its birth says: nobody else writes to the volume meanwhile.
 */

import { VolumeError } from '@cowherd/db'
import type { NodeRef } from '@cowherd/fs'
import { FileType, type Attribute, type Inode, type Time } from '@cowherd/fs'
import type { Interruption } from '../cli/interruption.ts'
import { joinPaths, pathText } from '../cli/volume-path.ts'
import { Unkept } from '../copy/unkept.ts'
import { thisUser } from '../writing/caller.ts'
import { changeFailure, removeUnfinished } from '../writing/failure.ts'
import { NewFiles, type FileHead, type Folder, type NewFile } from '../writing/new-files.ts'
import { PieceWriter } from '../writing/piece-writer.ts'
import { lookAt, placeBelow, type Place } from '../writing/place.ts'
import { SmallFiles } from '../writing/small-files.ts'
import { parseAclText, type IdOf } from './acl-text.ts'
import type { ReadEntry, TarReader } from './tar-reader.ts'
import type { TarType } from './tar-writer.ts'
import type { WritableFiles } from '../writing/writable-files.ts'

export interface UnpackOptions {
  /** Replace what exists. */
  readonly force: boolean
  /** The ids of users and groups, which access control lists name. */
  readonly idOf: IdOf
  readonly interruption: Pick<Interruption, 'due' | 'rest'>
  /** Told what could not be made. */
  readonly fail: (text: string) => void
  /** Told what is worth knowing. */
  readonly note: (text: string) => void
}

const TYPES: Readonly<Record<Exclude<TarType, 'hard link'>, number>> = {
  file: FileType.regular,
  directory: FileType.directory,
  'symbolic link': FileType.symlink,
  'character device': FileType.character,
  'block device': FileType.block,
  fifo: FileType.fifo,
}

/** A directory on the way to where we are. */
interface Level {
  readonly name: Uint8Array
  readonly path: Uint8Array
  readonly folder: Folder
  /** What it is to be in the end, if the archive says so. */
  head: FileHead | undefined
  /** It was made as that. */
  made: NewFile | undefined
  /** The times that it had, if it was finished before. */
  readonly before: { readonly atime: Time; readonly mtime: Time } | undefined
}

export class Unpacker {
  readonly unkept = new Unkept()
  private readonly fs: WritableFiles
  private readonly tar: TarReader
  private readonly options: UnpackOptions
  private readonly newFiles: NewFiles
  private readonly writer: PieceWriter
  private readonly smallFiles: SmallFiles
  private readonly inode: Inode
  private readonly startedMs = Date.now()
  private readonly now: Time
  /** From the directory that the archive goes to. */
  private readonly levels: Level[]
  private unfinished: Place | undefined

  /** `path` is that of `into`. Throws VolumeError. */
  constructor(fs: WritableFiles, tar: TarReader, into: NodeRef, path: Uint8Array, options: UnpackOptions) {
    this.fs = fs
    this.tar = tar
    this.options = options
    this.newFiles = new NewFiles(fs, this.unkept)
    this.writer = new PieceWriter(fs)
    this.smallFiles = new SmallFiles(fs, this.newFiles, options)
    this.inode = fs.newInode()
    this.now = { seconds: Math.floor(this.startedMs / 1000), nanoseconds: (this.startedMs % 1000) * 1_000_000 }
    const folder = this.newFiles.folder(into)
    this.levels = [{ name: NO_NAME, path, folder, head: undefined, made: undefined, before: undefined }]
  }

  /** Makes all of it. Throws TarError, Interrupted, and CommandError when nothing more can be made: `abort` then. */
  async run(): Promise<void> {
    const { tar, options } = this
    for (let entry = await tar.next(); entry !== undefined; entry = await tar.next()) {
      if (options.interruption.due()) await options.interruption.rest()
      const names = this.namesOf(entry)
      if (names === undefined) continue
      const path = names.reduce(joinPaths, this.levels[0].path)
      try {
        await this.add(entry, names, path)
      } catch (error) {
        options.fail(changeFailure(path, error))
        this.removeUnfinished()
      }
    }
    while (this.levels.length > 0) this.leave()
    if (!tar.hasEnd) options.note('the archive has no end mark: something may be missing')
  }

  /** After `run` threw: removes the file that is not whole. */
  abort(): void {
    this.removeUnfinished()
    this.smallFiles.end()
  }

  private removeUnfinished(): void {
    const { unfinished } = this
    this.unfinished = undefined
    if (unfinished !== undefined) removeUnfinished(this.fs, unfinished, this.options.note)
  }

  /** The names of an entry's path, none for the directory itself; undefined if it can't be made. */
  private namesOf({ path, type }: ReadEntry): Uint8Array[] | undefined {
    const names = componentsOf(path)
    const isUpwards = names.some((name) => name.length === 2 && name[0] === DOT && name[1] === DOT)
    const reason =
      type === 'unknown'
        ? 'of no known type'
        : isUpwards
          ? 'leads out of the directory'
          : path.includes(0)
            ? 'no name'
            : ''
    if (reason === '' && (names.length > 0 || type === 'directory')) return names
    this.options.fail(`${pathText(path)}: ${reason === '' ? 'no name' : reason}; it is left out`)
    return undefined
  }

  private async add(entry: ReadEntry, names: readonly Uint8Array[], path: Uint8Array): Promise<void> {
    if (entry.type === 'directory') {
      this.enter(names, this.headOf(entry, path))
      return
    }
    this.enter(names.slice(0, -1))
    const { folder, path: above } = this.levels[this.levels.length - 1]
    const place = placeBelow(folder.ref, above, names[names.length - 1])
    if (entry.type === 'hard link') this.link(entry, folder, place)
    else if (this.makeWay(place)) await this.make(entry, folder, place)
  }

  private async make(entry: ReadEntry, folder: Folder, place: Place): Promise<void> {
    const { newFiles, writer } = this
    const head = this.headOf(entry, place.path)
    if (entry.type === 'symbolic link') {
      newFiles.makeLink(folder, place, head, entry.target)
      return
    }
    if (entry.type === 'file' && (await this.handOver(entry, folder, place, head))) return
    const made = newFiles.make(folder, place, head)
    this.unfinished = place
    writer.begin(made.ref)
    if (entry.size > 0) await this.copyData()
    newFiles.finish(made, place.path, head, writer.end < entry.size ? entry.size : undefined)
    this.unfinished = undefined
  }

  /** Has a small file made together with others. Returns whether it is such a file. Throws TarError, CommandError. */
  private async handOver(
    { size, isSparse }: ReadEntry,
    folder: Folder,
    place: Place,
    head: FileHead,
  ): Promise<boolean> {
    const { smallFiles, tar } = this
    if (isSparse || !smallFiles.takes(folder, head, size)) return false
    const room = smallFiles.room(size)
    for (let piece = await tar.data(); piece !== undefined; piece = await tar.data()) {
      room.set(piece.bytes, piece.offset)
    }
    smallFiles.add(folder, place, head, room)
    return true
  }

  private async copyData(): Promise<void> {
    const { tar, writer, options } = this
    for (let piece = await tar.data(); piece !== undefined; piece = await tar.data()) {
      writer.add(piece.offset, piece.bytes)
      if (options.interruption.due()) await options.interruption.rest()
    }
    writer.flush()
  }

  /** Makes another name for a file of the archive. Throws VolumeError. */
  private link({ target }: ReadEntry, folder: Folder, place: Place): void {
    this.smallFiles.flush()
    const first = this.find(componentsOf(target))
    if (first === undefined) {
      this.options.fail(`${pathText(place.path)}: another name of ${pathText(target)}, which is not there`)
      return
    }
    const there = lookAt(this.fs, place)
    if (there?.equals(first) === true || !this.makeWay(place)) return
    this.fs.link(first, folder.ref, place.name, this.inode)
  }

  /** What names below the archive's directory lead to; no link is followed. */
  private find(names: readonly Uint8Array[]): NodeRef | undefined {
    const { fs, inode } = this
    let at = this.levels[0].folder.ref
    for (const name of names) {
      fs.getattr(at, inode)
      const next = inode.isDirectory ? lookAt(fs, { directory: at, name }) : undefined
      if (next === undefined) return undefined
      at = next
    }
    return names.length === 0 ? undefined : at
  }

  /** Deals with what is there where a file is to be made. Returns whether it can be made now. Throws VolumeError. */
  private makeWay(place: Place): boolean {
    const { fs, inode, options, smallFiles } = this
    if (smallFiles.has(place.name)) smallFiles.flush()
    const there = lookAt(fs, place)
    if (there === undefined) return true
    fs.getattr(there, inode)
    if (inode.isDirectory) options.fail(`${pathText(place.path)}: is a directory`)
    else if (!options.force && !this.isOurs(inode)) {
      options.fail(`${pathText(place.path)}: exists already (--force replaces it)`)
    } else {
      fs.unlink(place.directory, place.name)
      return true
    }
    return false
  }

  /**
   * Goes to a directory, through those on the way; what is not there is made. `head`: what the last one is to be. Throws VolumeError.
   */
  private enter(names: readonly Uint8Array[], head?: FileHead): void {
    const { levels } = this
    let depth = 0
    while (depth < names.length && depth + 1 < levels.length && isSame(levels[depth + 1].name, names[depth])) depth++
    while (levels.length > depth + 1) this.leave()
    const isHere = depth === names.length
    for (; depth < names.length; depth++) {
      const isLast = depth === names.length - 1
      levels.push(this.levelIn(levels[depth], names[depth], isLast ? head : undefined))
    }
    if (head === undefined || !isHere) return
    levels[depth].head = head
    levels[depth].made = undefined
  }

  private levelIn({ folder, path }: Level, name: Uint8Array, head: FileHead | undefined): Level {
    const { fs, inode, newFiles, smallFiles } = this
    if (smallFiles.has(name)) smallFiles.flush()
    const place = placeBelow(folder.ref, path, name)
    const there = lookAt(fs, place)
    if (there !== undefined) {
      fs.getattr(there, inode)
      if (inode.isDirectory) {
        const before = this.isOurs(inode) ? timesOf(inode) : undefined
        return { name, path: place.path, folder: newFiles.folder(there), head, made: undefined, before }
      }
      // Who replaces links to directories by directories may cut off a system from its libraries.
      const what = inode.isSymlink ? 'a symbolic link; it is not followed' : 'no directory'
      throw new VolumeError('ENOTDIR', '', `${pathText(place.path)} is ${what}`)
    }
    const made = newFiles.make(folder, place, head ?? this.plainHead())
    const inner = { ref: made.ref, bequeaths: false }
    return { name, path: place.path, folder: inner, head, made, before: undefined }
  }

  /** Leaves the innermost directory: what is in it is there, as far as that is known. */
  private leave(): void {
    const level = this.levels.pop()
    if (level === undefined) return
    this.smallFiles.flush()
    const { folder, path, head, made, before } = level
    try {
      if (head !== undefined && made !== undefined) this.newFiles.finish(made, path, head)
      else if (head !== undefined) this.newFiles.adopt(folder.ref, path, head)
      else if (before !== undefined) this.fs.setattr(folder.ref, before, this.inode)
    } catch (error) {
      this.options.fail(changeFailure(path, error))
    }
  }

  /** Whether the archive has made it. */
  private isOurs({ otimeSeconds, otimeNanoseconds }: Inode): boolean {
    return otimeSeconds * 1000 + otimeNanoseconds / 1_000_000 >= this.startedMs
  }

  private headOf(entry: ReadEntry, path: Uint8Array): FileHead {
    const { mode, uid, gid, mtime, atime = this.now, major, minor, type } = entry
    const kind = type === 'unknown' || type === 'hard link' ? 0 : TYPES[type]
    return { mode: kind | mode, uid, gid, mtime, atime, major, minor, attributes: this.attributesOf(entry, path) }
  }

  private attributesOf({ attributes, accessLists, others }: ReadEntry, path: Uint8Array): Attribute[] {
    for (const what of others) this.unkept.add(what, path, 'a volume has none')
    const all = [...attributes]
    for (const { name, text } of accessLists) {
      const value = parseAclText(text, this.options.idOf)
      if (typeof value === 'string') this.unkept.add('access control lists', path, value)
      else all.push({ name: Buffer.from(name), value })
    }
    return all
  }

  /** Of a directory of which the archive says nothing. */
  private plainHead(): FileHead {
    const { uid, gid, umask } = thisUser()
    const { now } = this
    const mode = FileType.directory | (0o777 & ~umask)
    return { mode, uid, gid, mtime: now, atime: now, major: 0, minor: 0, attributes: [] }
  }
}

const NO_NAME = new Uint8Array(0)
const DOT = 0x2e
const SLASH = 0x2f

/** The names of a path, without `.`. */
function componentsOf(path: Uint8Array): Uint8Array[] {
  const names: Uint8Array[] = []
  for (let start = 0; start < path.length;) {
    const slash = path.indexOf(SLASH, start)
    const end = slash < 0 ? path.length : slash
    const isDot = end === start + 1 && path[start] === DOT
    if (end > start && !isDot) names.push(path.slice(start, end))
    start = end + 1
  }
  return names
}

function isSame(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0
}

function timesOf(inode: Inode): { atime: Time; mtime: Time } {
  return {
    atime: { seconds: inode.atimeSeconds, nanoseconds: inode.atimeNanoseconds },
    mtime: { seconds: inode.mtimeSeconds, nanoseconds: inode.mtimeNanoseconds },
  }
}
