/**
 * `WritableFileSystem`: the files of a volume that is open for writing. What each call does is told in `file-system-writer.ts`; how names,
 * attributes and inodes change, in `namespace/`; data, in `data/`. Format chapter 5, 5.8.
 *
 *     const fs = openWritableFileSystem(devices, { codecs, random })
 *     fs.create(fs.root, 'hello', 0o644, { uid: 0, gid: 0, umask: 0o022 }, ref, inode)
 *     fs.write(ref, 0, bytes)
 *     fs.sync()
 *     fs.close()
 *
 * A call is checked and done in one transaction, which sees what it has changed itself; what the calls of `FileSystem` show is the volume
 * after the last transaction.
 */

import { Key, KeyError, openDatabase, VolumeError } from '@cowherd/db'
import type { Database, DatabaseOptions, Updates, WriteOptions } from '@cowherd/db'
import { decodeUtf8 } from '@cowherd/kernel-lib'
import type { WritableBlockDevice } from '@cowherd/shim'
import { FileData } from './data/file-data.ts'
import { fsDatabaseParts } from './database-parts.ts'
import { isEmptyDirectory } from './empty-directory.ts'
import type {
  AllocateMode,
  AttributeChanges,
  Caller,
  FileSystemWriter,
  RenameOptions,
  Time,
  WholeFile,
} from './file-system-writer.ts'
import { bytesOf, FileSystem, subvolumeId, type FileSystemOptions } from './file-system.ts'
import { FileType, InodeFlag, type Inode } from './inode.ts'
import {
  applyChanges,
  changeOption,
  optionName,
  removeAttribute,
  removeOption,
  setAttribute,
} from './namespace/attribute-changes.ts'
import {
  addLink,
  countSubdirectory,
  isCounted,
  pointBack,
  refuseFixed,
  setTime,
  touch,
} from './namespace/inode-changes.ts'
import { checkName, nameTarget, targetSubvolume } from './namespace/names.ts'
import { nodeType, type Birth } from './namespace/new-inodes.ts'
import { Removals } from './namespace/removals.ts'
import { Rename, RenameSides } from './namespace/rename.ts'
import { fitsInline, putTarget } from './namespace/symlink-target.ts'
import { Tree } from './namespace/tree.ts'
import type { View } from './namespace/view.ts'
import { WholeFiles } from './namespace/whole-files.ts'
import { Field } from './inode-fields.ts'
import { NodeRef } from './node-ref.ts'
import { inheritOptions } from './option-attributes.ts'
import { deleteDeadInodes } from './recovery/delete-dead-inodes.ts'
import { ROOT_SUBVOLUME } from './subvolumes.ts'

export interface WritableFileSystemOptions extends FileSystemOptions {
  /** Fills memory with bytes that nobody can guess. */
  readonly random: (bytes: Uint8Array) => void
  /** Left out: the system's clock. */
  readonly now?: () => Time
}

const SYMLINK_BYTES_MAX = 4095
const LINK_PERMISSIONS = 0o777
const SYMLINK_MODE = FileType.symlink | LINK_PERMISSIONS
/** Directories that are deeper lie in a circle. */
const DEPTH_MAX = 1 << 20
const FREES: WriteOptions = { frees: true }

/**
 * Opens the volume on `devices` for writing, with recovery if it wasn't shut down. The devices have to stay the caller's alone until `close`.
 * Throws VolumeError: what `openDatabase` does; ENOENT, EINVAL if there is no such subvolume, and the volume is shut down again.
 */
export function openWritableFileSystem(
  devices: readonly WritableBlockDevice[],
  options: WritableFileSystemOptions & Omit<DatabaseOptions, keyof typeof fsDatabaseParts>,
): WritableFileSystem {
  const db = openDatabase(devices, { ...options, ...fsDatabaseParts })
  try {
    return writableFileSystem(db, options)
  } catch (error) {
    db.close()
    throw error
  }
}

/** The filesystem on a database that was opened with `fsDatabaseParts`. Throws VolumeError if the subvolume asked for does not exist. */
export function writableFileSystem(db: Database, options: WritableFileSystemOptions): WritableFileSystem {
  const fs = new WritableFileSystem(db, ROOT_SUBVOLUME, options)
  const { subvolume } = options
  return subvolume === undefined ? fs : new WritableFileSystem(db, subvolumeId(fs, subvolume), options)
}

export class WritableFileSystem extends FileSystem implements FileSystemWriter {
  private readonly db: Database
  private readonly tree: Tree
  private readonly removals: Removals
  private readonly renameSides: RenameSides
  private readonly data: FileData
  private readonly wholeFiles: WholeFiles
  private readonly directory: Inode
  private readonly victim: Inode
  private readonly entry = new Key()
  private readonly target = new NodeRef()
  private readonly parent = new NodeRef()

  constructor(db: Database, subvolume: number, { random, now = systemTime }: WritableFileSystemOptions) {
    super(db, subvolume)
    this.db = db
    this.tree = new Tree(db, this.subvolumes, this.times, { random, now })
    this.removals = new Removals(db, this.subvolumes, this.tree)
    this.renameSides = new RenameSides(this.times)
    this.data = new FileData(db, this.subvolumes, this.times, {
      touch: (inode) => {
        refuseImmutable(inode)
        touch(inode, this.tree.now)
      },
    })
    this.directory = this.newInode()
    this.victim = this.newInode()
    this.wholeFiles = new WholeFiles(this.tree, this.data, this.victim, this.entry)
  }

  create(
    directory: Readonly<NodeRef>,
    name: Uint8Array | string,
    mode: number,
    caller: Caller,
    target: NodeRef,
    inode: Inode,
  ): void {
    this.make(directory, bytesOf(name), { mode: typed(mode, FileType.regular), caller }, target, inode)
  }

  createWhole(directory: Readonly<NodeRef>, files: readonly WholeFile[], targets: readonly NodeRef[]): void {
    const { tree, directory: parent, data, wholeFiles } = this
    const granted = data.grant(files.map((file) => file.data.length))
    try {
      this.change((updates) => {
        const view = tree.writable(directory.subvolume)
        tree.loadDirectory(updates, view, directory, parent)
        refuseFixed(parent, InodeFlag.immutable)
        files.forEach((file, i) => wholeFiles.make(updates, view, parent, file, targets[i]))
        touch(parent, tree.now)
        tree.store(updates, parent)
      })
    } finally {
      data.done()
      data.release(granted)
    }
  }

  mkdir(
    directory: Readonly<NodeRef>,
    name: Uint8Array | string,
    mode: number,
    caller: Caller,
    target: NodeRef,
    inode: Inode,
  ): void {
    this.make(directory, bytesOf(name), { mode: typed(mode, FileType.directory), caller }, target, inode)
  }

  mknod(
    directory: Readonly<NodeRef>,
    name: Uint8Array | string,
    mode: number,
    device: { readonly major: number; readonly minor: number },
    caller: Caller,
    target: NodeRef,
    inode: Inode,
  ): void {
    const type = nodeType(mode)
    if (type === undefined) throw new VolumeError('EINVAL', decodeUtf8(bytesOf(name)), 'is of no type that can be made')
    this.make(directory, bytesOf(name), { mode: typed(mode, type), caller, device }, target, inode)
  }

  symlink(
    directory: Readonly<NodeRef>,
    name: Uint8Array | string,
    linkTarget: Uint8Array,
    caller: Caller,
    target: NodeRef,
    inode: Inode,
  ): void {
    const bytes = bytesOf(name)
    if (linkTarget.length === 0) throw new VolumeError('ENOENT', decodeUtf8(bytes), 'a symbolic link to nothing')
    if (linkTarget.length > SYMLINK_BYTES_MAX)
      throw new VolumeError('ENAMETOOLONG', decodeUtf8(bytes), 'the target is too long')
    const birth: Birth = { mode: SYMLINK_MODE, caller }
    if (fitsInline(this.tree, linkTarget)) {
      if (this.db.live.addFeature('inline_data')) this.db.live.write()
      this.make(directory, bytes, birth, target, inode, (updates) => putTarget(this.tree, updates, inode, linkTarget))
      return
    }
    this.makeLongLink(directory, bytes, birth, linkTarget, target, inode)
  }

  tmpfile(directory: Readonly<NodeRef>, mode: number, caller: Caller, target: NodeRef, inode: Inode): void {
    this.makeNameless(directory, { mode: typed(mode, FileType.regular), caller }, target, inode)
  }

  link(ref: Readonly<NodeRef>, directory: Readonly<NodeRef>, name: Uint8Array | string, inode: Inode): void {
    const { tree, directory: parent } = this
    const bytes = bytesOf(name)
    if (ref.subvolume !== directory.subvolume) {
      throw new VolumeError('EXDEV', decodeUtf8(bytes), 'a file has names in its own subvolume only')
    }
    this.change((updates) => {
      const view = this.findFree(updates, directory, bytes)
      tree.load(updates, view, ref, inode)
      if (inode.isDirectory) throw new VolumeError('EPERM', decodeUtf8(bytes), 'a directory has one name only')
      refuseFixed(inode)
      if (inheritOptions(inode, parent))
        throw new VolumeError('EXDEV', decodeUtf8(bytes), 'the directory has other options')
      addLink(inode)
      pointBack(inode, tree.names.insert(updates, bytes, nameTarget(inode, view.subvolume)))
      setTime(inode, Field.ctime, tree.now)
      touch(parent, tree.now)
      tree.store(updates, parent)
      tree.store(updates, inode)
    })
    this.removals.holders.dropOrphan(ref)
  }

  unlink(directory: Readonly<NodeRef>, name: Uint8Array | string): void {
    this.removeName(directory, bytesOf(name), false)
  }

  rmdir(directory: Readonly<NodeRef>, name: Uint8Array | string): void {
    this.removeName(directory, bytesOf(name), true)
  }

  rename(
    directory: Readonly<NodeRef>,
    name: Uint8Array | string,
    newDirectory: Readonly<NodeRef>,
    newName: Uint8Array | string,
    options: RenameOptions = {},
  ): void {
    const from = { directory, name: bytesOf(name) }
    const to = { directory: newDirectory, name: bytesOf(newName) }
    checkName(from.name)
    checkName(to.name)
    if (options.exchange === true && options.noReplace === true) {
      throw new VolumeError('EINVAL', decodeUtf8(to.name), 'is to be there, and not to be there')
    }
    let moved: readonly number[] = []
    this.change((updates) => {
      const rename = new Rename(this.tree, this.removals, this.renameSides, updates, from, to)
      rename.run(options, (inner, outer) => this.isWithin(inner, outer))
      moved = rename.movedSubvolumes
    })
    for (const id of moved) this.subvolumes.forget(id)
  }

  setattr(ref: Readonly<NodeRef>, changes: AttributeChanges, inode: Inode): void {
    const { size } = changes
    if (size !== undefined) {
      const view = this.tree.writable(ref.subvolume)
      this.tree.takeTime()
      this.data.resize(ref, size, (changing, updates) => {
        refuseFixed(changing)
        applyChanges(this.tree, updates, view, changing, changes)
      })
      this.getattr(ref, inode)
      return
    }
    this.change((updates) => {
      const view = this.load(updates, ref, inode)
      refuseFixed(inode)
      applyChanges(this.tree, updates, view, inode, changes)
      this.tree.store(updates, inode)
    })
  }

  setAttribute(
    ref: Readonly<NodeRef>,
    name: Uint8Array | string,
    value: Uint8Array,
    mode?: 'create' | 'replace',
  ): void {
    const bytes = bytesOf(name)
    const option = optionName(bytes)
    if (option?.isEffective === true) return
    this.change((updates) => {
      const { tree, victim: inode } = this
      const view = this.load(updates, ref, inode)
      refuseFixed(inode)
      if (option === undefined) setAttribute(tree, updates, view, inode, bytes, value, mode)
      else changeOption(tree, updates, inode, option.name, decodeUtf8(value))
      tree.store(updates, inode)
    })
  }

  removeAttribute(ref: Readonly<NodeRef>, name: Uint8Array | string): void {
    const bytes = bytesOf(name)
    const option = optionName(bytes)
    if (option?.isEffective === true) return
    this.change((updates) => {
      const { tree, victim: inode } = this
      const view = this.load(updates, ref, inode)
      refuseFixed(inode)
      if (option === undefined) removeAttribute(tree, updates, view, inode, bytes)
      else removeOption(inode, option.name, this.loadParent(updates, ref))
      tree.store(updates, inode)
    }, FREES)
  }

  write(ref: Readonly<NodeRef>, offset: number, data: Uint8Array, times: 'now' | 'kept' = 'now'): void {
    if (times === 'kept') {
      this.data.gather(ref, offset, data, refuseImmutable)
      return
    }
    this.tree.takeTime()
    this.data.write(ref, offset, data)
  }

  settle(): void {
    this.data.settle()
  }

  allocate(ref: Readonly<NodeRef>, offset: number, length: number, mode: AllocateMode): void {
    this.tree.takeTime()
    this.data.allocate(ref, offset, length, mode)
  }

  copyRange(
    from: Readonly<NodeRef>,
    fromOffset: number,
    to: Readonly<NodeRef>,
    toOffset: number,
    length: number,
  ): number {
    this.tree.takeTime()
    return this.data.copyRange(from, fromOffset, to, toOffset, length)
  }

  hold(ref: Readonly<NodeRef>): void {
    this.removals.holders.hold(ref)
  }

  forget(ref: Readonly<NodeRef>, count = 1): void {
    this.settle()
    this.removals.release(ref, count)
  }

  sync(): void {
    this.settle()
    this.db.flush()
  }

  close(): void {
    try {
      if (this.db.failure === undefined) {
        this.settle()
        deleteDeadInodes(this.db)
      }
    } finally {
      this.db.close()
    }
  }

  /** A directory that was deleted while somebody uses it is shown still: empty, without links. */
  protected override findInode(ref: Readonly<NodeRef>, inode: Inode): boolean {
    if (super.findInode(ref, inode)) return true
    const deleted = this.removals.holders.findDeleted(ref)
    if (deleted !== undefined) inode.copy(deleted)
    return deleted !== undefined
  }

  /** One call: a transaction, and what follows if a file lost its last name in it. */
  private change(work: (updates: Updates) => void, options?: WriteOptions): void {
    this.settle()
    this.tree.takeTime()
    this.removals.begin()
    this.db.write(work, options)
    const deleted = this.removals.settle()
    if (deleted !== undefined) this.forgetDirectory(deleted)
  }

  /** Reads an inode to be changed. */
  private load(updates: Updates, ref: Readonly<NodeRef>, inode: Inode): View {
    const view = this.tree.writable(ref.subvolume)
    this.tree.load(updates, view, ref, inode)
    return view
  }

  /** Reads the directory in which a name is to be made, to `this.directory`. */
  private findFree(updates: Updates, directory: Readonly<NodeRef>, name: Uint8Array): View {
    const { tree, directory: parent } = this
    checkName(name)
    const view = tree.writable(directory.subvolume)
    tree.loadDirectory(updates, view, directory, parent)
    refuseFixed(parent, InodeFlag.immutable)
    if (!tree.names.find(updates, view, parent, name, this.entry)) return view
    throw new VolumeError('EEXIST', decodeUtf8(name), 'is there already')
  }

  private make(
    directory: Readonly<NodeRef>,
    name: Uint8Array,
    birth: Birth,
    target: NodeRef,
    inode: Inode,
    fill: (updates: Updates) => void = () => undefined,
  ): void {
    const { tree, directory: parent } = this
    const { subvolume } = directory
    this.change((updates) => {
      const view = this.findFree(updates, directory, name)
      tree.newInodes.make(updates, view, parent, birth, tree.now, inode)
      fill(updates)
      pointBack(inode, tree.names.insert(updates, name, nameTarget(inode, subvolume)))
      if (isCounted(inode)) countSubdirectory(parent, 1)
      touch(parent, tree.now)
      tree.store(updates, parent)
      tree.store(updates, inode)
    })
    target.set(subvolume, inode.numberHi, inode.numberLo)
  }

  /** A link whose target is data as of a file: which it is, without a name, until that is written. */
  private makeLongLink(
    directory: Readonly<NodeRef>,
    name: Uint8Array,
    birth: Birth,
    linkTarget: Uint8Array,
    target: NodeRef,
    inode: Inode,
  ): void {
    const { tree, directory: parent, removals } = this
    checkName(name)
    if (this.lookup(directory, name, new NodeRef()))
      throw new VolumeError('EEXIST', decodeUtf8(name), 'is there already')
    this.makeNameless(directory, birth, target, inode, FileType.regular | LINK_PERMISSIONS)
    this.hold(target)
    try {
      this.data.write(target, 0, linkTarget)
      this.change((updates) => {
        const view = this.findFree(updates, directory, name)
        tree.load(updates, view, target, inode)
        inode.mode = birth.mode
        addLink(inode)
        pointBack(inode, tree.names.insert(updates, name, nameTarget(inode, view.subvolume)))
        touch(parent, tree.now)
        tree.store(updates, parent)
        tree.store(updates, inode)
      })
      removals.holders.dropOrphan(target)
    } finally {
      this.forget(target)
    }
  }

  /** `mode`: of the file, as long as it isn't what it was born as. */
  private makeNameless(directory: Readonly<NodeRef>, birth: Birth, target: NodeRef, inode: Inode, mode?: number): void {
    const { tree, directory: parent } = this
    this.change((updates) => {
      const view = tree.writable(directory.subvolume)
      tree.loadDirectory(updates, view, directory, parent)
      refuseFixed(parent, InodeFlag.immutable)
      tree.newInodes.make(updates, view, parent, birth, tree.now, inode)
      inode.mode = mode ?? inode.mode
      inode.flagsWord |= InodeFlag.unlinked
      tree.store(updates, inode)
    })
    target.set(directory.subvolume, inode.numberHi, inode.numberLo)
    this.removals.holders.addOrphan(target)
  }

  private removeName(directory: Readonly<NodeRef>, name: Uint8Array, isDirectory: boolean): void {
    const { tree, directory: parent, victim, entry, target } = this
    checkName(name)
    this.change((updates) => {
      const view = tree.writable(directory.subvolume)
      tree.loadDirectory(updates, view, directory, parent)
      if (!tree.names.find(updates, view, parent, name, entry)) {
        throw new VolumeError('ENOENT', decodeUtf8(name), 'there is no such name')
      }
      if (targetSubvolume(entry) !== 0) {
        throw new VolumeError(isDirectory ? 'EBUSY' : 'EISDIR', decodeUtf8(name), 'is a subvolume')
      }
      tree.follow(entry, view.subvolume, target)
      tree.load(updates, view, target, victim)
      if (victim.isDirectory && !isDirectory) throw new VolumeError('EISDIR', decodeUtf8(name), 'is a directory')
      if (!victim.isDirectory && isDirectory) throw new VolumeError('ENOTDIR', decodeUtf8(name), 'is no directory')
      refuseFixed(parent)
      refuseFixed(victim)
      if (isDirectory && !isEmptyDirectory(updates, tree.ancestry, victim, view.subvolume)) {
        throw new VolumeError('ENOTEMPTY', decodeUtf8(name), 'is not empty')
      }
      tree.names.remove(updates, view, parent, entry)
      if (isDirectory) countSubdirectory(parent, -1)
      touch(parent, tree.now)
      tree.store(updates, parent)
      this.removals.dropName(updates, target, victim, entry)
    }, FREES)
  }

  /** Reads the directory that holds the file's name, as far as there is one. */
  private loadParent(updates: Updates, ref: Readonly<NodeRef>): Inode | undefined {
    const { tree, directory, parent } = this
    this.parentOf(ref, parent)
    if (parent.equals(ref)) return undefined
    tree.load(updates, tree.view(parent.subvolume), parent, directory)
    return directory
  }

  /** True if a directory is `other`, or below it. */
  private isWithin(directory: Readonly<NodeRef>, other: Readonly<NodeRef>): boolean {
    const at = new NodeRef().copy(directory)
    const { parent } = this
    for (let depth = 0; depth < DEPTH_MAX; depth++) {
      if (at.equals(other)) return true
      this.parentOf(at, parent)
      if (parent.equals(at)) return false
      at.copy(parent)
    }
    throw new KeyError('EIO', directory.toString(), 'directories in a circle')
  }
}

function refuseImmutable(inode: Inode): void {
  refuseFixed(inode, InodeFlag.immutable)
}

function typed(mode: number, type: number): number {
  return type | (mode & ~FileType.mask)
}

function systemTime(): Time {
  const ms = Date.now()
  const seconds = Math.floor(ms / 1000)
  return { seconds, nanoseconds: (ms - seconds * 1000) * 1_000_000 }
}
