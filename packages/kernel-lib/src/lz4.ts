import { CodecError } from './codec-error.ts'
import { SHORT_COPY_MAX, copyLiteralsSlowly, copyMatchSlowly, copyShort } from './lz-copy.ts'

/**
 * Decoder of raw LZ4 blocks (no frame, no length), as compressed extents hold them: the block's own length isn't stored,
 * so decoding goes on until the target is full, and what follows in the source is padding. Format chapter 6, section 6.4;
 * the encoding is the "LZ4 block format" description.
 *
 * Any source bytes are safe: reads stay inside the source, writes inside the target, and each step makes progress.
 */

const MATCH_MIN = 4
/** A length nibble of 15 is continued in the following bytes. */
const LENGTH_CONTINUED = 15
/**
 * Fills all of `target` from `source`. Throws CodecError if the source ends before, or refers to bytes before the target's
 * start.
 */
export function lz4Decompress(target: Uint8Array, source: Uint8Array): void {
  const sourceEnd = source.length
  const targetEnd = target.length
  const sourceView = new DataView(source.buffer, source.byteOffset, sourceEnd)
  const targetView = new DataView(target.buffer, target.byteOffset, targetEnd)
  const sourceSafe = sourceEnd - SHORT_COPY_MAX
  const targetSafe = targetEnd - SHORT_COPY_MAX
  let from = 0
  let to = 0
  while (to < targetEnd) {
    if (from >= sourceEnd) throw endsEarly(to, targetEnd)
    const token = source[from++]

    let literals = token >> 4
    if (literals === LENGTH_CONTINUED) {
      let more = 255
      while (more === 255) {
        if (from >= sourceEnd) throw endsEarly(to, targetEnd)
        more = source[from++]
        literals += more
      }
    }
    if (literals > targetEnd - to) literals = targetEnd - to
    if (literals > sourceEnd - from) throw endsEarly(to, targetEnd)
    if (literals <= SHORT_COPY_MAX && from <= sourceSafe && to <= targetSafe) {
      copyShort(targetView, to, sourceView, from, literals)
    } else {
      copyLiteralsSlowly(target, to, source, from, literals)
    }
    from += literals
    to += literals
    if (to === targetEnd) return

    if (sourceEnd - from < 2) throw endsEarly(to, targetEnd)
    const distance = source[from] | (source[from + 1] << 8)
    from += 2
    if (distance === 0 || distance > to) {
      throw new CodecError(`LZ4: a match ${distance} bytes back at byte ${to}`)
    }
    let length = (token & 15) + MATCH_MIN
    if (length === LENGTH_CONTINUED + MATCH_MIN) {
      let more = 255
      while (more === 255) {
        if (from >= sourceEnd) throw endsEarly(to, targetEnd)
        more = source[from++]
        length += more
      }
    }
    if (length > targetEnd - to) length = targetEnd - to
    if (length <= SHORT_COPY_MAX && distance >= 8 && to <= targetSafe) {
      copyShort(targetView, to, targetView, to - distance, length)
    } else {
      copyMatchSlowly(target, to, distance, length)
    }
    to += length
  }
}

function endsEarly(decoded: number, expected: number): CodecError {
  return new CodecError(`LZ4: the block ends after ${decoded} of ${expected} bytes`)
}
