/**
 * What a filesystem should be like: trees of files as plain objects, changed by the rules of POSIX, and of subvolumes. Names are strings with
 * one character for each byte. Every call throws ModelError where the filesystem has to throw VolumeError.
 */

import type { ErrorCode } from '@cowherd/db'
import type { AttributeChanges, Caller, RenameOptions } from '../file-system-writer.ts'

export class ModelError extends Error {
  readonly code: ErrorCode

  constructor(code: ErrorCode) {
    super(code)
    this.code = code
  }
}

export type ModelKind = 'directory' | 'file' | 'fifo' | 'symlink'

const TYPE_BITS: Readonly<Record<ModelKind, number>> = {
  directory: 0o040000,
  file: 0o100000,
  fifo: 0o010000,
  symlink: 0o120000,
}

export class ModelNode {
  readonly kind: ModelKind
  tree: ModelTree
  mode = 0
  uid = 0
  gid = 0
  atime = 0
  mtime = 0
  ctime = 0
  otime = 0
  /** How many names lead to it; a directory has one until it is deleted. */
  names = 0
  /** Of a directory. */
  readonly entries = new Map<string, ModelNode>()
  parent: ModelNode | undefined
  linkTarget = ''
  /** Of a file. */
  content = new Uint8Array(0)
  readonly attributes = new Map<string, string>()
  held = 0

  constructor(tree: ModelTree, kind: ModelKind) {
    this.tree = tree
    this.kind = kind
  }

  get isDirectory(): boolean {
    return this.kind === 'directory'
  }

  /** Nobody can find it any more. */
  get isGone(): boolean {
    return this.names === 0 && this.held === 0
  }

  get wholeMode(): number {
    return TYPE_BITS[this.kind] | this.mode
  }

  get size(): number {
    return this.kind === 'symlink' ? this.linkTarget.length : this.content.length
  }

  get linkCount(): number {
    if (!this.isDirectory || this.names === 0) return this.names
    const own = [...this.entries.values()].filter((child) => child.isDirectory && child.tree === this.tree)
    return 2 + own.length
  }
}

/** One subvolume. The name of another subvolume in it leads to that one's root. */
export class ModelTree {
  readonly subvolume: number
  readonly root: ModelNode
  now = 0

  constructor(subvolume: number) {
    this.subvolume = subvolume
    this.root = new ModelNode(this, 'directory')
    this.root.names = 1
  }

  /** A snapshot: all but other subvolumes and what has no name. `copies` gets each copy by its original. */
  clone(subvolume: number, copies: Map<ModelNode, ModelNode>): ModelTree {
    const tree = new ModelTree(subvolume)
    copies.set(this.root, tree.root)
    copyNode(this.root, tree.root, tree, copies)
    return tree
  }

  make(directory: ModelNode, name: string, kind: ModelKind, mode: number, caller: Caller, linkTarget = ''): ModelNode {
    this.refuseDeleted(directory)
    if (directory.entries.has(name)) throw new ModelError('EEXIST')
    const node = this.newNode(directory, kind, mode, caller)
    node.linkTarget = linkTarget
    node.names = 1
    directory.entries.set(name, node)
    node.parent = directory
    this.touch(directory)
    return node
  }

  makeNameless(directory: ModelNode, mode: number, caller: Caller): ModelNode {
    this.refuseDeleted(directory)
    return this.newNode(directory, 'file', mode, caller)
  }

  link(node: ModelNode, directory: ModelNode, name: string): void {
    if (node.tree !== directory.tree) throw new ModelError('EXDEV')
    this.refuseDeleted(directory)
    if (directory.entries.has(name)) throw new ModelError('EEXIST')
    if (node.isGone || (node.isDirectory && node.names === 0)) throw new ModelError('ENOENT')
    if (node.isDirectory) throw new ModelError('EPERM')
    directory.entries.set(name, node)
    node.names++
    node.ctime = this.now
    this.touch(directory)
  }

  unlink(directory: ModelNode, name: string): void {
    const node = this.find(directory, name)
    if (node.isDirectory) throw new ModelError('EISDIR')
    directory.entries.delete(name)
    this.touch(directory)
    this.drop(node)
  }

  rmdir(directory: ModelNode, name: string): void {
    const node = this.find(directory, name)
    if (node.tree !== directory.tree) throw new ModelError('EBUSY')
    if (!node.isDirectory) throw new ModelError('ENOTDIR')
    if (node.entries.size > 0) throw new ModelError('ENOTEMPTY')
    directory.entries.delete(name)
    this.touch(directory)
    this.drop(node)
  }

  rename(
    directory: ModelNode,
    name: string,
    newDirectory: ModelNode,
    newName: string,
    { noReplace = false, exchange = false }: RenameOptions,
  ): void {
    if (noReplace && exchange) throw new ModelError('EINVAL')
    this.refuseDeleted(directory)
    this.refuseDeleted(newDirectory)
    const node = this.find(directory, name)
    const other = newDirectory.entries.get(newName)
    if (other !== undefined && noReplace) throw new ModelError('EEXIST')
    if (other === undefined && exchange) throw new ModelError('ENOENT')
    if (node === other) return
    if (isWithin(newDirectory, node)) throw new ModelError('EINVAL')
    if (exchange && other !== undefined && isWithin(directory, other)) throw new ModelError('EINVAL')
    if (other !== undefined && !exchange) {
      if (node.isDirectory && !other.isDirectory) throw new ModelError('ENOTDIR')
      if (!node.isDirectory && other.isDirectory) throw new ModelError('EISDIR')
      if (other.tree !== newDirectory.tree) throw new ModelError('EBUSY')
      if (other.entries.size > 0) throw new ModelError('ENOTEMPTY')
    }
    if (directory.tree !== newDirectory.tree) {
      const isOther = other?.tree === newDirectory.tree
      if (node.tree === directory.tree || isOther) throw new ModelError('EXDEV')
    }
    directory.entries.delete(name)
    newDirectory.entries.set(newName, node)
    node.parent = newDirectory
    node.ctime = this.now
    this.touch(directory)
    this.touch(newDirectory)
    if (other === undefined) return
    if (!exchange) {
      this.drop(other)
      return
    }
    directory.entries.set(name, other)
    other.parent = directory
    other.ctime = this.now
  }

  setattr(node: ModelNode, changes: AttributeChanges): void {
    this.refuseMissing(node)
    const { mode, uid, gid, atime, mtime, size } = changes
    if (size !== undefined) {
      if (node.isDirectory) throw new ModelError('EISDIR')
      if (node.kind !== 'file') throw new ModelError('EINVAL')
    }
    if (mode !== undefined && node.kind === 'symlink') throw new ModelError('EOPNOTSUPP')
    if (uid !== undefined) node.uid = uid
    if (gid !== undefined) node.gid = gid
    if (mode !== undefined) node.mode = mode & 0o7777
    else if ((uid !== undefined || gid !== undefined) && !node.isDirectory) {
      node.mode &= ~((node.mode & 0o010) === 0 ? 0o4000 : 0o6000)
    }
    if (atime !== undefined) node.atime = atime === 'now' ? this.now : atime.seconds
    if (mtime !== undefined) node.mtime = mtime === 'now' ? this.now : mtime.seconds
    else if (size !== undefined) node.mtime = this.now
    if (size !== undefined) resize(node, size)
    node.ctime = this.now
  }

  write(node: ModelNode, offset: number, data: Uint8Array, times: 'now' | 'kept'): void {
    this.refuseMissing(node)
    if (node.isDirectory) throw new ModelError('EISDIR')
    if (node.kind !== 'file') throw new ModelError('EINVAL')
    resize(node, Math.max(node.content.length, offset + data.length))
    node.content.set(data, offset)
    if (times === 'now') this.touch(node)
  }

  setAttribute(node: ModelNode, name: string, value: string, mode: 'create' | 'replace' | undefined): void {
    this.refuseMissing(node)
    if (mode === 'create' && node.attributes.has(name)) throw new ModelError('EEXIST')
    if (mode === 'replace' && !node.attributes.has(name)) throw new ModelError('ENODATA')
    node.attributes.set(name, value)
    node.ctime = this.now
  }

  removeAttribute(node: ModelNode, name: string): void {
    this.refuseMissing(node)
    if (!node.attributes.delete(name)) throw new ModelError('ENODATA')
    node.ctime = this.now
  }

  private newNode(directory: ModelNode, kind: ModelKind, mode: number, { uid, gid, umask }: Caller): ModelNode {
    const node = new ModelNode(this, kind)
    const isOfGroup = (directory.mode & 0o2000) !== 0
    node.mode = kind === 'symlink' ? 0o777 : mode & ~umask
    if (isOfGroup && kind === 'directory') node.mode |= 0o2000
    node.uid = uid
    node.gid = isOfGroup ? directory.gid : gid
    node.atime = node.mtime = node.ctime = node.otime = this.now
    return node
  }

  private find(directory: ModelNode, name: string): ModelNode {
    this.refuseDeleted(directory)
    const node = directory.entries.get(name)
    if (node === undefined) throw new ModelError('ENOENT')
    return node
  }

  private drop(node: ModelNode): void {
    node.names--
    node.ctime = this.now
    if (node.isDirectory) node.parent = undefined
  }

  private touch(directory: ModelNode): void {
    directory.mtime = directory.ctime = this.now
  }

  private refuseDeleted(directory: ModelNode): void {
    if (directory.names === 0) throw new ModelError('ENOENT')
  }

  /** A directory that is deleted is there for looking at only. */
  private refuseMissing(node: ModelNode): void {
    if (node.isGone || (node.isDirectory && node.names === 0)) throw new ModelError('ENOENT')
  }
}

function resize(node: ModelNode, size: number): void {
  const content = new Uint8Array(size)
  content.set(node.content.subarray(0, size))
  node.content = content
}

/** True if a directory is `node`, or below it. */
function isWithin(directory: ModelNode, node: ModelNode): boolean {
  for (let at: ModelNode | undefined = directory; at !== undefined; at = at.parent) if (at === node) return true
  return false
}

function copyNode(from: ModelNode, to: ModelNode, tree: ModelTree, copies: Map<ModelNode, ModelNode>): void {
  const { mode, uid, gid, atime, mtime, ctime, otime, names, linkTarget } = from
  Object.assign(to, { mode, uid, gid, atime, mtime, ctime, otime, names, linkTarget, content: from.content.slice() })
  for (const [name, value] of from.attributes) to.attributes.set(name, value)
  for (const [name, child] of from.entries) {
    if (child.tree !== from.tree) continue
    let copy = copies.get(child)
    if (copy === undefined) {
      copy = new ModelNode(tree, child.kind)
      copies.set(child, copy)
      copyNode(child, copy, tree, copies)
    }
    copy.parent = to
    to.entries.set(name, copy)
  }
}
