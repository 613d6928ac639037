import fc from 'fast-check'
import { expect, test } from 'vitest'
import { moveEntriesStart } from './extent-edit.ts'
import { ExtentPointers } from './extent-entries.ts'
import { KEY_BYTES, KEY_SIZE_AT, type Key } from './key.ts'
import { keyOf } from './testing/keys.ts'

const word = (value: bigint): number[] => Array.from({ length: 8 }, (_, i) => Number((value >> BigInt(8 * i)) & 0xffn))

/** Entries of each kind, as format chapter 6, 6.1.3 words them; `offset`: where in a unit of 128 sectors the key starts. */
const ENTRIES = {
  crc32: (offset: number) => word(2n | (127n << 9n) | (127n << 2n) | (BigInt(offset) << 16n) | (5n << 24n)),
  crc64: (offset: number) =>
    [4n | (127n << 3n) | (127n << 12n) | (BigInt(offset) << 21n) | (6n << 40n), 0xabcdn].flatMap(word),
  crc128: (offset: number) =>
    [8n | (127n << 4n) | (127n << 17n) | (BigInt(offset) << 30n) | (6n << 56n), 0xabcdn, 0n].flatMap(word),
  stripe: () => word(16n | (1234n << 17n)),
  rebalance: () => word(32n | (7n << 48n)),
}

const crc = fc.constantFrom('crc32', 'crc64', 'crc128', undefined)
const pointer = fc.record({
  crc,
  hasStripe: fc.boolean(),
  sector: fc.integer({ min: 0, max: 2 ** 40 }),
  offset: fc.nat(60),
})

function keyWith(type: number, size: number, value: number[]): Key {
  return keyOf({ type, inode: 5, offset: 1000, snapshot: 9, size, value: Uint8Array.from(value) })
}

test('the entries lead to what lies behind, and say the same otherwise', () => {
  const sizes = fc.record({ size: fc.integer({ min: 2, max: 60 }), cut: fc.nat(58) })
  fc.assert(
    fc.property(
      fc.array(pointer, { minLength: 1, maxLength: 5 }),
      sizes,
      fc.boolean(),
      (list, { size, cut }, isShared) => {
        const entries = list.flatMap(({ crc: kind, hasStripe, sector, offset }, device) => [
          ...(kind === undefined ? [] : ENTRIES[kind](offset)),
          ...(hasStripe ? ENTRIES.stripe() : []),
          ...word(1n | (BigInt(sector) << 4n) | (BigInt(device) << 48n) | (3n << 56n)),
        ])
        const refcount = isShared ? word(1n) : []
        const key = keyWith(isShared ? 16 : 6, size, [...refcount, ...entries, ...ENTRIES.rebalance()])
        const at = KEY_BYTES + refcount.length
        const before = new ExtentPointers()
        before.decode(key, at)
        const sectors = Math.min(cut, size - 1)
        moveEntriesStart(key, sectors)
        key.words[KEY_SIZE_AT] = size - sectors

        const after = new ExtentPointers()
        expect(after.decode(key, at)).toBe(list.length)
        for (let i = 0; i < list.length; i++) {
          const isChecksummed = before.hasCrc[i] === 1
          expect(after.crcOffset[i]).toBe(before.crcOffset[i] + (isChecksummed ? sectors : 0))
          expect(after.sector[i]).toBe(before.sector[i] + (isChecksummed ? 0 : sectors))
          if (isChecksummed) expect(after.uncompressedSectors[i]).toBe(128)
        }
        const same = [
          'device',
          'gen',
          'hasStripe',
          'stripeIndex',
          'csumType',
          'csum',
          'compressionType',
          'nonce',
        ] as const
        for (const column of same) expect(after[column]).toEqual(before[column])
        expect(after.rebalanceTarget).toBe(7)
      },
    ),
  )
})

test('refuses what leaves nothing, and malformed lists', () => {
  const entry = word(1n | (8n << 4n))
  expect(() => moveEntriesStart(keyWith(6, 8, entry), 8)).toThrow(RangeError)
  expect(() => moveEntriesStart(keyWith(6, 8, word(0x80n)), 4)).toThrow(/extent_ptrs_invalid_entry/)
  expect(() => moveEntriesStart(keyWith(6, 100, [...ENTRIES.crc32(60), ...entry]), 4)).toThrow(
    /uncompressed_size_too_small/,
  )
})
