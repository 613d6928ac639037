/**
 * CRC-32C (Castagnoli): polynomial 0x1EDC6F41, bit-reflected, with no inversion at either end: the caller gives the start
 * value and does a final inversion if its format has one. Format chapter 1, section 8.2.
 *
 * Table driven, 16 bytes a step (slicing by 16): the running value enters four of the sixteen lookups only, so the rest
 * overlap. Bytes are loaded one by one: no view is made, any alignment and shared memory work alike.
 */

const POLYNOMIAL_REFLECTED = 0x82f63b78
const SLICES = 16

/** `TABLE[256 * k + b]`: the CRC of byte `b` followed by `k` zero bytes. */
const TABLE = /* @__PURE__ */ makeTable()

/** The CRC of the bytes behind which it was `crc`, continued over `data`; an unsigned 32-bit number. */
export function crc32c(crc: number, data: Uint8Array): number {
  const end = data.length
  const endOfSteps = end - (end % SLICES)
  let c = crc | 0
  let i = 0
  for (; i < endOfSteps; i += SLICES) {
    const rest =
      TABLE[0xb00 + data[i + 4]] ^
      TABLE[0xa00 + data[i + 5]] ^
      TABLE[0x900 + data[i + 6]] ^
      TABLE[0x800 + data[i + 7]] ^
      TABLE[0x700 + data[i + 8]] ^
      TABLE[0x600 + data[i + 9]] ^
      TABLE[0x500 + data[i + 10]] ^
      TABLE[0x400 + data[i + 11]] ^
      TABLE[0x300 + data[i + 12]] ^
      TABLE[0x200 + data[i + 13]] ^
      TABLE[0x100 + data[i + 14]] ^
      TABLE[data[i + 15]]
    c =
      rest ^
      TABLE[0xf00 + ((c ^ data[i]) & 0xff)] ^
      TABLE[0xe00 + (((c >>> 8) ^ data[i + 1]) & 0xff)] ^
      TABLE[0xd00 + (((c >>> 16) ^ data[i + 2]) & 0xff)] ^
      TABLE[0xc00 + ((c >>> 24) ^ data[i + 3])]
  }
  for (; i < end; i++) c = TABLE[(c ^ data[i]) & 0xff] ^ (c >>> 8)
  return c >>> 0
}

function makeTable(): Int32Array {
  const table = new Int32Array(256 * SLICES)
  for (let byte = 0; byte < 256; byte++) {
    let c = byte
    for (let bit = 0; bit < 8; bit++) c = c & 1 ? (c >>> 1) ^ POLYNOMIAL_REFLECTED : c >>> 1
    table[byte] = c
  }
  for (let i = 256; i < table.length; i++) {
    const before = table[i - 256]
    table[i] = table[before & 0xff] ^ (before >>> 8)
  }
  return table
}
