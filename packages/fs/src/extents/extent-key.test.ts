import { ExtentPointers, KEY_BYTES, type Key } from '@cowherd/db'
import { describe, expect, test } from 'vitest'
import { extentEntries, type ExtentEntry } from '../testing/extents.ts'
import { keyOf } from '../testing/keys.ts'
import { cutBack, cutFront } from './extent-key.ts'

const FILE = { inode: 5000, snapshot: 0xffffffff }

function extent(...entries: readonly ExtentEntry[]): Key {
  return keyOf({ ...FILE, type: 6, offset: 40, size: 24, value: extentEntries(...entries) })
}

function pointersOf(key: Key): { sector: number; crcOffset: number; gen: number; device: number }[] {
  const pointers = new ExtentPointers()
  const count = pointers.decode(key, KEY_BYTES)
  return Array.from({ length: count }, (_, i) => ({
    sector: pointers.sector[i],
    crcOffset: pointers.crcOffset[i],
    gen: pointers.gen[i],
    device: pointers.device[i],
  }))
}

describe('cutting the front', () => {
  test('moves the pointer where nothing is checksummed', () => {
    const key = extent({ device: 3, gen: 9, sector: 2 ** 28 - 4 })
    cutFront(key, 24)
    expect([key.start, key.offset, key.size]).toEqual([24, 40, 16])
    expect(pointersOf(key)).toEqual([{ device: 3, gen: 9, sector: 2 ** 28 + 4, crcOffset: 0 }])
  })

  test.each(['crc32', 'crc64', 'crc128'] as const)('moves the offset in the unit of %s', (kind) => {
    const crc = { kind, compressed: 10, uncompressed: 90, offset: 57, csumType: 0, compressionType: 4, csum: 0x1234n }
    const key = extent({ crc }, { device: 1, gen: 2, sector: 800 }, { device: 2, gen: 3, sector: 1600 })
    const before = new ExtentPointers()
    before.decode(key, KEY_BYTES)
    cutFront(key, 23)
    expect(pointersOf(key)).toEqual([
      { device: 1, gen: 2, sector: 800, crcOffset: 64 },
      { device: 2, gen: 3, sector: 1600, crcOffset: 64 },
    ])
    const after = new ExtentPointers()
    after.decode(key, KEY_BYTES)
    for (const column of [
      'compressedSectors',
      'uncompressedSectors',
      'nonce',
      'csumType',
      'compressionType',
    ] as const) {
      expect(after[column]).toEqual(before[column])
    }
    expect(after.csum).toEqual(before.csum)
  })

  test('each pointer moves by what stands before it, cached ones too; stripe and rebalance entries stay', () => {
    const crc = { kind: 'crc32', compressed: 30, uncompressed: 30, offset: 2, csumType: 5, compressionType: 0 } as const
    const key = extent(
      { device: 0, sector: 100 },
      { crc },
      { device: 1, sector: 200, cached: true },
      { stripe: 77 },
      { device: 2, sector: 300 },
      { rebalance: { target: 5, compression: 1 } },
    )
    cutFront(key, 17)
    expect(pointersOf(key).map(({ sector, crcOffset }) => [sector, crcOffset])).toEqual([
      [101, 0],
      [200, 3],
      [300, 3],
    ])
    const pointers = new ExtentPointers()
    pointers.decode(key, KEY_BYTES)
    expect([pointers.stripeIndex[2], pointers.hasRebalance, pointers.rebalanceTarget]).toEqual([77, true, 5])
  })

  test('of inline data drops bytes', () => {
    const value = new Uint8Array(600).map((_, i) => i % 251)
    const key = keyOf({ ...FILE, type: 17, offset: 8, size: 8, value })
    cutFront(key, 1)
    expect([...key.value]).toEqual([...value.subarray(512)])
    cutFront(key, 3)
    expect([key.valueBytes, key.start, key.offset]).toEqual([0, 3, 8])
  })

  test('of a link to shared data moves what it leads to; its pads are found anew', () => {
    const key = keyOf({ ...FILE, type: 15, offset: 16, size: 16, value: 'f8ffffff00000000 03000000 04000000' })
    cutFront(key, 12)
    expect(key.value).toEqual(keyOf({ type: 15, value: '0400000001000000 00000000 00000000' }).value)
  })

  test('behind 2^32 sectors', () => {
    const key = keyOf({ ...FILE, type: 2, offset: 2 ** 32 + 5, size: 10 })
    cutFront(key, 2 ** 32 - 2)
    expect([key.start, key.size]).toEqual([2 ** 32 - 2, 7])
    cutBack(key, 2 ** 32 + 1)
    expect([key.start, key.offset, key.size]).toEqual([2 ** 32 - 2, 2 ** 32 + 1, 3])
  })

  test('refuses what is no part of the key, or not known', () => {
    expect(() => cutFront(extent({ device: 0, sector: 8 }), 16)).toThrow(RangeError)
    expect(() => cutFront(extent({ device: 0, sector: 8 }), 40)).toThrow(RangeError)
    expect(() => cutBack(extent({ device: 0, sector: 8 }), 40)).toThrow(RangeError)
    expect(() => cutFront(keyOf({ ...FILE, type: 99, offset: 16, size: 8 }), 12)).toThrow(/type 99/)
  })
})

describe('cutting the back', () => {
  test('leaves entries alone', () => {
    const crc = { kind: 'crc64', compressed: 30, uncompressed: 30, offset: 2, csumType: 6, compressionType: 0 } as const
    const key = extent({ crc }, { device: 1, sector: 200 })
    const value = key.value.slice()
    cutBack(key, 20)
    expect([key.start, key.offset, key.size]).toEqual([16, 20, 4])
    expect(key.value).toEqual(value)
  })

  test('of inline data drops what lies behind', () => {
    const key = keyOf({ ...FILE, type: 17, offset: 8, size: 8, value: new Uint8Array(600).fill(7) })
    cutBack(key, 2)
    expect(key.valueBytes).toBe(600)
    cutBack(key, 1)
    expect(key.valueBytes).toBe(512)
  })
})
