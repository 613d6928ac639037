import type { U64Halves } from './u64-halves.ts'

/**
 * CRC-64/ECMA-182: polynomial 0x42F0E1EBA9EA3693, most significant bit first, with no inversion at either end: the caller
 * gives the start value and does a final inversion if its format has one. Format chapter 1, section 8.2.
 *
 * Table driven, 16 bytes a step, in two 32-bit halves: the running value enters eight of the sixteen lookups only.
 */

const POLYNOMIAL_HI = 0x42f0e1eb
const POLYNOMIAL_LO = 0xa9ea3693 | 0
const SLICES = 16

/** `TABLE[512 * k + 2 * b]` (high half) and the next (low half): the CRC of byte `b` followed by `k` zero bytes. */
const TABLE = /* @__PURE__ */ makeTable()

/** Continues `crc` in place over `data`. */
export function crc64(crc: U64Halves, data: Uint8Array): void {
  const end = data.length
  const endOfSteps = end - (end % SLICES)
  let hi = crc.hi | 0
  let lo = crc.lo | 0
  let i = 0
  for (; i < endOfSteps; i += SLICES) {
    const t0 = 0x1e00 + (((hi >>> 24) ^ data[i]) << 1)
    const t1 = 0x1c00 + ((((hi >>> 16) ^ data[i + 1]) & 0xff) << 1)
    const t2 = 0x1a00 + ((((hi >>> 8) ^ data[i + 2]) & 0xff) << 1)
    const t3 = 0x1800 + (((hi ^ data[i + 3]) & 0xff) << 1)
    const t4 = 0x1600 + (((lo >>> 24) ^ data[i + 4]) << 1)
    const t5 = 0x1400 + ((((lo >>> 16) ^ data[i + 5]) & 0xff) << 1)
    const t6 = 0x1200 + ((((lo >>> 8) ^ data[i + 6]) & 0xff) << 1)
    const t7 = 0x1000 + (((lo ^ data[i + 7]) & 0xff) << 1)
    const t8 = 0xe00 + (data[i + 8] << 1)
    const t9 = 0xc00 + (data[i + 9] << 1)
    const t10 = 0xa00 + (data[i + 10] << 1)
    const t11 = 0x800 + (data[i + 11] << 1)
    const t12 = 0x600 + (data[i + 12] << 1)
    const t13 = 0x400 + (data[i + 13] << 1)
    const t14 = 0x200 + (data[i + 14] << 1)
    const t15 = data[i + 15] << 1
    hi =
      TABLE[t0] ^
      TABLE[t1] ^
      TABLE[t2] ^
      TABLE[t3] ^
      TABLE[t4] ^
      TABLE[t5] ^
      TABLE[t6] ^
      TABLE[t7] ^
      TABLE[t8] ^
      TABLE[t9] ^
      TABLE[t10] ^
      TABLE[t11] ^
      TABLE[t12] ^
      TABLE[t13] ^
      TABLE[t14] ^
      TABLE[t15]
    lo =
      TABLE[t0 + 1] ^
      TABLE[t1 + 1] ^
      TABLE[t2 + 1] ^
      TABLE[t3 + 1] ^
      TABLE[t4 + 1] ^
      TABLE[t5 + 1] ^
      TABLE[t6 + 1] ^
      TABLE[t7 + 1] ^
      TABLE[t8 + 1] ^
      TABLE[t9 + 1] ^
      TABLE[t10 + 1] ^
      TABLE[t11 + 1] ^
      TABLE[t12 + 1] ^
      TABLE[t13 + 1] ^
      TABLE[t14 + 1] ^
      TABLE[t15 + 1]
  }
  for (; i < end; i++) {
    const t = ((hi >>> 24) ^ data[i]) << 1
    hi = ((hi << 8) | (lo >>> 24)) ^ TABLE[t]
    lo = (lo << 8) ^ TABLE[t + 1]
  }
  crc.hi = hi >>> 0
  crc.lo = lo >>> 0
}

function makeTable(): Int32Array {
  const table = new Int32Array(512 * SLICES)
  for (let byte = 0; byte < 256; byte++) {
    let hi = byte << 24
    let lo = 0
    for (let bit = 0; bit < 8; bit++) {
      const out = hi < 0
      hi = (hi << 1) | (lo >>> 31)
      lo <<= 1
      if (out) {
        hi ^= POLYNOMIAL_HI
        lo ^= POLYNOMIAL_LO
      }
    }
    table[2 * byte] = hi
    table[2 * byte + 1] = lo
  }
  for (let i = 512; i < table.length; i += 2) {
    const hi = table[i - 512]
    const lo = table[i - 511]
    const t = (hi >>> 24) << 1
    table[i] = ((hi << 8) | (lo >>> 24)) ^ table[t]
    table[i + 1] = (lo << 8) ^ table[t + 1]
  }
  return table
}
