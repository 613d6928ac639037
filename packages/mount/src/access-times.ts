/**
 * Times of access, as mounts of Linux have them by default (relatime): told by what is read, if they are older than the last change, or than a day.
 * What the kernel reads from its own memory nobody hears of. A file that is read and written all the time has its time noted once a second.
 */

import type { FileSystem, FileSystemWriter, Inode, NodeRef } from '@cowherd/fs'
import { errnoOf } from './errno.ts'

/** Whose times of access are kept. */
export interface AccessTimesKept {
  readonly ofFiles: boolean
  readonly ofDirectories: boolean
}

const DAY_SECONDS = 86_400
const PAUSE_MS = 1000
const NODES_KEPT = 1024

export class AccessTimes {
  private readonly fs: FileSystem & FileSystemWriter
  private readonly kept: AccessTimesKept
  private readonly inode: Inode
  /** Nodes that were looked at, and when: milliseconds of Unix time. */
  private readonly noted = new Map<number, number>()

  constructor(fs: FileSystem & FileSystemWriter, kept: AccessTimesKept) {
    this.fs = fs
    this.kept = kept
    this.inode = fs.newInode()
  }

  /** A node may come to stand for another file. */
  forget(node: number): void {
    this.noted.delete(node)
  }

  /** What a node stands for was read. Returns whether that was noted. */
  note(node: number, ref: Readonly<NodeRef>, isDirectory: boolean): boolean {
    const { kept, inode, fs, noted } = this
    if (!(isDirectory ? kept.ofDirectories : kept.ofFiles)) return false
    const now = Date.now()
    if (now - (noted.get(node) ?? 0) < PAUSE_MS) return false
    if (noted.size === NODES_KEPT) noted.clear()
    noted.set(node, now)
    try {
      fs.getattr(ref, inode)
      if (!isOld(inode)) return false
      fs.setattr(ref, { atime: 'now', ctime: ctimeOf(inode) }, inode)
      return true
    } catch (error) {
      if (errnoOf(error) === undefined) throw error
      return false // it has been read, and a volume that is full, or can only be read, is no obstacle to that
    }
  }
}

function ctimeOf({ ctimeSeconds, ctimeNanoseconds }: Inode): { seconds: number; nanoseconds: number } {
  return { seconds: ctimeSeconds, nanoseconds: ctimeNanoseconds }
}

function isOld(inode: Inode): boolean {
  const { atimeSeconds, atimeNanoseconds } = inode
  const isBefore = (seconds: number, nanoseconds: number): boolean =>
    atimeSeconds < seconds || (atimeSeconds === seconds && atimeNanoseconds <= nanoseconds)
  return (
    isBefore(inode.mtimeSeconds, inode.mtimeNanoseconds) ||
    isBefore(inode.ctimeSeconds, inode.ctimeNanoseconds) ||
    atimeSeconds < Date.now() / 1000 - DAY_SECONDS
  )
}
