import { CodecError } from './codec-error.ts'
import { fseTable, readFseTable } from './zstd-fse.ts'

/**
 * Huffman codes of zstd literals (RFC 8878, section 4.2): the table as it lies in a block, and the decoding of one or four
 * bit streams. Streams are read from their end; their last byte holds a marker bit above the first code.
 *
 * The caller's `view` and `source` are the whole compressed frame, which starts with at least nine bytes that belong to no
 * bit stream: a damaged stream may look that far before its start, and is found out by its position below zero.
 */

const CODE_BITS_MAX = 11
const WEIGHTS_MAX = 255

/** By the next bits of the stream: symbol << 8 | length of its code. */
const codes = new Uint16Array(1 << CODE_BITS_MAX)
/** The length of the longest code; 0: there is no table. */
let codeBits = 0

const weights = new Uint8Array(WEIGHTS_MAX + 1)
const startOfWeight = new Uint16Array(CODE_BITS_MAX + 2)
const weightStates = fseTable(6)

/** Forgets the table: a frame can't use that of the frame before. */
export function forgetHuffmanTable(): void {
  codeBits = 0
}

/** Reads the table at `source[at]`, which ends before `end`. Returns the byte behind it. Throws CodecError. */
export function readHuffmanTable(source: Uint8Array, view: DataView, at: number, end: number): number {
  codeBits = 0
  if (at >= end) throw damaged('the table is missing')
  const header = source[at]
  let count: number
  let after = at + 1
  if (header >= 128) {
    count = header - 127
    after += (count + 1) >> 1
    if (after > end) throw damaged('the table is cut short')
    for (let i = 0; i < count; i++) weights[i] = (source[at + 1 + (i >> 1)] >> (i & 1 ? 0 : 4)) & 15
  } else {
    after += header
    if (after > end) throw damaged('the table is cut short')
    const stream = readFseTable(weightStates, source, at + 1, after, 6, WEIGHTS_MAX)
    count = decodeWeights(source, view, stream, after)
  }
  build(count)
  return after
}

/** Two states take turns on one stream; when it ends in one, the other still has a symbol. */
function decodeWeights(source: Uint8Array, view: DataView, base: number, end: number): number {
  const { states, accuracyLog } = weightStates
  let position = bitsOfStream(source, base, end)
  position -= 2 * accuracyLog
  if (position < 0) throw damaged('the weights are cut short')
  let first = bitsAt(view, base, position + accuracyLog, accuracyLog)
  let second = bitsAt(view, base, position, accuracyLog)
  let count = 0
  for (;;) {
    if (count > WEIGHTS_MAX - 2) throw damaged('the table has too many symbols')
    const entry = states[first]
    weights[count++] = entry >>> 24
    const bits = (entry >> 16) & 0xff
    position -= bits
    if (position < 0) {
      weights[count++] = states[second] >>> 24
      return count
    }
    first = second
    second = (entry & 0xffff) + bitsAt(view, base, position, bits)
  }
}

/** Makes the code table of `count` weights; the last symbol's weight follows from the others. */
function build(count: number): void {
  let sum = 0
  startOfWeight.fill(0)
  for (let i = 0; i < count; i++) {
    const weight = weights[i]
    if (weight > CODE_BITS_MAX) throw damaged(`a weight of ${weight}`)
    if (weight > 0) sum += 1 << (weight - 1)
  }
  if (sum === 0) throw damaged('the table has no symbols')
  const bits = 32 - Math.clz32(sum)
  if (bits > CODE_BITS_MAX) throw damaged(`a code of ${bits} bits`)
  const left = (1 << bits) - sum
  if ((left & (left - 1)) !== 0) throw damaged('the codes are not complete')
  weights[count] = 32 - Math.clz32(left)

  // The longest codes (lowest weights) come first in the table.
  for (let i = 0; i <= count; i++) startOfWeight[weights[i] + 1] += weights[i] === 0 ? 0 : 1 << (weights[i] - 1)
  for (let weight = 2; weight < startOfWeight.length; weight++) startOfWeight[weight] += startOfWeight[weight - 1]
  for (let symbol = 0; symbol <= count; symbol++) {
    const weight = weights[symbol]
    if (weight === 0) continue
    const from = startOfWeight[weight]
    const to = from + (1 << (weight - 1))
    codes.fill((symbol << 8) | (bits + 1 - weight), from, to)
    startOfWeight[weight] = to
  }
  codeBits = bits
}

/** Decodes the one stream `source[at]` to `source[end - 1]` to the first `count` bytes of `target`. Throws CodecError. */
export function decodeHuffman(
  target: Uint8Array,
  count: number,
  source: Uint8Array,
  view: DataView,
  at: number,
  end: number,
): void {
  if (codeBits === 0) throw damaged('no table before its use')
  decodeRest(target, 0, count, view, at, bitsOfStream(source, at, end))
}

/** Decodes four streams of nearly the same size, behind a table of their lengths. Throws CodecError. */
export function decodeHuffmanBy4(
  target: Uint8Array,
  count: number,
  source: Uint8Array,
  view: DataView,
  at: number,
  end: number,
): void {
  if (codeBits === 0) throw damaged('no table before its use')
  const each = (count + 3) >> 2
  if (end - at < 6 || 3 * each > count) throw damaged('four streams of too few bytes')
  const base0 = at + 6
  const base1 = base0 + view.getUint16(at, true)
  const base2 = base1 + view.getUint16(at + 2, true)
  const base3 = base2 + view.getUint16(at + 4, true)
  if (base3 >= end) throw damaged('the four streams exceed their block')
  let position0 = bitsOfStream(source, base0, base1)
  let position1 = bitsOfStream(source, base1, base2)
  let position2 = bitsOfStream(source, base2, base3)
  let position3 = bitsOfStream(source, base3, end)

  // Two symbols (22 bits at most) of each stream a step. Four streams at once keep the machine's pipelines full: twice as
  // fast as one after the other.
  const keep = 32 - codeBits
  const together = (count - 3 * each) & ~1
  for (let i = 0; i < together; i += 2) {
    if ((position0 | position1 | position2 | position3) < 0) throw damaged('a stream is cut short')
    let byte = (position0 + 7) >> 3
    let word = view.getInt32(base0 + byte - 4, true) << (8 * byte - position0)
    let code = codes[word >>> keep]
    target[i] = code >> 8
    position0 -= code & 0xff
    code = codes[(word << code) >>> keep]
    target[i + 1] = code >> 8
    position0 -= code & 0xff

    byte = (position1 + 7) >> 3
    word = view.getInt32(base1 + byte - 4, true) << (8 * byte - position1)
    code = codes[word >>> keep]
    target[each + i] = code >> 8
    position1 -= code & 0xff
    code = codes[(word << code) >>> keep]
    target[each + i + 1] = code >> 8
    position1 -= code & 0xff

    byte = (position2 + 7) >> 3
    word = view.getInt32(base2 + byte - 4, true) << (8 * byte - position2)
    code = codes[word >>> keep]
    target[2 * each + i] = code >> 8
    position2 -= code & 0xff
    code = codes[(word << code) >>> keep]
    target[2 * each + i + 1] = code >> 8
    position2 -= code & 0xff

    byte = (position3 + 7) >> 3
    word = view.getInt32(base3 + byte - 4, true) << (8 * byte - position3)
    code = codes[word >>> keep]
    target[3 * each + i] = code >> 8
    position3 -= code & 0xff
    code = codes[(word << code) >>> keep]
    target[3 * each + i + 1] = code >> 8
    position3 -= code & 0xff
  }
  decodeRest(target, together, each, view, base0, position0)
  decodeRest(target, each + together, 2 * each, view, base1, position1)
  decodeRest(target, 2 * each + together, 3 * each, view, base2, position2)
  decodeRest(target, 3 * each + together, count, view, base3, position3)
}

/** Decodes one stream from bit `position` on to `target[to]` to `target[end - 1]`; it must end there. */
function decodeRest(target: Uint8Array, to: number, end: number, view: DataView, base: number, position: number): void {
  const keep = 32 - codeBits
  for (; to < end; to++) {
    if (position < 0) throw damaged('a stream is cut short')
    const byte = (position + 7) >> 3
    const code = codes[(view.getInt32(base + byte - 4, true) << (8 * byte - position)) >>> keep]
    target[to] = code >> 8
    position -= code & 0xff
  }
  if (position !== 0) throw damaged('a stream does not end with its bytes')
}

/** The number of bits below the marker bit of the stream `source[base]` to `source[end - 1]`. */
export function bitsOfStream(source: Uint8Array, base: number, end: number): number {
  const last = end > base ? source[end - 1] : 0
  if (last === 0) throw damaged('a stream has no end mark')
  return 8 * (end - 1 - base) + 31 - Math.clz32(last)
}

/** `bits` (0 to 25) of the stream at `base`, from bit `position` up. */
export function bitsAt(view: DataView, base: number, position: number, bits: number): number {
  const top = position + bits
  const byte = (top + 7) >> 3
  return ((view.getInt32(base + byte - 4, true) << (8 * byte - top)) >>> 1) >>> (31 - bits)
}

function damaged(what: string): CodecError {
  return new CodecError(`zstd: literals: ${what}`)
}
