import { expect, test } from 'vitest'
import fc from 'fast-check'
import { decodeUtf8, encodeUtf8 } from './text.ts'

test('decodes as the platform does, whatever the bytes', () => {
  const hard = fc.array(
    fc.constantFrom(0x41, 0x80, 0xbf, 0xc1, 0xc2, 0xe0, 0xa0, 0xed, 0xef, 0xf0, 0x90, 0xf4, 0x8f, 0xf5),
  )
  const decoder = new TextDecoder('utf-8', { ignoreBOM: true })
  fc.assert(
    fc.property(
      fc.oneof(
        fc.uint8Array(),
        hard.map((list) => Uint8Array.from(list)),
      ),
      (bytes) => {
        expect(decodeUtf8(bytes)).toBe(decoder.decode(bytes))
      },
    ),
  )
})

test('encodes as the platform does', () => {
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string({ unit: 'binary' }),
        fc.string({ unit: fc.integer({ min: 0, max: 0xffff }).map((c) => String.fromCharCode(c)) }),
      ),
      (text) => {
        expect(encodeUtf8(text)).toEqual(new TextEncoder().encode(text))
      },
    ),
  )
})

test('takes a part of an array, and long ones', () => {
  const bytes = encodeUtf8('x'.repeat(10000) + 'é')
  expect(decodeUtf8(bytes, 9999)).toBe('xé')
  expect(decodeUtf8(bytes)).toHaveLength(10001)
})
