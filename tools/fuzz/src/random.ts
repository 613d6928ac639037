/**
 * The one source of chance: all that a case does follows from its seed, so a finding is repeated by printing two numbers.
 */

/** A small generator (sfc32): fast, and neighbouring seeds have nothing in common. */
export class Random {
  private a = 0x9e3779b9
  private b = 0x243f6a88
  private c = 0xb7e15162
  private count = 1

  /** `seeds` are taken as unsigned 32-bit numbers. */
  constructor(...seeds: readonly number[]) {
    for (const seed of seeds) {
      this.a ^= seed
      for (let i = 0; i < 16; i++) this.u32()
    }
  }

  /** An unsigned 32-bit number. */
  u32(): number {
    const sum = (this.a + this.b + this.count++) | 0
    this.a = this.b ^ (this.b >>> 9)
    this.b = (this.c + (this.c << 3)) | 0
    this.c = (((this.c << 21) | (this.c >>> 11)) + sum) | 0
    return sum >>> 0
  }

  /** An integer from 0 up to but not including `end`. */
  below(end: number): number {
    return end <= 1 ? 0 : Math.floor((this.u32() / 0x100000000) * end)
  }

  /** True in `part` of all cases. */
  chance(part: number): boolean {
    return this.u32() < part * 0x100000000
  }

  /** One of `list`, which is not empty. */
  pick<T>(list: readonly T[]): T {
    return list[this.below(list.length)]
  }

  /** Fills `target`. */
  fill(target: Uint8Array): Uint8Array {
    for (let i = 0; i < target.length; i++) target[i] = this.u32()
    return target
  }

  /** A number of small size mostly: 1 in half of all cases, then ever rarer. */
  few(max: number): number {
    let n = 1
    while (n < max && this.chance(0.5)) n++
    return n
  }
}

/** Replaces the little-endian number of `width` bytes at `bytes[at]` by one that tends to break things. */
export function disturb(bytes: Uint8Array, at: number, width: number, random: Random): void {
  const bits = BigInt(width * 8)
  let old = 0n
  for (let i = width - 1; i >= 0; i--) old = (old << 8n) | BigInt(bytes[at + i] ?? 0)
  let value = interesting(old, bits, random)
  for (let i = 0; i < width && at + i < bytes.length; i++, value >>= 8n) bytes[at + i] = Number(value & 0xffn)
}

function interesting(old: bigint, bits: bigint, random: Random): bigint {
  const one = 1n
  const bit = one << BigInt(random.below(Number(bits)))
  switch (random.below(12)) {
    case 0:
      return 0n
    case 1:
      return one
    case 2:
      return BigInt.asUintN(Number(bits), -1n)
    case 3:
      return BigInt.asUintN(Number(bits), -2n)
    case 4:
      return one << (bits - one)
    case 5:
      return (one << (bits - one)) - one
    case 6:
      return BigInt.asUintN(Number(bits), old + one)
    case 7:
      return BigInt.asUintN(Number(bits), old - one)
    case 8:
      return old ^ bit
    case 9:
      return bit
    case 10:
      return BigInt.asUintN(Number(bits), old * 2n)
    default:
      return BigInt.asUintN(Number(bits), (BigInt(random.u32()) << 32n) | BigInt(random.u32()))
  }
}
