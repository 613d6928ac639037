import { CodecError } from './codec-error.ts'
import { SHORT_COPY_MAX, copyLiteralsSlowly, copyMatchSlowly, copyShort } from './lz-copy.ts'
import { type FseTable, buildFseTable, buildFseTableOfOne, fseTable, readFseTable } from './zstd-fse.ts'
import { bitsAt, bitsOfStream } from './zstd-huffman.ts'

/**
 * Sequences of zstd blocks (RFC 8878, section 3.1.1.3.2 and 3.1.1.4): "so many literals, then so many bytes from so far
 * back", three entropy-coded numbers in one stream that is read from its end, and their execution on the target.
 */

/** Number of codes, highest accuracy. */
const LITERAL_LENGTH = { codes: 36, accuracyLogMax: 9 } as const
const MATCH_LENGTH = { codes: 53, accuracyLogMax: 9 } as const
const OFFSET = { codes: 32, accuracyLogMax: 8 } as const

/** First value of each code, and the bits that are added to it. */
const LITERAL_LENGTH_BASE = Int32Array.of(
  ...range(0, 16),
  16,
  18,
  20,
  22,
  24,
  28,
  32,
  40,
  48,
  64,
  128,
  256,
  512,
  1024,
  2048,
  4096,
  8192,
  16384,
  32768,
  65536,
)
const LITERAL_LENGTH_BITS = Uint8Array.of(
  ...new Uint8Array(16),
  1,
  1,
  1,
  1,
  2,
  2,
  3,
  3,
  4,
  6,
  7,
  8,
  9,
  10,
  11,
  12,
  13,
  14,
  15,
  16,
)
const MATCH_LENGTH_BASE = Int32Array.of(
  ...range(3, 35),
  35,
  37,
  39,
  41,
  43,
  47,
  51,
  59,
  67,
  83,
  99,
  131,
  259,
  515,
  1027,
  2051,
  4099,
  8195,
  16387,
  32771,
  65539,
)
const MATCH_LENGTH_BITS = Uint8Array.of(
  ...new Uint8Array(32),
  1,
  1,
  1,
  1,
  2,
  2,
  3,
  3,
  4,
  4,
  5,
  7,
  8,
  9,
  10,
  11,
  12,
  13,
  14,
  15,
  16,
)

const LITERAL_LENGTH_PREDEFINED = [
  4, 3, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2, 2, 3, 2, 1, 1, 1, 1, 1, -1, -1, -1, -1,
]
const MATCH_LENGTH_PREDEFINED = [
  1, 4, 3, 2, 2, 2, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
  1, 1, 1, 1, 1, 1, 1, -1, -1, -1, -1, -1, -1, -1,
]
const OFFSET_PREDEFINED = [1, 1, 1, 1, 1, 1, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, -1, -1, -1, -1, -1]

/** One of the three numbers: its own table, the predefined one, and which of them the frame's last block used. */
class CodedNumber {
  current: FseTable | undefined
  readonly own: FseTable
  readonly predefined: FseTable
  readonly codes: number
  readonly accuracyLogMax: number

  constructor(kind: { codes: number; accuracyLogMax: number }, predefined: readonly number[], accuracyLog: number) {
    this.codes = kind.codes
    this.accuracyLogMax = kind.accuracyLogMax
    this.own = fseTable(kind.accuracyLogMax)
    this.predefined = fseTable(accuracyLog)
    buildFseTable(this.predefined, predefined, accuracyLog)
  }

  /** Chooses the table by `mode`, and reads what that needs at `source[at]`. Returns the byte behind it. */
  choose(mode: number, source: Uint8Array, at: number, end: number): number {
    switch (mode) {
      case 0:
        this.current = this.predefined
        return at
      case 1:
        if (at >= end) throw damaged('the tables are cut short')
        if (source[at] >= this.codes) throw damaged(`code ${source[at]} of ${this.codes}`)
        buildFseTableOfOne(this.own, source[at])
        this.current = this.own
        return at + 1
      case 2: {
        this.current = undefined
        const after = readFseTable(this.own, source, at, end, this.accuracyLogMax, this.codes)
        this.current = this.own
        return after
      }
      default:
        return at
    }
  }
}

const literalLength = /* @__PURE__ */ new CodedNumber(LITERAL_LENGTH, LITERAL_LENGTH_PREDEFINED, 6)
const matchLength = /* @__PURE__ */ new CodedNumber(MATCH_LENGTH, MATCH_LENGTH_PREDEFINED, 6)
const offset = /* @__PURE__ */ new CodedNumber(OFFSET, OFFSET_PREDEFINED, 5)

/** The last three distances, newest first. */
let recent1 = 1
let recent2 = 4
let recent3 = 8

/** Forgets tables and distances of the frame before. */
export function startSequences(): void {
  literalLength.current = undefined
  matchLength.current = undefined
  offset.current = undefined
  recent1 = 1
  recent2 = 4
  recent3 = 8
}

/** What the sequences of one block work on. */
export interface BlockPlaces {
  /** The whole frame, and a view of it. */
  readonly source: Uint8Array
  readonly sourceView: DataView
  readonly target: Uint8Array
  readonly targetView: DataView
  /** The block's literals; at least `SHORT_COPY_MAX` bytes more than any block has. */
  readonly literals: Uint8Array
  readonly literalsView: DataView
}

/**
 * Executes the sequences at `source[at]` to `source[end - 1]` with `literalCount` literals, from `target[to]` on, and
 * copies the literals that are left. Returns the byte of the target behind the block. Throws CodecError.
 */
export function executeSequences(
  places: BlockPlaces,
  at: number,
  end: number,
  literalCount: number,
  to: number,
): number {
  const { source, sourceView, target, targetView, literals, literalsView } = places
  if (at >= end) throw damaged('their number is missing')
  let count = source[at++]
  if (count >= 128) {
    const bytes = count === 255 ? 2 : 1
    if (end - at < bytes) throw damaged('their number is cut short')
    if (count === 255) count = source[at] + (source[at + 1] << 8) + 0x7f00
    else count = ((count - 128) << 8) + source[at]
    at += bytes
  }
  let literal = 0
  if (count !== 0) {
    if (at >= end) throw damaged('the tables are missing')
    const modes = source[at++]
    if ((modes & 3) !== 0) throw damaged('reserved bits are set')
    at = literalLength.choose(modes >> 6, source, at, end)
    at = offset.choose((modes >> 4) & 3, source, at, end)
    at = matchLength.choose((modes >> 2) & 3, source, at, end)
    if (literalLength.current === undefined || offset.current === undefined || matchLength.current === undefined) {
      throw damaged('a table is used again that never was')
    }
    const literalStates = literalLength.current.states
    const offsetStates = offset.current.states
    const matchStates = matchLength.current.states
    const targetEnd = target.length
    const targetSafe = targetEnd - SHORT_COPY_MAX
    const base = at
    let position = bitsOfStream(source, base, end)

    position -= literalLength.current.accuracyLog
    let literalState = position < 0 ? 0 : bitsAt(sourceView, base, position, literalLength.current.accuracyLog)
    position -= offset.current.accuracyLog
    let offsetState = position < 0 ? 0 : bitsAt(sourceView, base, position, offset.current.accuracyLog)
    position -= matchLength.current.accuracyLog
    if (position < 0) throw damaged('the stream is cut short')
    let matchState = bitsAt(sourceView, base, position, matchLength.current.accuracyLog)

    let newest = recent1
    let second = recent2
    let third = recent3
    for (let left = count; ;) {
      const literalEntry = literalStates[literalState]
      const offsetEntry = offsetStates[offsetState]
      const matchEntry = matchStates[matchState]

      // The distance, then the lengths. More than 25 bits don't fit one load: such a distance is never real.
      const offsetBits = offsetEntry >>> 24
      position -= offsetBits
      if (position < 0) throw damaged('the stream is cut short')
      if (offsetBits > 25) throw damaged(`a distance of 2^${offsetBits} bytes or more`)
      const offsetValue = (1 << offsetBits) + bitsAt(sourceView, base, position, offsetBits)
      const matchCode = matchEntry >>> 24
      const literalCode = literalEntry >>> 24
      let length = MATCH_LENGTH_BASE[matchCode]
      if (matchCode >= 32) {
        const bits = MATCH_LENGTH_BITS[matchCode]
        position -= bits
        length += bitsAt(sourceView, base, position, bits)
      }
      let run = LITERAL_LENGTH_BASE[literalCode]
      if (literalCode >= 16) {
        const bits = LITERAL_LENGTH_BITS[literalCode]
        position -= bits
        run += bitsAt(sourceView, base, position, bits)
      }
      if (position < 0) throw damaged('the stream is cut short')

      let distance = offsetValue - 3
      if (offsetValue > 3) {
        third = second
        second = newest
        newest = distance
      } else {
        const which = run === 0 ? offsetValue + 1 : offsetValue
        if (which === 1) {
          distance = newest
        } else {
          if (which === 2) distance = second
          else if (which === 3) distance = third
          else distance = newest - 1
          if (which !== 2) third = second
          second = newest
          newest = distance
        }
      }

      if (run > literalCount - literal) throw damaged('more literals than there are')
      if (run > targetEnd - to) throw damaged('more bytes than the target holds')
      if (run <= SHORT_COPY_MAX && to <= targetSafe) copyShort(targetView, to, literalsView, literal, run)
      else copyLiteralsSlowly(target, to, literals, literal, run)
      literal += run
      to += run
      if (distance <= 0 || distance > to) throw damaged(`a match ${distance} bytes back at byte ${to}`)
      if (length > targetEnd - to) throw damaged('more bytes than the target holds')
      if (length <= SHORT_COPY_MAX && distance >= 8 && to <= targetSafe) {
        copyShort(targetView, to, targetView, to - distance, length)
      } else {
        copyMatchSlowly(target, to, distance, length)
      }
      to += length

      if (--left === 0) break
      let bits = (literalEntry >> 16) & 0xff
      position -= bits
      literalState = (literalEntry & 0xffff) + bitsAt(sourceView, base, position, bits)
      bits = (matchEntry >> 16) & 0xff
      position -= bits
      matchState = (matchEntry & 0xffff) + bitsAt(sourceView, base, position, bits)
      bits = (offsetEntry >> 16) & 0xff
      position -= bits
      if (position < 0) throw damaged('the stream is cut short')
      offsetState = (offsetEntry & 0xffff) + bitsAt(sourceView, base, position, bits)
    }
    if (position !== 0) throw damaged('the stream does not end with its sequences')
    recent1 = newest
    recent2 = second
    recent3 = third
  } else if (at !== end) {
    throw damaged('bytes behind none')
  }
  const rest = literalCount - literal
  if (rest > target.length - to) throw damaged('more bytes than the target holds')
  copyLiteralsSlowly(target, to, literals, literal, rest)
  return to + rest
}

function range(from: number, to: number): number[] {
  return Array.from({ length: to - from }, (_, i) => from + i)
}

function damaged(what: string): CodecError {
  return new CodecError(`zstd: sequences: ${what}`)
}
