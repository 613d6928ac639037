/** Does the same to a filesystem and to its model, by chance, and compares what they say. */

import { VolumeError } from '@cowherd/db'
import type { Random } from '@cowherd/fuzz'
import { expect } from 'vitest'
import { FIRST_NAME } from '../directory.ts'
import type { AttributeChanges, Caller } from '../file-system-writer.ts'
import { NodeRef } from '../node-ref.ts'
import type { WritableFileSystem } from '../writable-file-system.ts'
import { ModelError, ModelNode, ModelTree, type ModelKind } from './tree-model.ts'

const NO_DEVICE = { major: 0, minor: 0 }
const FIFO = 0o010000
const GONE_KEPT = 20
const MODES = [0o644, 0o755, 0o600, 0o7777, 0o2755, 0o4711]
/** Directories are made up to this depth, and this many names. */
const DEPTH_MAX = 4
/** In bytes: some blocks. */
const SIZE_MAX = 20_000
const BLOCK = 4096

export class TreeDriver {
  fs: WritableFileSystem
  readonly trees: ModelTree[]
  readonly refs = new Map<ModelNode, NodeRef>()
  private readonly random: Random
  private readonly names: readonly string[]
  private readonly setTime: (seconds: number) => void
  private now: number
  private held: ModelNode[] = []
  private gone: ModelNode[] = []

  /** `fs` is as new; `setTime` sets its clock. */
  constructor(
    fs: WritableFileSystem,
    random: Random,
    names: readonly string[],
    now: number,
    setTime: (seconds: number) => void,
  ) {
    this.fs = fs
    this.random = random
    this.names = names
    this.now = now
    this.setTime = setTime
    const tree = new ModelTree(1)
    this.trees = [tree]
    this.adopt(tree)
  }

  /** One call, on both. `where` in messages: which it was. */
  step(): void {
    this.now++
    this.setTime(this.now)
    for (const tree of this.trees) tree.now = this.now
    const calls = [
      ...[() => this.make(), () => this.make(), () => this.make(), () => this.makeLink(), () => this.makeNameless()],
      ...[() => this.link(), () => this.unlink(), () => this.unlink(), () => this.rmdir(), () => this.rename()],
      ...[() => this.rename(), () => this.rename(), () => this.setattr(), () => this.setAttribute()],
      ...[() => this.write(), () => this.write()],
      ...[() => this.setAttribute(), () => this.removeAttribute(), () => this.hold(), () => this.forget()],
    ]
    this.random.pick(calls)()
  }

  /** Nobody uses anything any more, as after a shutdown: files without names are gone. */
  forgetAll(): void {
    for (const node of this.held) node.held = 0
    this.held = []
    this.gone = []
  }

  /** A snapshot of a tree was taken; its name is in `directory`. */
  addSnapshot(source: ModelTree, id: number, directory: ModelNode, name: string): void {
    const copies = new Map<ModelNode, ModelNode>()
    const tree = source.clone(id, copies)
    for (const [node, copy] of copies) {
      const ref = this.ref(node)
      this.refs.set(copy, NodeRef.of(id, ref.inodeHi, ref.inodeLo))
    }
    directory.entries.set(name, tree.root)
    tree.root.parent = directory
    this.trees.push(tree)
  }

  /** Fails where the filesystem shows something else than the model. */
  compare(): void {
    this.compareNamed()
    for (const node of this.held) this.compareNode(node, 'held')
    const inode = this.fs.newInode()
    for (const node of this.gone) {
      if (node.isGone) expect(() => this.fs.getattr(this.ref(node), inode)).toThrow(VolumeError)
    }
  }

  /** The same without what somebody uses. */
  compareNamed(): void {
    this.fs.settle()
    for (const tree of this.trees) this.compareDirectory(tree.root, `${tree.subvolume}:`)
  }

  ref(node: ModelNode): NodeRef {
    const ref = this.refs.get(node)
    if (ref === undefined) throw new Error('a node without inode')
    return ref
  }

  private make(): void {
    const { fs, random } = this
    const directory = this.directory()
    const name = this.name()
    const kind = random.pick<ModelKind>(
      depthOf(directory) < DEPTH_MAX ? ['file', 'directory', 'fifo'] : ['file', 'fifo'],
    )
    const mode = random.pick(MODES)
    const caller = this.caller()
    this.born(
      `make ${kind} ${name}`,
      () => directory.tree.make(directory, name, kind, mode, caller),
      (target) => {
        const inode = fs.newInode()
        const at = this.ref(directory)
        const bytes = bytesOf(name)
        if (kind === 'file') fs.create(at, bytes, mode, caller, target, inode)
        else if (kind === 'directory') fs.mkdir(at, bytes, mode, caller, target, inode)
        else fs.mknod(at, bytes, FIFO | mode, NO_DEVICE, caller, target, inode)
      },
    )
  }

  private makeLink(): void {
    const directory = this.directory()
    const name = this.name()
    const caller = this.caller()
    const linkTarget = 'x'.repeat(1 + this.random.below(this.random.chance(0.3) ? 4095 : 200))
    this.born(
      `symlink ${name}`,
      () => directory.tree.make(directory, name, 'symlink', 0o777, caller, linkTarget),
      (target) => {
        const inode = this.fs.newInode()
        this.fs.symlink(this.ref(directory), bytesOf(name), bytesOf(linkTarget), caller, target, inode)
      },
    )
  }

  private makeNameless(): void {
    const directory = this.directory()
    const caller = this.caller()
    const node = this.born(
      'tmpfile',
      () => directory.tree.makeNameless(directory, 0o600, caller),
      (target) => this.fs.tmpfile(this.ref(directory), 0o600, caller, target, this.fs.newInode()),
    )
    if (node === undefined) return
    node.held = 1
    this.held.push(node)
    this.fs.hold(this.ref(node))
  }

  private link(): void {
    const node = this.node()
    const directory = this.random.chance(0.8) ? this.directory(node.tree) : this.directory()
    const name = this.name()
    this.both(
      `link ${name}`,
      () => directory.tree.link(node, directory, name),
      () => this.fs.link(this.ref(node), this.ref(directory), bytesOf(name), this.fs.newInode()),
    )
  }

  private unlink(): void {
    const directory = this.directory()
    const name = this.presentName(directory)
    this.keepGone(directory.entries.get(name))
    this.both(
      `unlink ${name}`,
      () => directory.tree.unlink(directory, name),
      () => this.fs.unlink(this.ref(directory), bytesOf(name)),
    )
  }

  private rmdir(): void {
    const directory = this.directory()
    const name = this.presentName(directory)
    this.keepGone(directory.entries.get(name))
    this.both(
      `rmdir ${name}`,
      () => directory.tree.rmdir(directory, name),
      () => this.fs.rmdir(this.ref(directory), bytesOf(name)),
    )
  }

  private rename(): void {
    const { random } = this
    const directory = this.directory()
    const newDirectory = random.chance(0.4)
      ? directory
      : this.directory(random.chance(0.8) ? directory.tree : undefined)
    const name = this.presentName(directory)
    const newName = random.chance(0.5) ? this.presentName(newDirectory) : this.name()
    const options = { noReplace: random.chance(0.15), exchange: random.chance(0.25) }
    this.keepGone(newDirectory.entries.get(newName))
    this.both(
      `rename ${name} to ${newName} ${JSON.stringify(options)}`,
      () => directory.tree.rename(directory, name, newDirectory, newName, options),
      () => this.fs.rename(this.ref(directory), bytesOf(name), this.ref(newDirectory), bytesOf(newName), options),
    )
  }

  private setattr(): void {
    const { random } = this
    const node = this.node()
    const some = (value: number): number | undefined => (random.chance(0.4) ? value : undefined)
    const changes: AttributeChanges = {
      ...defined('mode', some(random.pick(MODES))),
      ...defined('uid', some(random.below(4))),
      ...defined('gid', some(random.below(4))),
      ...(random.chance(0.3) ? { atime: { seconds: random.below(4e9) - 2e9, nanoseconds: 0 } } : {}),
      ...(random.chance(0.3) ? { mtime: 'now' } : {}),
      ...(random.chance(0.2) ? { size: random.below(SIZE_MAX) } : {}),
    }
    this.both(
      `setattr ${JSON.stringify(changes)}`,
      () => node.tree.setattr(node, changes),
      () => this.fs.setattr(this.ref(node), changes, this.fs.newInode()),
    )
  }

  private write(): void {
    const { random } = this
    const node = this.node()
    const isBlock = random.chance(0.3)
    const offset = isBlock ? BLOCK * random.below(SIZE_MAX / BLOCK) : random.below(SIZE_MAX)
    const data = random.fill(new Uint8Array(isBlock ? BLOCK : 1 + random.below(SIZE_MAX)))
    const times = isBlock ? 'kept' : 'now'
    this.both(
      `write ${data.length} at ${offset}`,
      () => node.tree.write(node, offset, data, times),
      () => this.fs.write(this.ref(node), offset, data, times),
    )
  }

  private setAttribute(): void {
    const node = this.node()
    const name = this.attribute()
    const value = 'v'.repeat(this.random.below(100))
    const mode = this.random.pick(['create', 'replace', undefined, undefined] as const)
    this.both(
      `set ${name}`,
      () => node.tree.setAttribute(node, name, value, mode),
      () => this.fs.setAttribute(this.ref(node), bytesOf(name), bytesOf(value), mode),
    )
  }

  private removeAttribute(): void {
    const node = this.node()
    const name = [...node.attributes.keys()].at(0) ?? this.attribute()
    this.both(
      `remove ${name}`,
      () => node.tree.removeAttribute(node, name),
      () => this.fs.removeAttribute(this.ref(node), bytesOf(name)),
    )
  }

  private hold(): void {
    const node = this.node()
    if (node.isGone || (node.isDirectory && node.names === 0)) return
    node.held++
    this.held.push(node)
    this.fs.hold(this.ref(node))
  }

  private forget(): void {
    if (this.held.length === 0) return
    const [node] = this.held.splice(this.random.below(this.held.length), 1)
    node.held--
    this.keepGone(node)
    this.fs.forget(this.ref(node))
  }

  private both(what: string, model: () => void, real: () => void): void {
    const expected = codeOf(model)
    const found = codeOf(real)
    if (found !== expected) throw new Error(`${what}: ${found}, not ${expected}`)
  }

  private born(what: string, model: () => ModelNode, real: (target: NodeRef) => void): ModelNode | undefined {
    let node: ModelNode | undefined
    const target = new NodeRef()
    this.both(
      what,
      () => (node = model()),
      () => real(target),
    )
    if (node !== undefined) this.refs.set(node, target)
    return node
  }

  /** A node that may be gone soon: what is left of it is looked at later. */
  private keepGone(node: ModelNode | undefined): void {
    if (node === undefined) return
    this.gone.push(node)
    if (this.gone.length > GONE_KEPT) this.gone.shift()
  }

  private compareDirectory(directory: ModelNode, path: string): void {
    this.compareNode(directory, path)
    const { fs } = this
    const ref = this.ref(directory)
    const found = new NodeRef()
    const shown = new Set<string>()
    const reader = fs.openDirectory(ref)
    for (let more = reader.seek(0, FIRST_NAME); more; more = reader.next()) {
      const name = stringOf(reader.name)
      if (shown.has(name)) throw new Error(`${path}/${name} is there twice`)
      shown.add(name)
      const child = directory.entries.get(name)
      if (child === undefined) throw new Error(`${path}/${name} should not be there`)
      check(reader.type, child.wholeMode >>> 12, `type of ${path}/${name}`)
      if (!reader.target.equals(this.ref(child)))
        throw new Error(`${path}/${name} leads to ${reader.target.toString()}`)
    }
    for (const [name, child] of directory.entries) {
      if (!shown.has(name)) throw new Error(`${path}/${name} is missing`)
      const isFound = fs.lookup(ref, bytesOf(name), found)
      if (!isFound || !found.equals(this.ref(child))) throw new Error(`${path}/${name} is not found`)
      if (child.isDirectory) {
        fs.parentOf(found, found)
        if (!found.equals(ref)) throw new Error(`${path}/${name}/.. is ${found.toString()}`)
      }
      if (child.tree !== directory.tree) continue
      if (child.isDirectory) this.compareDirectory(child, `${path}/${name}`)
      else this.compareNode(child, `${path}/${name}`)
    }
  }

  private compareNode(node: ModelNode, path: string): void {
    const { fs } = this
    const ref = this.ref(node)
    const inode = fs.newInode()
    fs.getattr(ref, inode)
    check(inode.mode, node.wholeMode, `mode of ${path}`)
    check(inode.uid, node.uid, `uid of ${path}`)
    check(inode.gid, node.gid, `gid of ${path}`)
    check(inode.linkCount, node.linkCount, `links of ${path}`)
    check(inode.size, node.size, `size of ${path}`)
    check(inode.atimeSeconds, node.atime, `atime of ${path}`)
    check(inode.mtimeSeconds, node.mtime, `mtime of ${path}`)
    check(inode.ctimeSeconds, node.ctime, `ctime of ${path}`)
    check(inode.otimeSeconds, node.otime, `birth of ${path}`)
    if (node.kind === 'symlink') check(stringOf(fs.readlink(ref)), node.linkTarget, `target of ${path}`)
    if (node.kind === 'file') {
      const content = new Uint8Array(node.size)
      const file = fs.open(ref)
      file.read(0, content)
      file.close()
      if (content.some((byte, i) => byte !== node.content[i])) throw new Error(`${path} has other content`)
    }
    if (node.isDirectory && node.names === 0) return
    const attributes = fs.listAttributes(ref).map(({ name, value }) => `${stringOf(name)}=${stringOf(value)}`)
    const expected = [...node.attributes].map(([name, value]) => `${name}=${value}`)
    check(attributes.sort().join(), expected.sort().join(), `attributes of ${path}`)
    for (const [name, value] of node.attributes) {
      const found = fs.getAttribute(ref, bytesOf(name))
      check(found === undefined ? 'none' : stringOf(found), value, `${name} of ${path}`)
    }
  }

  /** Takes what a new volume has into the model. */
  private adopt(tree: ModelTree): void {
    const { fs } = this
    const inode = fs.newInode()
    const adoptNode = (node: ModelNode, ref: Readonly<NodeRef>): void => {
      this.refs.set(node, new NodeRef().copy(ref))
      fs.getattr(ref, inode)
      node.mode = inode.mode & 0o7777
      node.atime = inode.atimeSeconds
      node.mtime = inode.mtimeSeconds
      node.ctime = inode.ctimeSeconds
      node.otime = inode.otimeSeconds
    }
    adoptNode(tree.root, fs.root)
    const lost = new ModelNode(tree, 'directory')
    lost.names = 1
    lost.parent = tree.root
    tree.root.entries.set('lost+found', lost)
    adoptNode(lost, fs.resolve('lost+found'))
  }

  private caller(): Caller {
    const { random } = this
    return { uid: random.below(4), gid: random.below(4), umask: random.pick([0, 0o022, 0o077]) }
  }

  private name(): string {
    return this.random.pick(this.names)
  }

  private attribute(): string {
    return `user.${this.name()}`.slice(0, 255)
  }

  private presentName(directory: ModelNode): string {
    const names = [...directory.entries.keys()]
    return names.length > 0 && this.random.chance(0.9) ? this.random.pick(names) : this.name()
  }

  /** Some directory, which may be deleted. */
  private directory(tree = this.random.pick(this.trees)): ModelNode {
    const { random } = this
    const deleted = this.held.filter((node) => node.isDirectory && node.names === 0 && node.tree === tree)
    if (deleted.length > 0 && random.chance(0.05)) return random.pick(deleted)
    let at = tree.root
    for (;;) {
      const below = [...at.entries.values()].filter((child) => child.isDirectory && child.tree === tree)
      if (below.length === 0 || random.chance(0.35)) return at
      at = random.pick(below)
    }
  }

  /** Some file, which may be without a name, or gone. */
  private node(): ModelNode {
    const { random } = this
    if (this.held.length > 0 && random.chance(0.2)) return random.pick(this.held)
    if (this.gone.length > 0 && random.chance(0.1)) return random.pick(this.gone)
    const directory = this.directory()
    const children = [...directory.entries.values()]
    return children.length > 0 && random.chance(0.9) ? random.pick(children) : directory
  }
}

export function bytesOf(name: string): Uint8Array {
  return Uint8Array.from(name, (character) => character.charCodeAt(0))
}

export function stringOf(bytes: Uint8Array): string {
  return String.fromCharCode(...bytes)
}

function codeOf(call: () => unknown): string {
  try {
    call()
    return 'success'
  } catch (error) {
    if (error instanceof VolumeError || error instanceof ModelError) return error.code
    throw error
  }
}

/** Cheaper than an expectation for each of thousands. */
function check(found: unknown, expected: unknown, what: string): void {
  if (found !== expected) throw new Error(`${what}: ${String(found)}, not ${String(expected)}`)
}

function defined<K extends string>(key: K, value: number | undefined): Partial<Record<K, number>> {
  return value === undefined ? {} : ({ [key]: value } as Record<K, number>)
}

function depthOf(directory: ModelNode): number {
  let depth = 0
  for (let at = directory.parent; at !== undefined; at = at.parent) depth++
  return depth
}
