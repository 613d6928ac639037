/**
 * The operations that write, over a volume that is open for writing. One thread serves them, and what they change the kernel has asked for:
 * so nothing has to be told to it, and no two of them meet.
 *
 * With the kernel's writeback cache it decides on the size and the times of a file that is being written: written data comes later, in whole
 * pages, and then the times by SETATTR. Nothing is opened or closed: the kernel uses a file as long as it knows its node. A file whose last name
 * goes is held until its node is forgotten, and deleted then.
 */

import { VolumeError } from '@cowherd/db'
import { encodeUtf8 } from '@cowherd/kernel-lib'
import { NodeRef } from '@cowherd/fs'
import type { AllocateMode, AttributeChanges, Caller, FileSystem, FileSystemWriter } from '@cowherd/fs'
import { AllocateFlag, Opcode, OpenFlag, RenameFlag, SetattrFlag, WriteFlag, XattrFlag } from '@cowherd/fuse'
import type { AttributeChanges as SetattrChanges, NodeTable, Operations, Request } from '@cowherd/fuse'
import type { CacheTimes } from './caching.ts'
import type { EngineDuties } from './engine-duties.ts'
import { errnoOf, volumeMessage } from './errno.ts'
import { LiveOperations } from './live-operations.ts'

const CAPABILITY = encodeUtf8('security.capability')
const SET_GROUP_ID = 0o2000
const PERMISSIONS = 0o7777
/** Others wait while a range is copied: whoever wants more asks again. */
const COPY_BYTES_MAX = 16 << 20
const O_ACCMODE = 3
const O_RDONLY = 0
const O_EXCL = 0o200
const O_TRUNC = 0o1000

const ALLOCATE_MODES: ReadonlyMap<number, AllocateMode> = new Map([
  [0, 'allocate'],
  [AllocateFlag.keepSize, 'allocate-keep-size'],
  [AllocateFlag.punchHole | AllocateFlag.keepSize, 'punch-hole'],
  [AllocateFlag.zeroRange, 'zero-range'],
  [AllocateFlag.zeroRange | AllocateFlag.keepSize, 'zero-range-keep-size'],
])

export class WritingOperations extends LiveOperations {
  private readonly writer: FileSystemWriter
  private readonly caller = { uid: 0, gid: 0, umask: 0 } satisfies Caller
  private readonly other = new NodeRef()
  /** Nodes of files that were held because a name of theirs went. */
  private readonly held = new Set<number>()
  /** A node that is known to have no capabilities: it was written last. */
  private plainNode = 0
  /** Whose single blocks are being put together. */
  private gatheringNode = 0
  /** Of files whose blocks could not be written when they had been taken: why. */
  private readonly lost = new Map<number, unknown>()
  private isClosed = false
  /**
   * Files of subvolumes that can only be read are not opened for writing: else the kernel would keep what is written, and the error come late.
   * Where there are no such subvolumes this isn't here, so that the kernel opens files by itself.
   */
  readonly open: Operations['open']

  /** `nodes` has the root of `fs` as its root: words are its subvolume and its inode number. */
  constructor(fs: FileSystem & FileSystemWriter, nodes: NodeTable, times: CacheTimes, duties: EngineDuties) {
    super(fs, nodes, times, duties)
    this.writer = fs
    const isAsked = fs.listSubvolumes().some(({ readOnly }) => readOnly)
    this.open = isAsked ? (request, node, flags) => this.openFile(request, node, flags) : undefined
  }

  before(opcode: number): void {
    if (opcode !== Opcode.write && opcode !== Opcode.release) this.settle()
  }

  override forget(node: number, count: number): void {
    if (node === this.plainNode) this.plainNode = 0
    this.lost.delete(node)
    this.accessTimes.forget(node)
    if (!this.held.has(node)) {
      super.forget(node, count)
      return
    }
    const { nodes } = this
    const ref = this.other.set(nodes.word(node, 0), nodes.word(node, 1), nodes.word(node, 2))
    super.forget(node, count)
    if (nodes.has(node)) return
    this.held.delete(node)
    if (this.isClosed) return
    try {
      this.writer.forget(ref)
    } catch (error) {
      // if it has no name, the next start deletes it
      this.duties.note(`${ref.toString()} could not be deleted: ${volumeMessage(error)}`)
    }
    this.changed()
  }

  setattr(request: Request, node: number, asked: Readonly<SetattrChanges>): void {
    if (!this.isThere(request, node)) return
    const ref = this.fileOf(node)
    if (asked.has('size')) this.dropCapability(node, ref)
    this.writer.setattr(ref, changesOf(asked), this.inode)
    this.changed()
    request.attributes(this.shown(ref), this.found.attrSeconds)
  }

  mknod(
    request: Request,
    parent: number,
    name: Uint8Array,
    mode: number,
    major: number,
    minor: number,
    umask: number,
  ): void {
    if (!this.isThere(request, parent)) return
    const { target, inode } = this
    this.writer.mknod(this.fileOf(parent), name, mode, { major, minor }, this.callerOf(request, umask), target, inode)
    this.answerMade(request)
  }

  mkdir(request: Request, parent: number, name: Uint8Array, mode: number, umask: number): void {
    if (!this.isThere(request, parent)) return
    const { target, inode } = this
    this.writer.mkdir(this.fileOf(parent), name, mode, this.callerOf(request, umask), target, inode)
    this.answerMade(request)
  }

  symlink(request: Request, parent: number, name: Uint8Array, linkTarget: Uint8Array): void {
    if (!this.isThere(request, parent)) return
    const { target, inode } = this
    this.writer.symlink(this.fileOf(parent), name, linkTarget, this.callerOf(request, 0), target, inode)
    this.answerMade(request)
  }

  create(request: Request, parent: number, name: Uint8Array, flags: number, mode: number, umask: number): void {
    if (!this.isThere(request, parent)) return
    const { target, inode } = this
    const directory = this.fileOf(parent)
    try {
      this.writer.create(directory, name, mode, this.callerOf(request, umask), target, inode)
    } catch (error) {
      const isThere = error instanceof VolumeError && error.code === 'EEXIST' && (flags & O_EXCL) === 0
      if (!isThere || !this.openPresent(directory, name, flags)) throw error
    }
    this.fill(target)
    this.answerOpened(request)
  }

  tmpfile(request: Request, parent: number, _flags: number, mode: number, umask: number): void {
    if (!this.isThere(request, parent)) return
    const { target, inode } = this
    this.writer.tmpfile(this.fileOf(parent), mode, this.callerOf(request, umask), target, inode)
    this.hold(target, this.fill(target))
    this.answerOpened(request)
  }

  link(request: Request, node: number, parent: number, name: Uint8Array): void {
    if (!this.isThere(request, node) || !this.isThere(request, parent)) return
    const { nodes, target } = this
    target.set(nodes.word(node, 0), nodes.word(node, 1), nodes.word(node, 2))
    this.writer.link(target, this.fileOf(parent), name, this.inode)
    this.answerMade(request)
  }

  unlink(request: Request, parent: number, name: Uint8Array): void {
    if (!this.isThere(request, parent)) return
    const directory = this.fileOf(parent)
    this.holdNamed(directory, name)
    this.writer.unlink(directory, name)
    this.changed()
    request.ok()
  }

  rmdir(request: Request, parent: number, name: Uint8Array): void {
    if (!this.isThere(request, parent)) return
    const directory = this.fileOf(parent)
    this.holdNamed(directory, name)
    this.writer.rmdir(directory, name)
    this.directories.clear()
    this.changed()
    request.ok()
  }

  rename(
    request: Request,
    parent: number,
    name: Uint8Array,
    newParent: number,
    newName: Uint8Array,
    flags: number,
  ): void {
    if (!this.isThere(request, parent) || !this.isThere(request, newParent)) return
    const { nodes } = this
    const noReplace = flags === RenameFlag.noReplace
    const exchange = flags === RenameFlag.exchange
    if (flags !== 0 && !noReplace && !exchange) return void request.error('EINVAL')
    const newDirectory = NodeRef.of(nodes.word(newParent, 0), nodes.word(newParent, 1), nodes.word(newParent, 2))
    if (flags === 0) this.holdNamed(newDirectory, newName)
    this.writer.rename(this.fileOf(parent), name, newDirectory, newName, { noReplace, exchange })
    this.directories.clear() // a directory that moved has another parent
    this.changed()
    request.ok()
  }

  write(request: Request, node: number, _handle: number, offset: number, data: Uint8Array, writeFlags: number): void {
    if (!this.isThere(request, node)) return
    const { writer, inode } = this
    if (node !== this.gatheringNode) this.settle()
    const ref = this.fileOf(node)
    this.dropCapability(node, ref)
    if ((writeFlags & WriteFlag.killSuidgid) !== 0) writer.setattr(ref, { killPrivileges: true }, inode)
    // of what it has kept so far the kernel tells the times by itself; but not of mapped memory if it keeps nothing else
    const isKept = (writeFlags & WriteFlag.cache) !== 0 && this.duties.writeBack !== undefined
    this.gatheringNode = isKept ? node : 0
    writer.write(ref, offset, data, isKept ? 'kept' : 'now')
    this.changed()
    request.written(data.length)
  }

  fallocate(request: Request, node: number, _handle: number, offset: number, length: number, mode: number): void {
    if (!this.isThere(request, node)) return
    const allocateMode = ALLOCATE_MODES.get(mode)
    if (allocateMode === undefined) return void request.error('EOPNOTSUPP')
    this.writer.allocate(this.fileOf(node), offset, length, allocateMode)
    this.changed()
    request.ok()
  }

  copyFileRange(
    request: Request,
    node: number,
    _handle: number,
    offset: number,
    toNode: number,
    _toHandle: number,
    toOffset: number,
    length: number,
  ): void {
    if (!this.isThere(request, node) || !this.isThere(request, toNode)) return
    const { nodes, other } = this
    const to = other.set(nodes.word(toNode, 0), nodes.word(toNode, 1), nodes.word(toNode, 2))
    this.dropCapability(toNode, to)
    const copied = this.writer.copyRange(this.fileOf(node), offset, to, toOffset, Math.min(length, COPY_BYTES_MAX))
    this.changed()
    request.copied(copied)
  }

  setxattr(
    request: Request,
    node: number,
    name: Uint8Array,
    value: Uint8Array,
    flags: number,
    killsSgid: boolean,
  ): void {
    if (!this.isThere(request, node)) return
    if (flags === (XattrFlag.create | XattrFlag.replace)) return void request.error('EINVAL')
    const { writer } = this
    const ref = this.fileOf(node)
    const mode = flags === XattrFlag.create ? 'create' : flags === XattrFlag.replace ? 'replace' : undefined
    writer.setAttribute(ref, name, value, mode)
    if (killsSgid) this.dropSetGroupId(ref)
    this.plainNode = 0
    this.changed()
    request.ok()
  }

  removexattr(request: Request, node: number, name: Uint8Array): void {
    if (!this.isThere(request, node)) return
    this.writer.removeAttribute(this.fileOf(node), name)
    this.changed()
    request.ok()
  }

  fsync(request: Request, node: number): void {
    this.refuseLost(node)
    this.duties.dropAttributes(node) // when it wrote back, the kernel did not think of the room that the data takes
    this.duties.sync(request)
  }

  fsyncdir(request: Request): void {
    this.duties.sync(request)
  }

  syncfs(request: Request): void {
    for (const node of this.lost.keys()) this.refuseLost(node)
    this.duties.sync(request)
  }

  doorbell(): void {
    if (this.isClosed) return
    this.settle()
    if (this.duties.work()) this.files.clear()
  }

  destroy(request: Request): void {
    this.isClosed = true
    this.duties.shutDown()
    request.ok()
  }

  /** Blocks that were put together take effect. If they can't, whoever asks for their file to be brought to stable storage hears of it. */
  protected override settle(): void {
    const node = this.gatheringNode
    this.gatheringNode = 0
    if (node === 0) return
    try {
      this.writer.settle()
    } catch (error) {
      if (errnoOf(error) === undefined) throw error
      this.lost.set(node, error)
      this.duties.note(`what was written to ${this.fileOf(node).toString()} is lost: ${volumeMessage(error)}`)
    }
  }

  /** Throws what has become of a file's blocks, once. */
  private refuseLost(node: number): void {
    if (!this.lost.has(node)) return
    const error = this.lost.get(node)
    this.lost.delete(node)
    throw error
  }

  private openFile(request: Request, node: number, flags: number): void {
    if (!this.isThere(request, node)) return
    const isToWrite = (flags & O_ACCMODE) !== O_RDONLY
    if (isToWrite && this.fs.isReadOnly(this.fileOf(node).subvolume)) request.error('EROFS')
    else request.opened(0, OpenFlag.keepCache)
  }

  private callerOf({ uid, gid }: Request, umask: number): Caller {
    return Object.assign(this.caller, { uid, gid, umask })
  }

  /** Answers with the file that was made, or got a name: `target`, with its inode. */
  private answerMade(request: Request): void {
    this.changed()
    const node = this.fill(this.target)
    if (this.inode.isRegular) this.rememberFile(node)
    if (!request.entry(this.found)) this.forget(node, 1)
  }

  /** The same with a file that is open from now on; its node has been filled in. */
  private answerOpened(request: Request): void {
    this.changed()
    const { node } = this.found
    this.rememberFile(node)
    if (!request.created(this.found, 0, OpenFlag.keepCache)) this.forget(node, 1)
  }

  /** Fills in a regular file that is there already, and was to be made unless it is. False if there is something else. */
  private openPresent(directory: Readonly<NodeRef>, name: Uint8Array, flags: number): boolean {
    const { fs, target, inode } = this
    if (!fs.lookup(directory, name, target)) return false
    fs.getattr(target, inode)
    if (inode.isRegular && (flags & O_TRUNC) !== 0) this.writer.setattr(target, { size: 0 }, inode)
    return inode.isRegular
  }

  /** A name is about to go: what it leads to stays as long as the kernel knows it. */
  private holdNamed(directory: Readonly<NodeRef>, name: Uint8Array): void {
    const { fs, nodes, target } = this
    if (!fs.lookup(directory, name, target)) return
    const node = nodes.find(target.subvolume, target.inodeHi, target.inodeLo)
    if (node !== 0) this.hold(target, node)
  }

  private hold(ref: Readonly<NodeRef>, node: number): void {
    if (this.held.has(node)) return
    this.held.add(node)
    this.writer.hold(ref)
  }

  /** What a program may do beyond its user's rights ends when it is changed. */
  private dropCapability(node: number, ref: Readonly<NodeRef>): void {
    if (node === this.plainNode) return
    if (this.fs.getAttribute(ref, CAPABILITY) !== undefined) this.writer.removeAttribute(ref, CAPABILITY)
    this.plainNode = node
  }

  private dropSetGroupId(ref: Readonly<NodeRef>): void {
    const { fs, inode } = this
    fs.getattr(ref, inode)
    if ((inode.mode & SET_GROUP_ID) === 0) return
    this.writer.setattr(ref, { mode: inode.mode & PERMISSIONS & ~SET_GROUP_ID }, inode)
  }
}

/** All that SETATTR may ask for; the other flags say how. */
const CHANGES =
  SetattrFlag.mode |
  SetattrFlag.uid |
  SetattrFlag.gid |
  SetattrFlag.size |
  SetattrFlag.atime |
  SetattrFlag.mtime |
  SetattrFlag.ctime

/**
 * What SETATTR asks for, as the filesystem takes it. One that asks for nothing is how the kernel tells that somebody is going to change a program
 * (by fallocate(2), copy_file_range(2), ...) whose set-user-id and set-group-id have to go then.
 */
function changesOf(asked: Readonly<SetattrChanges>): AttributeChanges {
  const changes: { -readonly [Name in keyof AttributeChanges]: AttributeChanges[Name] } = {}
  if (asked.has('mode')) changes.mode = asked.mode & PERMISSIONS
  if (asked.has('uid')) changes.uid = asked.uid
  if (asked.has('gid')) changes.gid = asked.gid
  if (asked.has('size')) changes.size = asked.size
  if (asked.has('atimeNow')) changes.atime = 'now'
  else if (asked.has('atime')) changes.atime = { seconds: asked.atimeSeconds, nanoseconds: asked.atimeNanoseconds }
  if (asked.has('mtimeNow')) changes.mtime = 'now'
  else if (asked.has('mtime')) changes.mtime = { seconds: asked.mtimeSeconds, nanoseconds: asked.mtimeNanoseconds }
  if (asked.has('ctime')) changes.ctime = { seconds: asked.ctimeSeconds, nanoseconds: asked.ctimeNanoseconds }
  if (asked.has('killSuidgid') || (asked.valid & CHANGES) === 0) changes.killPrivileges = true
  return changes
}
