import fc from 'fast-check'
import { expect, test } from 'vitest'
import { bytesOfText, counting, shifted } from './testing/bytes.ts'
import { bigintOfHalves } from './u64-halves.ts'
import { xxh64 } from './xxh64.ts'

function hash(data: Uint8Array): bigint {
  const halves = { lo: 0, hi: 0 }
  xxh64(halves, data)
  return bigintOfHalves(halves)
}

test('vectors of format chapters 1 and 6', () => {
  expect(hash(new Uint8Array(0))).toBe(0xef46db3751d8e999n)
  expect(hash(bytesOfText('123456789'))).toBe(0x8cb841db40e6ae83n)
  expect(hash(new Uint8Array(64))).toBe(0x257b09a147b82a19n)
  expect(hash(counting(256))).toBe(0x1facbe8406cd904bn)
  expect(hash(bytesOfText('bcachefs'))).toBe(0xbb0dc80bc3af5cccn)
  expect(hash(counting(512))).toBe(0x7b3bfcaac0348ac0n)
})

test('as the specification in bigints says, any length and offset', () => {
  const anyBytes = fc.oneof(
    fc.uint8Array({ maxLength: 200 }),
    fc.array(fc.constantFrom(0, 1, 0x7f, 0x80, 0xff), { maxLength: 200 }).map((list) => Uint8Array.from(list)),
  )
  fc.assert(
    fc.property(anyBytes, fc.nat(3), (data, offset) => {
      expect(hash(shifted(data, offset))).toBe(slowly(data))
    }),
    { numRuns: 500 },
  )
})

const P1 = 0x9e3779b185ebca87n
const P2 = 0xc2b2ae3d27d4eb4fn
const P3 = 0x165667b19e3779f9n
const P4 = 0x85ebca77c2b2ae63n
const P5 = 0x27d4eb2f165667c5n

function slowly(data: Uint8Array): bigint {
  const cut = (value: bigint) => BigInt.asUintN(64, value)
  const turn = (value: bigint, bits: bigint) => cut(value << bits) | (value >> (64n - bits))
  const step = (lane: bigint, input: bigint) => cut(turn(cut(lane + input * P2), 31n) * P1)
  const view = new DataView(data.buffer, data.byteOffset, data.length)
  let at = 0
  let value = P5
  if (data.length >= 32) {
    const lanes = [cut(P1 + P2), P2, 0n, cut(-P1)]
    for (; at + 32 <= data.length; at += 32) {
      for (let i = 0; i < 4; i++) lanes[i] = step(lanes[i], view.getBigUint64(at + 8 * i, true))
    }
    value = lanes.reduce((sum, lane, i) => cut(sum + turn(lane, [1n, 7n, 12n, 18n][i])), 0n)
    for (const lane of lanes) value = cut((value ^ step(0n, lane)) * P1 + P4)
  }
  value = cut(value + BigInt(data.length))
  for (; at + 8 <= data.length; at += 8) {
    value = cut(turn(value ^ step(0n, view.getBigUint64(at, true)), 27n) * P1 + P4)
  }
  if (at + 4 <= data.length) {
    value = cut(turn(value ^ cut(BigInt(view.getUint32(at, true)) * P1), 23n) * P2 + P3)
    at += 4
  }
  for (; at < data.length; at++) value = cut(turn(value ^ cut(BigInt(data[at]) * P5), 11n) * P1)
  value = cut((value ^ (value >> 33n)) * P2)
  value = cut((value ^ (value >> 29n)) * P3)
  return value ^ (value >> 32n)
}
