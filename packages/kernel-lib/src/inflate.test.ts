import { constants, deflateRawSync, inflateRawSync } from 'node:zlib'
import { describe, expect, test } from 'vitest'
import { CodecError } from './codec-error.ts'
import { inflateRaw } from './inflate.ts'
import { bytesOfHex, expectSameBytes, mixedBytes, shifted } from './testing/bytes.ts'
import { expectBytesOrCodecError, hostileVariants } from './testing/hostile.ts'

function decode(source: Uint8Array, length: number): Uint8Array {
  const target = new Uint8Array(length)
  inflateRaw(target, source)
  return target
}

const strategies = {
  default: constants.Z_DEFAULT_STRATEGY,
  huffmanOnly: constants.Z_HUFFMAN_ONLY,
  runs: constants.Z_RLE,
  fixed: constants.Z_FIXED,
}

describe.each(Object.entries(strategies))('strategy %s', (_, strategy) => {
  test.each([0, 1, 6, 9])('what zlib made at level %d comes back', (level) => {
    for (const length of [0, 1, 2, 10, 257, 1000, 70_000]) {
      for (const data of [mixedBytes(length, length + level), new Uint8Array(length)]) {
        const stream = deflateRawSync(data, { level, strategy })
        expectSameBytes(decode(stream, length), data)
        const target = shifted(new Uint8Array(length), 3)
        inflateRaw(target, shifted(Buffer.concat([stream, new Uint8Array(500)]), 1))
        expectSameBytes(target, data)
      }
    }
  })
})

test('many small blocks and flushes', () => {
  const data = mixedBytes(3000, 3)
  const parts: Uint8Array[] = []
  for (let at = 0; at < data.length; at += 100) {
    parts.push(deflateRawSync(data.subarray(at, at + 100), { finishFlush: constants.Z_FULL_FLUSH }))
  }
  parts.push(deflateRawSync(new Uint8Array(0)))
  expectSameBytes(decode(Buffer.concat(parts), data.length), data)
})

describe('hostile streams', () => {
  test.each([
    ['nothing', ''],
    ['the reserved block type', '07'],
    ['a stored block with a damaged length', '01 0500 faf0 0000000000'],
    ['a stored block that is cut short', '01 0500 faff 000000'],
    ['too many codes', 'fd ff ffffffff'],
    ['a repeat of no length', '05 0004 00000000 000000'],
  ])('%s', (_, hex) => {
    expect(() => decode(bytesOfHex(hex), 5)).toThrow(CodecError)
  })

  test('a length other than the expected one', () => {
    const stream = deflateRawSync(mixedBytes(1000))
    for (const length of [0, 999, 1001, 5000]) expect(() => decode(stream, length)).toThrow(CodecError)
    expect(() => decode(stream.subarray(0, -1), 1000)).toThrow(CodecError)
  })

  test('any damage is a CodecError or other bytes, and stays inside the target', () => {
    const data = mixedBytes(5000, 7)
    for (const strategy of Object.values(strategies)) {
      const stream = deflateRawSync(data, { strategy })
      expectBytesOrCodecError(inflateRaw, hostileVariants(stream), [data.length, 100])
    }
  })

  test('what zlib refuses is refused', () => {
    const data = mixedBytes(600, 9)
    const stream = deflateRawSync(data)
    for (const variant of hostileVariants(stream, 400)) {
      let theirs: Uint8Array | undefined
      try {
        theirs = new Uint8Array(inflateRawSync(variant))
      } catch {
        theirs = undefined
      }
      if (theirs === undefined) expect(() => decode(variant, data.length)).toThrow(CodecError)
      else expectSameBytes(decode(variant, theirs.length), theirs)
    }
  })

  test('a bomb is not decoded beyond its target', () => {
    const bomb = deflateRawSync(new Uint8Array(5_000_000))
    expect(() => decode(bomb, 1000)).toThrow(CodecError)
  })
})
