import fc from 'fast-check'
import { expect, test } from 'vitest'
import { lz4Compress } from './lz4-compress.ts'
import { lz4Decompress } from './lz4.ts'
import { expectSameBytes, mixedBytes } from './testing/bytes.ts'

function compressed(data: Uint8Array, room = 2 * data.length + 16): Uint8Array {
  const target = new Uint8Array(room)
  return target.subarray(0, lz4Compress(target, data))
}

function expectBack(data: Uint8Array): void {
  const block = compressed(data)
  const target = new Uint8Array(data.length)
  lz4Decompress(target, block)
  expectSameBytes(target, data)
}

/** What decoders rely on: the last five bytes are literals, and matches start twelve bytes before the end. */
function expectLegalEnd(block: Uint8Array, length: number): void {
  let at = 0
  let decoded = 0
  const lengthAt = (nibble: number): number => {
    let value = nibble
    for (let more = nibble === 15 ? 255 : 0; more === 255;) value += more = block[at++]
    return value
  }
  while (at < block.length) {
    const token = block[at++]
    const literals = lengthAt(token >> 4)
    at += literals
    decoded += literals
    if (at === block.length) {
      expect(decoded).toBe(length)
      if (literals < length) expect(literals).toBeGreaterThanOrEqual(5)
      return
    }
    at += 2
    expect(decoded).toBeLessThanOrEqual(length - 12)
    decoded += lengthAt(token & 15) + 4
  }
  expect.unreachable()
}

const anyData = fc
  .array(
    fc.oneof(
      fc.uint8Array({ maxLength: 40 }),
      fc.tuple(fc.nat(3), fc.nat(600)).map(([byte, length]) => new Uint8Array(length).fill(byte)),
      fc
        .tuple(fc.uint8Array({ minLength: 1, maxLength: 30 }), fc.integer({ min: 1, max: 30 }))
        .map(([bytes, times]) => {
          return Uint8Array.from({ length: bytes.length * times }, (_, i) => bytes[i % bytes.length])
        }),
    ),
    { maxLength: 12 },
  )
  .map((parts) => Uint8Array.from(parts.flatMap((part) => [...part])))

test('what was compressed comes back, and ends as decoders want it', () => {
  fc.assert(
    fc.property(anyData, (data) => {
      expectBack(data)
      expectLegalEnd(compressed(data), data.length)
    }),
  )
  for (const length of [0, 1, 4, 5, 12, 13, 16, 4096, 65536, 300_000]) {
    expectBack(mixedBytes(length, length))
    expectBack(new Uint8Array(length))
  }
})

test('what repeats gets small, also far apart', () => {
  expect(compressed(new Uint8Array(65536)).length).toBeLessThan(300)
  const page = mixedBytes(4096, 7)
  const twice = new Uint8Array(65536 + 4096)
  twice.set(page)
  twice.set(page, 65536 - 1)
  expectBack(twice)
  twice.set(page, 65536)
  expectBack(twice)
})

test('what does not fit is refused, to the byte', () => {
  fc.assert(
    fc.property(anyData, (data) => {
      const { length } = compressed(data)
      expect(compressed(data, length).length).toBe(length)
      expect(compressed(data, length - 1).length).toBe(0)
    }),
  )
  let state = 1
  const noise = Uint8Array.from(
    { length: 4096 },
    () => (state = Math.imul(state ^ (state >>> 15), 0x9e3779b1) + 1) >>> 13,
  )
  expect(compressed(noise, 4095).length).toBe(0)
})
