import fc from 'fast-check'
import { expect, test } from 'vitest'
import { crc64 } from './crc64.ts'
import { bytesOfText, counting, shifted } from './testing/bytes.ts'
import { bigintOfHalves } from './u64-halves.ts'

const ONES = 0xffff_ffff_ffff_ffffn

function crc(start: bigint, data: Uint8Array): bigint {
  const halves = { lo: Number(start & 0xffffffffn), hi: Number(start >> 32n) }
  crc64(halves, data)
  return bigintOfHalves(halves)
}

/** As a catalogue defines it: bit by bit. */
function slowly(start: bigint, data: Uint8Array): bigint {
  for (const byte of data) {
    start ^= BigInt(byte) << 56n
    for (let bit = 0; bit < 8; bit++) {
      start = start >> 63n ? ((start << 1n) & ONES) ^ 0x42f0e1eba9ea3693n : start << 1n
    }
  }
  return start
}

test('vectors of format chapters 1, 5 and 6', () => {
  const nonzero = (data: Uint8Array) => crc(ONES, data) ^ ONES
  expect(nonzero(new Uint8Array(0))).toBe(0n)
  expect(nonzero(bytesOfText('123456789'))).toBe(0x62ec59e3f1a4f00an)
  expect(crc(0n, bytesOfText('123456789'))).toBe(0x6c40df5f0b497347n)
  expect(crc(ONES, bytesOfText('123456789'))).toBe(0x9d13a61c0e5b0ff5n)
  expect(nonzero(new Uint8Array(64))).toBe(0x40240c68a55e2a7bn)
  expect(nonzero(counting(256))).toBe(0x59c3325b2927a19an)
  expect(crc(0n, counting(256))).toBe(0x62b0da1c1b130a91n)
  expect(nonzero(bytesOfText('bcachefs'))).toBe(0x536e7689b561aa6en)
  const first = crc(0n, counting(512))
  expect(first).toBe(0x167b8ea9c273a319n)
  expect(
    crc(
      first,
      counting(1024).map((i) => 255 - i),
    ),
  ).toBe(0x7514447a24cf78b4n)
})

test('any length, start, offset and cut', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 100 }), fc.bigInt(0n, ONES), fc.nat(100), (data, start, cut) => {
      const whole = slowly(start, data)
      for (let offset = 0; offset < 4; offset++) expect(crc(start, shifted(data, offset))).toBe(whole)
      expect(crc(crc(start, data.subarray(0, cut)), data.subarray(cut))).toBe(whole)
    }),
  )
})
