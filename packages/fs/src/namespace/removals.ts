/**
 * What becomes of a file whose last name goes: it is deleted in the same transaction if nobody uses it and it is small, by further ones if it is
 * large, or when it is released. Format chapter 5, 5.3.
 */

import type { Database, Key, Updates } from '@cowherd/db'
import type { InodeVersion } from '../extents/overwrite.ts'
import { removeDeadAbove, removeInode, removeInodeStep } from '../inode-removal.ts'
import { Field } from '../inode-fields.ts'
import { Inode } from '../inode.ts'
import { NodeRef } from '../node-ref.ts'
import type { Subvolumes } from '../subvolumes.ts'
import { Holders } from './holders.ts'
import { dropLink, setTime } from './inode-changes.ts'
import type { Tree } from './tree.ts'

/** An empty directory has tombstones and attributes, few in all likelihood: it goes in one transaction. */
const DIRECTORY_STEPS_MAX = 8

export class Removals {
  readonly holders = new Holders()
  private readonly db: Database
  private readonly subvolumes: Subvolumes
  private readonly tree: Tree
  /** The file that lost its last name in the transaction under way. */
  private readonly ref = new NodeRef()
  private inode: Inode | undefined
  private isGone = false
  private readonly isOpen = (version: InodeVersion): boolean => this.isVersionOpen(version)

  constructor(db: Database, subvolumes: Subvolumes, tree: Tree) {
    this.db = db
    this.subvolumes = subvolumes
    this.tree = tree
  }

  /** At the beginning of each call. */
  begin(): void {
    this.inode = undefined
    this.isGone = false
  }

  /**
   * A name, whose key is `entry`, is gone in the transaction: takes it into account in the inode, which `settle` needs unchanged, and puts that.
   */
  dropName(updates: Updates, ref: Readonly<NodeRef>, inode: Inode, entry: Key): void {
    dropLink(inode, entry)
    setTime(inode, Field.ctime, this.tree.now)
    this.tree.store(updates, inode)
    if (!inode.unlinked) return
    this.ref.copy(ref)
    this.inode = inode
    const steps = inode.isDirectory ? DIRECTORY_STEPS_MAX : this.holders.isHeld(ref) ? 0 : 1
    for (let step = 0; step < steps && !this.isGone; step++) {
      this.isGone = removeInodeStep(updates, this.tree.ancestry, inode)
    }
  }

  /** After the transaction. Returns a directory that was deleted. Throws what the database throws; the next start goes on then. */
  settle(): Readonly<NodeRef> | undefined {
    const { db, holders, inode, ref } = this
    if (inode === undefined) return undefined
    this.inode = undefined
    const isHeld = holders.isHeld(ref)
    if (isHeld && inode.isDirectory) holders.addDeleted(ref, new Inode(this.tree.times).copy(inode))
    else if (isHeld) {
      holders.addOrphan(ref)
      return undefined
    }
    if (this.isGone) removeDeadAbove(db, inode, this.isOpen)
    else removeInode(db, inode, inode.isDirectory ? undefined : this.isOpen)
    return inode.isDirectory ? ref : undefined
  }

  /** So many users of a file don't use it any more. Throws what the database throws. */
  release(ref: Readonly<NodeRef>, count: number): void {
    const isLeft = this.holders.release(ref, count)
    // On a volume that can't be written any more the next start does it.
    if (!isLeft || this.db.failure !== undefined) return
    const { snapshot } = this.subvolumes.view(ref.subvolume)
    removeInode(this.db, { numberHi: ref.inodeHi, numberLo: ref.inodeLo, snapshot }, this.isOpen)
  }

  /** True if somebody uses a file that is this version of an inode. */
  private isVersionOpen({ numberHi, numberLo, snapshot }: InodeVersion): boolean {
    const sees = (subvolume: number): boolean =>
      this.db.snapshots.isAncestor(this.subvolumes.view(subvolume).snapshot, snapshot)
    return this.holders.isHeldBySome(numberHi, numberLo, sees)
  }
}
