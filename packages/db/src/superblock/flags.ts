/**
 * The superblock's flag words: bits that are no options. Format chapter 1, 3.5. What the bits of options are stands in `options.ts`.
 */

/** Bits [from, to) of flag word `word`. */
export interface BitRange {
  readonly word: number
  readonly from: number
  readonly to: number
}

export function bitRange(word: number, from: number, to: number): BitRange {
  return { word, from, to }
}

/** The bits by name. */
export const Flag = {
  initialized: bitRange(0, 0, 1), // the first start has completed
  clean: bitRange(0, 1, 2),
  checksumType: bitRange(0, 2, 8), // of this copy
  hasErrors: bitRange(0, 60, 61),
  hasTopologyErrors: bitRange(0, 61, 62),
  bigEndian: bitRange(0, 62, 63),
  encryptionType: bitRange(1, 10, 14),
  versionUpgradeComplete: bitRange(5, 0, 16),
} as const

export function getBits(words: readonly bigint[], { word, from, to }: BitRange): bigint {
  return BigInt.asUintN(to - from, words[word] >> BigInt(from))
}

/** Throws RangeError if `value` has more bits. */
export function putBits(words: bigint[], { word, from, to }: BitRange, value: bigint): void {
  if (value !== BigInt.asUintN(to - from, value)) throw new RangeError(`${value} does not fit ${to - from} bits`)
  const mask = ((1n << BigInt(to - from)) - 1n) << BigInt(from)
  words[word] = (words[word] & ~mask) | (value << BigInt(from))
}

/** The value of a flag as a number. */
export function flag(words: readonly bigint[], range: BitRange): number {
  return Number(getBits(words, range))
}
