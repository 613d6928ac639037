/** Values for JSON: what `describe` of a key type returns. */

const SAFE = BigInt(Number.MAX_SAFE_INTEGER)

/** The number as a plain one where it fits 53 bits, else as bigint. */
export function plainNumber(value: bigint): number | bigint {
  return value <= SAFE && value >= -SAFE ? Number(value) : value
}

/** Unsigned 64 bits in two halves, likewise. */
export function plainHalves(hi: number, lo: number): number | bigint {
  return hi < 0x200000 ? hi * 0x100000000 + lo : (BigInt(hi) << 32n) | BigInt(lo)
}
