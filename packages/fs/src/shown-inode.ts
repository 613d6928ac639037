/**
 * An `Inode` that was not read from a volume, but from what somebody shows of one: a mount, by stat(2). It has all that stat tells, and nothing of what
 * only the volume knows: snapshot (which is 0), flags, hash seed, options, back pointers.
 */

import { Inode, InodeFlag } from './inode.ts'
import { Field } from './inode-fields.ts'
import type { Time } from './file-system-writer.ts'
import { UNIX_NANOSECONDS } from './time-scale.ts'

/** What stat(2) tells of a file. */
export interface ShownAttributes {
  readonly inodeHi: number
  readonly inodeLo: number
  /** With the type. */
  readonly mode: number
  readonly linkCount: number
  readonly uid: number
  readonly gid: number
  /** In bytes. */
  readonly size: bigint
  /** Allocated sectors of 512 bytes. */
  readonly sectors: bigint
  readonly deviceMajor: number
  readonly deviceMinor: number
  readonly atime: Time
  readonly mtime: Time
  readonly ctime: Time
  readonly birth: Time
}

/** An inode for `showInode`. */
export function newShownInode(): Inode {
  return new Inode(UNIX_NANOSECONDS)
}

/** Makes `inode`, which `newShownInode` has made, what is shown. */
export function showInode(inode: Inode, shown: ShownAttributes): void {
  const { mode, linkCount, uid, gid, size, sectors, deviceMajor, deviceMinor } = shown
  const { fields } = inode
  fields.fill(0)
  inode.numberHi = shown.inodeHi
  inode.numberLo = shown.inodeLo
  inode.snapshot = 0
  inode.mode = mode
  inode.flagsWord = linkCount === 0 ? InodeFlag.unlinked : 0
  const bias = inode.isDirectory ? 2 : 1
  fields[2 * Field.nlink] = Math.max(linkCount - bias, 0)
  fields[2 * Field.uid] = uid
  fields[2 * Field.gid] = gid
  fields[2 * Field.dev] = (deviceMajor << 20) | deviceMinor
  storeWide(fields, Field.size, size)
  storeWide(fields, Field.sectors, sectors)
  storeTime(fields, Field.atime, shown.atime)
  storeTime(fields, Field.mtime, shown.mtime)
  storeTime(fields, Field.ctime, shown.ctime)
  storeTime(fields, Field.otime, shown.birth)
}

function storeWide(fields: Uint32Array, field: number, value: bigint): void {
  fields[2 * field] = Number(value & 0xffffffffn)
  fields[2 * field + 1] = Number(value >> 32n)
}

function storeTime(fields: Uint32Array, field: number, { seconds, nanoseconds }: Time): void {
  UNIX_NANOSECONDS.store(fields, 2 * field, seconds, nanoseconds)
}
