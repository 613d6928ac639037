/**
 * Walking a tree of files: depth first, each directory before what is in it, names in the order of their bytes.
 *
 * Damage stops nothing: what can't be read is told, and the walk goes on. Every directory is entered once, however names are tangled.
 */

import { VolumeError } from '@cowherd/db'
import type { FileSystemReader } from './file-system-reader.ts'
import type { Inode } from './inode.ts'
import { Listing } from './listing.ts'
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
export function walk(fs: FileSystemReader, visitor: WalkVisitor, start: Readonly<NodeRef> = fs.root): void {
  const steps = new TreeWalk(fs, visitor, start)
  while (steps.step());
}

const NO_NAME = new Uint8Array(0)
const SLASH = 0x2f
/** Bounds the names that are kept of all directories on the way; each may keep LISTING_BYTES_MIN, however many there are. */
const LISTINGS_BYTES = 16 << 20
const LISTING_BYTES_MIN = 64 << 10

/** A directory on the way from the start to where the walk is. */
interface Level {
  readonly ref: NodeRef
  readonly listing: Listing
  readonly path: Uint8Array
  readonly name: Uint8Array
}

/** A walk that its owner drives, for work that has to pause: each step looks at one file at most. */
export class TreeWalk {
  private readonly fs: FileSystemReader
  private readonly visitor: WalkVisitor
  private readonly inode: Inode
  private readonly levels: Level[] = []
  private start: NodeRef | undefined
  private pathBytes = new Uint8Array(0)
  /** Directories that were entered by another name than the one they point back to. */
  private readonly strays = new Set<string>()

  constructor(fs: FileSystemReader, visitor: WalkVisitor, start: Readonly<NodeRef> = fs.root) {
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
    } else if (this.advance(level)) {
      this.stepInto(level)
    } else {
      levels.pop()
      this.leave(level, levels.length)
    }
    return levels.length > 0
  }

  /** Goes to the next entry of a directory. False at its end, or where it can't be read any further. */
  private advance({ listing, path }: Level): boolean {
    try {
      return listing.next()
    } catch (error) {
      this.fail(path, error)
      return false
    }
  }

  /** Looks at an entry of a directory. */
  private stepInto(level: Level): void {
    const { listing } = level
    const { name, target: ref } = listing
    const path = level.path.length === 0 ? name : this.joined(level.path, name)
    const { inode } = this
    try {
      this.fs.getattr(ref, inode)
    } catch (error) {
      this.fail(path, error)
      return
    }
    const isHome = listing.offsetHi === inode.dirOffsetHi && listing.offsetLo === inode.dirOffsetLo
    const pointsHere = isHome && level.ref.inodeHi === inode.dirHi && level.ref.inodeLo === inode.dirLo
    this.visit(path, name, ref, inode, pointsHere || (inode.dirHi === 0 && inode.dirLo === 0))
  }

  private visit(path: Uint8Array, name: Uint8Array, ref: NodeRef, inode: Inode, pointsHere: boolean): void {
    const { levels } = this
    const depth = levels.length
    const wanted = this.visitor.visit({ path, name, depth, ref, inode })
    if (!inode.isDirectory || wanted === false) return
    // A directory has one name, and points back to it. With another one it may be part of a circle.
    const isCircle = levels.some((level) => level.ref.equals(ref))
    if (isCircle || (!pointsHere && !isNew(this.strays, ref))) {
      this.fail(path, new VolumeError('ELOOP', ref.toString(), 'the directory has several names'))
      return
    }
    try {
      levels.push({ ref, listing: new Listing(this.fs, ref, this.room()), path: path.slice(), name: name.slice() })
    } catch (error) {
      this.fail(path, error)
    }
  }

  /** Bytes that the next listing may take: what the directories above have left, and half of that for those below. */
  private room(): number {
    const taken = this.levels.reduce((sum, { listing }) => sum + listing.bytes, 0)
    return Math.max(LISTING_BYTES_MIN, (LISTINGS_BYTES - taken) / 2)
  }

  private leave(level: Level, depth: number): void {
    if (this.visitor.leave === undefined) return
    const { path, name, ref } = level
    this.fs.getattr(ref, this.inode)
    this.visitor.leave({ path, name, depth, ref, inode: this.inode })
  }

  private joined(path: Uint8Array, name: Uint8Array): Uint8Array {
    const length = path.length + 1 + name.length
    if (length > this.pathBytes.length) this.pathBytes = new Uint8Array(2 * length)
    const whole = this.pathBytes
    whole.set(path)
    whole[path.length] = SLASH
    whole.set(name, path.length + 1)
    return whole.subarray(0, length)
  }

  private fail(path: Uint8Array, error: unknown): void {
    if (!(error instanceof VolumeError)) throw error
    this.visitor.fail(path, error)
  }
}

/** Adds the file to the set; false if it was there. */
function isNew(set: Set<string>, ref: NodeRef): boolean {
  const size = set.size
  set.add(`${ref.subvolume}:${ref.inodeHi}:${ref.inodeLo}`)
  return set.size > size
}
