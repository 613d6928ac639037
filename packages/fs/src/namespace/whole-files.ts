/**
 * Files that are made with all that is in them, as copies are: name, inode, attributes, data and times in one transaction, for several files of a directory at
 * once. What a transaction costs by itself, and what it changes of the directory, of buckets and of counters, is paid once for all of
 * them: a third of the time that making them one by one takes, where they are small (measured: 28 us a file instead of 62).
 */

import { VolumeError, type Key, type Updates } from '@cowherd/db'
import { decodeUtf8 } from '@cowherd/kernel-lib'
import type { FileData } from '../data/file-data.ts'
import { bytesOf } from '../file-system.ts'
import type { WholeFile } from '../file-system-writer.ts'
import { Field } from '../inode-fields.ts'
import { FileType, type Inode } from '../inode.ts'
import type { NodeRef } from '../node-ref.ts'
import { setAttribute } from './attribute-changes.ts'
import { pointBack } from './inode-changes.ts'
import { checkName, nameTarget } from './names.ts'
import type { Tree } from './tree.ts'
import type { View } from './view.ts'

export class WholeFiles {
  private readonly tree: Tree
  private readonly data: Pick<FileData, 'fill'>
  private readonly inode: Inode
  private readonly entry: Key

  /** `inode` and `entry` are overwritten by each call. */
  constructor(tree: Tree, data: Pick<FileData, 'fill'>, inode: Inode, entry: Key) {
    this.tree = tree
    this.data = data
    this.inode = inode
    this.entry = entry
  }

  /** Makes a file in the directory `parent`, and has `target` lead to it. Throws VolumeError EEXIST, ENOSPC, EIO, and what attributes throw. */
  make(updates: Updates, view: View, parent: Inode, file: WholeFile, target: NodeRef): void {
    const { tree, inode, entry } = this
    const name = bytesOf(file.name)
    checkName(name)
    if (tree.names.find(updates, view, parent, name, entry)) {
      throw new VolumeError('EEXIST', decodeUtf8(name), 'is there already')
    }
    const { uid, gid, atime, mtime } = file
    const birth = { mode: FileType.regular | (file.mode & ~FileType.mask), caller: { uid, gid, umask: 0 } }
    tree.newInodes.make(updates, view, parent, birth, tree.now, inode)
    pointBack(inode, tree.names.insert(updates, name, nameTarget(inode, view.subvolume)))
    for (const attribute of file.attributes) {
      setAttribute(tree, updates, view, inode, attribute.name, attribute.value, undefined)
    }
    if (file.data.length > 0) this.data.fill(updates, inode, file.data)
    tree.times.store(inode.fields, 2 * Field.atime, atime.seconds, atime.nanoseconds)
    tree.times.store(inode.fields, 2 * Field.mtime, mtime.seconds, mtime.nanoseconds)
    tree.store(updates, inode)
    target.set(view.subvolume, inode.numberHi, inode.numberLo)
  }
}
