/**
 * The files of a volume that is mounted, changed through its mount (`mounted-reader.ts` says why). Calls do what those of `WritableFileSystem` do, as
 * far as commands need them, but for this: each consists of several calls of the system, so that after a crash a file may be there with less than all of
 * its attributes; and what the mount refuses to its user is refused.
 *
 * Data that was written comes to the volume when its file is closed, which is when the next call needs it: so that a full volume is told of the file
 * that didn't fit. `close` brings all that was done to stable storage.
 */

import {
  chmodSync,
  closeSync,
  constants,
  fsyncSync,
  ftruncateSync,
  linkSync,
  lchownSync,
  lstatSync,
  lutimesSync,
  mkdirSync,
  openSync,
  renameSync,
  rmdirSync,
  symlinkSync,
  unlinkSync,
  writeSync,
} from 'node:fs'
import { VolumeError } from '@cowherd/db'
import { FileType, NodeRef } from '@cowherd/fs'
import type { AttributeChanges, Caller, Inode, RenameOptions, Time, WholeFile } from '@cowherd/fs'
import { NativeError } from '@cowherd/shim'
import type { WritableFiles } from '../writing/writable-files.ts'
import { numberOf } from './file-number.ts'
import { asVolume, toVolumeError } from './mount-error.ts'
import { MountedReader } from './mounted-reader.ts'
import { O_PATH } from './places.ts'

const PERMISSIONS = 0o7777
const SET_ID = 0o6000
const SET_GROUP_ID = 0o2000

type Name = Uint8Array | string

export class MountedFiles extends MountedReader implements WritableFiles {
  /** The file that is being written. */
  private writing: { readonly number: bigint; readonly fd: number } | undefined

  create(directory: Readonly<NodeRef>, name: Name, mode: number, caller: Caller, target: NodeRef, inode: Inode): void {
    this.endWriting()
    const path = this.places.pathIn(directory, Buffer.from(name))
    const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW
    const fd = this.making(caller, name, () => openSync(path, flags, mode & PERMISSIONS))
    try {
      this.made(directory, name, target, inode)
      this.give(directory, target, inode, caller)
      this.writing = { number: numberOf(target), fd }
    } catch (error) {
      closeSync(fd)
      throw error
    }
  }

  createWhole(directory: Readonly<NodeRef>, files: readonly WholeFile[], targets: readonly NodeRef[]): void {
    const inode = this.newInode()
    let made = 0
    try {
      for (const { name, mode, uid, gid, atime, mtime, attributes, data } of files) {
        const target = targets[made] ?? new NodeRef()
        this.create(directory, name, mode, { uid, gid, umask: 0 }, target, inode)
        made++
        this.write(target, 0, data)
        for (const attribute of attributes) this.setAttribute(target, attribute.name, attribute.value)
        const isExact = inode.mode === (FileType.regular | mode) && (mode & SET_ID) === 0 && attributes.length === 0
        this.setattr(target, { atime, mtime, ...(isExact ? {} : { mode }) }, inode)
      }
    } catch (error) {
      this.giveUp()
      for (const { name } of files.slice(0, made)) this.unlink(directory, name)
      throw error
    }
  }

  mkdir(directory: Readonly<NodeRef>, name: Name, mode: number, caller: Caller, target: NodeRef, inode: Inode): void {
    const path = this.places.pathIn(directory, Buffer.from(name))
    this.making(caller, name, () => mkdirSync(path, mode & PERMISSIONS))
    this.made(directory, name, target, inode)
    this.give(directory, target, inode, caller)
    // mkdir(2) takes no set-id bits, and passes on that of the group
    const wanted = (mode & PERMISSIONS & ~caller.umask) | (inode.mode & SET_GROUP_ID)
    if ((mode & SET_ID) !== 0) this.setattr(target, { mode: wanted }, inode)
  }

  mknod(
    directory: Readonly<NodeRef>,
    name: Name,
    mode: number,
    device: { readonly major: number; readonly minor: number },
    caller: Caller,
    target: NodeRef,
    inode: Inode,
  ): void {
    const { native } = this
    if (native === undefined)
      throw new VolumeError('EOPNOTSUPP', textOf(name), 'on a mount that takes the package koffi')
    const path = this.places.pathIn(directory, Buffer.from(name))
    this.making(caller, name, () => native.mknod(path, mode, device.major, device.minor))
    this.made(directory, name, target, inode)
    this.give(directory, target, inode, caller)
  }

  symlink(
    directory: Readonly<NodeRef>,
    name: Name,
    linkTarget: Uint8Array,
    caller: Caller,
    target: NodeRef,
    inode: Inode,
  ): void {
    const path = this.places.pathIn(directory, Buffer.from(name))
    this.making(caller, name, () => symlinkSync(Buffer.from(linkTarget), path))
    this.made(directory, name, target, inode)
    this.give(directory, target, inode, caller)
  }

  link(ref: Readonly<NodeRef>, directory: Readonly<NodeRef>, name: Name, inode: Inode): void {
    this.places.keeping(directory, Buffer.from(name), (path) =>
      asVolume(textOf(name), () => linkSync(this.places.pathOf(ref), path)),
    )
    const target = new NodeRef()
    this.made(directory, name, target, inode)
    if (!target.equals(ref)) throw new VolumeError('ENOENT', ref.toString(), 'is not there any more')
  }

  unlink(directory: Readonly<NodeRef>, name: Name): void {
    this.endWriting()
    const path = this.places.pathIn(directory, Buffer.from(name))
    asVolume(textOf(name), () => unlinkSync(path))
  }

  rmdir(directory: Readonly<NodeRef>, name: Name): void {
    const path = this.places.pathIn(directory, Buffer.from(name))
    const target = new NodeRef()
    if (this.lookup(directory, name, target)) this.places.forget(target)
    asVolume(textOf(name), () => rmdirSync(path))
  }

  rename(
    directory: Readonly<NodeRef>,
    name: Name,
    newDirectory: Readonly<NodeRef>,
    newName: Name,
    { noReplace = false }: Pick<RenameOptions, 'noReplace'> = {},
  ): void {
    this.endWriting()
    this.places.keeping(newDirectory, Buffer.from(newName), (to) =>
      asVolume(textOf(newName), () => {
        const from = this.places.pathIn(directory, Buffer.from(name))
        if (noReplace) this.renameToFree(from, to)
        else renameSync(from, to)
      }),
    )
    this.made(newDirectory, newName, new NodeRef(), this.newInode())
  }

  setattr(ref: Readonly<NodeRef>, changes: AttributeChanges, inode: Inode): void {
    const { mode, uid, gid, size, atime, mtime } = changes
    this.endWriting()
    if (size !== undefined) this.onFile(ref, constants.O_WRONLY, (fd) => ftruncateSync(fd, size))
    this.getattr(ref, inode)
    if (uid !== undefined || gid !== undefined) {
      asVolume(ref, () => lchownSync(this.places.pathOf(ref), uid ?? -1, gid ?? -1))
    }
    if (mode !== undefined && !inode.isSymlink) {
      // chmod(2) would follow a link: through this descriptor it reaches the file that was met
      this.onFile(ref, O_PATH, (fd) => chmodSync(`/proc/self/fd/${fd}`, mode & PERMISSIONS))
    }
    if (atime !== undefined || mtime !== undefined) this.setTimes(ref, inode, atime, mtime)
    this.getattr(ref, inode)
  }

  setAttribute(ref: Readonly<NodeRef>, name: Name, value: Uint8Array): void {
    const { native } = this
    const text = textOf(name)
    if (native === undefined || (typeof name !== 'string' && Buffer.compare(Buffer.from(text), name) !== 0)) {
      throw new VolumeError('EOPNOTSUPP', text, 'on a mount such a name is not to be had')
    }
    try {
      native.setXattr(this.places.pathOf(ref), text, value)
    } catch (error) {
      if (!(error instanceof NativeError) || error.code !== 'EPERM') throw toVolumeError(text, error)
      throw new VolumeError('EACCES', text, 'not permitted', { cause: error })
    }
  }

  removeAttribute(ref: Readonly<NodeRef>, name: Name): void {
    const { native } = this
    if (native === undefined)
      throw new VolumeError('EOPNOTSUPP', textOf(name), 'on a mount that takes the package koffi')
    asVolume(textOf(name), () => native.removeXattr(this.places.pathOf(ref), Buffer.from(name)))
  }

  write(ref: Readonly<NodeRef>, offset: number, data: Uint8Array): void {
    const fd = this.descriptorFor(ref)
    for (let done = 0; done < data.length;) {
      done += asVolume(ref, () => writeSync(fd, data, done, data.length - done, offset + done))
    }
  }

  override close(): void {
    try {
      this.endWriting()
      this.onFile(this.root, constants.O_RDONLY, fsyncSync)
    } finally {
      super.close()
    }
  }

  /** Closes the file that is being written: what the kernel keeps of it goes to the volume. Throws VolumeError if that fails. */
  private endWriting(): void {
    const { writing } = this
    this.writing = undefined
    if (writing !== undefined) asVolume('', () => closeSync(writing.fd))
  }

  /** The same, after another error: that one counts. */
  private giveUp(): void {
    try {
      this.endWriting()
    } catch (error) {
      if (!(error instanceof VolumeError)) throw error
    }
  }

  private descriptorFor(ref: Readonly<NodeRef>): number {
    const number = numberOf(ref)
    if (this.writing?.number === number) return this.writing.fd
    this.endWriting()
    const fd = asVolume(ref, () => openSync(this.places.pathOf(ref), constants.O_WRONLY | constants.O_NOFOLLOW))
    this.writing = { number, fd }
    return fd
  }

  /** Runs what makes a file, with the umask of whoever it is made for. */
  private making<T>({ umask }: Caller, name: Name, action: () => T): T {
    const own = process.umask(umask)
    try {
      return asVolume(textOf(name), action)
    } finally {
      process.umask(own)
    }
  }

  /** Learns which file was made. */
  private made(directory: Readonly<NodeRef>, name: Name, target: NodeRef, inode: Inode): void {
    if (!this.lookup(directory, name, target)) throw new VolumeError('ENOENT', textOf(name), 'is not there any more')
    this.getattr(target, inode)
  }

  /** Gives a file that was made to its owner. The group is the directory's where that passes it on. */
  private give(directory: Readonly<NodeRef>, ref: NodeRef, inode: Inode, { uid, gid }: Caller): void {
    const parent = this.newInode()
    this.getattr(directory, parent)
    const group = (parent.mode & SET_GROUP_ID) !== 0 ? inode.gid : gid
    if (inode.uid === uid && inode.gid === group) return
    const { mode } = inode
    const isRegular = (mode & FileType.mask) === FileType.regular
    // a file that is given away loses its set-id bits
    const bits = isRegular && (mode & SET_ID) !== 0 ? { mode } : {}
    this.setattr(ref, { uid, gid: group, ...bits }, inode)
  }

  private setTimes(
    ref: Readonly<NodeRef>,
    inode: Inode,
    atime: Time | 'now' | undefined,
    mtime: Time | 'now' | undefined,
  ): void {
    const { native } = this
    const now = nowTime()
    const a = atime === 'now' ? now : (atime ?? { seconds: inode.atimeSeconds, nanoseconds: inode.atimeNanoseconds })
    const m = mtime === 'now' ? now : (mtime ?? { seconds: inode.mtimeSeconds, nanoseconds: inode.mtimeNanoseconds })
    asVolume(ref, () => {
      const path = this.places.pathOf(ref)
      if (native === undefined) lutimesSync(path, a.seconds + a.nanoseconds / 1e9, m.seconds + m.nanoseconds / 1e9)
      else {
        native.setTimes(path, {
          ...{ atimeSeconds: a.seconds, atimeNanoseconds: a.nanoseconds },
          ...{ mtimeSeconds: m.seconds, mtimeNanoseconds: m.nanoseconds },
        })
      }
    })
  }

  private renameToFree(from: Buffer, to: Buffer): void {
    if (this.native !== undefined) return this.native.renameToFree(from, to)
    if (lstatSync(to, { throwIfNoEntry: false }) !== undefined) throw new VolumeError('EEXIST', '', 'is there already')
    renameSync(from, to)
  }
}

function nowTime(): Time {
  const ms = Date.now()
  const seconds = Math.floor(ms / 1000)
  return { seconds, nanoseconds: (ms - seconds * 1000) * 1_000_000 }
}

function textOf(name: Name): string {
  return typeof name === 'string' ? name : Buffer.from(name).toString()
}
