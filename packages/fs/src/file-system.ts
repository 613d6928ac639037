/**
 * `FileSystem`: the files of a volume, as one subvolume and those below it show them. `WritableFileSystem` changes them. Format chapter 5.
 *
 * Files are named by `NodeRef`, filled by `lookup` and `resolve`; attributes come in an `Inode`, filled by `getattr`. Both are the
 * caller's, so looking at a million files makes no garbage. Names are bytes; where a string is given, it stands for its UTF-8.
 *
 *     const fs = openFileSystem(volume)
 *     const ref = fs.resolve('docs/readme.txt')
 *     const file = fs.open(ref)
 *     file.read(0, buffer)
 *     file.close()
 *
 * All calls are synchronous. They throw VolumeError: ENOENT, ENOTDIR, ELOOP ... for requests, EIO for damage.
 */

import { BtreeId, KeyError, VolumeError, setBpos } from '@cowherd/db'
import type { Bpos, KeyCursor, Named } from '@cowherd/db'
import { decodeUtf8, encodeUtf8 } from '@cowherd/kernel-lib'
import { Attributes } from './attributes.ts'
import type { Attribute } from './attributes.ts'
import { Directories, DirectoryReader } from './directory.ts'
import type { FileSystemReader } from './file-system-reader.ts'
import { INODE_GENERATION, Inode } from './inode.ts'
import { DIRENT, DIRENT_NAME_AT, NAME_BYTES_MAX, direntNameEnd } from './key-types/dirent.ts'
import { NodeRef } from './node-ref.ts'
import { OpenFile } from './open-file.ts'
import { forEachOptionAttribute } from './option-attributes.ts'
import { resolvePath } from './path.ts'
import type { ResolveOptions } from './path.ts'
import { spaceOf } from './space.ts'
import type { Space } from './space.ts'
import { StringHash } from './string-hash.ts'
import { ROOT_SUBVOLUME, Subvolumes } from './subvolumes.ts'
import type { Subvolume } from './subvolumes.ts'
import { TimeScale } from './time-scale.ts'
import type { VolumeAccess } from './volume-access.ts'

export interface FileSystemOptions {
  /** The subvolume to show: its id, or its path from the first subvolume's root. That first subvolume if absent. */
  readonly subvolume?: number | string
}

/** Longest target of a symbolic link. */
const SYMLINK_BYTES_MAX = 4096
/** Paths deeper than this lead in a circle. */
const DEPTH_MAX = 4096

/** Opens the filesystem on a volume. Throws VolumeError if the subvolume asked for does not exist. */
export function openFileSystem(volume: VolumeAccess, options: FileSystemOptions = {}): FileSystem {
  const fs = new FileSystem(volume, ROOT_SUBVOLUME)
  const { subvolume } = options
  return subvolume === undefined ? fs : new FileSystem(volume, subvolumeId(fs, subvolume))
}

/** The id of a subvolume that is given by its id or its path in `fs`. Throws VolumeError: EINVAL for a path to something else, ENOENT ... */
export function subvolumeId(fs: FileSystem, subvolume: number | string): number {
  if (typeof subvolume === 'number') return subvolume
  const ref = fs.resolve(subvolume)
  if (!fs.subvolumeRoot(ref.subvolume).equals(ref)) {
    throw new VolumeError('EINVAL', subvolume, 'not the root of a subvolume')
  }
  return ref.subvolume
}

export class FileSystem implements FileSystemReader {
  readonly volume: VolumeAccess
  /** The root directory. */
  readonly root: Readonly<NodeRef>
  readonly times: TimeScale
  protected readonly subvolumes: Subvolumes
  private readonly directories: Directories
  private readonly attributes: Attributes
  private readonly pos: Bpos = new Uint32Array(5)
  /** The directory of the last lookup: its seed and its kind of hash never change. */
  private readonly lastDirectory: { readonly ref: NodeRef; readonly inode: Inode }
  private readonly scratch: Inode
  /** Of the file closed last, over the extents that a snapshot sees: a cursor takes 2 KiB, most files are looked at but once. */
  private spareCursor: { readonly snapshot: number; readonly cursor: KeyCursor } | undefined

  constructor(volume: VolumeAccess, subvolume: number) {
    const { timeBaseNs, timePrecisionNs } = volume.superblock
    this.volume = volume
    this.times = new TimeScale(timeBaseNs, timePrecisionNs)
    this.subvolumes = new Subvolumes(volume, this.times)
    this.root = this.subvolumes.view(subvolume).root
    const hash = new StringHash(volume.codecs)
    this.directories = new Directories(this.subvolumes, hash)
    this.attributes = new Attributes(this.subvolumes, hash)
    this.lastDirectory = { ref: new NodeRef(), inode: this.newInode() }
    this.scratch = this.newInode()
  }

  /** An `Inode` for `getattr`, which tells this volume's times. */
  newInode(): Inode {
    return new Inode(this.times)
  }

  /** Fills `inode` with the attributes of a file. Throws ENOENT if there is no such inode (any more). */
  getattr(ref: Readonly<NodeRef>, inode: Inode): void {
    if (!this.findInode(ref, inode)) throw new VolumeError('ENOENT', ref.toString(), 'there is no such inode')
  }

  /** Finds a name in a directory and sets `target` to what it leads to. False if there is no such name. Throws ENOTDIR. */
  lookup(directory: Readonly<NodeRef>, name: Uint8Array | string, target: NodeRef): boolean {
    const bytes = bytesOf(name)
    if (bytes.length > NAME_BYTES_MAX) throw new VolumeError('ENAMETOOLONG', decodeUtf8(bytes), 'the name is too long')
    return this.directories.lookup(directory.subvolume, this.directoryInode(directory), bytes, target)
  }

  /** A reader over the names of a directory, `.` and `..` included. Throws ENOTDIR. */
  openDirectory(directory: Readonly<NodeRef>): DirectoryReader {
    this.directoryInode(directory)
    const parent = new NodeRef()
    this.parentOf(directory, parent)
    const { snapshot } = this.subvolumes.view(directory.subvolume)
    const cursor = this.volume.snapshotCursor(BtreeId.dirents, snapshot)
    return new DirectoryReader(new NodeRef().copy(directory), parent, this.subvolumes, cursor)
  }

  /** Sets `parent` to the directory that holds this one's name (`..`); for the root of the filesystem that is itself. */
  parentOf(directory: Readonly<NodeRef>, parent: NodeRef): void {
    const inode = this.scratch
    this.getattr(directory, inode)
    const { dirHi, dirLo, parentSubvolume } = inode
    if (directory.equals(this.root) || (dirHi === 0 && dirLo === 0)) parent.copy(directory)
    else parent.set(parentSubvolume === 0 ? directory.subvolume : parentSubvolume, dirHi, dirLo)
  }

  /**
   * Opens a regular file for reading. `name` names it in messages, by its number if absent. Throws EISDIR for directories and EINVAL for
   * other things without data.
   */
  open(ref: Readonly<NodeRef>, name?: Named): OpenFile {
    const inode = this.scratch
    this.getattr(ref, inode)
    const who = name ?? ref.toString()
    if (inode.isDirectory) throw new VolumeError('EISDIR', who.toString(), 'is a directory')
    if (!inode.isRegular) throw new VolumeError('EINVAL', who.toString(), 'is not a regular file')
    return this.openData(ref, inode.size, who)
  }

  /** The target of a symbolic link. Throws EINVAL if the file is none. */
  readlink(ref: Readonly<NodeRef>): Uint8Array {
    const inode = this.scratch
    this.getattr(ref, inode)
    const who = ref.toString()
    if (!inode.isSymlink) throw new VolumeError('EINVAL', who, 'is not a symbolic link')
    if (inode.size > SYMLINK_BYTES_MAX) throw new KeyError('EIO', who, `a symbolic link of ${inode.size} bytes`)
    const target = new Uint8Array(inode.size)
    const file = this.openData(ref, inode.size, who)
    const length = file.read(0, target)
    file.close()
    const end = target.indexOf(0)
    return target.subarray(0, end < 0 ? length : Math.min(end, length))
  }

  /** Calls `visit` for each extended attribute, in the order of Linux. ACLs come in the form that Linux shows. */
  forEachAttribute(ref: Readonly<NodeRef>, visit: (name: Uint8Array, value: Uint8Array) => void): void {
    this.getattr(ref, this.scratch)
    this.attributes.forEach(ref.subvolume, this.scratch, visit)
  }

  /** All extended attributes, in the order of Linux. */
  listAttributes(ref: Readonly<NodeRef>): Attribute[] {
    const found: Attribute[] = []
    this.forEachAttribute(ref, (name, value) => found.push({ name, value }))
    return found
  }

  /** The value of one extended attribute, or undefined. */
  getAttribute(ref: Readonly<NodeRef>, name: Uint8Array | string): Uint8Array | undefined {
    this.getattr(ref, this.scratch)
    return this.attributes.get(ref.subvolume, this.scratch, bytesOf(name))
  }

  /** Calls `visit` for the options set on a file and in force for it, as the attributes `bcachefs.*` that Linux makes of them. */
  forEachOptionAttribute(ref: Readonly<NodeRef>, visit: (name: string, value: string) => void): void {
    this.getattr(ref, this.scratch)
    forEachOptionAttribute(this.scratch, this.volume.shape, visit)
  }

  /** What a path leads to, from the root of the filesystem on. Throws ENOENT, ENOTDIR, ELOOP, ENAMETOOLONG. */
  resolve(path: string | Uint8Array, options: ResolveOptions = {}): NodeRef {
    return resolvePath(this, bytesOf(path), options)
  }

  /** How much room there is on the volume: statfs(2). */
  space(): Space {
    return spaceOf(this.volume)
  }

  /** All subvolumes and snapshots of the volume, by id. */
  listSubvolumes(): Subvolume[] {
    return this.subvolumes.list()
  }

  /** Whether nothing in a subvolume may be changed. Throws ENOENT. */
  isReadOnly(subvolume: number): boolean {
    return this.subvolumes.view(subvolume).readOnly
  }

  /** The root directory of a subvolume. Throws ENOENT. */
  subvolumeRoot(id: number): Readonly<NodeRef> {
    return this.subvolumes.view(id).root
  }

  /**
   * The path of a file from the root of the filesystem, by its back pointers: `` for the root itself; undefined for a file that this
   * filesystem doesn't show, or whose name isn't recorded (one of several hard links is).
   */
  pathOf(ref: Readonly<NodeRef>): Uint8Array | undefined {
    const at = new NodeRef().copy(ref)
    const names: Uint8Array[] = []
    while (!at.equals(this.root)) {
      const name = names.length < DEPTH_MAX ? this.climb(at) : undefined
      if (name === undefined) return undefined
      names.unshift(name)
    }
    return joinPath(names)
  }

  /** Moves `at` to the directory that holds its name, and returns the name. */
  private climb(at: NodeRef): Uint8Array | undefined {
    const inode = this.scratch
    if (!this.findInode(at, inode)) return undefined
    const { dirHi, dirLo, dirOffsetHi, dirOffsetLo, parentSubvolume } = inode
    if (dirHi === 0 && dirLo === 0) return undefined
    if (parentSubvolume !== 0 && this.subvolumes.find(parentSubvolume) === undefined) return undefined
    at.set(parentSubvolume === 0 ? at.subvolume : parentSubvolume, dirHi, dirLo)
    const { dirents } = this.subvolumes.view(at.subvolume)
    const { key } = dirents
    setBpos(this.pos, dirHi, dirLo, dirOffsetHi, dirOffsetLo, 0)
    const isThere =
      dirents.seek(this.pos) &&
      key.type === DIRENT &&
      key.offsetLo === dirOffsetLo &&
      key.offsetHi === dirOffsetHi &&
      key.inodeLo === dirLo &&
      key.inodeHi === dirHi
    return isThere ? key.bytes.slice(DIRENT_NAME_AT, direntNameEnd(key)) : undefined
  }

  private openData(ref: Readonly<NodeRef>, size: number, who: Named): OpenFile {
    const { snapshot } = this.subvolumes.view(ref.subvolume)
    const { spareCursor } = this
    const isFit = spareCursor?.snapshot === snapshot
    const cursor = isFit ? spareCursor.cursor : this.volume.snapshotCursor(BtreeId.extents, snapshot)
    if (isFit) this.spareCursor = undefined
    const takeBack = (cursor: KeyCursor): void => {
      this.spareCursor = { snapshot, cursor }
    }
    const own = new NodeRef().copy(ref)
    // What is deleted while it is open keeps the size that it had.
    const sizeNow = (): number => (this.findInode(own, this.scratch) ? (size = this.scratch.size) : size)
    return new OpenFile(this.volume, own, size, cursor, who, takeBack, sizeNow)
  }

  protected findInode(ref: Readonly<NodeRef>, inode: Inode): boolean {
    const { inodes } = this.subvolumes.view(ref.subvolume)
    const { key } = inodes
    setBpos(this.pos, 0, 0, ref.inodeHi, ref.inodeLo, 0)
    const isThere =
      inodes.seek(this.pos) &&
      key.offsetLo === ref.inodeLo &&
      key.offsetHi === ref.inodeHi &&
      key.inodeLo === 0 &&
      key.inodeHi === 0 &&
      key.type !== INODE_GENERATION
    if (!isThere) return false
    const damage = inode.decode(key)
    if (damage !== undefined) throw new KeyError('EIO', ref.toString(), damage)
    if (inode.size > Number.MAX_SAFE_INTEGER) throw new KeyError('EIO', ref.toString(), `a size of ${inode.size} bytes`)
    return true
  }

  /** A directory is gone: its inode number may come back as something else. */
  protected forgetDirectory(ref: Readonly<NodeRef>): void {
    if (this.lastDirectory.ref.equals(ref)) this.lastDirectory.ref.set(0, 0, 0)
  }

  private directoryInode(ref: Readonly<NodeRef>): Inode {
    const { lastDirectory } = this
    const { inode } = lastDirectory
    if (lastDirectory.ref.equals(ref)) return inode
    lastDirectory.ref.set(0, 0, 0)
    this.getattr(ref, inode)
    if (!inode.isDirectory) throw new VolumeError('ENOTDIR', ref.toString(), 'is not a directory')
    lastDirectory.ref.copy(ref)
    return inode
  }
}

/** The bytes of a name; a string stands for its UTF-8. */
export function bytesOf(name: Uint8Array | string): Uint8Array {
  return typeof name === 'string' ? encodeUtf8(name) : name
}

const SLASH = 0x2f

function joinPath(names: readonly Uint8Array[]): Uint8Array {
  const path = new Uint8Array(names.reduce((length, name) => length + name.length + 1, 0))
  let at = 0
  for (const name of names) {
    path.set(name, at)
    at += name.length
    path[at++] = SLASH
  }
  return path.subarray(0, Math.max(0, at - 1))
}
