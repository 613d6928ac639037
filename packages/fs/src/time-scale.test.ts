import { expect, test } from 'vitest'
import fc from 'fast-check'
import { TimeScale } from './time-scale.ts'

/** The conversion as the format chapter words it. */
function expected(field: bigint, baseNs: bigint, precision: number): [number, number] {
  const p = BigInt(precision)
  const units = 1_000_000_000n / p
  const t = BigInt.asIntN(64, field + baseNs / p)
  let seconds = t / units
  let ns = (t - seconds * units) * p
  if (ns < 0n) {
    ns += 1_000_000_000n
    seconds--
  }
  return [Number(seconds), Number(ns)]
}

function converted(field: bigint, baseNs: bigint, precision: number): [number, number] {
  const scale = new TimeScale(baseNs, precision)
  const hi = Number(BigInt.asUintN(64, field) >> 32n)
  const lo = Number(field & 0xffffffffn)
  return [scale.seconds(hi, lo), scale.nanoseconds(hi, lo)]
}

test('the example of the format chapter', () => {
  expect(converted(18151388941059880166n, 1795355132649671451n, 1)).toEqual([1500000000, 1])
})

test('agrees with exact arithmetic over the whole range', () => {
  fc.assert(
    fc.property(
      fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }),
      fc.bigInt({ min: 0n, max: (1n << 63n) - 1n }),
      fc.oneof(fc.constant(1), fc.integer({ min: 1, max: 1_000_000_000 })),
      (field, base, precision) => {
        const [seconds, ns] = converted(field, base, precision)
        const [wantSeconds, wantNs] = expected(field, base, precision)
        expect(seconds).toBe(wantSeconds)
        expect(ns).toBe(wantNs)
      },
    ),
  )
})

function stored(seconds: number, nanoseconds: number, baseNs: bigint, precision: number): [number, number] {
  const scale = new TimeScale(baseNs, precision)
  const words = new Uint32Array(2)
  scale.store(words, 0, seconds, nanoseconds)
  return [scale.seconds(words[1], words[0]), scale.nanoseconds(words[1], words[0])]
}

test('times that are stored are read again, to the unit', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: -9_000_000_000, max: 9_000_000_000 }),
      fc.integer({ min: 0, max: 999_999_999 }),
      fc.bigInt({ min: 0n, max: (1n << 63n) - 1n }),
      fc.constantFrom(1, 10, 1000, 1_000_000, 1_000_000_000),
      (seconds, ns, base, precision) => {
        expect(stored(seconds, ns, base, precision)).toEqual([seconds, ns - (ns % precision)])
      },
    ),
  )
})

test('times that are too far away become the last there is', () => {
  expect(stored(1e15, 5, 0n, 1)).toEqual([9223372036, 0])
  expect(stored(-1e15, 5, 12345n, 1)).toEqual([-9223372036, 0])
  expect(stored(1e15, 5, 0n, 1_000_000_000)).toEqual([1e15, 0])
})
