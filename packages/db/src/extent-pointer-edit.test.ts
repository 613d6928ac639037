import { describe, expect, test } from 'vitest'
import { Unit } from './data/unit.ts'
import { ExtentPointers, MAX_POINTERS } from './extent-entries.ts'
import { dropPointers, movePointer, replacePointer } from './extent-pointer-edit.ts'
import { KEY_BYTES, type Key } from './key.ts'
import { extentOf, type EntryFields } from './testing/extents.ts'

const whole = { inode: 1, offset: 64, size: 32 }
const crc = (compressed: number, compression = 3): EntryFields => ({ compressed, uncompressed: 64, compression })

function drop(key: Key, ...indexes: number[]): void {
  const dropped = new Uint8Array(MAX_POINTERS)
  for (const index of indexes) dropped[index] = 1
  dropPointers(key, dropped)
}

/** Each pointer: device, sector, stored sectors; `r` for a wish to be rewritten. */
function entriesOf(key: Key): string[] {
  const pointers = new ExtentPointers()
  pointers.decode(key, KEY_BYTES)
  const texts = Array.from({ length: pointers.count }, (_, i) => {
    const flags = (pointers.cached[i] === 1 ? 'c' : '') + (pointers.unwritten[i] === 1 ? 'u' : '')
    const stripe = pointers.hasStripe[i] === 1 ? ` stripe ${pointers.stripeIndex[i]}` : ''
    const crc = pointers.hasCrc[i] === 1 ? `/${pointers.compressedSectors[i]}+${pointers.crcOffset[i]}` : ''
    return `${pointers.device[i]}:${pointers.sector[i]}${crc}${flags}${stripe}`
  })
  return pointers.hasRebalance ? [...texts, 'r'] : texts
}

describe('pointers are taken out', () => {
  const copies: EntryFields[] = [
    crc(8),
    { device: 0, sector: 100 },
    { device: 1, sector: 200 },
    { target: 1, compression: 0 },
    crc(16),
    { device: 2, sector: 300, cached: true },
  ]

  test.each<[number[], string[]]>([
    [[0], ['1:200/8+0', '2:300/16+0c', 'r']],
    [[1], ['0:100/8+0', '2:300/16+0c', 'r']],
    [
      [0, 1],
      ['2:300/16+0c', 'r'],
    ],
    [[2], ['0:100/8+0', '1:200/8+0', 'r']],
    [[], ['0:100/8+0', '1:200/8+0', '2:300/16+0c', 'r']],
  ])('%j', (indexes, left) => {
    const key = extentOf(whole, copies)
    drop(key, ...indexes)
    expect(entriesOf(key)).toEqual(left)
    expect(key).toMatchObject({ type: 6, size: 32, posText: '1:64:U32_MAX' })
  })

  test('those in front of the first checksum stay without one', () => {
    const key = extentOf(whole, [{ device: 3, sector: 50 }, ...copies])
    drop(key, 1, 2)
    expect(entriesOf(key)).toEqual(['3:50', '2:300/16+0c', 'r'])
  })

  test('a block of a stripe goes with its entry', () => {
    const key = extentOf(whole, [
      { device: 0, sector: 8, stripe: { index: 5, block: 1 } },
      { device: 1, sector: 9 },
    ])
    drop(key, 0)
    expect(entriesOf(key)).toEqual(['1:9'])
    const other = extentOf(whole, [
      { device: 1, sector: 9 },
      { device: 0, sector: 8, stripe: { index: 5, block: 1 } },
    ])
    drop(other, 0)
    expect(entriesOf(other)).toEqual(['0:8 stripe 5'])
  })

  test('without any the data is lost', () => {
    const key = extentOf(whole, copies)
    drop(key, 0, 1, 2)
    expect(key).toMatchObject({ type: 2, u64s: 5, size: 32, posText: '1:64:U32_MAX' })
  })
})

describe('a pointer', () => {
  test('leads elsewhere, all else being the same', () => {
    const key = extentOf(whole, [crc(8), { device: 0, sector: 100 }, { device: 1, sector: 200, unwritten: false }])
    movePointer(key, 1, { device: 4, sector: 2 ** 40 + 7, gen: 9, isCached: false })
    expect(entriesOf(key)).toEqual(['0:100/8+0', `4:${2 ** 40 + 7}/8+0`])
    const promised = extentOf(whole, [{ device: 0, sector: 8, unwritten: true }])
    movePointer(promised, 0, { device: 1, sector: 16, gen: 0, isCached: false })
    expect(entriesOf(promised)).toEqual(['1:16u'])
  })

  test('gives way to others, with a unit of their own', () => {
    const key = extentOf(whole, [crc(8), { device: 0, sector: 100 }, { device: 1, sector: 200 }])
    const unit = new Unit().set(32, 16, 5, 3)
    replacePointer(key, 0, unit, [{ device: 2, sector: 5, gen: 0, isCached: false }])
    expect(entriesOf(key)).toEqual(['1:200/8+0', '2:5/16+0'])
  })

  test('that needs no checksum entry stands in front of those that have one', () => {
    const key = extentOf(whole, [{ device: 0, sector: 100 }, crc(8), { device: 1, sector: 200 }])
    replacePointer(key, 0, new Unit().set(32, 32, 0, 0), [
      { device: 2, sector: 5, gen: 0, isCached: false },
      { device: 3, sector: 6, gen: 0, isCached: true },
    ])
    expect(entriesOf(key)).toEqual(['2:5', '3:6c', '1:200/8+0'])
  })

  test('to space that is promised only stays one', () => {
    const key = extentOf(whole, [{ device: 0, sector: 8, unwritten: true }])
    replacePointer(key, 0, new Unit().set(32, 32, 0, 0), [
      { device: 1, sector: 16, gen: 0, isCached: false },
      { device: 2, sector: 24, gen: 0, isCached: false },
    ])
    expect(entriesOf(key)).toEqual(['1:16u', '2:24u'])
  })

  test('that is not there can not be moved', () => {
    const key = extentOf(whole, [{ device: 0, sector: 8 }])
    expect(() => movePointer(key, 1, { device: 1, sector: 16, gen: 0, isCached: false })).toThrow(RangeError)
  })
})
