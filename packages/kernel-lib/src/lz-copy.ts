/**
 * The copies inside LZ77 decoders (LZ4, DEFLATE, zstd), of literals and of matches. They are short as a rule, and short ones
 * go eight bytes a step through DataViews: twice as fast as byte by byte. A step may write up to seven bytes more than
 * asked, so what lies behind the place that a decoder has reached is undefined until it is done.
 *
 * `SHORT_COPY_MAX` bytes must be left in source and target behind the place where a short copy starts; otherwise, and for
 * longer ones, the `...Slowly` functions serve, which touch nothing else.
 */

/** A short copy has at most this many bytes, and needs as many behind its start. */
export const SHORT_COPY_MAX = 64

/** Copies 1 to 64 bytes from `source` at `from` to `target` at `at`, eight a step. */
export function copyShort(target: DataView, at: number, source: DataView, from: number, length: number): void {
  let i = 0
  do {
    target.setInt32(at + i, source.getInt32(from + i, true), true)
    target.setInt32(at + i + 4, source.getInt32(from + i + 4, true), true)
    i += 8
  } while (i < length)
}

/** Copies `length` bytes of `source` from `from` on to `target` at `at`. */
export function copyLiteralsSlowly(
  target: Uint8Array,
  at: number,
  source: Uint8Array,
  from: number,
  length: number,
): void {
  if (length > SHORT_COPY_MAX) target.set(source.subarray(from, from + length), at)
  else for (let i = 0; i < length; i++) target[at + i] = source[from + i]
}

/**
 * Repeats at `at` the `length` bytes written `distance` bytes before (0 < distance <= at). Where source and target overlap
 * the last `distance` bytes are repeated over and over.
 */
export function copyMatchSlowly(target: Uint8Array, at: number, distance: number, length: number): void {
  const end = at + length
  if (length <= SHORT_COPY_MAX) {
    for (let i = at; i < end; i++) target[i] = target[i - distance]
  } else if (distance === 1) {
    target.fill(target[at - 1], at, end)
  } else {
    // What has been repeated so far grows with each copy, so an overlap costs a few calls only.
    const from = at - distance
    let filled = at
    while (filled < end) {
      const count = Math.min(filled - from, end - filled)
      target.copyWithin(filled, from, from + count)
      filled += count
    }
  }
}
