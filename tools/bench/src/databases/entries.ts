/**
 * The entries that all databases get: keys of 64 bits (of which 53 are used, so that a JavaScript number holds one) and values of 64
 * bytes that don't compress. They are numbered, and follow from their numbers, so that nothing has to be kept of them.
 */

import { Random } from '../tables/keys.ts'

/** What a database is filled with first, second ...: keys that say nothing of each other, or each the next one. */
export type Order = 'random' | 'sequential'

export const VALUE_BYTES = 64
/** A key with its value. */
export const ENTRY_BYTES = 8 + VALUE_BYTES

const MULTIPLIER_LO = 0x9e3779b1
const MULTIPLIER_HI = 0x85ebca6b
const UNUSED_BITS = 11

/** Upper 32 bits of the n-th key. */
export function keyHi(order: Order, n: number): number {
  return order === 'random' ? Math.imul(n + 1, MULTIPLIER_HI) >>> UNUSED_BITS : 0
}

/** Lower 32 bits of the n-th key. */
export function keyLo(order: Order, n: number): number {
  return order === 'random' ? Math.imul(n + 1, MULTIPLIER_LO) >>> 0 : n
}

/** A key as a number. */
export function keyNumber(hi: number, lo: number): number {
  return hi * 2 ** 32 + lo
}

/** Values one after the other, in the same memory. */
export class Values {
  private readonly noise = noiseOf(NOISE_WORDS)
  private readonly words = new Uint32Array(VALUE_BYTES / 4)
  private readonly bytes = Buffer.from(this.words.buffer)

  /** The n-th value, until the next call. */
  of(n: number): Buffer {
    const { words, noise } = this
    const from = (n * words.length) % NOISE_WORDS
    words[0] = n
    for (let i = 1; i < words.length; i++) words[i] = noise[from + i]
    return this.bytes
  }

  /** Whether `value` is the n-th one, by a few of its bytes. */
  isOf(n: number, value: Uint8Array): boolean {
    const { bytes } = this
    this.of(n)
    return (
      value.length === VALUE_BYTES &&
      value[0] === bytes[0] &&
      value[1] === bytes[1] &&
      value[2] === bytes[2] &&
      value[VALUE_BYTES - 1] === bytes[VALUE_BYTES - 1]
    )
  }
}

/** More than any of the databases looks back when it compresses. */
const NOISE_WORDS = 1 << 18

function noiseOf(words: number): Uint32Array {
  const random = new Random(5)
  return Uint32Array.from({ length: words }, () => random.next() ^ (random.next() << 16))
}
