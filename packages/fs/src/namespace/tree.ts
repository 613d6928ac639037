/** What all calls that change the tree of files work with: the tables, the view of a subvolume that is written to, inodes, and the time. */

import { VolumeError, type Ancestry, type Database, type Key, type Updates, type VolumeShape } from '@cowherd/db'
import type { Time } from '../file-system-writer.ts'
import { loadInode, storeInode } from '../inode-versions.ts'
import type { Inode } from '../inode.ts'
import { DIRENT_TARGET_AT } from '../key-types/dirent.ts'
import type { NodeRef } from '../node-ref.ts'
import { StringHash } from '../string-hash.ts'
import type { Subvolumes } from '../subvolumes.ts'
import type { TimeScale } from '../time-scale.ts'
import { AttributeTable } from './attribute-table.ts'
import type { StoredTime } from './inode-changes.ts'
import { Names, targetSubvolume } from './names.ts'
import { NewInodes } from './new-inodes.ts'
import type { View } from './view.ts'

export interface TreeOptions {
  /** Fills memory with bytes that nobody can guess. */
  readonly random: (bytes: Uint8Array) => void
  readonly now: () => Time
}

export class Tree {
  readonly names: Names
  readonly attributes: AttributeTable
  readonly newInodes: NewInodes
  readonly shape: VolumeShape
  /** Whether access control lists mean anything. */
  readonly hasAcls: boolean
  /** When the call that is under way began. */
  readonly now: StoredTime = new Uint32Array(2)
  readonly times: TimeScale
  readonly ancestry: Ancestry
  readonly subvolumes: Subvolumes
  private readonly clock: () => Time
  private readonly number = { numberHi: 0, numberLo: 0 }

  constructor(db: Database, subvolumes: Subvolumes, times: TimeScale, { random, now }: TreeOptions) {
    const hash = new StringHash(db.codecs)
    this.shape = db.shape
    this.times = times
    this.subvolumes = subvolumes
    this.ancestry = db.snapshots
    this.clock = now
    this.names = new Names(hash, db.snapshots)
    this.attributes = new AttributeTable(hash)
    this.newInodes = new NewInodes({ superblock: db.superblock, random }, this.attributes)
    this.hasAcls = db.superblock.options.acl
  }

  /** At the beginning of each call. */
  takeTime(): void {
    const { seconds, nanoseconds } = this.clock()
    this.times.store(this.now, 0, seconds, nanoseconds)
  }

  /** How a subvolume is written to. Throws VolumeError EROFS if it is read only. */
  writable(subvolume: number): View {
    const { readOnly } = this.subvolumes.view(subvolume)
    if (readOnly) throw new VolumeError('EROFS', `subvolume ${subvolume}`, 'is read only')
    return this.view(subvolume)
  }

  /** The same, whether or not it is read only: for the root of a subvolume, which belongs to the one with its name too. */
  view(subvolume: number): View {
    const { snapshot } = this.subvolumes.view(subvolume)
    return { subvolume, snapshot, ancestors: this.ancestry.ancestorsOf(snapshot) }
  }

  /** Reads an inode, to be changed in the view. Throws VolumeError ENOENT. */
  load(updates: Updates, view: View, ref: Readonly<NodeRef>, inode: Inode): void {
    const { number } = this
    number.numberHi = ref.inodeHi
    number.numberLo = ref.inodeLo
    if (!loadInode(updates, this.ancestry, number, view.snapshot, inode)) {
      throw new VolumeError('ENOENT', ref.toString(), 'there is no such inode')
    }
  }

  /** The same with a directory that names are to be changed in. Throws ENOTDIR; ENOENT if it is about to be deleted. */
  loadDirectory(updates: Updates, view: View, ref: Readonly<NodeRef>, inode: Inode): void {
    this.load(updates, view, ref, inode)
    if (!inode.isDirectory) throw new VolumeError('ENOTDIR', ref.toString(), 'is not a directory')
    if (inode.unlinked) throw new VolumeError('ENOENT', ref.toString(), 'is being deleted')
  }

  /** Puts an inode that was read or made in a view. */
  store(updates: Updates, inode: Inode): void {
    storeInode(updates, inode)
  }

  /** Sets `ref` to what a name in the subvolume leads to. */
  follow(entry: Key, subvolume: number, ref: NodeRef): void {
    const child = targetSubvolume(entry)
    if (child === 0) ref.set(subvolume, entry.words[DIRENT_TARGET_AT + 1], entry.words[DIRENT_TARGET_AT])
    else ref.copy(this.subvolumes.view(child).root)
  }
}
