/** The attributes of an inode as the kernel takes them, and the inode number that users see. */

import type { Attributes } from '@cowherd/fuse'
import type { Inode, NodeRef } from '@cowherd/fs'

/** Fills `attributes` from an inode of a subvolume. `blockSize`: preferred size of reads, in bytes. */
export function fillAttributes(attributes: Attributes, ref: Readonly<NodeRef>, inode: Inode, blockSize: number): void {
  attributes.inoHi = shownInoHi(ref)
  attributes.inoLo = ref.inodeLo
  attributes.size = inode.size
  attributes.blocks = inode.sectors
  attributes.mode = inode.mode
  attributes.nlink = inode.linkCount
  attributes.uid = inode.uid
  attributes.gid = inode.gid
  attributes.rdevMajor = inode.deviceMajor
  attributes.rdevMinor = inode.deviceMinor
  attributes.blockSize = blockSize
  attributes.atimeSeconds = inode.atimeSeconds
  attributes.atimeNanoseconds = inode.atimeNanoseconds
  attributes.mtimeSeconds = inode.mtimeSeconds
  attributes.mtimeNanoseconds = inode.mtimeNanoseconds
  attributes.ctimeSeconds = inode.ctimeSeconds
  attributes.ctimeNanoseconds = inode.ctimeNanoseconds
  attributes.btimeSeconds = inode.otimeSeconds
  attributes.btimeNanoseconds = inode.otimeNanoseconds
}

const FIRST_SUBVOLUME = 1

/**
 * The upper half of the inode number that is shown. A snapshot has the same numbers as what it was taken of, on one mount with one
 * device number: find(1) would see a loop, tar(1) links between files. So the subvolume goes into the upper half, where sound volumes have
 * zeros, or the number of a processor in the highest bits; files of the first subvolume keep the numbers that Linux shows.
 */
export function shownInoHi(ref: Readonly<NodeRef>): number {
  return ref.subvolume === FIRST_SUBVOLUME ? ref.inodeHi : (ref.inodeHi ^ ref.subvolume) >>> 0
}
