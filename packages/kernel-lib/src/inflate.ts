import { CodecError } from './codec-error.ts'
import { SHORT_COPY_MAX, copyLiteralsSlowly, copyMatchSlowly, copyShort } from './lz-copy.ts'

/**
 * Decoder of raw DEFLATE streams (RFC 1951: no zlib or gzip header, no checksum) into a target of known size, which the
 * stream must fill exactly; bytes behind the stream's end are padding. Format chapter 6, section 6.4.
 *
 * Any source bytes are safe: reads stay inside the source, writes inside the target, and each step takes bits. Codes that
 * zlib refuses (over-subscribed, incomplete, without an end of block) are refused here too.
 */

/** Codes up to this length are found in one lookup, longer ones bit by bit. */
const TABLE_BITS = 10
const CODE_BITS_MAX = 15
const END_OF_BLOCK = 256

const LENGTH_BASE = [
  3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227, 258,
]
const LENGTH_BITS = [0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0]
const DISTANCE_BASE = [
  1, 2, 3, 4, 5, 7, 9, 13, 17, 25, 33, 49, 65, 97, 129, 193, 257, 385, 513, 769, 1025, 1537, 2049, 3073, 4097, 6145,
  8193, 12289, 16385, 24577,
]
const DISTANCE_BITS = [0, 0, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9, 9, 10, 10, 11, 11, 12, 12, 13, 13]
/** The order in which the lengths of the codes of code lengths are stored. */
const CODE_LENGTH_ORDER = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15]

/** A canonical Huffman code. */
interface HuffmanCode {
  /** By the next `TABLE_BITS` bits: symbol << 4 | length of its code; 0: the code is longer, or none. */
  readonly table: Uint16Array
  /** How many codes have each length. */
  readonly counts: Uint16Array
  /** The symbols in the order of their codes. */
  readonly symbols: Uint16Array
}

const literalCode = /* @__PURE__ */ huffmanCode(288)
const distanceCode = /* @__PURE__ */ huffmanCode(32)
const codeLengthCode = /* @__PURE__ */ huffmanCode(19)
const lengths = new Uint8Array(288 + 32)
const places = new Uint16Array(CODE_BITS_MAX + 2)

// What is being decoded. Calls don't nest; `release` lets go of the memory.
const NOTHING: Uint8Array = new Uint8Array(0)
const NO_VIEW: DataView = new DataView(NOTHING.buffer)
let source = NOTHING
let view = NO_VIEW
/** The next bit of the source. */
let bit = 0
/** Bit from which on four bytes can't be loaded at once. */
let lastWordBit = 0

/** Decodes the stream at the start of `from`, which must fill `target` exactly. Throws CodecError. */
export function inflateRaw(target: Uint8Array, from: Uint8Array): void {
  source = from
  view = viewOf(from)
  bit = 0
  lastWordBit = 8 * (from.length - 3)
  const targetView = viewOf(target)
  try {
    let to = 0
    for (let isLast = false; !isLast;) {
      isLast = take(1) === 1
      const type = take(2)
      if (type === 0) {
        to = copyStored(target, to)
      } else {
        if (type === 1) useFixedCodes()
        else if (type === 2) readCodes()
        else throw damaged('a block of the reserved type')
        to = decodeBlock(target, targetView, to)
      }
    }
    if (to !== target.length) throw damaged(`${to} bytes where ${target.length} are expected`)
  } finally {
    source = NOTHING
    view = NO_VIEW
  }
}

/** At least 25 bits from the next bit on; zero bits behind the end. */
function peek(): number {
  if (bit < lastWordBit) return view.getInt32(bit >> 3, true) >>> (bit & 7)
  const at = bit >> 3
  let word = 0
  for (let i = 0; i < 4 && at + i < source.length; i++) word |= source[at + i] << (8 * i)
  return word >>> (bit & 7)
}

/** Takes `count` (0 to 25) bits. */
function take(count: number): number {
  const value = peek() & ((1 << count) - 1)
  bit += count
  if (bit > 8 * source.length) throw damaged('the stream is cut short')
  return value
}

function copyStored(target: Uint8Array, to: number): number {
  bit = (bit + 7) & ~7
  const length = take(16)
  if (take(16) !== (length ^ 0xffff)) throw damaged('the length of a stored block is damaged')
  const at = bit >> 3
  if (length > source.length - at) throw damaged('the stream is cut short')
  if (length > target.length - to) throw damaged('more bytes than the target holds')
  copyLiteralsSlowly(target, to, source, at, length)
  bit += 8 * length
  return to + length
}

function decodeBlock(target: Uint8Array, targetView: DataView, to: number): number {
  const literals = literalCode.table
  const distances = distanceCode.table
  const targetEnd = target.length
  const targetSafe = targetEnd - SHORT_COPY_MAX
  const sourceBits = 8 * source.length
  for (;;) {
    if (bit > sourceBits) throw damaged('the stream is cut short')
    let word = peek()
    let entry = literals[word & ((1 << TABLE_BITS) - 1)]
    if (entry === 0) entry = findLong(literalCode, word)
    const codeBits = entry & 15
    const symbol = entry >> 4
    bit += codeBits
    if (symbol < END_OF_BLOCK) {
      if (to >= targetEnd) throw damaged('more bytes than the target holds')
      target[to++] = symbol
      continue
    }
    if (symbol === END_OF_BLOCK) break
    const code = symbol - 257
    if (code >= LENGTH_BASE.length) throw damaged('a reserved length')
    word >>>= codeBits
    const length = LENGTH_BASE[code] + (word & ((1 << LENGTH_BITS[code]) - 1))
    bit += LENGTH_BITS[code]

    word = peek()
    entry = distances[word & ((1 << TABLE_BITS) - 1)]
    if (entry === 0) entry = findLong(distanceCode, word)
    bit += entry & 15
    const distanceSymbol = entry >> 4
    if (distanceSymbol >= DISTANCE_BASE.length) throw damaged('a reserved distance')
    const extraBits = DISTANCE_BITS[distanceSymbol]
    const distance = DISTANCE_BASE[distanceSymbol] + (peek() & ((1 << extraBits) - 1))
    bit += extraBits

    if (distance > to) throw damaged(`a match ${distance} bytes back at byte ${to}`)
    if (length > targetEnd - to) throw damaged('more bytes than the target holds')
    if (length <= SHORT_COPY_MAX && distance >= 8 && to <= targetSafe) {
      copyShort(targetView, to, targetView, to - distance, length)
    } else {
      copyMatchSlowly(target, to, distance, length)
    }
    to += length
  }
  if (bit > sourceBits) throw damaged('the stream is cut short')
  return to
}

/** The entry of a code that is longer than the table's index: its bits are compared length by length. */
function findLong(huffman: HuffmanCode, word: number): number {
  const { counts, symbols } = huffman
  let code = 0
  let first = 0
  let index = 0
  for (let length = 1; length <= CODE_BITS_MAX; length++) {
    code |= (word >>> (length - 1)) & 1
    const count = counts[length]
    if (code - count < first) return (symbols[index + (code - first)] << 4) | length
    index += count
    first = (first + count) << 1
    code <<= 1
  }
  throw damaged('a code that does not exist')
}

function useFixedCodes(): void {
  lengths.fill(8, 0, 144)
  lengths.fill(9, 144, 256)
  lengths.fill(7, 256, 280)
  lengths.fill(8, 280, 288)
  build(literalCode, 0, 288, false)
  lengths.fill(5, 0, 32)
  build(distanceCode, 0, 32, false)
}

/** Reads the codes of a dynamic block. */
function readCodes(): void {
  const literals = take(5) + 257
  const distances = take(5) + 1
  const codeLengths = take(4) + 4
  if (literals > 286 || distances > 30) throw damaged('too many codes')
  lengths.fill(0, 0, 19)
  for (let i = 0; i < codeLengths; i++) lengths[CODE_LENGTH_ORDER[i]] = take(3)
  build(codeLengthCode, 0, 19, false)
  const count = literals + distances
  for (let i = 0; i < count;) {
    const word = peek()
    const entry = codeLengthCode.table[word & ((1 << TABLE_BITS) - 1)]
    if (entry === 0) throw damaged('a code that does not exist')
    take(entry & 15)
    const symbol = entry >> 4
    if (symbol < 16) {
      lengths[i++] = symbol
      continue
    }
    if (symbol === 16 && i === 0) throw damaged('a repeat of nothing')
    const repeated = symbol === 16 ? lengths[i - 1] : 0
    const times = symbol === 16 ? 3 + take(2) : symbol === 17 ? 3 + take(3) : 11 + take(7)
    if (times > count - i) throw damaged('too many codes')
    lengths.fill(repeated, i, i + times)
    i += times
  }
  if (lengths[END_OF_BLOCK] === 0) throw damaged('a block without an end')
  build(literalCode, 0, literals, true)
  build(distanceCode, literals, distances, true)
}

/** Makes the code of the `count` lengths from `from` on. Only a single code of one bit may leave others unused. */
function build(huffman: HuffmanCode, from: number, count: number, maySingle: boolean): void {
  const { table, counts, symbols } = huffman
  counts.fill(0)
  for (let i = 0; i < count; i++) counts[lengths[from + i]]++
  const used = count - counts[0]
  counts[0] = 0
  let left = 1
  for (let length = 1; length <= CODE_BITS_MAX; length++) {
    left = 2 * left - counts[length]
    if (left < 0) throw damaged('more codes than there can be')
  }
  const isSingle = maySingle && used <= 1 && counts[1] === used
  if (left > 0 && !isSingle) throw damaged('codes that are not complete')

  places.fill(0)
  for (let length = 1; length <= CODE_BITS_MAX; length++) places[length + 1] = places[length] + counts[length]
  for (let i = 0; i < count; i++) {
    if (lengths[from + i] !== 0) symbols[places[lengths[from + i]]++] = i
  }
  table.fill(0)
  let code = 0
  let index = 0
  for (let length = 1; length <= TABLE_BITS; length++) {
    for (let i = 0; i < counts[length]; i++) {
      const entry = (symbols[index++] << 4) | length
      for (let at = reversed(code, length); at < table.length; at += 1 << length) table[at] = entry
      code++
    }
    code <<= 1
  }
}

/** Codes are stored with their first bit lowest. */
function reversed(code: number, length: number): number {
  let result = 0
  for (let i = 0; i < length; i++) result |= ((code >> i) & 1) << (length - 1 - i)
  return result
}

function huffmanCode(symbols: number): HuffmanCode {
  return {
    table: new Uint16Array(1 << TABLE_BITS),
    counts: new Uint16Array(CODE_BITS_MAX + 1),
    symbols: new Uint16Array(symbols),
  }
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

function damaged(what: string): CodecError {
  return new CodecError(`DEFLATE: ${what}`)
}
