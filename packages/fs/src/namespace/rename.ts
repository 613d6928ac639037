/**
 * rename(2), as part of a transaction. Format chapter 5, 5.8.3.
 *
 *     plain       the old name goes, then the new one is added: it may take the old one's slot
 *     over        the new name leads to the other file, then the old one goes
 *     exchange    both names stay, and lead to each other's file
 *
 * The root of a subvolume can be moved too, by its name in the subvolume around it: also to another subvolume.
 */

import { BtreeId, Key, KEY_BYTES, KEY_POS_AT, samePosIgnoringSnapshot, setBpos, VolumeError } from '@cowherd/db'
import type { Bpos, Updates } from '@cowherd/db'
import { decodeUtf8 } from '@cowherd/kernel-lib'
import { isEmptyDirectory } from '../empty-directory.ts'
import type { RenameOptions } from '../file-system-writer.ts'
import { Field } from '../inode-fields.ts'
import { isInode } from '../inode-versions.ts'
import { Inode, InodeFlag } from '../inode.ts'
import { subvolume as subvolumeType, SubvolumeValue } from '../key-types/subvolume.ts'
import { NodeRef } from '../node-ref.ts'
import { inheritOptions } from '../option-attributes.ts'
import type { TimeScale } from '../time-scale.ts'
import { countSubdirectory, isCounted, pointBack, refuseFixed, setField, setTime, touch } from './inode-changes.ts'
import { nameTarget } from './names.ts'
import type { Removals } from './removals.ts'
import type { Tree } from './tree.ts'
import type { View } from './view.ts'

/** Where a name is, or is to be. */
export interface NamePlace {
  readonly directory: Readonly<NodeRef>
  readonly name: Uint8Array
}

const FS_PATH_PARENT_AT = KEY_BYTES + SubvolumeValue.offsets.fsPathParent
const SNAPSHOT_MAX = 0xffffffff
const NO_VIEW: View = { subvolume: 0, snapshot: 0, ancestors: new Set() }

/** One of the two names. */
class Side {
  view: View = NO_VIEW
  /** That has the name, or is to have it: of both sides the same object, if it is the same directory. */
  directory: Inode
  name: Uint8Array = new Uint8Array(0)
  readonly entry = new Key()
  isThere = false
  /** What the name leads to, if it is there. */
  readonly target = new NodeRef()
  readonly inode: Inode
  private readonly ownDirectory: Inode

  constructor(times: TimeScale) {
    this.inode = new Inode(times)
    this.ownDirectory = new Inode(times)
    this.directory = this.ownDirectory
  }

  /** Reads the directory. */
  enter(tree: Tree, updates: Updates, { directory, name }: NamePlace): void {
    this.name = name
    this.directory = this.ownDirectory
    this.view = tree.writable(directory.subvolume)
    tree.loadDirectory(updates, this.view, directory, this.directory)
  }

  /** It is the directory of another side. */
  enterWith({ view, directory }: Side, name: Uint8Array): void {
    this.name = name
    this.directory = directory
    this.view = view
  }

  /** Looks for the name. */
  find(tree: Tree, updates: Updates): void {
    const { view, target } = this
    target.set(0, 0, 0)
    this.isThere = tree.names.find(updates, view, this.directory, this.name, this.entry)
    if (!this.isThere) return
    tree.follow(this.entry, view.subvolume, target)
    tree.load(updates, tree.view(target.subvolume), target, this.inode)
  }

  get isSubvolume(): boolean {
    return this.target.subvolume !== this.view.subvolume
  }

  fail(code: VolumeError['code'], message: string): never {
    throw new VolumeError(code, decodeUtf8(this.name), message)
  }
}

/** What a call works with; one object serves all of them, as keys are large. */
export class RenameSides {
  readonly old: Side
  readonly target: Side

  constructor(times: TimeScale) {
    this.old = new Side(times)
    this.target = new Side(times)
  }
}

export class Rename {
  /** Subvolumes whose names are in another subvolume now. */
  readonly movedSubvolumes: number[] = []
  private readonly tree: Tree
  private readonly removals: Removals
  private readonly updates: Updates
  private readonly from: NamePlace
  private readonly to: NamePlace
  private readonly isSameDirectory: boolean
  private readonly sides: RenameSides

  constructor(tree: Tree, removals: Removals, sides: RenameSides, updates: Updates, from: NamePlace, to: NamePlace) {
    this.sides = sides
    this.tree = tree
    this.removals = removals
    this.updates = updates
    this.from = from
    this.to = to
    this.isSameDirectory = from.directory.equals(to.directory)
  }

  /**
   * `isWithin`: whether a directory is another one, or below it. Throws VolumeError ENOENT, EEXIST, EINVAL (into itself), ENOTDIR, EISDIR,
   * ENOTEMPTY, EBUSY (a subvolume is in the way), EXDEV, EPERM, EROFS.
   */
  run(
    { noReplace = false, exchange = false }: RenameOptions,
    isWithin: (directory: Readonly<NodeRef>, other: Readonly<NodeRef>) => boolean,
  ): void {
    const [old, target] = this.findSides()
    if (!old.isThere) old.fail('ENOENT', 'there is no such name')
    if (target.isThere && noReplace) target.fail('EEXIST', 'is there already')
    if (!target.isThere && exchange) target.fail('ENOENT', 'there is no such name')
    // Two names of one file: nothing happens. rename(2).
    if (target.isThere && target.target.equals(old.target)) return

    this.checkLoops(old, exchange ? target : undefined, isWithin)
    if (target.isThere && !exchange) this.checkReplaced(old, target)
    this.checkFixed(old, target)
    if (old.view.subvolume !== target.view.subvolume) {
      if (!old.isSubvolume || (target.isThere && !target.isSubvolume))
        old.fail('EXDEV', 'is moved to another subvolume')
    }
    if (!this.isSameDirectory) {
      this.inherit(old, target.directory)
      if (exchange) this.inherit(target, old.directory)
    }

    if (exchange) this.exchange(old, target)
    else if (target.isThere) this.replace(old, target)
    else this.move(old, target)
    this.touchDirectories(old, target)
  }

  private findSides(): [old: Side, target: Side] {
    const { tree, updates, from, to } = this
    const { old, target } = this.sides
    old.enter(tree, updates, from)
    if (this.isSameDirectory) target.enterWith(old, to.name)
    else target.enter(tree, updates, to)
    old.find(tree, updates)
    target.find(tree, updates)
    return [old, target]
  }

  /** A directory must not come below itself. `other`: a side whose file goes the other way. */
  private checkLoops(
    old: Side,
    other: Side | undefined,
    isWithin: (directory: Readonly<NodeRef>, other: Readonly<NodeRef>) => boolean,
  ): void {
    if (this.isSameDirectory) return
    if (old.inode.isDirectory && isWithin(this.to.directory, old.target)) old.fail('EINVAL', 'would contain itself')
    if (other?.inode.isDirectory === true && isWithin(this.from.directory, other.target)) {
      other.fail('EINVAL', 'would contain itself')
    }
  }

  private checkReplaced(old: Side, target: Side): void {
    const { inode } = target
    if (old.inode.isDirectory && !inode.isDirectory) target.fail('ENOTDIR', 'is no directory')
    if (!old.inode.isDirectory && inode.isDirectory) target.fail('EISDIR', 'is a directory')
    if (target.isSubvolume) target.fail('EBUSY', 'is a subvolume')
    if (!inode.isDirectory) return
    const isEmpty = isEmptyDirectory(this.updates, this.tree.ancestry, inode, target.view.subvolume)
    if (!isEmpty) target.fail('ENOTEMPTY', 'is not empty')
  }

  private checkFixed(old: Side, target: Side): void {
    refuseFixed(old.directory)
    refuseFixed(old.inode)
    if (!target.isThere) refuseFixed(target.directory, InodeFlag.immutable)
    else {
      refuseFixed(target.directory)
      refuseFixed(target.inode)
    }
  }

  /** What is in a directory has its options already: only a copy can have others. */
  private inherit(side: Side, directory: Inode): void {
    if (inheritOptions(side.inode, directory) && side.inode.isDirectory) {
      side.fail('EXDEV', 'is moved to a directory with other options')
    }
  }

  private move(old: Side, target: Side): void {
    const { names } = this.tree
    names.remove(this.updates, old.view, old.directory, old.entry)
    names.find(this.updates, target.view, target.directory, target.name, target.entry)
    const place = names.insert(this.updates, target.name, nameTarget(old.inode, target.view.subvolume))
    this.settle(old, target, place)
  }

  private replace(old: Side, target: Side): void {
    const { tree, updates } = this
    this.lead(target, old)
    tree.names.remove(updates, old.view, old.directory, old.entry)
    if (isCounted(target.inode)) countSubdirectory(target.directory, -1)
    this.removals.dropName(updates, target.target, target.inode, target.entry)
  }

  private exchange(old: Side, target: Side): void {
    this.lead(target, old)
    this.lead(old, target)
  }

  /** Lets the name of `side` lead to the file of `other`. */
  private lead(side: Side, other: Side): void {
    const leadsTo = nameTarget(other.inode, side.view.subvolume)
    const place = this.tree.names.replace(this.updates, side.view, side.directory, side.entry, side.name, leadsTo)
    this.settle(other, side, place)
  }

  /** The file of `side` has its name at `place` now, in the directory of `to`. */
  private settle(side: Side, to: Side, place: Bpos): void {
    const { inode } = side
    pointBack(inode, place)
    setTime(inode, Field.ctime, this.tree.now)
    if (isCounted(inode)) {
      countSubdirectory(side.directory, -1)
      countSubdirectory(to.directory, 1)
    }
    if (side.isSubvolume) this.settleSubvolume(inode, place, to.view.subvolume)
    this.tree.store(this.updates, inode)
  }

  /**
   * The name of a subvolume is in the subvolume `parent` now. Older versions of its root that speak for it must say the same. Format chapter 5,
   * 5.7.7.
   */
  private settleSubvolume(root: Inode, place: Bpos, parent: number): void {
    const { tree, updates } = this
    const { subvolume, numberHi, numberLo } = root
    const key = new Key()
    if (root.parentSubvolume !== parent) {
      setField(root, Field.parentSubvol, parent)
      const pos = new Uint32Array(5)
      setBpos(pos, 0, 0, 0, subvolume, 0)
      if (
        !updates.get(BtreeId.subvolumes, pos, key) ||
        key.type !== subvolumeType.number ||
        key.valueBytes < SubvolumeValue.size
      ) {
        throw new VolumeError('EIO', `subvolume ${subvolume}`, 'is missing')
      }
      key.view.setUint32(FS_PATH_PARENT_AT, parent, true)
      updates.put(BtreeId.subvolumes, key)
      this.movedSubvolumes.push(subvolume)
    }
    const version = new Inode(tree.times)
    const at = new Uint32Array(5)
    setBpos(at, 0, 0, numberHi, numberLo, 0)
    while (updates.peek(BtreeId.inodes, at, key) && samePosIgnoringSnapshot(key.words, KEY_POS_AT, at, 0)) {
      at[0] = key.snapshot
      const isOlder = isInode(key.type) && key.snapshot !== root.snapshot && version.decode(key) === undefined
      if (isOlder && version.subvolume === subvolume) {
        pointBack(version, place)
        setField(version, Field.parentSubvol, parent)
        tree.store(updates, version)
      }
      if (at[0] === SNAPSHOT_MAX) return
      at[0]++
    }
  }

  private touchDirectories(old: Side, target: Side): void {
    const { tree, updates } = this
    touch(old.directory, tree.now)
    tree.store(updates, old.directory)
    if (this.isSameDirectory) return
    touch(target.directory, tree.now)
    tree.store(updates, target.directory)
  }
}
