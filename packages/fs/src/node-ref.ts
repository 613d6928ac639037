/**
 * `NodeRef`: which file. An inode number names a file within a subvolume only: a snapshot has the same numbers as what it was taken of.
 *
 * A reusable value of three numbers, filled by the calls that find files. Frontends that need one number of their own can make it from
 * the fields: on ordinary volumes inode numbers stay below 2^32, and the numbers of subvolumes are small.
 */

import { u64Decimal } from '@cowherd/kernel-lib'

export class NodeRef {
  subvolume = 0
  inodeHi = 0
  inodeLo = 0

  /** The reference in an object of its own. */
  static of(subvolume: number, inodeHi: number, inodeLo: number): NodeRef {
    return new NodeRef().set(subvolume, inodeHi, inodeLo)
  }

  set(subvolume: number, inodeHi: number, inodeLo: number): this {
    this.subvolume = subvolume
    this.inodeHi = inodeHi
    this.inodeLo = inodeLo
    return this
  }

  copy(other: Readonly<NodeRef>): this {
    return this.set(other.subvolume, other.inodeHi, other.inodeLo)
  }

  equals(other: Readonly<NodeRef>): boolean {
    return this.inodeLo === other.inodeLo && this.inodeHi === other.inodeHi && this.subvolume === other.subvolume
  }

  /** As messages name it. */
  toString(): string {
    return `inode ${u64Decimal(this.inodeHi, this.inodeLo)} in subvolume ${this.subvolume}`
  }
}
