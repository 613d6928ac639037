/**
 * Who is used, by how many, and which of them have no name any more: these are deleted when nobody uses them.
 *
 * A directory is deleted with its name, as an unlinked directory may never lie on a volume (format chapter 5, 5.3). What its users are shown
 * is kept here.
 */

import type { Inode } from '../inode.ts'
import type { NodeRef } from '../node-ref.ts'

/** Inode numbers below 2^53 stand for themselves. */
type NumberKey = number | string

export class Holders {
  /** By subvolume, then by inode number. */
  private readonly counts = new Map<number, Map<NumberKey, number>>()
  private readonly orphans = new Set<string>()
  private readonly deleted = new Map<string, Inode>()

  hold(ref: Readonly<NodeRef>): void {
    let counts = this.counts.get(ref.subvolume)
    if (counts === undefined) this.counts.set(ref.subvolume, (counts = new Map<NumberKey, number>()))
    const key = keyOf(ref)
    counts.set(key, (counts.get(key) ?? 0) + 1)
  }

  /** True if nobody uses the file any more, and it has no name. Throws RangeError if it wasn't held so often. */
  release(ref: Readonly<NodeRef>, count: number): boolean {
    const counts = this.counts.get(ref.subvolume)
    const key = keyOf(ref)
    const left = (counts?.get(key) ?? 0) - count
    if (left < 0) throw new RangeError(`${ref.toString()} was not held so often`)
    if (left > 0) {
      counts?.set(key, left)
      return false
    }
    counts?.delete(key)
    if (this.deleted.size > 0) this.deleted.delete(ref.toString())
    return this.orphans.size > 0 && this.orphans.delete(ref.toString())
  }

  isHeld(ref: Readonly<NodeRef>): boolean {
    return this.counts.get(ref.subvolume)?.has(keyOf(ref)) === true
  }

  /** True if somebody uses the inode of that number in a subvolume for which `sees` is true. */
  isHeldBySome(hi: number, lo: number, sees: (subvolume: number) => boolean): boolean {
    const key = numberKey(hi, lo)
    for (const [subvolume, counts] of this.counts) if (counts.has(key) && sees(subvolume)) return true
    return false
  }

  /** A file has no name any more, and is to be deleted when it is released. */
  addOrphan(ref: Readonly<NodeRef>): void {
    this.orphans.add(ref.toString())
  }

  /** It has got a name. */
  dropOrphan(ref: Readonly<NodeRef>): void {
    if (this.orphans.size > 0) this.orphans.delete(ref.toString())
  }

  /** A directory that somebody uses is deleted; this was it. */
  addDeleted(ref: Readonly<NodeRef>, inode: Inode): void {
    this.deleted.set(ref.toString(), inode)
  }

  /** A directory that was deleted, but is used still. */
  findDeleted(ref: Readonly<NodeRef>): Inode | undefined {
    return this.deleted.size === 0 ? undefined : this.deleted.get(ref.toString())
  }
}

function keyOf(ref: Readonly<NodeRef>): NumberKey {
  return numberKey(ref.inodeHi, ref.inodeLo)
}

function numberKey(hi: number, lo: number): NumberKey {
  return hi < 0x200000 ? hi * 0x100000000 + lo : `${hi}:${lo}`
}
