import { expect, test } from 'vitest'
import fc from 'fast-check'
import { i64Decimal, u64Decimal, u64Hex } from './decimal.ts'

const halves = (value: bigint): [number, number] => [Number(value >> 32n), Number(value & 0xffffffffn)]

const interesting = fc.oneof(
  fc.bigInt({ min: 0n, max: 0xffffffffffffffffn }),
  fc.bigInt({ min: 0n, max: 0x3fffffffffffffn }),
  fc.constantFrom(
    0n,
    1n,
    0xffffffffn,
    0x100000000n,
    1n << 53n,
    (1n << 53n) - 1n,
    1n << 63n,
    (1n << 64n) - 1n,
    10n ** 19n,
  ),
)

test('numbers of 64 bits print as bigint prints them', () => {
  fc.assert(
    fc.property(interesting, (value) => {
      const [hi, lo] = halves(value)
      expect(u64Decimal(hi, lo)).toBe(value.toString())
      expect(i64Decimal(hi, lo)).toBe(BigInt.asIntN(64, value).toString())
      expect(u64Hex(hi, lo)).toBe(value.toString(16))
    }),
  )
})
