import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { bytesOfHex, hexOfBytes } from './testing/bytes.ts'
import { bigintOfHalves } from './u64-halves.ts'
import { VARINT_BYTES_MAX, decodeOldVarint, decodeVarint, encodeVarint, sizeOfVarint } from './varint.ts'

function encode(value: bigint): Uint8Array {
  const target = new Uint8Array(VARINT_BYTES_MAX)
  return target.subarray(0, encodeVarint(target, 0, Number(value & 0xffffffffn), Number(value >> 32n)))
}

function decode(bytes: Uint8Array, decoder = decodeVarint): [size: number, value: bigint] {
  const out = { lo: 0, hi: 0 }
  const size = decoder(out, bytes, 0, bytes.length)
  return [size, bigintOfHalves(out)]
}

describe('fast varints', () => {
  test.each([
    [0n, '00'],
    [1n, '02'],
    [127n, 'fe'],
    [128n, '0102'],
    [0x1234n, 'd148'],
    [16383n, 'fdff'],
    [16384n, '030002'],
    [70000n, '838b08'],
    [2n ** 28n - 1n, 'f7ffffff'],
    [2n ** 28n, '0f00000002'],
    [0xffffffffn, 'efffffff1f'],
    [2n ** 49n - 1n, 'bfffffffffffff'],
    [2n ** 56n - 1n, '7fffffffffffffff'],
    [2n ** 56n, 'ff0000000000000001'],
    [2n ** 63n, 'ff0000000000000080'],
    [2n ** 64n - 1n, 'ffffffffffffffffff'],
  ])('%d is %s', (value, hex) => {
    expect(hexOfBytes(encode(value))).toBe(hex)
    expect(decode(bytesOfHex(hex))).toEqual([hex.length / 2, value])
  })

  test('any value comes back, in the size foretold, and not from fewer bytes', () => {
    const anyValue = fc.nat(63).chain((bits) => fc.bigInt(0n, 2n ** BigInt(bits + 1) - 1n))
    fc.assert(
      fc.property(anyValue, fc.nat(7), (value, offset) => {
        const bytes = encode(value)
        expect(bytes.length).toBe(sizeOfVarint(Number(value & 0xffffffffn), Number(value >> 32n)))
        expect(decode(bytes)).toEqual([bytes.length, value])
        const out = { lo: 7, hi: 9 }
        const longer = new Uint8Array(offset + bytes.length + 3)
        longer.set(bytes, offset)
        expect(decodeVarint(out, longer, offset, offset + bytes.length - 1)).toBe(0)
        expect(out).toEqual({ lo: 7, hi: 9 })
        expect(decodeVarint(out, longer, offset, longer.length)).toBe(bytes.length)
        expect(bigintOfHalves(out)).toBe(value)
      }),
    )
  })

  test('a value ends before the end given, and that inside the bytes', () => {
    const out = { lo: 0, hi: 0 }
    expect(decodeVarint(out, Uint8Array.of(2), 1, 1)).toBe(0)
    expect(decodeVarint(out, Uint8Array.of(1), 0, 2)).toBe(0)
    expect(() => encodeVarint(new Uint8Array(1), 0, 128, 0)).toThrow(RangeError)
  })
})

describe('old varints', () => {
  test.each([
    ['80', 0n],
    ['ff', 0x7fn],
    ['4001', 1n],
    ['7fff', 0x3fffn],
    ['200102', 0x102n],
    ['1f010203', 0xf010203n],
    ['080102030405', 0x0102030405n],
    ['0401020304050607', 0x01020304050607n],
    ['0200ffeeddccbbaa9988', 0xffeeddccbbaa9988n],
    ['01000000000102030405060708', 0x0102030405060708n],
  ])('%s is %d', (hex, value) => {
    const bytes = bytesOfHex(hex)
    expect(decode(bytes, decodeOldVarint)).toEqual([bytes.length, value])
    expect(decode(bytes.subarray(0, -1), decodeOldVarint)[0]).toBe(0)
  })

  test('what is no number of 64 bits', () => {
    for (const hex of ['', '00', '0300000000000000000000', '01000000010102030405060708', '0201ffeeddccbbaa9988']) {
      expect(decode(bytesOfHex(hex), decodeOldVarint)[0]).toBe(0)
    }
  })
})
