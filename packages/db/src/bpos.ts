/**
 * Btree positions (`bpos`), format chapter 2, 2.1.1.
 *
 * A position is five 32-bit words in the order in which they lie on disk, least significant first:
 * snapshot, offset low, offset high, inode low, inode high. So a position inside a key in memory, and one on its own, are
 * the same thing: an array and the index of its first word. No position is ever an object with fields.
 */

export const BPOS_WORDS = 5
export const BPOS_BYTES = 20

const SNAPSHOT = 0
const OFFSET_LO = 1
const OFFSET_HI = 2
const INODE_LO = 3
const INODE_HI = 4

/** A position of its own (five words). */
export type Bpos = Uint32Array

export const POS_MIN: Bpos = bpos(0n, 0n, 0)
/** The greatest position of all; note that the format's POS_MAX, with snapshot 0, is smaller. */
export const SPOS_MAX: Bpos = bpos(0xffffffffffffffffn, 0xffffffffffffffffn, 0xffffffff)

/** Makes a position. `inode` and `offset` are unsigned 64-bit, as bigint or as a safe integer. */
export function bpos(inode: bigint | number, offset: bigint | number, snapshot = 0): Bpos {
  const pos = new Uint32Array(BPOS_WORDS)
  const wideInode = BigInt(inode)
  const wideOffset = BigInt(offset)
  setBpos(
    pos,
    Number((wideInode >> 32n) & 0xffffffffn),
    Number(wideInode & 0xffffffffn),
    Number((wideOffset >> 32n) & 0xffffffffn),
    Number(wideOffset & 0xffffffffn),
    snapshot,
  )
  return pos
}

/** Sets all words of `pos`. */
export function setBpos(
  pos: Bpos,
  inodeHi: number,
  inodeLo: number,
  offsetHi: number,
  offsetLo: number,
  snapshot: number,
): void {
  pos[SNAPSHOT] = snapshot
  pos[OFFSET_LO] = offsetLo
  pos[OFFSET_HI] = offsetHi
  pos[INODE_LO] = inodeLo
  pos[INODE_HI] = inodeHi
}

/** Copies the position at `from[at]` to `pos`. */
export function copyBpos(pos: Bpos, from: Uint32Array, at = 0): void {
  for (let i = 0; i < BPOS_WORDS; i++) pos[i] = from[at + i]
}

/** Compares two positions: negative, zero or positive. */
export function compareBpos(a: Uint32Array, aAt: number, b: Uint32Array, bAt: number): number {
  for (let i = INODE_HI; i >= SNAPSHOT; i--) {
    const difference = a[aAt + i] - b[bAt + i]
    if (difference !== 0) return difference
  }
  return 0
}

/** True if inode and offset are equal, whatever the snapshots. */
export function samePosIgnoringSnapshot(a: Uint32Array, aAt: number, b: Uint32Array, bAt: number): boolean {
  return (
    a[aAt + OFFSET_LO] === b[bAt + OFFSET_LO] &&
    a[aAt + INODE_LO] === b[bAt + INODE_LO] &&
    a[aAt + OFFSET_HI] === b[bAt + OFFSET_HI] &&
    a[aAt + INODE_HI] === b[bAt + INODE_HI]
  )
}

/** Moves `pos` to the next position (160-bit increment). Returns false, and wraps to POS_MIN, at SPOS_MAX. */
export function advanceBpos(pos: Bpos): boolean {
  return increment(pos, SNAPSHOT)
}

/** Moves `pos` to the first snapshot of the next (inode, offset). Returns false when there is none. */
export function advanceBposNoSnapshot(pos: Bpos): boolean {
  pos[SNAPSHOT] = 0
  return increment(pos, OFFSET_LO)
}

/** Moves `pos` to the previous position (160-bit decrement). Returns false, and wraps to SPOS_MAX, at POS_MIN. */
export function retreatBpos(pos: Bpos): boolean {
  for (let i = SNAPSHOT; i < BPOS_WORDS; i++) {
    const word = pos[i]
    pos[i] = word - 1
    if (word !== 0) return true
  }
  return false
}

/** As the reference tools print it: `inode:offset:snapshot`, all-ones fields as `U64_MAX`/`U32_MAX`. */
export function bposText(words: Uint32Array, at = 0): string {
  const text = `${u64Text(words[at + INODE_HI], words[at + INODE_LO])}:${u64Text(words[at + OFFSET_HI], words[at + OFFSET_LO])}:${u32Text(words[at])}`
  if (text === '0:0:0') return 'POS_MIN'
  if (text === 'U64_MAX:U64_MAX:0') return 'POS_MAX'
  if (text === 'U64_MAX:U64_MAX:U32_MAX') return 'SPOS_MAX'
  return text
}

/** The 64-bit number as bigint: for the public surface and error messages only. */
export function u64(hi: number, lo: number): bigint {
  return (BigInt(hi) << 32n) | BigInt(lo)
}

function increment(pos: Bpos, from: number): boolean {
  for (let i = from; i < BPOS_WORDS; i++) {
    const word = pos[i]
    pos[i] = word + 1
    if (word !== 0xffffffff) return true
  }
  return false
}

function u64Text(hi: number, lo: number): string {
  if (hi === 0) return `${lo}`
  if (hi === 0xffffffff && lo === 0xffffffff) return 'U64_MAX'
  return hi < 0x200000 ? `${hi * 0x100000000 + lo}` : u64(hi, lo).toString()
}

function u32Text(value: number): string {
  return value === 0xffffffff ? 'U32_MAX' : `${value}`
}
