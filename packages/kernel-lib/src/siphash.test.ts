import fc from 'fast-check'
import { expect, test } from 'vitest'
import { sipHash24 } from './siphash.ts'
import { bytesOfHex, bytesOfText, counting, shifted } from './testing/bytes.ts'
import { type U64Halves, bigintOfHalves } from './u64-halves.ts'

function halvesOf(value: bigint): U64Halves {
  return { lo: Number(value & 0xffffffffn), hi: Number(value >> 32n) }
}

function hash(k0: bigint, k1: bigint, data: Uint8Array): bigint {
  const out = { lo: 0, hi: 0 }
  sipHash24(out, { k0: halvesOf(k0), k1: halvesOf(k1) }, data)
  return bigintOfHalves(out)
}

test('the vector of the paper', () => {
  expect(hash(0x0706050403020100n, 0x0f0e0d0c0b0a0908n, counting(15))).toBe(0xa129ca6149be45e5n)
})

test('names, by format chapter 5: the key is the seed, the result is shifted right by one', () => {
  const offset = (seed: string, name: Uint8Array) => {
    const bytes = bytesOfHex(seed)
    return hash(new DataView(bytes.buffer).getBigUint64(0, true), 0n, name) >> 1n
  }
  expect(offset('0123456789abcdef', bytesOfText('a'))).toBe(0x11a3a8c23d557febn)
  expect(offset('0123456789abcdef', bytesOfText('hello'))).toBe(0x150467237e8436dan)
  expect(offset('0123456789abcdef', bytesOfText('12345678'))).toBe(0x3888f1c301e6c9e1n)
  expect(offset('0123456789abcdef', bytesOfText('a-longer-file-name.txt'))).toBe(0x1b6ebb2d58be4782n)
  expect(offset('80e2a92015e30e25', bytesOfText('lost+found'))).toBe(2630934732251867303n)
  expect(offset('80e2a92015e30e25', bytesOfText('hello.txt'))).toBe(3457347043312539516n)
  const japanese = bytesOfHex('e697a5e69cace8aa9ee38395e382a1e382a4e383ab')
  expect(offset('80e2a92015e30e25', japanese)).toBe(1820659656217713651n)
})

test('as the paper in bigints says, any length and offset', () => {
  const word = fc.bigInt(0n, 2n ** 64n - 1n)
  fc.assert(
    fc.property(word, word, fc.uint8Array({ maxLength: 300 }), fc.nat(3), (k0, k1, data, offset) => {
      expect(hash(k0, k1, shifted(data, offset))).toBe(slowly(k0, k1, data))
    }),
  )
})

function slowly(k0: bigint, k1: bigint, data: Uint8Array): bigint {
  const cut = (value: bigint) => BigInt.asUintN(64, value)
  const turn = (value: bigint, bits: bigint) => cut(value << bits) | (value >> (64n - bits))
  let [a, b, c, d] = [
    k0 ^ 0x736f6d6570736575n,
    k1 ^ 0x646f72616e646f6dn,
    k0 ^ 0x6c7967656e657261n,
    k1 ^ 0x7465646279746573n,
  ]
  const rounds = (count: number) => {
    for (let i = 0; i < count; i++) {
      a = cut(a + b)
      b = turn(b, 13n) ^ a
      a = turn(a, 32n)
      c = cut(c + d)
      d = turn(d, 16n) ^ c
      a = cut(a + d)
      d = turn(d, 21n) ^ a
      c = cut(c + b)
      b = turn(b, 17n) ^ c
      c = turn(c, 32n)
    }
  }
  const padded = new Uint8Array((data.length & ~7) + 8)
  padded.set(data)
  padded[padded.length - 1] = data.length
  const view = new DataView(padded.buffer)
  for (let at = 0; at < padded.length; at += 8) {
    const block = view.getBigUint64(at, true)
    d ^= block
    rounds(2)
    a ^= block
  }
  c ^= 0xffn
  rounds(4)
  return a ^ b ^ c ^ d
}
