import fc from 'fast-check'
import { expect, test } from 'vitest'
import { poly1305 } from './poly1305.ts'
import { bytesOfHex, bytesOfText, hexOfBytes, shifted } from './testing/bytes.ts'

const PRIME = 2n ** 130n - 5n

function tagOf(key: Uint8Array, data: Uint8Array): string {
  const tag = new Uint8Array(16)
  poly1305(tag, key, data)
  return hexOfBytes(tag)
}

function littleEndian(bytes: Uint8Array): bigint {
  return bytes.reduceRight((value, byte) => (value << 8n) | BigInt(byte), 0n)
}

/** As RFC 8439 says, in bigints. */
function slowly(key: Uint8Array, data: Uint8Array): string {
  const r = littleEndian(key.subarray(0, 16)) & 0x0ffffffc0ffffffc0ffffffc0fffffffn
  let sum = 0n
  for (let at = 0; at < data.length; at += 16) {
    const block = data.subarray(at, at + 16)
    sum = ((sum + littleEndian(block) + (1n << BigInt(8 * block.length))) * r) % PRIME
  }
  const tag = BigInt.asUintN(128, sum + littleEndian(key.subarray(16)))
  return hexOfBytes(Uint8Array.from({ length: 16 }, (_, i) => Number((tag >> BigInt(8 * i)) & 255n)))
}

test('vectors of RFC 8439 and of format chapters 1 and 6', () => {
  const rfcKey = bytesOfHex('85d6be7857556d337f4452fe42d506a80103808afb0db2fd4abff6af4149f51b')
  expect(tagOf(rfcKey, bytesOfText('Cryptographic Forum Research Group'))).toBe('a8061dc1305136c6c22b8baf0c0127a9')
  const key = bytesOfHex('a20f92f0b8c63b68ee677b6de201315efde4d2699e058f31049643ef883920a1')
  expect(tagOf(key, bytesOfText('123456789'))).toBe('3ac55ccd5d8738d63e806838a23550a6')
})

test('as the RFC in bigints says, any length and offset', () => {
  const extreme = (length: number) =>
    fc
      .array(fc.constantFrom(0, 0xff, 0xfb, 0xfc, 0x0f, 0x80), { minLength: length, maxLength: length })
      .map((list) => Uint8Array.from(list))
  const anyKey = fc.oneof(fc.uint8Array({ minLength: 32, maxLength: 32 }), extreme(32))
  const anyData = fc.oneof(fc.uint8Array({ maxLength: 200 }), fc.nat(200).chain(extreme))
  fc.assert(
    fc.property(anyKey, anyData, fc.nat(3), (key, data, offset) => {
      expect(tagOf(key, shifted(data, offset))).toBe(slowly(key, data))
    }),
    { numRuns: 1000 },
  )
})

test('sums at the prime and at 2^128', () => {
  // With r = 1 the sum is that of the blocks: around the prime, and carried over all limbs.
  const key = new Uint8Array(32)
  key[0] = 1
  const ones = new Uint8Array(16).fill(0xff)
  for (let low = 0; low < 16; low++) {
    for (const blocks of [1, 2, 3, 4, 5]) {
      const data = new Uint8Array(16 * blocks)
      for (let i = 0; i < blocks; i++) data.set(ones, 16 * i)
      data[16 * (blocks - 1)] = 0xf0 + low
      expect(tagOf(key, data)).toBe(slowly(key, data))
      const shiftedKey = key.slice()
      shiftedKey.fill(0xff, 16)
      expect(tagOf(shiftedKey, data)).toBe(slowly(shiftedKey, data))
    }
  }
})

test('a long message', () => {
  const key = new Uint8Array(32).fill(0xff)
  const data = new Uint8Array(100_000).fill(0xff)
  expect(tagOf(key, data)).toBe(slowly(key, data))
})

test('keys and tags of other sizes', () => {
  expect(() => poly1305(new Uint8Array(16), new Uint8Array(31), new Uint8Array(1))).toThrow(RangeError)
  expect(() => poly1305(new Uint8Array(15), new Uint8Array(32), new Uint8Array(1))).toThrow(RangeError)
})
