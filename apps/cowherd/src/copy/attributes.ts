/**
 * Gives a copied file the attributes of its original: owner, mode, extended attributes, times. What can't be given is noted as
 * not kept, and is no error.
 *
 * The order matters. Changing the owner clears set-id bits and capabilities, a missing write permission keeps us from setting
 * attributes, and everything changes the times: so owner, `user.` attributes, mode, all other attributes, times.
 */

import { chownSync, chmodSync, fchmodSync, fchownSync, futimesSync, lchownSync, lutimesSync, utimesSync } from 'node:fs'
import type { FileSystemReader, Inode, NodeRef } from '@cowherd/fs'
import type { Native } from '@cowherd/shim'
import { utf8 } from '../cli/text.ts'
import { attributeKind, type Losses } from './unkept.ts'

/** A file of the volume and the path that losses are told with. */
export interface Original {
  readonly ref: Readonly<NodeRef>
  readonly inode: Inode
  readonly path: Uint8Array
}

type Attribute = ReturnType<FileSystemReader['listAttributes']>[number]

const SET_ID = 0o6000

export class AttributeCopier {
  readonly #fs: FileSystemReader
  readonly #native: Native | undefined
  readonly #unkept: Losses
  readonly #uid = process.geteuid?.() ?? -1
  readonly #gid = process.getegid?.() ?? -1
  readonly #groups = new Set(process.getgroups?.() ?? [])

  constructor(fs: FileSystemReader, native: Native | undefined, unkept: Losses) {
    this.#fs = fs
    this.#native = native
    this.#unkept = unkept
  }

  /** The extended attributes that `original` has. */
  attributesOf(original: Original): Attribute[] {
    return this.#fs.listAttributes(original.ref)
  }

  /** Finishes the regular file open as `fd` at `target`, made with the permissions `madeWith`. */
  finishOpen(fd: number, target: Buffer, original: Original, attributes: readonly Attribute[], madeWith: number): void {
    const mode = this.#own(original, (uid, gid) => fchownSync(fd, uid, gid))
    this.#setAttributes(target, original, attributes, 'user.')
    if (mode !== madeWith) this.#attempt('mode', original, () => fchmodSync(fd, mode))
    this.#setAttributes(target, original, attributes, '')
    this.#attempt('times', original, () => {
      if (this.#native !== undefined) this.#native.setTimesOfOpen(fd, original.inode)
      else futimesSync(fd, this.#coarse(original, 'atime'), this.#coarse(original, 'mtime'))
    })
  }

  /** Finishes a directory, device or fifo at `target`, which is not a symbolic link. */
  finish(target: Buffer, original: Original): void {
    const attributes = this.attributesOf(original)
    const mode = this.#own(original, (uid, gid) => chownSync(target, uid, gid))
    this.#setAttributes(target, original, attributes, 'user.')
    this.#attempt('mode', original, () => chmodSync(target, mode))
    this.#setAttributes(target, original, attributes, '')
    this.#attempt('times', original, () => {
      if (this.#native !== undefined) this.#native.setTimes(target, original.inode)
      else utimesSync(target, this.#coarse(original, 'atime'), this.#coarse(original, 'mtime'))
    })
  }

  /** Finishes the symbolic link at `target`: links have no mode of their own. */
  finishLink(target: Buffer, original: Original): void {
    this.#own(original, (uid, gid) => lchownSync(target, uid, gid))
    this.#setAttributes(target, original, this.attributesOf(original), '')
    this.#attempt('times', original, () => {
      if (this.#native !== undefined) this.#native.setTimes(target, original.inode)
      else lutimesSync(target, this.#coarse(original, 'atime'), this.#coarse(original, 'mtime'))
    })
  }

  /** Gives the file to its owner, if we may. Returns the mode that it may have then. */
  #own(original: Original, chown: (uid: number, gid: number) => void): number {
    const { inode, path } = original
    const mode = inode.mode & 0o7777
    const { uid, gid } = inode
    if (this.#uid === 0 || (uid === this.#uid && gid !== this.#gid && this.#groups.has(gid))) {
      if (this.#attempt('owner', original, () => chown(uid, gid))) return mode
    } else {
      if (uid === this.#uid && gid === this.#gid) return mode
      this.#unkept.add('owner', path, 'only root can give files away')
    }
    if ((mode & SET_ID) === 0) return mode
    this.#unkept.add('set-id bits', path, 'the owner is not kept')
    return mode & ~SET_ID
  }

  /** Sets the attributes whose names begin with `user.`, or all others. */
  #setAttributes(target: Buffer, original: Original, attributes: readonly Attribute[], prefix: 'user.' | ''): void {
    for (const { name, value } of attributes) {
      const text = utf8(name)
      if (text?.startsWith('user.') !== (prefix === 'user.')) continue
      if (text === undefined) this.#unkept.add('extended attributes', original.path, 'the name is not UTF-8')
      else this.#setAttribute(target, original, text, value)
    }
  }

  #setAttribute(target: Buffer, original: Original, name: string, value: Uint8Array): void {
    const what = attributeKind(name)
    if (this.#native === undefined) {
      this.#unkept.add(what, original.path, 'the package koffi is not installed')
      return
    }
    const native = this.#native
    this.#attempt(what, original, () => native.setXattr(target, name, value))
  }

  /** Does what the destination may refuse. Returns false, and notes the loss, if it does. */
  #attempt(what: string, { path }: Original, action: () => void): boolean {
    try {
      action()
      return true
    } catch (error) {
      const code = error instanceof Error && 'code' in error && 'syscall' in error ? String(error.code) : ''
      if (code === '' || code === 'EIO' || code === 'EROFS') throw error
      this.#unkept.add(what, path, REASONS[code] ?? code)
      return false
    }
  }

  /** A time as Node takes it, in seconds: exact to the microsecond. */
  #coarse({ inode, path }: Original, which: 'atime' | 'mtime'): number {
    const nanoseconds = inode[`${which}Nanoseconds`]
    if (nanoseconds % 1000 !== 0) this.#unkept.add('nanoseconds of times', path, 'the package koffi is not installed')
    return inode[`${which}Seconds`] + nanoseconds / 1e9
  }
}

const REASONS: Readonly<Record<string, string>> = {
  EPERM: 'not permitted',
  EACCES: 'not permitted',
  EINVAL: 'the destination does not take them',
  EOPNOTSUPP: 'the destination has none',
  ENOTSUP: 'the destination has none',
  ENOSPC: 'no room for them',
  E2BIG: 'too large for the destination',
  ERANGE: 'too large for the destination',
}
