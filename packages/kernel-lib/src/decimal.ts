/**
 * 64-bit numbers as text, from two unsigned 32-bit halves, without bigint: printing a hundred thousand keys spends most
 * of its time here.
 */

const BILLION = 1_000_000_000

/** The unsigned 64-bit number in decimal. */
export function u64Decimal(hi: number, lo: number): string {
  if (hi === 0) return '' + lo
  if (hi < 0x200000) return '' + (hi * 0x100000000 + lo)
  // Long division by 10^9 in steps of 16 bits: each dividend stays below 2^46.
  const high = Math.floor(hi / BILLION)
  let dividend = (hi - high * BILLION) * 0x10000 + (lo >>> 16)
  const middle = Math.floor(dividend / BILLION)
  dividend = (dividend - middle * BILLION) * 0x10000 + (lo & 0xffff)
  const low = Math.floor(dividend / BILLION)
  const rest = dividend - low * BILLION
  // The rest keeps its leading zeros: print it with a 1 in front, then drop that.
  return '' + (high * 0x100000000 + middle * 0x10000 + low) + ('' + (BILLION + rest)).slice(1)
}

/** The signed 64-bit number (two's complement) in decimal. */
export function i64Decimal(hi: number, lo: number): string {
  if (hi < 0x80000000) return u64Decimal(hi, lo)
  const negatedLo = -lo >>> 0
  return '-' + u64Decimal((~hi + (negatedLo === 0 ? 1 : 0)) >>> 0, negatedLo)
}

/** The unsigned 64-bit number in hexadecimal, without leading zeros. */
export function u64Hex(hi: number, lo: number): string {
  if (hi === 0) return lo.toString(16)
  return hi.toString(16) + (lo + 0x100000000).toString(16).slice(1)
}
