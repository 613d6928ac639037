/**
 * Copies files into a volume that is open for writing: each in a few transactions, small ones several in one. A file that could not be finished is
 * removed.
 */

import type { Inode, NodeRef } from '@cowherd/fs'
import type { Losses } from '../copy/unkept.ts'
import { removeUnfinished } from './failure.ts'
import { LocalData, mayHaveHoles } from './local-data.ts'
import type { LocalFile } from './local-files.ts'
import { NewFiles, type FileHead, type Folder, type NewFile } from './new-files.ts'
import { lookAt, type Place } from './place.ts'
import { SmallFiles } from './small-files.ts'
import type { TargetOptions, TreeTarget } from './tree-target.ts'
import type { WritableFiles } from './writable-files.ts'

/** Files are copied in pieces of this size. */
const PIECE_BYTES = 1 << 20

export class VolumeFiles implements TreeTarget {
  private readonly fs: WritableFiles
  private readonly options: TargetOptions
  private readonly newFiles: NewFiles
  private readonly smallFiles: SmallFiles
  private readonly buffer = new Uint8Array(PIECE_BYTES)
  private readonly inode: Inode
  /** The file that has some of its data. */
  private unfinished: Place | undefined

  constructor(fs: WritableFiles, unkept: Losses, options: TargetOptions) {
    this.fs = fs
    this.options = options
    this.newFiles = new NewFiles(fs, unkept)
    this.smallFiles = new SmallFiles(fs, this.newFiles, options)
    this.inode = fs.newInode()
  }

  folder(ref: NodeRef): Folder {
    return this.newFiles.folder(ref)
  }

  find(place: Place): { readonly ref: NodeRef; readonly isDirectory: boolean } | undefined {
    const { fs, inode } = this
    const ref = lookAt(fs, place)
    if (ref === undefined) return undefined
    fs.getattr(ref, inode)
    return { ref, isDirectory: inode.isDirectory }
  }

  remove({ directory, name }: Place): void {
    this.fs.unlink(directory, name)
  }

  makeDirectory(folder: Folder, place: Place, head: FileHead): NewFile {
    return this.newFiles.make(folder, place, head)
  }

  finishDirectory(made: NewFile, path: Uint8Array, head: FileHead): void {
    this.newFiles.finish(made, path, head)
  }

  adopt(ref: NodeRef, path: Uint8Array, head: FileHead): void {
    this.newFiles.adopt(ref, path, head)
  }

  makeNode(folder: Folder, place: Place, head: FileHead): NodeRef {
    const made = this.newFiles.make(folder, place, head)
    this.newFiles.finish(made, place.path, head)
    return made.ref
  }

  makeLink(folder: Folder, place: Place, head: FileHead, target: Uint8Array): NodeRef {
    return this.newFiles.makeLink(folder, place, head, target)
  }

  link(file: NodeRef, folder: Folder, name: Uint8Array): void {
    this.fs.link(file, folder.ref, name, this.inode)
  }

  async copy(
    file: LocalFile,
    folder: Folder,
    place: Place,
    head: FileHead,
    share: number,
  ): Promise<NodeRef | undefined> {
    const { newFiles, options } = this
    if (this.handOver(file, folder, place, head)) {
      options.progress.add(share)
      return undefined
    }
    const data = new LocalData(file, options.native, this.buffer)
    try {
      const made = newFiles.make(folder, place, head)
      this.unfinished = place
      const done = await this.copyData(data, made.ref, share)
      newFiles.finish(made, place.path, head, data.sizeWithHole)
      this.unfinished = undefined
      options.progress.add(share - done)
      return made.ref
    } finally {
      data.close()
    }
  }

  settle(): void {
    this.smallFiles.flush()
  }

  giveUp(): void {
    const { unfinished } = this
    this.unfinished = undefined
    if (unfinished !== undefined) removeUnfinished(this.fs, unfinished, this.options.note)
  }

  abort(): void {
    this.giveUp()
    this.smallFiles.end()
  }

  /** Has a small file made together with others. Returns whether it is such a file. Throws errors of system calls, CommandError. */
  private handOver(file: LocalFile, folder: Folder, place: Place, head: FileHead): boolean {
    const { smallFiles } = this
    const { size, linkCount } = file
    if (linkCount > 1 || mayHaveHoles(file) || !smallFiles.takes(folder, head, size)) return false
    const room = smallFiles.room(Math.max(size, 1))
    const data = new LocalData(file, undefined, room)
    try {
      const bytes = data.next() ? data.bytes : room.subarray(0, 0)
      if (bytes.length > size) return false // the kernel makes it up: its size says nothing
      smallFiles.add(folder, place, head, bytes)
      return true
    } finally {
      data.close()
    }
  }

  /** Returns how much of `share` was added to the progress. */
  private async copyData(data: LocalData, ref: NodeRef, share: number): Promise<number> {
    const { fs, options } = this
    let done = 0
    while (data.next()) {
      fs.write(ref, data.offset, data.bytes)
      const part = Math.min(share - done, data.bytes.length)
      options.progress.add(part)
      done += part
      if (options.interruption.due()) await options.interruption.rest()
    }
    return done
  }
}
