/**
 * Times of a volume: 64-bit counts of a unit the superblock names, from a base it names (format chapter 5, 5.2.5).
 * Converted to Unix seconds and nanoseconds with plain numbers: attributes of every file pass through here.
 */

const BILLION = 1_000_000_000
const UNITS_MAX = (1n << 63n) - 1n

export class TimeScale {
  /** Nanoseconds of one unit, 1 to 10^9. */
  readonly precisionNs: number
  readonly unitsPerSecond: number
  private readonly baseHi: number
  private readonly baseLo: number
  private readonly base: bigint

  /** `baseNs` and `precisionNs` as the superblock has them (time_base_lo, time_precision), which has been checked. */
  constructor(baseNs: bigint, precisionNs: number) {
    const base = BigInt.asUintN(64, baseNs / BigInt(precisionNs))
    this.precisionNs = precisionNs
    this.unitsPerSecond = Math.floor(BILLION / precisionNs)
    this.base = base
    this.baseHi = Number(base >> 32n)
    this.baseLo = Number(base & 0xffffffffn)
  }

  /** Unix seconds of the stored time `hi:lo`, rounded down: negative before 1970. */
  seconds(hi: number, lo: number): number {
    return this.divide(hi, lo, false)
  }

  /** The nanoseconds that belong to `seconds`, 0 to 999,999,999. */
  nanoseconds(hi: number, lo: number): number {
    return this.divide(hi, lo, true)
  }

  /**
   * Stores a Unix time (0 to 999,999,999 nanoseconds) as two halves, low first, at `words[at]`. What 64 bits can't count becomes the first or
   * last second that they can, as in Linux.
   */
  store(words: Uint32Array, at: number, seconds: number, nanoseconds: number): void {
    const units = BigInt(this.unitsPerSecond)
    const last = UNITS_MAX / units
    const whole = BigInt(Math.trunc(seconds))
    const isInside = whole > -last && whole < last
    const bounded = isInside ? whole : whole < 0n ? -last : last
    const part = isInside ? BigInt(Math.floor(nanoseconds / this.precisionNs)) : 0n
    const stored = BigInt.asUintN(64, bounded * units + part - this.base)
    words[at] = Number(stored & 0xffffffffn)
    words[at + 1] = Number(stored >> 32n)
  }

  /** Long division of the signed sum with the base, 16 bits at a time: no dividend exceeds 2^46. */
  private divide(hi: number, lo: number, wantRest: boolean): number {
    const units = this.unitsPerSecond
    const sumLo = lo + this.baseLo
    const sumHi = (hi + this.baseHi + (sumLo > 0xffffffff ? 1 : 0)) | 0
    const high = Math.floor(sumHi / units)
    let dividend = (sumHi - high * units) * 0x10000 + ((sumLo >>> 16) & 0xffff)
    const middle = Math.floor(dividend / units)
    dividend = (dividend - middle * units) * 0x10000 + (sumLo & 0xffff)
    const low = Math.floor(dividend / units)
    if (!wantRest) return high * 0x100000000 + middle * 0x10000 + low
    const rest = dividend - low * units
    // Where units do not divide a second, the format counts the rest of a negative time back from the next full second.
    return sumHi < 0 && rest !== 0 ? BILLION - (units - rest) * this.precisionNs : rest * this.precisionNs
  }
}

/** Times as the format counts them when nothing is known of the volume: nanoseconds since 1970. */
export const UNIX_NANOSECONDS = new TimeScale(0n, 1)
