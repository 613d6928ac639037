import { CodecError } from './codec-error.ts'
import { SHORT_COPY_MAX } from './lz-copy.ts'
import type { U64Halves } from './u64-halves.ts'
import { xxh64 } from './xxh64.ts'
import { decodeHuffman, decodeHuffmanBy4, forgetHuffmanTable, readHuffmanTable } from './zstd-huffman.ts'
import { type BlockPlaces, executeSequences, startSequences } from './zstd-sequences.ts'

/**
 * Decoder of one zstd frame straight into a target of known size: no window, no output buffer of its own, so a frame can
 * never make it use more memory than the target and 128 KiB of literals. RFC 8878; compressed extents hold such frames, see
 * format chapter 6, section 6.4.
 *
 * Any source bytes are safe: reads stay inside the source, writes inside the target, and each step makes progress. Frames
 * with a dictionary are refused. Content checksums are verified.
 */

const MAGIC = 0xfd2fb528
const BLOCK_BYTES_MAX = 128 * 1024

const literals = new Uint8Array(BLOCK_BYTES_MAX + SHORT_COPY_MAX)
const literalsView = new DataView(literals.buffer)
const contentHash: U64Halves = { lo: 0, hi: 0 }

/** Decodes the frame that `source` is, which must fill `target` exactly. Throws CodecError. */
export function zstdDecompress(target: Uint8Array, source: Uint8Array): void {
  const places: BlockPlaces = {
    source,
    sourceView: viewOf(source),
    target,
    targetView: viewOf(target),
    literals,
    literalsView,
  }
  const header = readZstdFrameHeader(places.sourceView)
  if (header.contentBytes !== undefined && header.contentBytes !== target.length) {
    throw damaged(`${header.contentBytes} bytes where ${target.length} are expected`)
  }
  forgetHuffmanTable()
  startSequences()

  const end = source.length - (header.hasChecksum ? 4 : 0)
  let at = header.size
  let to = 0
  for (let isLast = false; !isLast;) {
    if (end - at < 3) throw damaged('the frame is cut short')
    const block = source[at] | (source[at + 1] << 8) | (source[at + 2] << 16)
    at += 3
    isLast = (block & 1) === 1
    const type = (block >> 1) & 3
    const size = block >> 3
    const bytes = type === 1 ? 1 : size
    if (bytes > end - at) throw damaged('a block is cut short')
    if (type === 2) {
      if (size > BLOCK_BYTES_MAX) throw damaged(`a block of ${size} bytes`)
      to = decodeBlock(places, at, at + size, to)
    } else if (type === 3) {
      throw damaged('a block of the reserved type')
    } else {
      if (size > target.length - to) throw damaged('more bytes than the target holds')
      if (type === 0) target.set(source.subarray(at, at + size), to)
      else target.fill(source[at], to, to + size)
      to += size
    }
    at += bytes
  }
  if (at !== end) throw damaged('bytes behind the last block')
  if (to !== target.length) throw damaged(`${to} bytes where ${target.length} are expected`)
  if (header.hasChecksum) {
    xxh64(contentHash, target)
    if (places.sourceView.getUint32(end, true) !== contentHash.lo) throw damaged('the content checksum differs')
  }
}

/** The parts of a frame header that matter. */
export interface ZstdFrameHeader {
  /** Of the header itself, in bytes. */
  size: number
  /** Undefined if the header doesn't say. Above 2^53 it is rounded. */
  contentBytes: number | undefined
  /** What a decoder with a window must hold. */
  windowBytes: number
  hasChecksum: boolean
}

/** Reads the frame header at the start of `view`. Throws CodecError if it is cut short, refused or not zstd. */
export function readZstdFrameHeader(view: DataView): ZstdFrameHeader {
  const length = view.byteLength
  if (length < 6 || view.getUint32(0, true) !== MAGIC) throw damaged('no frame')
  const descriptor = view.getUint8(4)
  const isSingleSegment = (descriptor & 0x20) !== 0
  if ((descriptor & 0x08) !== 0) throw damaged('a reserved bit is set in the frame header')
  const sizeBytes = [isSingleSegment ? 1 : 0, 2, 4, 8][descriptor >> 6]
  const idBytes = [0, 1, 2, 4][descriptor & 3]
  let at = 5
  const size = at + (isSingleSegment ? 0 : 1) + idBytes + sizeBytes
  if (size > length) throw damaged('the frame header is cut short')
  let windowBytes = 0
  if (!isSingleSegment) {
    const window = view.getUint8(at++)
    windowBytes = 2 ** (10 + (window >> 3)) * (1 + (window & 7) / 8)
  }
  for (let i = 0; i < idBytes; i++) {
    if (view.getUint8(at++) !== 0) throw damaged('the frame needs a dictionary')
  }
  let contentBytes: number | undefined
  if (sizeBytes === 1) contentBytes = view.getUint8(at)
  else if (sizeBytes === 2) contentBytes = view.getUint16(at, true) + 256
  else if (sizeBytes === 4) contentBytes = view.getUint32(at, true)
  else if (sizeBytes === 8) contentBytes = view.getUint32(at, true) + view.getUint32(at + 4, true) * 2 ** 32
  if (isSingleSegment && contentBytes !== undefined) windowBytes = contentBytes
  return { size, contentBytes, windowBytes, hasChecksum: (descriptor & 0x04) !== 0 }
}

/** Decodes the compressed block `source[at]` to `source[end - 1]` to `target[to]` on. Returns the byte behind it there. */
function decodeBlock(places: BlockPlaces, at: number, end: number, to: number): number {
  const { source, sourceView } = places
  if (at >= end) throw damaged('an empty block')
  const type = source[at] & 3
  const format = (source[at] >> 2) & 3
  const isCompressed = type >= 2
  // The header takes 1 to 3 bytes for plain literals and 3 to 5 for compressed ones.
  const headerBytes = isCompressed ? [3, 3, 4, 5][format] : [1, 2, 1, 3][format]
  if (end - at < headerBytes) throw damaged('the literals are cut short')
  let count: number
  let bytes: number
  if (isCompressed) {
    const bits = [10, 10, 14, 18][format]
    const lo = sourceView.getUint16(at, true) + (source[at + 2] << 16)
    const whole =
      lo + (headerBytes > 3 ? source[at + 3] * 2 ** 24 : 0) + (headerBytes > 4 ? source[at + 4] * 2 ** 32 : 0)
    count = Math.floor(whole / 16) % 2 ** bits
    bytes = Math.floor(whole / 2 ** (4 + bits))
  } else {
    if (headerBytes === 1) count = source[at] >> 3
    else if (headerBytes === 2) count = sourceView.getUint16(at, true) >> 4
    else count = (sourceView.getUint16(at, true) + (source[at + 2] << 16)) >> 4
    bytes = type === 0 ? count : 1
  }
  at += headerBytes
  if (count > BLOCK_BYTES_MAX) throw damaged(`${count} literals`)
  if (bytes > end - at) throw damaged('the literals are cut short')
  const after = at + bytes
  if (type === 0) {
    literals.set(source.subarray(at, after))
  } else if (type === 1) {
    literals.fill(source[at], 0, count)
  } else {
    const streams = type === 2 ? readHuffmanTable(source, sourceView, at, after) : at
    const decode = format === 0 ? decodeHuffman : decodeHuffmanBy4
    decode(literals, count, source, sourceView, streams, after)
  }
  return executeSequences(places, after, end, count, to)
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

function damaged(what: string): CodecError {
  return new CodecError(`zstd: ${what}`)
}
