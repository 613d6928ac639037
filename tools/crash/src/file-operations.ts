/**
 * Calls of a filesystem at random, each made on its model too. Of those that take several transactions users see nothing or all, except where the
 * content of a file changes: that may be on its way.
 */

import { NodeRef, type AttributeChanges, type WritableFileSystem } from '@cowherd/fs'
import type { Random } from '@cowherd/fuzz'
import { DataOperations, someBytes } from './data-operations.ts'
import type { Chooser, Operation } from './operation.ts'
import type { TreeModel } from './tree-model.ts'
import { bytesOf, idOf, type TreeNode } from './tree-state.ts'

const KIB = 1024
/** With more inodes than the one, files are removed rather than made; with fewer than the other, none are. */
const NODES_MAX = 50
const NODES_MIN = 15
/** Targets of links that are no longer lie in a key. */
const INLINE_BYTES_MAX = 1024
const MODES = [0o644, 0o755, 0o600, 0o500]
const CALLER = { uid: 0, gid: 0, umask: 0 }
const NAMES = ['a', 'b', 'c', 'd', 'e', 'f', 'file', 'another file', 'x'.repeat(255), 'y'.repeat(100), '\xff\xfe', 'ß']
const FIFO = 0o010000

export class FileOperations {
  private readonly fs: WritableFileSystem
  private readonly model: TreeModel
  private readonly random: Random
  private readonly blockBytes: number
  private readonly hasRoom: () => boolean
  private readonly makers: readonly Chooser[]
  private readonly removers: readonly Chooser[]
  private readonly data: DataOperations
  private readonly others: readonly Chooser[]

  /** `hasRoom`: whether something may be written. */
  constructor(
    fs: WritableFileSystem,
    model: TreeModel,
    random: Random,
    { blockBytes, hasRoom }: { readonly blockBytes: number; readonly hasRoom: () => boolean },
  ) {
    this.fs = fs
    this.hasRoom = hasRoom
    this.model = model
    this.random = random
    this.blockBytes = blockBytes
    this.data = new DataOperations(fs, model, random, blockBytes)
    const file = (): Chooser => () => this.makeFile()
    this.makers = [
      ...[file(), file(), () => this.makeWhole(), () => this.makeNode('directory'), () => this.makeNode('fifo')],
      ...[() => this.makeSymlink(), () => this.makeNameless(), () => this.link()],
    ]
    this.removers = [() => this.unlink(), () => this.unlink(), () => this.forget(), () => this.rmdir()]
    this.others = [
      ...[() => this.rename(), () => this.rename(), () => this.rename(), () => this.setattr()],
      ...[() => this.setAttribute(), () => this.setAttribute(), () => this.removeAttribute(), () => this.forget()],
    ]
  }

  next(): Operation {
    for (;;) {
      const operation = this.data.isBegun ? this.data.next() : this.choose()
      if (operation !== undefined) return operation
    }
  }

  private choose(): Operation | undefined {
    const { random, model } = this
    const count = model.ids().length
    const hasRoom = this.hasRoom()
    const part = hasRoom ? random.below(10) : 3
    if (part > 5) return this.data.next()
    const isMade = hasRoom && count < (part < 3 ? NODES_MAX : NODES_MIN)
    return random.pick(part > 3 ? this.others : isMade ? this.makers : this.removers)()
  }

  private makeFile(): Operation | undefined {
    return this.named('create', (directory, name) => {
      const [ref, mode] = [new NodeRef(), this.random.pick(MODES)]
      this.fs.create(this.ref(directory), bytesOf(name), mode, CALLER, ref, this.fs.newInode())
      this.model.make(directory, name, ref, 'file', mode)
    })
  }

  private makeNode(kind: 'directory' | 'fifo'): Operation | undefined {
    return this.named(kind, (directory, name) => {
      const { fs } = this
      const [ref, at, mode] = [new NodeRef(), this.ref(directory), this.random.pick(MODES)]
      if (kind === 'directory') fs.mkdir(at, bytesOf(name), mode, CALLER, ref, fs.newInode())
      else fs.mknod(at, bytesOf(name), FIFO | mode, { major: 0, minor: 0 }, CALLER, ref, fs.newInode())
      this.model.make(directory, name, ref, kind, mode)
    })
  }

  private makeSymlink(): Operation | undefined {
    const target = bytesOf('x'.repeat(1 + this.random.below(this.random.chance(0.3) ? 4095 : 100)))
    const isInKey = target.length <= Math.min(this.blockBytes / 2, INLINE_BYTES_MAX)
    const make = (directory: string, name: string): void => {
      const ref = new NodeRef()
      this.fs.symlink(this.ref(directory), bytesOf(name), target, CALLER, ref, this.fs.newInode())
      this.model.make(directory, name, ref, 'symlink', 0o777, target)
      this.learnSectors(idOf(ref))
    }
    return this.named(`symlink of ${target.length} bytes`, make, isInKey ? 1 : Infinity)
  }

  /** Several files in one transaction. */
  private makeWhole(): Operation | undefined {
    const { random, model } = this
    const directory = this.directory()
    const names = NAMES.filter((name) => !model.node(directory).entries.has(name) && random.chance(0.3))
    const files = names.map((name) => ({
      ...{ name: bytesOf(name), mode: random.pick(MODES), uid: 0, gid: 0 },
      ...{ data: someBytes(random, random.below(20 * KIB)), attributes: [] },
    }))
    if (files.length === 0) return undefined
    return this.operation(`${files.length} whole files`, () => {
      const refs = files.map(() => new NodeRef())
      const now = { seconds: model.now, nanoseconds: 0 }
      const dated = files.map((file) => ({ ...file, atime: now, mtime: now }))
      this.fs.createWhole(this.ref(directory), dated, refs)
      files.forEach(({ mode, data }, i) => {
        model.make(directory, names[i], refs[i], 'file', mode, data)
        this.learnSectors(idOf(refs[i]))
      })
    })
  }

  private makeNameless(): Operation {
    return this.operation('tmpfile', () => {
      const ref = new NodeRef()
      this.fs.tmpfile(this.fs.root, 0o600, CALLER, ref, this.fs.newInode())
      this.fs.hold(ref)
      this.model.makeNameless(ref, 0o600)
      this.model.hold(idOf(ref))
    })
  }

  private link(): Operation | undefined {
    const { random, model, fs } = this
    const id = random.pick(model.ids())
    if (model.node(id).kind === 'directory') return undefined
    return this.named(`link ${id}`, (directory, name) => {
      fs.link(this.ref(id), this.ref(directory), bytesOf(name), fs.newInode())
      model.link(id, directory, name)
    })
  }

  /** A file may be in use. */
  private unlink(): Operation | undefined {
    const { random, model, fs } = this
    const found = this.name((id) => model.node(id).kind !== 'directory')
    if (found === undefined) return undefined
    const { directory, name, id } = found
    const isHeld = random.chance(0.3)
    const what = `unlink ${name}${isHeld ? ', which is open' : ''}`
    return this.removal(what, () => {
      if (isHeld) {
        fs.hold(this.ref(id))
        model.hold(id)
      }
      fs.unlink(this.ref(directory), bytesOf(name))
      model.remove(directory, name)
    })
  }

  private rmdir(): Operation | undefined {
    const { model } = this
    const found = this.name((id) => model.node(id).kind === 'directory' && model.node(id).entries.size === 0)
    if (found === undefined) return undefined
    const { directory, name } = found
    return this.removal(`rmdir ${name}`, () => {
      this.fs.rmdir(this.ref(directory), bytesOf(name))
      model.remove(directory, name)
    })
  }

  private rename(): Operation | undefined {
    const { random, model } = this
    const found = this.name()
    if (found === undefined) return undefined
    const { directory, name, id } = found
    const newDirectory = random.chance(0.4) ? directory : this.directory()
    const newName = this.random.pick(random.chance(0.5) ? [...model.node(newDirectory).entries.keys(), 'a'] : NAMES)
    const other = model.node(newDirectory).entries.get(newName)
    const exchange = other !== undefined && random.chance(0.5)
    if (model.node(id).kind === 'directory' && model.isWithin(newDirectory, id)) return undefined
    if (other !== undefined && !this.mayGiveWay(id, directory, other, exchange)) return undefined
    return this.removal(`${exchange ? 'exchange' : 'rename'} ${name} and ${newName}`, () => {
      this.fs.rename(this.ref(directory), bytesOf(name), this.ref(newDirectory), bytesOf(newName), { exchange })
      model.rename(directory, name, newDirectory, newName, exchange)
    })
  }

  /** Whether `other` may be replaced by `id` from `directory`, or change places with it. */
  private mayGiveWay(id: string, directory: string, other: string, isExchange: boolean): boolean {
    const { model } = this
    const [a, b] = [model.node(id), model.node(other)]
    if (isExchange) return b.kind !== 'directory' || !model.isWithin(directory, other)
    return (a.kind === 'directory') === (b.kind === 'directory') && b.entries.size === 0
  }

  private setattr(): Operation {
    const { random, model, fs } = this
    const id = random.pick(model.ids())
    const mode = model.node(id).kind === 'symlink' || random.chance(0.5) ? undefined : random.pick(MODES)
    const mtime = random.below(1e9)
    const changes: AttributeChanges = {
      ...(mode === undefined ? {} : { mode }),
      ...{ uid: random.below(5), gid: random.below(5), mtime: { seconds: mtime, nanoseconds: 0 } },
    }
    return this.operation(`setattr of ${id}`, () => {
      fs.setattr(this.ref(id), changes, fs.newInode())
      const { uid = 0, gid = 0 } = changes
      model.change(id, { uid, gid, mtime, ...(mode === undefined ? {} : { mode }) })
    })
  }

  private setAttribute(): Operation {
    const { random, model } = this
    const id = random.pick(model.ids())
    const name = `user.${random.pick(NAMES).slice(0, 100)}`
    const value = 'v'.repeat(random.below(random.chance(0.2) ? 1500 : 60))
    return this.operation(`set ${name} of ${id}`, () => {
      this.fs.setAttribute(this.ref(id), bytesOf(name), bytesOf(value))
      model.change(id, { attributes: new Map(model.node(id).attributes).set(name, value) })
    })
  }

  private removeAttribute(): Operation | undefined {
    const { random, model } = this
    const ids = model.ids().filter((id) => model.node(id).attributes.size > 0)
    if (ids.length === 0) return undefined
    const id = random.pick(ids)
    const name = random.pick([...model.node(id).attributes.keys()])
    return this.operation(`remove ${name} of ${id}`, () => {
      this.fs.removeAttribute(this.ref(id), bytesOf(name))
      const attributes = new Map(model.node(id).attributes)
      attributes.delete(name)
      model.change(id, { attributes })
    })
  }

  /** Somebody closes a file, which may have no name any more. */
  private forget(): Operation | undefined {
    const ids = this.model.heldIds()
    if (ids.length === 0) return undefined
    const id = this.random.pick(ids)
    return this.removal(`forget ${id}`, () => {
      this.fs.forget(this.ref(id))
      this.model.forget(id)
    })
  }

  private operation(what: string, run: () => void, transactionsMax = 1): Operation {
    return { what, changing: undefined, transactionsMax, run }
  }

  /** One after which there may be nothing left of a file, as many extents as it had. */
  private removal(what: string, run: () => void): Operation {
    return this.operation(what, run, Infinity)
  }

  /** One that makes a name where there is none. */
  private named(
    what: string,
    run: (directory: string, name: string) => void,
    transactionsMax?: number,
  ): Operation | undefined {
    const directory = this.directory()
    const name = this.random.pick(NAMES)
    if (this.model.node(directory).entries.has(name)) return undefined
    return this.operation(`${what} as ${name}`, () => run(directory, name), transactionsMax)
  }

  /** A name that is there, of what is wanted. */
  private name(
    isWanted: (id: string) => boolean = () => true,
  ): { directory: string; name: string; id: string } | undefined {
    const { random, model } = this
    const directory = this.directory()
    const names = [...model.node(directory).entries].filter(([, id]) => isWanted(id))
    if (names.length === 0) return undefined
    const [name, id] = random.pick(names)
    return { directory, name, id }
  }

  private directory(): string {
    return this.random.pick(this.model.ids('directory'))
  }

  private ref(id: string): Readonly<TreeNode['ref']> {
    return this.model.node(id).ref
  }

  private learnSectors(id: string): void {
    const inode = this.fs.newInode()
    this.fs.getattr(this.ref(id), inode)
    this.model.learnSectors(id, inode.sectors)
  }
}
