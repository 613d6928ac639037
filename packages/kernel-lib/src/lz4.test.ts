import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { CodecError } from './codec-error.ts'
import { lz4Decompress } from './lz4.ts'
import { bytesOfHex, expectSameBytes, mixedBytes, shifted } from './testing/bytes.ts'
import { expectBytesOrCodecError, hostileVariants } from './testing/hostile.ts'
import { type Lz4Sequence, bytesOfSequences, lz4Encode, lz4OfSequences } from './testing/lz4-encode.ts'

function decode(source: Uint8Array, length: number): Uint8Array {
  const target = new Uint8Array(length)
  lz4Decompress(target, source)
  return target
}

test('64 KiB of zeros as Linux wrote them', () => {
  const block = new Uint8Array(512)
  block.set([0x1f, 0x00, 0x01, 0x00])
  block.fill(0xff, 4, 260)
  block.set(bytesOfHex('e75000000000 00'), 260)
  expectSameBytes(decode(block, 65536), new Uint8Array(65536))
})

test('what was encoded comes back, whatever the padding', () => {
  for (const length of [0, 1, 12, 13, 100, 4096, 65536, 200_000]) {
    const data = mixedBytes(length, length)
    const block = lz4Encode(data)
    const padded = new Uint8Array(block.length + 700)
    padded.set(block)
    expectSameBytes(decode(block, length), data)
    expectSameBytes(decode(padded, length), data)
    padded.fill(0xff, block.length)
    expectSameBytes(decode(padded, length), data)
  }
})

/** Sequences whose matches lie inside what is decoded so far. */
const anySequences: fc.Arbitrary<Lz4Sequence[]> = fc
  .array(
    fc.record({
      literals: fc.oneof(fc.uint8Array({ maxLength: 20 }), fc.uint8Array({ maxLength: 400 })),
      distance: fc.oneof(fc.nat(40), fc.nat(65535)),
      length: fc.oneof(fc.integer({ min: 4, max: 40 }), fc.integer({ min: 4, max: 1000 })),
    }),
    { minLength: 1, maxLength: 30 },
  )
  .map((list) => {
    let decoded = 0
    return list.map(({ literals, distance, length }, i) => {
      decoded += literals.length
      if (i === list.length - 1 || decoded === 0) return { literals }
      const match = { distance: 1 + (distance % Math.min(decoded, 65535)), length }
      decoded += length
      return { literals, match }
    })
  })
  .map((list) =>
    list.filter(({ literals, match }, i) => i === list.length - 1 || match !== undefined || literals.length > 0),
  )

describe('given sequences', () => {
  test('every overlap, length and place', () => {
    fc.assert(
      fc.property(anySequences, fc.nat(7), (sequences, offset) => {
        const data = bytesOfSequences(sequences)
        const target = shifted(new Uint8Array(data.length), offset)
        lz4Decompress(target, shifted(lz4OfSequences(sequences), offset))
        expectSameBytes(target, data)
        const around = new Uint8Array(target.buffer)
        expect(around.subarray(0, offset).every((byte) => byte === 0xa5)).toBe(true)
        expect(around.subarray(offset + data.length).every((byte) => byte === 0xa5)).toBe(true)
      }),
    )
  })

  test('decoding stops inside a sequence when the target is full', () => {
    fc.assert(
      fc.property(anySequences, fc.nat(), (sequences, cut) => {
        const data = bytesOfSequences(sequences)
        const length = cut % (data.length + 1)
        expectSameBytes(decode(lz4OfSequences(sequences), length), data.subarray(0, length))
      }),
    )
  })
})

describe('hostile blocks', () => {
  test.each([
    ['nothing', ''],
    ['no literals behind the token', '50 4142'],
    ['a length without an end', 'f0 ffffffffff'],
    ['no distance', '10 41'],
    ['half a distance', '10 41 01'],
    ['distance 0', '10 41 0000'],
    ['a match before the start', '10 41 0200'],
    ['a match length without an end', '1f 41 0100 ffff'],
    ['an early end', '10 41 0100'],
  ])('%s', (_, hex) => {
    expect(() => decode(bytesOfHex(hex), 1000)).toThrow(CodecError)
  })

  test('any damage is a CodecError or other bytes, and stays inside the target', () => {
    const data = mixedBytes(5000, 7)
    expectBytesOrCodecError(lz4Decompress, hostileVariants(lz4Encode(data)), [data.length, data.length + 1, 100_000])
  })

  test('a bomb is as large as its target', () => {
    const bomb = new Uint8Array(1 << 20).fill(0xff)
    bomb.set([0x1f, 0x41, 0x01, 0x00])
    bomb[bomb.length - 1] = 0
    expectSameBytes(decode(bomb, 10_000), new Uint8Array(10_000).fill(0x41))
  })
})
