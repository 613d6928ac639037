/**
 * Files by their numbers, as a mount shows them. It lays the subvolume over the lower bits of the upper half of the inode number, which are zeros on
 * sound volumes (`shownInoHi` of `@cowherd/mount`); the highest bits may have the number of a processor.
 */

import type { BigIntStats } from 'node:fs'
import type { NodeRef, ShownAttributes, Time } from '@cowherd/fs'

const FIRST_SUBVOLUME = 1
const SUBVOLUME_MASK = 0xff_ffff
const BILLION = 1_000_000_000n

/** Sets `ref` to what the number stands for that stat(2) tells. */
export function setNumber(ref: NodeRef, ino: bigint): NodeRef {
  const shownHi = Number(ino >> 32n)
  const subvolume = shownHi & SUBVOLUME_MASK
  return ref.set(subvolume || FIRST_SUBVOLUME, (shownHi & ~SUBVOLUME_MASK) >>> 0, Number(ino & 0xffff_ffffn))
}

/** The number that stat(2) tells of a file. */
export function numberOf({ subvolume, inodeHi, inodeLo }: Readonly<NodeRef>): bigint {
  const shownHi = subvolume === FIRST_SUBVOLUME ? inodeHi : (inodeHi | subvolume) >>> 0
  return (BigInt(shownHi) << 32n) | BigInt(inodeLo)
}

/** What stat(2) tells, for `showInode`. */
export function attributesOf(stat: BigIntStats, ref: Readonly<NodeRef>): ShownAttributes {
  const { mode, nlink, uid, gid, size, blocks, rdev } = stat
  return {
    inodeHi: ref.inodeHi,
    inodeLo: ref.inodeLo,
    mode: Number(mode),
    linkCount: Number(nlink),
    uid: Number(uid),
    gid: Number(gid),
    size,
    sectors: blocks,
    deviceMajor: Number(((rdev >> 8n) & 0xfffn) | ((rdev >> 32n) & 0xfffff000n)),
    deviceMinor: Number((rdev & 0xffn) | ((rdev >> 12n) & 0xffffff00n)),
    atime: timeOf(stat.atimeNs),
    mtime: timeOf(stat.mtimeNs),
    ctime: timeOf(stat.ctimeNs),
    birth: timeOf(stat.birthtimeNs),
  }
}

function timeOf(ns: bigint): Time {
  const rest = ((ns % BILLION) + BILLION) % BILLION
  return { seconds: Number((ns - rest) / BILLION), nanoseconds: Number(rest) }
}
