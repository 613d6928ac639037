/**
 * Encoder of raw LZ4 blocks (no frame, no length), as compressed extents hold them. Format chapter 6, section 6.4; the encoding is the
 * "LZ4 block format" description, its rules for the end of a block included: every decoder takes what comes out.
 *
 * One pass: the last place of each four bytes is remembered by their hash, the first match is taken, and where there are none for long the
 * steps grow. About 200 MB/s for text, much more for zeros and for what can't be compressed.
 */

import { SHORT_COPY_MAX, copyLiteralsSlowly, copyShort } from './lz-copy.ts'

const MATCH_MIN = 4
/** Matches reach back so far. */
const DISTANCE_MAX = 65535
/** The last bytes of a block are literals, and no match starts later than so many bytes before its end. */
const LITERALS_AT_END = 5
const MATCH_STARTS_BEFORE_END = 12
/** A length nibble of 15 is continued in the following bytes. */
const LENGTH_CONTINUED = 15
/** After so many misses (as a power of two) the steps grow by one. */
const MISSES_TO_GROW_SHIFT = 6

const HASH_BITS = 14
const HASH_SHIFT = 32 - HASH_BITS
const HASH_FACTOR = -1640531535
/** Where the four bytes with each hash were last. */
const places = new Int32Array(1 << HASH_BITS)
const NOWHERE = -1 - DISTANCE_MAX

/** Compresses all of `source` into `target`. Returns the bytes that it takes, or 0 if it doesn't fit. */
export function lz4Compress(target: Uint8Array, source: Uint8Array): number {
  const end = source.length
  const room = target.length
  const view = new DataView(source.buffer, source.byteOffset, end)
  const targetView = new DataView(target.buffer, target.byteOffset, room)
  const lastStart = end - MATCH_STARTS_BEFORE_END
  const matchEnd = end - LITERALS_AT_END
  let literalsAt = 0
  let to = 0
  if (lastStart >= 0) {
    places.fill(NOWHERE)
    places[Math.imul(view.getInt32(0, true), HASH_FACTOR) >>> HASH_SHIFT] = 0
  }
  for (let at = 1; at <= lastStart;) {
    const word = view.getInt32(at, true)
    const hash = Math.imul(word, HASH_FACTOR) >>> HASH_SHIFT
    let from = places[hash]
    places[hash] = at
    if (at - from > DISTANCE_MAX || view.getInt32(from, true) !== word) {
      at += 1 + ((at - literalsAt) >>> MISSES_TO_GROW_SHIFT)
      continue
    }
    while (at > literalsAt && from > 0 && view.getUint8(at - 1) === view.getUint8(from - 1)) {
      at--
      from--
    }
    const distance = at - from
    let matched = at + MATCH_MIN
    let difference = 0
    while (matched + 4 <= matchEnd) {
      difference = view.getInt32(matched, true) ^ view.getInt32(matched - distance, true)
      if (difference !== 0) break
      matched += 4
    }
    if (difference !== 0) matched += (31 - Math.clz32(difference & -difference)) >>> 3
    else while (matched < matchEnd && view.getUint8(matched) === view.getUint8(matched - distance)) matched++

    const literals = at - literalsAt
    const length = matched - at - MATCH_MIN
    // A length takes a byte for each 255 beyond its nibble.
    if (to + 5 + literals + ((literals + length) >>> 7) > room && !hasRoom(room - to, literals, length)) return 0
    let token = length < LENGTH_CONTINUED ? length : LENGTH_CONTINUED
    const tokenAt = to++
    if (literals < LENGTH_CONTINUED) token |= literals << 4
    else {
      token |= LENGTH_CONTINUED << 4
      to = putLength(target, to, literals)
    }
    targetView.setUint8(tokenAt, token)
    if (literals <= SHORT_COPY_MAX && to + SHORT_COPY_MAX <= room && literalsAt + SHORT_COPY_MAX <= end) {
      if (literals > 0) copyShort(targetView, to, view, literalsAt, literals)
    } else copyLiteralsSlowly(target, to, source, literalsAt, literals)
    to += literals
    targetView.setUint16(to, distance, true)
    to += 2
    if (length >= LENGTH_CONTINUED) to = putLength(target, to, length)
    at = matched
    literalsAt = matched
    if (at <= lastStart) places[Math.imul(view.getInt32(at - 2, true), HASH_FACTOR) >>> HASH_SHIFT] = at - 2
  }
  const literals = end - literalsAt
  if (1 + lengthBytes(literals) + literals > room - to) return 0
  target[to++] = Math.min(literals, LENGTH_CONTINUED) << 4
  if (literals >= LENGTH_CONTINUED) to = putLength(target, to, literals)
  copyLiteralsSlowly(target, to, source, literalsAt, literals)
  return to + literals
}

/** Whether a sequence fits, to the byte. */
function hasRoom(room: number, literals: number, length: number): boolean {
  return 1 + lengthBytes(literals) + literals + 2 + lengthBytes(length) <= room
}

/** Bytes that a length takes beyond its nibble. */
function lengthBytes(length: number): number {
  return length < LENGTH_CONTINUED ? 0 : 1 + Math.floor((length - LENGTH_CONTINUED) / 255)
}

function putLength(target: Uint8Array, to: number, length: number): number {
  let left = length - LENGTH_CONTINUED
  for (; left >= 255; left -= 255) target[to++] = 255
  target[to++] = left
  return to
}
