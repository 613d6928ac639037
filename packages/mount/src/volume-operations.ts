/**
 * The filesystem of a volume as operations of FUSE: nodes stand for files of subvolumes, and what the kernel asks of a node is asked of
 * `FileSystem`. These are the operations that read; those that write are in `writing-operations.ts`.
 *
 * Everything that a request needs is made once and used again. Each thread that serves has operations of its own; the table of nodes is all
 * that they share. A listing that one has begun may be continued by another: where it goes on is told by the offset alone.
 */

import { VolumeError } from '@cowherd/db'
import { encodeUtf8 } from '@cowherd/kernel-lib'
import { isAttributeName, NodeRef, type DirectoryReader, type FileSystem, type Inode, type OpenFile } from '@cowherd/fs'
import { Entry, FuseError } from '@cowherd/fuse'
import type { Attributes, FilesystemRoom, NodeTable, Operations, Request } from '@cowherd/fuse'
import type { CacheTimes } from './caching.ts'
import { fillAttributes, shownInoHi } from './file-attributes.ts'
import type { OpenHandles } from './figures.ts'
import { HandleCache } from './handle-cache.ts'
import { seek, SEEK_DATA, SEEK_HOLE } from './seeking.ts'

const NAME_BYTES_MAX = 255
const SECTOR = 512
const SLASH = 0x2f
const X_OK = 1
const W_OK = 2
const EXECUTABLE = 0o111
const FILES_KEPT = 256
const DIRECTORIES_KEPT = 64
/** The names that Linux gives to options of a file. */
const OPTION_PREFIX = encodeUtf8('bcachefs')
const TRUSTED = encodeUtf8('trusted.')

export class VolumeOperations implements Operations {
  protected readonly nodes: NodeTable
  protected readonly fs: FileSystem
  protected readonly times: CacheTimes
  private readonly blockBytes: number
  protected readonly inode: Inode
  private readonly ref = new NodeRef()
  protected readonly target = new NodeRef()
  protected readonly found = new Entry()
  private readonly absent = new Entry()
  protected readonly files: HandleCache<OpenFile>
  protected readonly directories: HandleCache<DirectoryReader>
  /** Nodes that the listing being built gives to the kernel. */
  private readonly given: number[] = []
  private room: FilesystemRoom | undefined
  protected readonly rememberFile: (node: number) => void

  /**
   * `nodes` has the root of `fs` as its root: words are its subvolume and its inode number. `rememberFile` is told of regular files that the
   * kernel knows: see `Doorbell.remember`.
   */
  constructor(
    fs: FileSystem,
    nodes: NodeTable,
    times: CacheTimes,
    rememberFile: (node: number) => void = () => undefined,
  ) {
    this.fs = fs
    this.nodes = nodes
    this.times = times
    this.rememberFile = rememberFile
    this.blockBytes = fs.volume.shape.blockSectors * SECTOR
    this.inode = fs.newInode()
    this.found.entrySeconds = times.entrySeconds
    this.found.attrSeconds = times.attrSeconds
    this.absent.entrySeconds = times.negativeSeconds
    this.files = new HandleCache(
      FILES_KEPT,
      (node) => fs.open(this.fileOf(node), { toString: () => this.nameOf(node) }),
      (file) => file.close(),
    )
    this.directories = new HandleCache(DIRECTORIES_KEPT, (node) => fs.openDirectory(this.fileOf(node)))
  }

  /** Files and directory readers that are kept open. */
  get openHandles(): OpenHandles {
    return { files: this.files.size, directories: this.directories.size }
  }

  lookup(request: Request, parent: number, name: Uint8Array): void {
    if (!this.nodes.has(parent)) return void request.error('ESTALE')
    if (name.length > NAME_BYTES_MAX) return void request.error('ENAMETOOLONG')
    const { fs, target, inode } = this
    if (!fs.lookup(this.fileOf(parent), name, target)) {
      return void (this.times.negativeSeconds > 0 ? request.entry(this.absent) : request.error('ENOENT'))
    }
    // in a damaged volume a name may lead back to the root, which the kernel does not take
    if (target.equals(fs.root)) return void request.error('ELOOP')
    fs.getattr(target, inode)
    const node = this.fill(target)
    if (inode.isRegular) this.rememberFile(node)
    if (!request.entry(this.found)) this.forget(node, 1)
  }

  forget(node: number, count: number): void {
    this.nodes.forget(node, count)
    if (this.nodes.has(node)) return
    this.files.drop(node)
    this.directories.drop(node)
  }

  getattr(request: Request, node: number): void {
    const attributes = this.attributesOf(node)
    if (attributes === undefined) request.error('ESTALE')
    else request.attributes(attributes, this.found.attrSeconds)
  }

  statx(request: Request, node: number): void {
    const attributes = this.attributesOf(node)
    if (attributes === undefined) request.error('ESTALE')
    else request.statx(attributes, this.found.attrSeconds)
  }

  /**
   * Whoever comes here has all rights: without default_permissions the kernel lets in nobody else. But as execve(2) does, it says that a file which
   * nobody may execute can't be.
   */
  access(request: Request, node: number, mask: number): void {
    if (!this.nodes.has(node)) return void request.error('ESTALE')
    if (mask === 0) return void request.ok()
    const { fs, inode } = this
    const ref = this.fileOf(node)
    fs.getattr(ref, inode)
    if ((mask & X_OK) !== 0 && inode.isRegular && (inode.mode & EXECUTABLE) === 0) request.error('EACCES')
    else if ((mask & W_OK) !== 0 && fs.isReadOnly(ref.subvolume)) request.error('EROFS')
    else request.ok()
  }

  readlink(request: Request, node: number): void {
    if (!this.nodes.has(node)) return void request.error('ESTALE')
    request.copy(this.fs.readlink(this.fileOf(node)))
  }

  read(request: Request, node: number, _handle: number, offset: number, size: number, _flags: number): void {
    if (!this.nodes.has(node)) return void request.error('ESTALE')
    // the kernel takes less than it wanted for the end of the file, and shortens it: where damage is, all must fail, and it asks for less
    request.sendData(this.fileAt(node).readFully(offset, request.data(size)))
  }

  lseek(request: Request, node: number, _handle: number, offset: number, whence: number): void {
    if (!this.nodes.has(node)) return void request.error('ESTALE')
    if (whence !== SEEK_DATA && whence !== SEEK_HOLE) return void request.error('EINVAL')
    const found = offset < 0 ? -1 : seek(this.fileAt(node), offset, whence).found
    if (found < 0) request.error('ENXIO')
    else request.offset(found)
  }

  readdir(request: Request, node: number, _handle: number, offsetHi: number, offsetLo: number, size: number): void {
    if (!this.nodes.has(node)) return void request.error('ESTALE')
    const reader = this.directoryAt(node)
    request.beginNames(size)
    for (let more = reader.seek(offsetHi, offsetLo); more; more = reader.next()) {
      const { target, name, type, nextOffsetHi, nextOffsetLo } = reader
      if (!isUsable(name)) continue
      if (!request.addName(name, shownInoHi(target), inoLo(target), type, nextOffsetHi, nextOffsetLo)) break
    }
    request.sendNames()
  }

  readdirplus(request: Request, node: number, _handle: number, offsetHi: number, offsetLo: number, size: number): void {
    if (!this.nodes.has(node)) return void request.error('ESTALE')
    this.given.length = 0
    let isSent = false
    try {
      request.beginNames(size)
      this.addEntries(request, this.directoryAt(node), offsetHi, offsetLo)
      isSent = request.sendNames()
    } finally {
      if (!isSent) for (const child of this.given) this.forget(child, 1)
    }
  }

  /** Adds names from an offset on with what they lead to, as many as there is room for. */
  private addEntries(request: Request, reader: DirectoryReader, offsetHi: number, offsetLo: number): void {
    for (let more = reader.seek(offsetHi, offsetLo); more; more = reader.next()) {
      const { name } = reader
      if (!isUsable(name)) continue
      const child = this.fillListed(reader)
      const isAdded = request.addEntry(name, this.found, reader.nextOffsetHi, reader.nextOffsetLo)
      if (child !== 0 && isAdded) this.given.push(child)
      if (isAdded) continue
      if (child !== 0) this.forget(child, 1)
      return
    }
  }

  statfs(request: Request): void {
    this.room ??= this.roomOf()
    request.room(this.room)
  }

  getxattr(request: Request, node: number, name: Uint8Array, size: number): void {
    if (!this.nodes.has(node)) return void request.error('ESTALE')
    const value = this.attributeOf(this.fileOf(node), name)
    if (value === undefined) request.error(mayHave(name) ? 'ENODATA' : 'EOPNOTSUPP')
    else request.xattr(value, size)
  }

  listxattr(request: Request, node: number, size: number): void {
    if (!this.nodes.has(node)) return void request.error('ESTALE')
    const ref = this.fileOf(node)
    const names: number[] = []
    const isRoot = request.uid === 0 // to others the name space trusted doesn't exist
    this.fs.forEachAttribute(ref, (name) => {
      if (isRoot || !startsWith(name, TRUSTED)) names.push(...name, 0)
    })
    this.fs.forEachOptionAttribute(ref, (name) => names.push(...encodeUtf8(name), 0))
    request.xattr(Uint8Array.from(names), size)
  }

  protected fileAt(node: number): OpenFile {
    return this.files.get(node, this.nodes.generation(node))
  }

  protected directoryAt(node: number): DirectoryReader {
    return this.directories.get(node, this.nodes.generation(node))
  }

  /** The file that a node stands for; the same object each time. */
  protected fileOf(node: number): NodeRef {
    const { nodes } = this
    return this.ref.set(nodes.word(node, 0), nodes.word(node, 1), nodes.word(node, 2))
  }

  /** For messages: the path of a file, or its number. */
  private nameOf(node: number): string {
    const { fs, nodes } = this
    const ref = NodeRef.of(nodes.word(node, 0), nodes.word(node, 1), nodes.word(node, 2))
    try {
      const path = fs.pathOf(ref)
      return path === undefined ? ref.toString() : new TextDecoder().decode(path)
    } catch (error) {
      if (!(error instanceof VolumeError)) throw error
      return ref.toString() // the way up is damaged too
    }
  }

  private attributesOf(node: number): Attributes | undefined {
    if (!this.nodes.has(node)) return undefined
    const ref = this.fileOf(node)
    this.fs.getattr(ref, this.inode)
    return this.shown(ref)
  }

  /** The attributes of a file whose inode was read, and for how long they hold: `found` has both, the same object each time. */
  protected shown(ref: Readonly<NodeRef>): Attributes {
    const { attributes } = this.found
    fillAttributes(attributes, ref, this.inode, this.blockBytes)
    return attributes
  }

  /** Fills the entry from `target` and the inode that was read, and counts a lookup. Returns the node. */
  protected fill(target: Readonly<NodeRef>): number {
    const { found, nodes } = this
    const node = nodes.retain(target.subvolume, target.inodeHi, target.inodeLo)
    found.node = node
    found.generation = nodes.generation(node)
    this.shown(target)
    return node
  }

  /** The same. Returns 0 if there is no node to be had: a listing shows the name all the same. */
  private tryToFill(target: Readonly<NodeRef>): number {
    try {
      return this.fill(target)
    } catch (error) {
      if (error instanceof FuseError) return 0
      throw error
    }
  }

  /** The same for a name of a listing. Returns 0, and tells the name alone, for `.` and `..` and for what can't be read. */
  private fillListed(reader: DirectoryReader): number {
    const { fs, found, inode } = this
    const { target } = reader
    const isDots = reader.offsetHi === 0 && reader.offsetLo < 2
    const node = !isDots && !target.equals(fs.root) && this.canRead(target) ? this.tryToFill(target) : 0
    if (node !== 0) {
      if (inode.isRegular) this.rememberFile(node)
      return node
    }
    found.node = 0
    found.attributes.inoHi = shownInoHi(target)
    found.attributes.inoLo = inoLo(target)
    found.attributes.mode = reader.type << 12
    return 0
  }

  /** Reads the inode of a file. False if it is missing or damaged: a listing shows the name all the same. */
  private canRead(target: Readonly<NodeRef>): boolean {
    try {
      this.fs.getattr(target, this.inode)
      return true
    } catch (error) {
      if (error instanceof VolumeError) return false
      throw error
    }
  }

  private attributeOf(ref: Readonly<NodeRef>, name: Uint8Array): Uint8Array | undefined {
    if (!startsWith(name, OPTION_PREFIX)) return this.fs.getAttribute(ref, name)
    const wanted = new TextDecoder().decode(name)
    let value: Uint8Array | undefined
    this.fs.forEachOptionAttribute(ref, (option, text) => {
      if (option === wanted) value = encodeUtf8(text)
    })
    return value
  }

  protected roomOf(): FilesystemRoom {
    const space = this.fs.space()
    const blockSectors = this.blockBytes / SECTOR
    return {
      blocks: Math.floor(space.totalSectors / blockSectors),
      freeBlocks: Math.floor(space.freeSectors / blockSectors),
      availableBlocks: Math.floor(space.availableSectors / blockSectors),
      files: space.inodes + space.freeInodes,
      freeFiles: space.freeInodes,
      blockSize: this.blockBytes,
      nameLength: NAME_BYTES_MAX,
    }
  }
}

/** Inode numbers of listings are not 0, even where a name leads nowhere. */
function inoLo(target: Readonly<NodeRef>): number {
  return target.inodeLo === 0 && target.inodeHi === 0 ? 1 : target.inodeLo
}

/** Whether there are files with an attribute of that name. */
function mayHave(name: Uint8Array): boolean {
  return isAttributeName(name) || startsWith(name, OPTION_PREFIX)
}

/** A name in a damaged volume may be one that no path leads to; the kernel would give up the whole listing for it. */
function isUsable(name: Uint8Array): boolean {
  return name.length > 0 && !name.includes(SLASH)
}

function startsWith(name: Uint8Array, start: Uint8Array): boolean {
  return start.every((byte, i) => name[i] === byte)
}
