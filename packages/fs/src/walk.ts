/**
 * Walking a tree of files: depth first, each directory before what is in it, names in the order of their bytes.
 *
 * Damage stops nothing: what can't be read is told, and the walk goes on. Every directory is entered once, however names are tangled.
 */

import { VolumeError } from '@cowherd/db'
import { FIRST_NAME } from './directory.ts'
import type { FileSystem } from './file-system.ts'
import type { Inode } from './inode.ts'
import { NodeRef } from './node-ref.ts'

/** One file on the walk. All of it is valid until the walk goes on: it fills the same objects again. */
export interface WalkEntry {
  /** Path below the start of the walk; empty for the start itself. */
  readonly path: Uint8Array
  /** The last component of the path. */
  readonly name: Uint8Array
  /** Number of directories above, 0 for the start. */
  readonly depth: number
  readonly ref: Readonly<NodeRef>
  readonly inode: Inode
  /** True from the second name of a file with several on. */
  readonly isAnotherLink: boolean
}

export interface WalkVisitor {
  /** Called for each file. Returning `false` for a directory leaves out what is in it. */
  visit(entry: WalkEntry): boolean | void
  /** Called after everything in a directory. `ref` and `inode` are those of the directory. */
  leave?(entry: WalkEntry): void
  /** Called for what can't be looked at: a name that leads nowhere, a directory that can't be listed. */
  fail(path: Uint8Array, error: VolumeError): void
}

/** Walks over the tree at `start`, the filesystem's root if absent. Throws VolumeError if `start` itself can't be looked at. */
export function walk(fs: FileSystem, visitor: WalkVisitor, start: Readonly<NodeRef> = fs.root): void {
  const steps = new TreeWalk(fs, visitor, start)
  while (steps.step());
}

const NO_NAME = new Uint8Array(0)

/** A directory on the way from the start to where the walk is. */
interface Level {
  readonly ref: NodeRef
  readonly listing: Listing
  readonly path: Uint8Array
  readonly name: Uint8Array
  index: number
}

/** A walk that its owner drives, for work that has to pause: each step looks at one file at most. */
export class TreeWalk {
  private readonly fs: FileSystem
  private readonly visitor: WalkVisitor
  private readonly inode: Inode
  private readonly levels: Level[] = []
  private start: NodeRef | undefined
  /** Files with several links that were met. */
  private readonly links = new Set<string>()
  /** Directories that were entered by another name than the one they point back to. */
  private readonly strays = new Set<string>()

  constructor(fs: FileSystem, visitor: WalkVisitor, start: Readonly<NodeRef> = fs.root) {
    this.fs = fs
    this.visitor = visitor
    this.inode = fs.newInode()
    this.start = new NodeRef().copy(start)
  }

  /** Goes on to the next file, the start itself first. False at the end. Throws VolumeError if the start can't be looked at. */
  step(): boolean {
    const { start, levels } = this
    const level = levels.at(-1)
    if (start !== undefined) {
      this.start = undefined
      this.fs.getattr(start, this.inode)
      this.visit(NO_NAME, NO_NAME, start, this.inode, true)
    } else if (level === undefined) {
      return false
    } else if (level.index === level.listing.count) {
      levels.pop()
      this.leave(level, levels.length)
    } else {
      this.stepInto(level)
    }
    return levels.length > 0
  }

  /** Looks at the next entry of a directory. */
  private stepInto(level: Level): void {
    const { listing } = level
    const index = listing.order[level.index++]
    const name = listing.name(index)
    const path = level.path.length === 0 ? name : joined(level.path, name)
    const ref = listing.target(index)
    const { inode } = this
    try {
      this.fs.getattr(ref, inode)
    } catch (error) {
      this.fail(path, error)
      return
    }
    const isHome = listing.offsetHi[index] === inode.dirOffsetHi && listing.offsetLo[index] === inode.dirOffsetLo
    const pointsHere = isHome && level.ref.inodeHi === inode.dirHi && level.ref.inodeLo === inode.dirLo
    this.visit(path, name, ref, inode, pointsHere || (inode.dirHi === 0 && inode.dirLo === 0))
  }

  private visit(path: Uint8Array, name: Uint8Array, ref: NodeRef, inode: Inode, pointsHere: boolean): void {
    const { levels } = this
    const depth = levels.length
    const isAnotherLink = !inode.isDirectory && inode.linkCount > 1 && !isNew(this.links, ref)
    const wanted = this.visitor.visit({ path, name, depth, ref, inode, isAnotherLink })
    if (!inode.isDirectory || wanted === false) return
    // A directory has one name, and points back to it. With another one it may be part of a circle.
    const isCircle = levels.some((level) => level.ref.equals(ref))
    if (isCircle || (!pointsHere && !isNew(this.strays, ref))) {
      this.fail(path, new VolumeError('ELOOP', ref.toString(), 'the directory has several names'))
      return
    }
    try {
      levels.push({ ref, listing: new Listing(this.fs, ref), path, name, index: 0 })
    } catch (error) {
      this.fail(path, error)
    }
  }

  private leave(level: Level, depth: number): void {
    if (this.visitor.leave === undefined) return
    const { path, name, ref } = level
    this.fs.getattr(ref, this.inode)
    this.visitor.leave({ path, name, depth, ref, inode: this.inode, isAnotherLink: false })
  }

  private fail(path: Uint8Array, error: unknown): void {
    if (!(error instanceof VolumeError)) throw error
    this.visitor.fail(path, error)
  }
}

/** The names of one directory with what they lead to, packed: about 40 bytes and the name for each. */
class Listing {
  count = 0
  /** Indexes of the entries in the order of their names. */
  readonly order: Uint32Array
  offsetHi = new Uint32Array(16)
  offsetLo = new Uint32Array(16)
  private subvolume = new Uint32Array(16)
  private inodeHi = new Uint32Array(16)
  private inodeLo = new Uint32Array(16)
  /** Where the names start in `names`; one more at the end. */
  private starts = new Uint32Array(17)
  private names = new Uint8Array(256)

  constructor(fs: FileSystem, directory: NodeRef) {
    const reader = fs.openDirectory(directory)
    for (let found = reader.seek(0, FIRST_NAME); found; found = reader.next()) {
      const { target } = reader
      if (this.count === this.inodeLo.length) this.grow()
      const { count } = this
      this.offsetHi[count] = reader.offsetHi
      this.offsetLo[count] = reader.offsetLo
      this.subvolume[count] = target.subvolume
      this.inodeHi[count] = target.inodeHi
      this.inodeLo[count] = target.inodeLo
      this.addName(reader.name)
    }
    const { names, starts } = this
    this.order = Uint32Array.from({ length: this.count }, (_, i) => i)
    this.order.sort((a, b) => compareBytes(names, starts[a], starts[a + 1], starts[b], starts[b + 1]))
  }

  /** The name in memory of its own. */
  name(index: number): Uint8Array {
    return this.names.slice(this.starts[index], this.starts[index + 1])
  }

  target(index: number): NodeRef {
    return NodeRef.of(this.subvolume[index], this.inodeHi[index], this.inodeLo[index])
  }

  private addName(name: Uint8Array): void {
    const start = this.starts[this.count]
    const end = start + name.length
    if (end > this.names.length) {
      const larger = new Uint8Array(Math.max(end, this.names.length * 2))
      larger.set(this.names)
      this.names = larger
    }
    this.names.set(name, start)
    this.count++
    this.starts[this.count] = end
  }

  private grow(): void {
    const size = this.inodeLo.length * 2
    this.offsetHi = enlarged(this.offsetHi, size)
    this.offsetLo = enlarged(this.offsetLo, size)
    this.subvolume = enlarged(this.subvolume, size)
    this.inodeHi = enlarged(this.inodeHi, size)
    this.inodeLo = enlarged(this.inodeLo, size)
    this.starts = enlarged(this.starts, size + 1)
  }
}

function enlarged(array: Uint32Array, size: number): Uint32Array<ArrayBuffer> {
  const larger = new Uint32Array(size)
  larger.set(array)
  return larger
}

/** Compares `bytes[a, aEnd)` with `bytes[b, bEnd)` as strcmp(3) does. */
function compareBytes(bytes: Uint8Array, a: number, aEnd: number, b: number, bEnd: number): number {
  const length = Math.min(aEnd - a, bEnd - b)
  for (let i = 0; i < length; i++) {
    const difference = bytes[a + i] - bytes[b + i]
    if (difference !== 0) return difference
  }
  return aEnd - a - (bEnd - b)
}

function joined(path: Uint8Array, name: Uint8Array): Uint8Array {
  const whole = new Uint8Array(path.length + 1 + name.length)
  whole.set(path)
  whole[path.length] = 0x2f
  whole.set(name, path.length + 1)
  return whole
}

/** Adds the file to the set; false if it was there. */
function isNew(set: Set<string>, ref: NodeRef): boolean {
  const size = set.size
  set.add(`${ref.subvolume}:${ref.inodeHi}:${ref.inodeLo}`)
  return set.size > size
}
