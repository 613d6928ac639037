/**
 * A 64-bit number in two unsigned 32-bit halves, the form that hot paths use: a bigint would be an allocation each time.
 * Functions that yield 64 bits fill an object of the caller's, which is made once and used again.
 */
export interface U64Halves {
  /** Bits 0 to 31, unsigned. */
  lo: number
  /** Bits 32 to 63, unsigned. */
  hi: number
}

/** The number as a bigint, for cold paths and printing. */
export function bigintOfHalves(halves: Readonly<U64Halves>): bigint {
  return (BigInt(halves.hi) << 32n) | BigInt(halves.lo)
}
