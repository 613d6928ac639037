/** What the calls change in inodes: times, links, back pointers, the mode. Format chapter 5, 5.2.6, 5.2.11 and 5.8. */

import { VolumeError, type Key } from '@cowherd/db'
import { Field } from '../inode-fields.ts'
import { FileType, InodeFlag, type Inode } from '../inode.ts'

const NLINK_MAX = 0xffffffff
const SET_USER_ID = 0o4000
const SET_GROUP_ID = 0o2000
const GROUP_EXECUTE = 0o0010
/** All but the type. */
const MODE_BITS = 0o7777

/** A time as it is stored, low half first. */
export type StoredTime = Uint32Array

export function setField({ fields }: Inode, field: number, lo: number, hi = 0): void {
  fields[2 * field] = lo
  fields[2 * field + 1] = hi
}

/** `field`: atime, ctime, mtime or otime of `Field`. */
export function setTime({ fields }: Inode, field: number, time: StoredTime): void {
  fields[2 * field] = time[0]
  fields[2 * field + 1] = time[1]
}

/** The content of a directory has changed. */
export function touch(inode: Inode, now: StoredTime): void {
  setTime(inode, Field.mtime, now)
  setTime(inode, Field.ctime, now)
}

/** One more name leads to a file. Throws VolumeError EMLINK. */
export function addLink(inode: Inode): void {
  if (inode.unlinked) {
    inode.flagsWord &= ~InodeFlag.unlinked
    return
  }
  const nlink = inode.fields[2 * Field.nlink]
  if (nlink === NLINK_MAX) throw new VolumeError('EMLINK', `inode ${inode.number}`, 'has too many names')
  setField(inode, Field.nlink, nlink + 1)
}

/** The name whose key is `entry` leads to a file no more. If it was the last, the inode is unlinked. */
export function dropLink(inode: Inode, entry: Key): void {
  const nlink = inode.fields[2 * Field.nlink]
  if (nlink > 0 && !inode.isDirectory) setField(inode, Field.nlink, nlink - 1)
  else {
    setField(inode, Field.nlink, 0)
    inode.flagsWord |= InodeFlag.unlinked
  }
  if (inode.unlinked || pointsTo(inode, entry)) pointBack(inode)
}

/** A directory has got a subdirectory (1), or has lost it (-1). Throws VolumeError EMLINK. */
export function countSubdirectory(directory: Inode, change: 1 | -1): void {
  const nlink = directory.fields[2 * Field.nlink] + change
  if (nlink > NLINK_MAX) throw new VolumeError('EMLINK', `inode ${directory.number}`, 'has too many subdirectories')
  setField(directory, Field.nlink, Math.max(0, nlink))
}

/** Whether it counts in the links of the directory that holds its name. */
export function isCounted(inode: Inode): boolean {
  return inode.isDirectory && inode.subvolume === 0
}

/** Sets the back pointer to the name at `place`, a position in dirents; left out: to none. */
export function pointBack(inode: Inode, place?: Uint32Array): void {
  const [, offsetLo, offsetHi, dirLo, dirHi] = place ?? NOWHERE
  setField(inode, Field.dir, dirLo, dirHi)
  setField(inode, Field.dirOffset, offsetLo, offsetHi)
}

/** Sets the permission bits. */
export function setPermissions(inode: Inode, mode: number): void {
  inode.mode = (inode.mode & FileType.mask) | (mode & MODE_BITS)
}

/** Who has changed the data or the owner of a program has not got the owner's rights by it. chown(2), write(2). */
export function killPrivileges(inode: Inode): void {
  if (inode.isDirectory) return
  inode.mode &= ~SET_USER_ID
  if ((inode.mode & GROUP_EXECUTE) !== 0) inode.mode &= ~SET_GROUP_ID
}

/** Throws VolumeError EPERM for an inode that may not be changed, or may only grow. */
export function refuseFixed({ flags, number }: Inode, what: number = InodeFlag.immutable | InodeFlag.append): void {
  if ((flags & what) === 0) return
  const state = (flags & InodeFlag.immutable) !== 0 ? 'immutable' : 'only appended to'
  throw new VolumeError('EPERM', `inode ${number}`, `is ${state}`)
}

const NOWHERE = new Uint32Array(5)

function pointsTo(inode: Inode, entry: Key): boolean {
  return (
    inode.dirOffsetLo === entry.offsetLo &&
    inode.dirOffsetHi === entry.offsetHi &&
    inode.dirLo === entry.inodeLo &&
    inode.dirHi === entry.inodeHi
  )
}
