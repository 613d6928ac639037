import { compress, init } from '@bokuweb/zstd-wasm'
import { beforeAll, describe, expect, test } from 'vitest'
import { CodecError } from './codec-error.ts'
import { bytesOfHex, expectSameBytes, mixedBytes, shifted } from './testing/bytes.ts'
import { expectBytesOrCodecError, hostileVariants } from './testing/hostile.ts'
import { xxh64 } from './xxh64.ts'
import { readZstdFrameHeader, zstdDecompress } from './zstd.ts'

beforeAll(() => init())

function decode(source: Uint8Array, length: number): Uint8Array {
  const target = new Uint8Array(length)
  zstdDecompress(target, source)
  return target
}

/** Literals only, of few values: one Huffman code after the other. */
function letters(length: number): Uint8Array {
  const noise = mixedBytes(4 * length, 5)
  return Uint8Array.from({ length }, (_, i) => 97 + Math.clz32((noise[i] << 24) | (noise[i + length] << 16) | 1))
}

describe('what the reference encoder made comes back', () => {
  test.each([1, 3, 9, 19])('level %d', (level) => {
    for (const length of [0, 1, 2, 5, 17, 40, 100, 255, 256, 300, 1000, 4096, 20_000, 65_536, 140_000, 300_000]) {
      if (level > 9 && length > 150_000) continue
      for (const data of [mixedBytes(length, length + level), letters(length), new Uint8Array(length)]) {
        const frame = compress(data, level)
        expectSameBytes(decode(frame, length), data)
        const target = shifted(new Uint8Array(length), 3)
        zstdDecompress(target, shifted(frame, 1))
        expectSameBytes(target, data)
      }
    }
  })
})

describe('frame headers', () => {
  const headerOf = (hex: string) => readZstdFrameHeader(new DataView(bytesOfHex(hex).buffer))

  test('sizes', () => {
    // As Linux wrote it: single segment, two bytes of size.
    expect(headerOf('28b52ffd 60 00ff 0000')).toEqual({
      size: 7,
      contentBytes: 65536,
      windowBytes: 65536,
      hasChecksum: false,
    })
    expect(headerOf('28b52ffd 20 09 01')).toMatchObject({ size: 6, contentBytes: 9 })
    expect(headerOf('28b52ffd 04 58 01')).toEqual({
      size: 6,
      contentBytes: undefined,
      windowBytes: 2 ** 21,
      hasChecksum: true,
    })
    expect(headerOf('28b52ffd 81 0b 00 00000100')).toMatchObject({ size: 11, contentBytes: 65536, windowBytes: 2816 })
    expect(headerOf('28b52ffd e0 0000000001000000')).toMatchObject({ size: 13, contentBytes: 2 ** 32 })
  })

  test.each([
    ['nothing', ''],
    ['another magic', '29b52ffd 20 00 010000'],
    ['a skippable frame', '502a4d18 00000000 00'],
    ['a reserved bit', '28b52ffd 28 00 010000'],
    ['a dictionary', '28b52ffd 21 05 00 010000'],
    ['cut short', '28b52ffd e0 00000000010000'],
  ])('%s is refused', (_, hex) => {
    expect(() => decode(bytesOfHex(hex), 0)).toThrow(CodecError)
  })
})

test('frames without a content size, and with a window', () => {
  // raw block "abc", then a repeated byte, last
  const frame = bytesOfHex('28b52ffd 00 58 180000 616263 230000 78')
  expectSameBytes(decode(frame, 7), bytesOfHex('61626378787878'))
  for (const length of [6, 8]) expect(() => decode(frame, length)).toThrow(CodecError)
})

test('the content checksum is verified', () => {
  const data = mixedBytes(3000)
  const plain = compress(data, 3)
  const frame = new Uint8Array(plain.length + 4)
  frame.set(plain)
  frame[4] |= 4
  const hash = { lo: 0, hi: 0 }
  xxh64(hash, data)
  new DataView(frame.buffer).setUint32(plain.length, hash.lo, true)
  expectSameBytes(decode(frame, data.length), data)
  frame[frame.length - 1] ^= 1
  expect(() => decode(frame, data.length)).toThrow(CodecError)
})

describe('hostile frames', () => {
  test('a size other than the expected one, a cut, bytes behind', () => {
    const data = mixedBytes(3000)
    const frame = compress(data, 3)
    for (const length of [0, 2999, 3001, 10_000]) expect(() => decode(frame, length)).toThrow(CodecError)
    for (let length = 0; length < frame.length; length++) {
      expect(() => decode(frame.subarray(0, length), data.length)).toThrow(CodecError)
    }
    const padded = new Uint8Array(frame.length + 1)
    padded.set(frame)
    expect(() => decode(padded, data.length)).toThrow(CodecError)
  })

  test.each([1, 3, 19])(
    'any damage is a CodecError or other bytes, and stays inside the target (level %d)',
    (level) => {
      for (const data of [mixedBytes(5000, 7), letters(5000), letters(200)]) {
        expectBytesOrCodecError(zstdDecompress, hostileVariants(compress(data, level)), [data.length])
      }
    },
  )

  test('tables of one frame do not serve the next', () => {
    decode(compress(mixedBytes(5000), 3), 5000)
    // one compressed block: treeless literals of 8 bytes in one stream; then sequences with repeated tables
    expect(() => decode(bytesOfHex('28b52ffd 20 08 350000 83 4000 ff 00 00'), 8)).toThrow(CodecError)
    expect(() => decode(bytesOfHex('28b52ffd 20 08 2d0000 00 01 fc 01 01'), 8)).toThrow(CodecError)
  })

  test('a bomb is not decoded beyond its target', () => {
    const block = bytesOfHex('02 00 10 41') // 128 KiB of one byte
    const frame = new Uint8Array(6 + 4 * 10_000)
    frame.set(bytesOfHex('28b52ffd 00 58'))
    for (let at = 6; at < frame.length; at += 4) frame.set(block, at)
    expect(() => decode(frame, 100_000)).toThrow(CodecError)
    expect(() => decode(frame, 131_072)).toThrow(CodecError)
  })
})
