/**
 * The bitmap of a member that says where btree nodes may lie: bit k stands for sectors [k << shift, (k + 1) << shift). Format chapter 1,
 * 4.1, and 4, 4.5.6.
 */

const BITS = 64

export interface BtreeBitmap {
  readonly bits: bigint
  readonly shift: number
}

/**
 * The same for a device of so many sectors: a bitmap that has to change comes to speak of all of the device at once. So it changes 64 times at
 * most, each of which costs a superblock write.
 */
export function coveringOf(bitmap: BtreeBitmap, start: number, end: number, deviceSectors: number): BtreeBitmap {
  const exact = covering(bitmap, start, end)
  if (exact.bits === bitmap.bits && exact.shift === bitmap.shift) return bitmap
  const wide = covering(bitmap, deviceSectors, deviceSectors) // marks nothing
  return covering(wide, start, end)
}

/** The bitmap that covers sectors [start, end) too. */
export function covering({ bits, shift }: BtreeBitmap, start: number, end: number): BtreeBitmap {
  const needed = Math.ceil(Math.log2(end)) - Math.log2(BITS)
  const grow = Math.max(0, needed - shift)
  let covered = grow === 0 ? bits : folded(bits, grow)
  const unit = 2 ** (shift + grow)
  for (let bit = Math.floor(start / unit); bit * unit < end; bit++) covered |= 1n << BigInt(bit)
  return { bits: covered, shift: shift + grow }
}

/** Each bit stands for 2^grow of the former ones. */
function folded(bits: bigint, grow: number): bigint {
  let result = 0n
  for (let bit = 0; bit < BITS; bit++) {
    if ((bits >> BigInt(bit)) & 1n) result |= 1n << BigInt(Math.floor(bit / 2 ** grow))
  }
  return result
}
