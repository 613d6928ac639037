/** The keys that all tables get, in an order that is chance but the same each time. */

/** Operations between two times that a thread says it holds nothing (RCU): a request of a server does as many. */
export const OPERATIONS_PER_REQUEST = 32

const MULTIPLIER = 0x9e3779b1

/** The n-th key, from 0 on: all are different, and none says anything about the next. */
export function keyOf(n: number): number {
  return Math.imul(n + 1, MULTIPLIER)
}

/** The keys from the first to before the last, in the order of their numbers. */
export function keysOf(first: number, last: number): Int32Array {
  return Int32Array.from({ length: last - first }, (_, i) => keyOf(first + i))
}

/** `count` of the keys, by chance; some come twice. */
export function someOf(keys: Int32Array, count: number): Int32Array {
  const random = new Random(1)
  return Int32Array.from({ length: count }, () => keys[random.next() % keys.length])
}

/** Numbers by chance (xorshift of 32 bits), the same for the same seed. */
export class Random {
  private state: number

  /** `seed` is not 0. */
  constructor(seed: number) {
    this.state = seed
  }

  /** The next one, from 0 to 2^31 - 1. */
  next(): number {
    let x = this.state
    x ^= x << 13
    x ^= x >>> 17
    x ^= x << 5
    this.state = x
    return x >>> 1
  }
}
