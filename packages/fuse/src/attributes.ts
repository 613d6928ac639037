/** What a reply tells of a file: its attributes, and the name's entry. Filled by the filesystem, once made and used again. */

import { Attr, EntryOut, StatxOut } from './protocol.ts'

/** Attributes of one file, as stat(2) shows them. Times are Unix seconds, rounded down, and the nanoseconds that belong to them. */
export class Attributes {
  /** Inode number as users see it, in two halves. */
  inoHi = 0
  inoLo = 0
  /** Size in bytes. */
  size = 0
  /** Allocated blocks of 512 bytes. */
  blocks = 0
  /** Type and permission bits. */
  mode = 0
  nlink = 1
  uid = 0
  gid = 0
  rdevMajor = 0
  rdevMinor = 0
  /** Preferred size of reads and writes; 0: a page. */
  blockSize = 0
  atimeSeconds = 0
  atimeNanoseconds = 0
  mtimeSeconds = 0
  mtimeNanoseconds = 0
  ctimeSeconds = 0
  ctimeNanoseconds = 0
  /** Birth time: only STATX tells it. */
  btimeSeconds = 0
  btimeNanoseconds = 0

  /** The inode number as one number below 2^53. */
  set ino(ino: number) {
    this.inoHi = Math.floor(ino / 0x100000000)
    this.inoLo = ino >>> 0
  }
}

/** What a name leads to, and for how long the kernel may remember so. */
export class Entry {
  /** The node, at most 2^53; 0 says that the name does not exist. */
  node = 0
  /** Tells apart the files that one node number stood for, one after another. */
  generation = 0
  /** How long the kernel may use the name, and the attributes, without asking; Infinity: for ever. */
  entrySeconds = 0
  attrSeconds = 0
  readonly attributes = new Attributes()
}

const ATTR = wordOffsets(Attr.offsets)
const ENTRY = wordOffsets(EntryOut.offsets)
const STATX = wordOffsets(StatxOut.offsets)
/** All the fields that stat(2) has, and the birth time (STATX_BASIC_STATS, STATX_BTIME). */
const STATX_MASK = 0xfff
const STATX_TIME_WORDS = 4
const FOREVER_SECONDS = 2 ** 32

/** Writes a `fuse_attr` at word `at`. */
export function writeAttributes(words: Uint32Array, at: number, from: Readonly<Attributes>): void {
  words[at + ATTR.ino] = from.inoLo
  words[at + ATTR.ino + 1] = from.inoHi
  writeU64(words, at + ATTR.size, from.size)
  writeU64(words, at + ATTR.blocks, from.blocks)
  writeU64(words, at + ATTR.atime, from.atimeSeconds)
  writeU64(words, at + ATTR.mtime, from.mtimeSeconds)
  writeU64(words, at + ATTR.ctime, from.ctimeSeconds)
  words[at + ATTR.atimeNanoseconds] = from.atimeNanoseconds
  words[at + ATTR.mtimeNanoseconds] = from.mtimeNanoseconds
  words[at + ATTR.ctimeNanoseconds] = from.ctimeNanoseconds
  words[at + ATTR.mode] = from.mode
  words[at + ATTR.nlink] = from.nlink
  words[at + ATTR.uid] = from.uid
  words[at + ATTR.gid] = from.gid
  words[at + ATTR.rdev] = deviceNumber(from.rdevMajor, from.rdevMinor)
  words[at + ATTR.blockSize] = from.blockSize
  words[at + ATTR.flags] = 0
}

/** Writes a `fuse_entry_out` at word `at`. */
export function writeEntry(words: Uint32Array, at: number, from: Readonly<Entry>): void {
  writeU64(words, at + ENTRY.node, from.node)
  writeU64(words, at + ENTRY.generation, from.generation)
  writeU64(words, at + ENTRY.entryValid, wholeSeconds(from.entrySeconds))
  writeU64(words, at + ENTRY.attrValid, wholeSeconds(from.attrSeconds))
  words[at + ENTRY.entryValidNanoseconds] = nanoseconds(from.entrySeconds)
  words[at + ENTRY.attrValidNanoseconds] = nanoseconds(from.attrSeconds)
  writeAttributes(words, at + ENTRY.attr, from.attributes)
}

/** Writes a `fuse_statx_out`, which is zero but for this, at word `at`. */
export function writeStatx(words: Uint32Array, at: number, from: Readonly<Attributes>): void {
  words[at + STATX.mask] = STATX_MASK
  words[at + STATX.blockSize] = from.blockSize
  words[at + STATX.nlink] = from.nlink
  words[at + STATX.uid] = from.uid
  words[at + STATX.gid] = from.gid
  words[at + STATX.mode] = from.mode
  words[at + STATX.ino] = from.inoLo
  words[at + STATX.ino + 1] = from.inoHi
  writeU64(words, at + STATX.size, from.size)
  writeU64(words, at + STATX.blocks, from.blocks)
  const times = [
    [from.atimeSeconds, from.atimeNanoseconds],
    [from.btimeSeconds, from.btimeNanoseconds],
    [from.ctimeSeconds, from.ctimeNanoseconds],
    [from.mtimeSeconds, from.mtimeNanoseconds],
  ]
  times.forEach(([seconds, nanoseconds], i) => {
    writeU64(words, at + STATX.atime + i * STATX_TIME_WORDS, seconds)
    words[at + STATX.atime + i * STATX_TIME_WORDS + 2] = nanoseconds
  })
  words[at + STATX.rdevMajor] = from.rdevMajor
  words[at + STATX.rdevMinor] = from.rdevMinor
}

/** Writes an integer between -2^53 and 2^53 as two words. */
export function writeU64(words: Uint32Array, at: number, value: number): void {
  words[at] = value
  words[at + 1] = Math.floor(value / 0x100000000)
}

/** The whole seconds of a time that the kernel may remember something for; centuries stand for ever. */
export function wholeSeconds(seconds: number): number {
  return Math.floor(Math.min(seconds, FOREVER_SECONDS))
}

/** The nanoseconds that belong to them, below one second. */
export function nanoseconds(seconds: number): number {
  return seconds >= FOREVER_SECONDS ? 0 : Math.floor((seconds % 1) * 1e9)
}

/** The 32-bit form of a device number. */
function deviceNumber(major: number, minor: number): number {
  return (minor & 0xff) | (major << 8) | ((minor & ~0xff) << 12)
}

/** The offsets of a structure in words; its fields are aligned to them. */
export function wordOffsets<K extends string>(offsets: Readonly<Record<K, number>>): Readonly<Record<K, number>> {
  const words: Record<string, number> = {}
  for (const [name, offset] of Object.entries<number>(offsets)) words[name] = offset / 4
  return words as Record<K, number>
}
