import { CodecError } from '../codec-error.ts'

/** Damage to compressed data for tests of decoders, and what may come of it. */

/** How much more the soak does than an ordinary run. */
const SOAK = process.env['COWHERD_SOAK'] === '1' ? 50 : 1

/** `count` (times 50 in a soak) variants of `valid`: cut short, with bytes changed, moved or repeated, or all noise. The same ones each time. */
export function* hostileVariants(valid: Uint8Array, count = 300): Generator<Uint8Array> {
  let state = 12345
  const random = (below: number): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return Math.floor((state / 2 ** 32) * below)
  }
  for (let i = 0; i < count * SOAK; i++) {
    const kind = random(8)
    if (kind === 0) {
      yield valid.slice(0, random(valid.length))
      continue
    }
    if (kind === 1) {
      yield Uint8Array.from({ length: random(600) }, () => random(256))
      continue
    }
    const variant = valid.slice()
    // Most often near the front, where headers and tables are.
    const reach = random(2) === 0 ? Math.min(variant.length, 40) : variant.length
    for (let changes = 1 + random(4); changes > 0; changes--) {
      const at = random(reach)
      if (kind < 4) variant[at] ^= 1 << random(8)
      else if (kind < 6) variant[at] = [0, 1, 0x7f, 0x80, 0xff, random(256)][random(6)]
      else variant.copyWithin(at, random(variant.length), random(variant.length))
    }
    yield variant
  }
}

/**
 * Decodes each source to targets of each length. Either the target is filled or a CodecError is thrown; anything else, and
 * a byte written beside the target, fails. Returns how many were decoded.
 */
export function expectBytesOrCodecError(
  decode: (target: Uint8Array, source: Uint8Array) => void,
  sources: Iterable<Uint8Array>,
  lengths: readonly number[],
): number {
  let decoded = 0
  for (const source of sources) {
    for (const length of lengths) {
      const memory = new Uint8Array(length + 64).fill(0xa5)
      try {
        decode(memory.subarray(32, 32 + length), source)
        decoded++
      } catch (error) {
        if (!(error instanceof CodecError)) throw error
      }
      for (let i = 0; i < 32; i++) {
        if (memory[i] !== 0xa5 || memory[32 + length + i] !== 0xa5)
          throw new Error('a byte beside the target was written')
      }
    }
  }
  return decoded
}
