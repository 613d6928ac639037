import fc from 'fast-check'
import { expect, test } from 'vitest'
import { crc32c } from './crc32c.ts'
import { bytesOfText, counting, shifted } from './testing/bytes.ts'

/** As a catalogue defines it: bit by bit. */
function slowly(crc: number, data: Uint8Array): number {
  for (const byte of data) {
    crc ^= byte
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0x82f63b78 : 0)
  }
  return crc >>> 0
}

test('vectors of format chapters 1 and 5', () => {
  const nonzero = (data: Uint8Array) => ~crc32c(0xffffffff, data) >>> 0
  expect(nonzero(new Uint8Array(0))).toBe(0)
  expect(nonzero(bytesOfText('123456789'))).toBe(0xe3069283)
  expect(crc32c(0, bytesOfText('123456789'))).toBe(0x58e3fa20)
  expect(crc32c(0xffffffff, bytesOfText('123456789'))).toBe(0x1cf96d7c)
  expect(nonzero(new Uint8Array(64))).toBe(0x03c8eb67)
  expect(crc32c(0, new Uint8Array(64))).toBe(0)
  expect(nonzero(counting(256))).toBe(0x9c44184b)
  expect(crc32c(0, counting(256))).toBe(0x2436a9db)
  expect(nonzero(bytesOfText('bcachefs'))).toBe(0xea51e86c)
  expect(crc32c(0, Uint8Array.of(1))).toBe(0xf26b8303)
  const first = crc32c(0, counting(512))
  expect(first).toBe(0x9eec039a)
  expect(
    crc32c(
      first,
      counting(1024).map((i) => 255 - i),
    ),
  ).toBe(0x034f8a59)
})

test('any length, start, offset and cut', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 100 }), fc.nat(0xffffffff), fc.nat(100), (data, start, cut) => {
      const whole = slowly(start, data)
      for (let offset = 0; offset < 4; offset++) expect(crc32c(start, shifted(data, offset))).toBe(whole)
      expect(crc32c(crc32c(start, data.subarray(0, cut)), data.subarray(cut))).toBe(whole)
    }),
  )
})
