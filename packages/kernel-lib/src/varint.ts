import type { U64Halves } from './u64-halves.ts'

/**
 * The two variable-length integers of packed inodes and older allocation keys, in two 32-bit halves and without
 * allocation. Format chapter 5, section 5.2.4.
 *
 * Fast varint: the number of one bits at the bottom of the first byte says how many bytes follow it; 7 bits of value a
 * byte up to 8 bytes (little-endian, above the length bits), and a byte FF before 8 plain bytes for 2^56 and more.
 *
 * Old varint (inodes before "new_varint"): the number of zero bits at the top of the first byte chooses the size, the
 * highest one bit is a marker, the rest is one big-endian number.
 */

/** The greatest size in bytes of a fast varint. */
export const VARINT_BYTES_MAX = 9

/**
 * Decodes the fast varint at `source[at]`, which must end at or before `end`, to `out`. Returns the number of bytes it
 * takes, or 0 if it runs past the end (then `out` is as it was).
 */
export function decodeVarint(out: U64Halves, source: Uint8Array, at: number, end: number): number {
  if (at >= end || end > source.length) return 0
  const first = source[at]
  if ((first & 1) === 0) {
    out.lo = first >>> 1
    out.hi = 0
    return 1
  }
  if (first === 0xff) {
    if (end - at < 9) return 0
    out.lo = littleEndian(source, at + 1, 4) >>> 0
    out.hi = littleEndian(source, at + 5, 4) >>> 0
    return 9
  }
  const size = 32 - Math.clz32(~first & -~first) // the lowest zero bit
  if (end - at < size) return 0
  if (size <= 4) {
    out.lo = littleEndian(source, at, size) >>> size
    out.hi = 0
    return size
  }
  const lo = littleEndian(source, at, 4)
  const hi = littleEndian(source, at + 4, size - 4)
  out.lo = ((lo >>> size) | (hi << (32 - size))) >>> 0
  out.hi = hi >>> size
  return size
}

/** The size in bytes of the fast varint of (`lo`, `hi`). */
export function sizeOfVarint(lo: number, hi: number): number {
  const bits = hi !== 0 ? 64 - Math.clz32(hi) : 32 - Math.clz32(lo | 1)
  return Math.min(VARINT_BYTES_MAX, Math.ceil(bits / 7))
}

/**
 * Stores the fast varint of (`lo`, `hi`) at `target[at]` and returns its size in bytes. Throws RangeError if the target
 * ends before it.
 */
export function encodeVarint(target: Uint8Array, at: number, lo: number, hi: number): number {
  const size = sizeOfVarint(lo, hi)
  if (at < 0 || at + size > target.length) {
    throw new RangeError(`a varint of ${size} bytes at ${at} exceeds the ${target.length} bytes given`)
  }
  if (size === 9) {
    target[at] = 0xff
    storeLittleEndian(target, at + 1, 4, lo)
    storeLittleEndian(target, at + 5, 4, hi)
    return size
  }
  const marked = (lo << size) | ((1 << (size - 1)) - 1)
  storeLittleEndian(target, at, Math.min(size, 4), marked)
  if (size > 4) storeLittleEndian(target, at + 4, size - 4, (hi << size) | (lo >>> (32 - size)))
  return size
}

/** Sizes in bytes of an old varint, by the number of zero bits at the top of its first byte. */
const OLD_VARINT_BYTES = [1, 2, 3, 4, 6, 8, 10, 13]

/**
 * Decodes the old varint at `source[at]`, which must end at or before `end`, to `out`. Returns the number of bytes it
 * takes, or 0 if the first byte is zero, the number runs past the end or it needs more than 64 bits.
 */
export function decodeOldVarint(out: U64Halves, source: Uint8Array, at: number, end: number): number {
  if (at >= end || end > source.length || source[at] === 0) return 0
  const zeroBits = Math.clz32(source[at]) - 24
  const size = OLD_VARINT_BYTES[zeroBits]
  if (end - at < size) return 0
  let lo = source[at] ^ (0x80 >>> zeroBits)
  let hi = 0
  for (let i = at + 1; i < at + size; i++) {
    if (hi >>> 24 !== 0) return 0
    hi = (hi << 8) | (lo >>> 24)
    lo = (lo << 8) | source[i]
  }
  out.lo = lo >>> 0
  out.hi = hi >>> 0
  return size
}

function littleEndian(source: Uint8Array, at: number, size: number): number {
  let word = 0
  for (let i = 0; i < size; i++) word |= source[at + i] << (8 * i)
  return word
}

function storeLittleEndian(target: Uint8Array, at: number, size: number, word: number): void {
  for (let i = 0; i < size; i++) target[at + i] = word >>> (8 * i)
}
