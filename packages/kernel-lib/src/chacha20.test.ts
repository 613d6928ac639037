import { createCipheriv } from 'node:crypto'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { chacha20 } from './chacha20.ts'
import { bytesOfHex, counting, hexOfBytes, shifted } from './testing/bytes.ts'

const KEY = counting(32)

test('vectors of format chapters 1 and 6', () => {
  const stream = new Uint8Array(16)
  chacha20(KEY, Uint32Array.of(1, 2, 3, 0x20000000), stream)
  expect(hexOfBytes(stream)).toBe('b06aeeff69e271f477661cc63fb7f7a4')

  const cases = [
    ['00000000080706050403020111000010', '5f7e071e567f2d08683a6fee94c61ce4', '3c351304cadcea1d'],
    ['18000000080706050403020111000010', '41f2ed6ca81ea9157149d01a8793401d', '4f8e14e33cd5dc76'],
    ['00000020080706050403020111000014', 'f124e5c37f866ed5114b9c262ead08a7', '51295fce4804e34f'],
    ['000000001b0000000000000000000010', '7f7618a3eb0e3e9b13a9efca376465fd', '5de3a853b140cca9'],
  ]
  for (const [nonce, first, last] of cases) {
    const data = counting(512)
    chacha20(KEY, new Uint32Array(bytesOfHex(nonce).buffer), data)
    expect(hexOfBytes(data.subarray(0, 16))).toBe(first)
    expect(hexOfBytes(data.subarray(504))).toBe(last)
  }
})

test('as OpenSSL, any length and offset', () => {
  const words = fc.tuple(fc.nat(0xfffffff0), fc.nat(0xffffffff), fc.nat(0xffffffff), fc.nat(0xffffffff))
  fc.assert(
    fc.property(
      fc.uint8Array({ minLength: 32, maxLength: 32 }),
      words,
      fc.nat(300),
      fc.nat(5),
      (key, nonce, n, offset) => {
        const nonceWords = Uint32Array.from(nonce)
        const data = shifted(counting(n), offset)
        const expected = createCipheriv('chacha20', key, new Uint8Array(nonceWords.buffer)).update(counting(n))
        chacha20(key, nonceWords, data)
        expect(hexOfBytes(data)).toBe(hexOfBytes(expected))
      },
    ),
  )
})

test('the block counter wraps without a carry', () => {
  const data = new Uint8Array(128)
  chacha20(KEY, Uint32Array.of(0xffffffff, 5, 6, 7), data)
  const first = new Uint8Array(64)
  chacha20(KEY, Uint32Array.of(0, 5, 6, 7), first)
  expect(data.subarray(64)).toEqual(first)
})

test('keys and nonces of other sizes', () => {
  expect(() => chacha20(new Uint8Array(31), new Uint32Array(4), KEY)).toThrow(RangeError)
  expect(() => chacha20(KEY, new Uint32Array(3), KEY)).toThrow(RangeError)
})
