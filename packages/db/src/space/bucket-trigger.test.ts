import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { bpos } from '../bpos.ts'
import { BtreeId } from '../btree-ids.ts'
import { DataType } from '../data-types.ts'
import { allocV4 } from '../key-types/alloc-v4.ts'
import { Key, KEY_BYTES } from '../key.ts'
import { extentOf, nodePointerOf } from '../testing/extents.ts'
import { keyOf } from '../testing/keys.ts'
import { SpaceFixture } from '../testing/space-fixture.ts'
import { CounterName } from './counter-name.ts'
import { superblockBuckets } from './reserved-buckets.ts'

const name = new CounterName()

const extent = (bucket: number, cached = false): Key =>
  extentOf({ inode: 1, offset: 16 * (bucket + 1), size: 16 }, [{ device: 0, sector: bucket * 512, cached }])

describe('a bucket', () => {
  test('goes through its life (format chapter 4, 4.6)', () => {
    const fixture = new SpaceFixture({ devices: 1 })
    fixture.commit((each) => each.changeKey(undefined, extent(5)))
    expect(fixture.bucket(0, 5)).toMatchObject({ dataType: DataType.user, gen: 0, needDiscard: true, needIncGen: true })
    expect(fixture.freeRanges).toEqual(['0:0-5', '0:6-768'])
    fixture.commit((each) => each.changeKey(extent(5), undefined))
    expect(fixture.bucket(0, 5)).toMatchObject({
      dataType: DataType.needDiscard,
      gen: 1,
      needIncGen: false,
      journalSeqLo: 3,
    })
    expect(fixture.positions(BtreeId.needDiscard)).toEqual(['0:5:0'])
    expect(fixture.positions(BtreeId.bucketGens)).toEqual(['0:0:0'])
    fixture.commit(({ space, updates }) => space.discarded(updates, 0, 5))
    expect(fixture.bucket(0, 5)).toMatchObject({ dataType: DataType.free, gen: 1, needDiscard: false, journalSeqLo: 3 })
    expect(fixture.positions(BtreeId.needDiscard)).toEqual([])
    expect(fixture.freeRanges).toEqual(['0:0-768'])
    expect(() => fixture.commit(({ space, updates }) => space.discarded(updates, 0, 5))).toThrow(/0:5: is free/)
  })

  test('that is open keeps its generation until it is discarded', () => {
    const fixture = new SpaceFixture({ devices: 1 })
    fixture.open.add('0:5')
    fixture.commit((each) => each.changeKey(undefined, extent(5)))
    fixture.commit((each) => each.changeKey(extent(5), undefined))
    expect(fixture.bucket(0, 5)).toMatchObject({ dataType: DataType.needDiscard, gen: 0, needIncGen: true })
    fixture.open.clear()
    fixture.commit(({ space, updates }) => space.discarded(updates, 0, 5))
    expect(fixture.bucket(0, 5)).toMatchObject({ dataType: DataType.free, gen: 1, needIncGen: false })
  })

  test('whose generation is far ahead lies elsewhere in freespace, or waits', () => {
    const fixture = new SpaceFixture({ devices: 1, bucketCount: 64 })
    const use = (bucket: number): void => {
      const gen = fixture.bucket(0, bucket).gen
      const key = extentOf({ inode: 1, offset: 8, size: 8 }, [{ device: 0, sector: bucket * 512, gen }])
      fixture.commit((each) => each.changeKey(undefined, key))
      fixture.commit((each) => each.changeKey(key, undefined))
      fixture.commit(({ space, updates }) => space.discarded(updates, 0, bucket))
    }
    for (let i = 0; i < 16; i++) for (const bucket of [20, 21]) use(bucket)
    expect(fixture.freeRanges).toEqual(['0:0-20', '0:22-64', '0:1/20-22'])
    for (let i = 16; i < 96; i++) use(20)
    expect(fixture.bucket(0, 20)).toMatchObject({ gen: 96, dataType: DataType.needGcGens })
    expect(fixture.freeRanges).toEqual(['0:0-20', '0:22-64', '0:1/21-22'])
    expect(fixture.counters(name.deviceDataType(0, DataType.needGcGens))).toEqual([1, 0, 0])
    fixture.commit(({ space, updates }) => {
      space.change(updates, 0, 20).new.oldestGen = 96
    })
    expect(fixture.freeRanges).toEqual(['0:0-21', '0:22-64', '0:1/21-22'])
    fixture.commit(({ space, updates }) => {
      space.change(updates, 0, 21).new.oldestGen = 10
    })
    expect(fixture.freeRanges).toEqual(['0:0-64'])
  })

  test('of the superblock or the journal is marked, and unmarked', () => {
    const fixture = new SpaceFixture({ devices: 1 })
    fixture.commit(({ space, updates }) => {
      space.mark(updates, 0, 0, DataType.sb, 512)
      space.mark(updates, 0, 1, DataType.sb, 8)
      space.mark(updates, 0, 2, DataType.journal, 512)
    })
    expect(fixture.bucket(0, 1)).toMatchObject({
      dataType: DataType.sb,
      dirtySectors: 8,
      needIncGen: true,
      gen: 0,
      journalSeqLo: 2,
    })
    expect(fixture.counters(name.deviceDataType(0, DataType.sb))).toEqual([2, 520, 504])
    expect(fixture.positions(BtreeId.lru)).toEqual([])
    const marked = fixture.state
    fixture.commit(({ space, updates }) => space.mark(updates, 0, 1, DataType.sb, 8))
    expect(fixture.state).toEqual(marked)
    expect(() => fixture.commit(({ space, updates }) => space.mark(updates, 0, 2, DataType.sb, 8))).toThrow(
      /0:2: holds journal, where sb should be/,
    )
    fixture.commit(({ space, updates }) => space.mark(updates, 0, 2, DataType.journal, 0))
    expect(fixture.bucket(0, 2)).toMatchObject({ dataType: DataType.needDiscard, gen: 1 })
  })

  test('of cached data is invalidated, with the pointers to it left behind', () => {
    const fixture = new SpaceFixture({ devices: 1 })
    fixture.commit((each) => each.changeKey(undefined, extent(5, true)))
    fixture.commit((each) => each.changeKey(undefined, extent(6, true)))
    expect(fixture.positions(BtreeId.lru)).toEqual(['100:5:0', '100:6:0'])
    fixture.clock = 2 ** 48 + 3
    fixture.commit(({ space, updates }) => space.wasRead(updates, 0, 6))
    expect(fixture.positions(BtreeId.lru)).toEqual(['3:6:0', '100:5:0'])
    fixture.commit(({ space, updates }) => space.invalidate(updates, 0, 5))
    expect(fixture.bucket(0, 5)).toMatchObject({
      dataType: DataType.needDiscard,
      gen: 1,
      cachedSectors: 0,
      needIncGen: false,
    })
    expect(fixture.counters(name.cached(0))).toEqual([16])
    expect(fixture.positions(BtreeId.lru)).toEqual(['3:6:0'])
    fixture.commit((each) => each.changeKey(extent(5, true), undefined)) // stale by now
    expect(fixture.counters(name.cached(0))).toEqual([16])
    fixture.open.add('0:6')
    expect(() => fixture.commit(({ space, updates }) => space.invalidate(updates, 0, 6))).toThrow(
      /can't be invalidated/,
    )
  })

  test.each([false, true])(
    'is invalidated and loses a pointer in one transaction (pointer first: %s)',
    (isPointerFirst) => {
      const fixture = new SpaceFixture({ devices: 1 })
      const others = extentOf({ inode: 2, offset: 8, size: 8 }, [{ device: 0, sector: 5 * 512 + 16, cached: true }])
      fixture.commit((each) => {
        each.changeKey(undefined, extent(5, true))
        each.changeKey(undefined, others)
      })
      fixture.commit((each) => {
        if (isPointerFirst) each.changeKey(others, undefined)
        each.space.invalidate(each.updates, 0, 5)
        if (!isPointerFirst) each.changeKey(others, undefined)
      })
      expect(fixture.bucket(0, 5)).toMatchObject({ dataType: DataType.needDiscard, gen: 1, cachedSectors: 0 })
      expect(fixture.counters(name.cached(0))).toEqual([0])
    },
  )

  test('moves in the list of those that are partly filled', () => {
    const fixture = new SpaceFixture({ devices: 1 })
    const part = (sector: number, size: number): Key =>
      extentOf({ inode: 1, offset: sector + size, size }, [{ device: 0, sector }])
    const fill = (sectors: number): string => `${(0xffffn << 48n) | ((BigInt(sectors) << 31n) / 512n)}:0:0`
    fixture.commit((each) => each.changeKey(undefined, part(0, 16)))
    expect(fixture.positions(BtreeId.lru)).toEqual([fill(16)])
    fixture.commit((each) => each.changeKey(undefined, part(16, 400)))
    expect(fixture.positions(BtreeId.lru)).toEqual([fill(416)])
    fixture.commit((each) => each.changeKey(undefined, part(416, 96)))
    expect(fixture.positions(BtreeId.lru)).toEqual([])
    expect(fixture.counters(name.deviceDataType(0, DataType.user))).toEqual([1, 512, 0])
    fixture.commit((each) => each.changeKey(part(416, 96), undefined))
    expect(fixture.positions(BtreeId.lru)).toEqual([fill(416)])
  })

  test('that is emptied and filled in one transaction stays as it is', () => {
    const fixture = new SpaceFixture({ devices: 1 })
    fixture.commit((each) => each.changeKey(undefined, extent(5)))
    const before = fixture.state
    const other = extentOf({ inode: 1, offset: 96, size: 16 }, [{ device: 0, sector: 5 * 512 + 32 }])
    fixture.commit((each) => each.changeKey(extent(5), other))
    expect(fixture.bucket(0, 5)).toMatchObject({ gen: 0, journalSeqLo: 2, dirtySectors: 16 })
    expect({ ...fixture.state, backpointers: [] }).toEqual({ ...before, backpointers: [] })
  })

  test('of an old key type is written in the new one', () => {
    const fixture = new SpaceFixture({ devices: 1 })
    fixture.commit((each) => each.changeKey(undefined, extent(5)))
    // alloc_v3: flags need_discard, two fields more than none: read time 1, write time 1, dirty 16
    const value = '0500000000000000 01000000 03 00 00 04 02 02 20'
    fixture.updates.put(BtreeId.alloc, keyOf({ type: 24, inode: 0, offset: 5, value }))
    fixture.commit((each) => each.changeKey(extent(5), undefined))
    const key = new Key()
    expect(fixture.updates.get(BtreeId.alloc, bpos(0, 5), key)).toBe(true)
    expect(key.type).toBe(allocV4.number)
    expect(fixture.bucket(0, 5)).toMatchObject({ dataType: DataType.needDiscard, dirtySectors: 0, gen: 0 })
  })
})

describe('a volume that contradicts itself is refused:', () => {
  test('a free bucket that is not in freespace', () => {
    const fixture = new SpaceFixture({ devices: 1 })
    fixture.updates.remove(BtreeId.freespace, bpos(0, 768))
    expect(() => fixture.commit((each) => each.changeKey(undefined, extent(5)))).toThrow(/0:5: freespace_key_wrong/)
    const other = new SpaceFixture({ devices: 1, isFreespaceInitialized: false })
    other.updates.remove(BtreeId.freespace, bpos(0, 768))
    other.commit((each) => each.changeKey(undefined, extent(5)))
    expect(other.bucket(0, 5).dataType).toBe(DataType.user)
  })

  test('a bucket that is in freespace already, or not in need_discard', () => {
    const fixture = new SpaceFixture({ devices: 1 })
    fixture.commit((each) => each.changeKey(undefined, extent(5)))
    fixture.commit((each) => each.changeKey(extent(5), undefined))
    const other = fixture.updates.copy()
    fixture.updates.put(BtreeId.freespace, keyOf({ type: 25, inode: 0, offset: 6, size: 1 }))
    expect(() => fixture.commit(({ space, updates }) => space.discarded(updates, 0, 5))).toThrow(/0:5: is free already/)
    other.remove(BtreeId.needDiscard, bpos(0, 5))
    const { space } = fixture
    space.begin()
    space.discarded(other, 0, 5)
    expect(() => space.finish(other)).toThrow(/0:5: need_discard_key_wrong/)
  })

  test('malformed keys', () => {
    const fixture = new SpaceFixture({ devices: 1 })
    fixture.updates.put(BtreeId.alloc, keyOf({ type: 27, inode: 0, offset: 5, value: new Uint8Array(64).fill(9) }))
    expect(() => fixture.commit((each) => each.changeKey(undefined, extent(5)))).toThrow(/alloc key 0:5:0: alloc_/)
    fixture.updates.put(BtreeId.alloc, keyOf({ type: 3, inode: 0, offset: 5 }))
    expect(() => fixture.commit((each) => each.changeKey(undefined, extent(5)))).toThrow(/alloc key 0:5:0: .*type 3/)
    expect(() => fixture.space.change(fixture.updates, 3, 5)).toThrow(/bucket 3:5: there is no such bucket/)
  })
})

test('superblocks take the buckets of the format chapter (4.1.4)', () => {
  const buckets = superblockBuckets([8, 2056, 522240], 2048, { bucketSectors: 256, bucketCount: 2048 })
  const expected = [...Array.from({ length: 16 }, (_, i) => [i, 256]), [16, 8]]
  for (let bucket = 2040; bucket < 2048; bucket++) expected.push([bucket, 256])
  expect([...buckets]).toEqual(expected)
  expect(superblockBuckets([8, 522240], 2048, { bucketSectors: 256, bucketCount: 2044 }).size).toBe(9 + 4)
})

describe('any changes of keys lead to what their pointers say', () => {
  /** A key's place, and what it points to: 64 places in 8 buckets of 8 slots of 64 sectors. */
  const slot = fc.record({
    place: fc.integer({ min: 0, max: 40 }),
    slot: fc.integer({ min: 0, max: 63 }),
    sectors: fc.integer({ min: 1, max: 64 }),
    kind: fc.constantFrom('plain', 'compressed', 'two', 'cached', 'gone'),
  })
  const transactions = fc.array(fc.array(slot, { minLength: 1, maxLength: 8 }), { minLength: 1, maxLength: 12 })

  function keyFor(
    each: { place: number; slot: number; sectors: number; kind: string },
    gens: number[],
  ): Key | undefined {
    const bucket = each.slot >> 3
    const pointer = { device: 0, sector: bucket * 512 + (each.slot & 7) * 64, gen: gens[bucket] }
    const other = { device: 1, sector: pointer.sector, gen: gens[8 + bucket] }
    const at = { inode: 1 + (each.place & 3), offset: 64 * (each.place + 1), size: each.sectors, snapshot: 7 }
    switch (each.kind) {
      case 'plain':
        return extentOf(at, [pointer])
      case 'compressed':
        return extentOf(at, [{ compressed: Math.ceil(each.sectors / 3), uncompressed: 64, compression: 3 }, pointer])
      case 'two':
        return extentOf(at, [pointer, other])
      case 'cached':
        return extentOf(at, [{ ...other, cached: true }, pointer])
      default:
        return undefined
    }
  }

  const gensOf = (fixture: SpaceFixture): number[] =>
    Array.from({ length: 16 }, (_, i) => fixture.bucket(i >> 3, i & 7).gen)

  test('as if they were put into an empty volume', () => {
    fc.assert(
      fc.property(transactions, fc.array(fc.boolean()), (steps, discards) => {
        const fixture = new SpaceFixture({ bucketCount: 64 })
        fixture.open.add('0:1').add('1:1') // they keep their generations
        const keys = new Map<number, Key>()
        const slots = new Map<number, number>()
        steps.forEach((step, turn) => {
          fixture.commit(() => {
            const gens = gensOf(fixture)
            const touched = new Set<number>()
            for (const each of step) {
              // each place once, and no two keys with one slot, which is what the allocator sees to
              const isTaken = [...slots].some(([place, taken]) => place !== each.place && taken === each.slot)
              if (touched.has(each.place) || isTaken) continue
              const isWaiting = [0, 1].some(
                (device) => fixture.bucket(device, each.slot >> 3).dataType === DataType.needDiscard,
              )
              const now = isWaiting ? undefined : keyFor(each, gens)
              touched.add(each.place)
              fixture.changeKey(keys.get(each.place), now)
              if (now === undefined) keys.delete(each.place)
              else keys.set(each.place, now)
              if (now === undefined) slots.delete(each.place)
              else slots.set(each.place, each.slot)
            }
          })
          if (discards[turn]) fixture.discardAll()
        })
        // The same again, from what buckets have besides what follows from pointers.
        const again = new SpaceFixture({ bucketCount: 64 })
        for (let i = 0; i < 16; i++) again.open.add(`${i >> 3}:${i & 7}`)
        const copyFields = (): void => {
          for (let i = 0; i < 16; i++) {
            const from = fixture.bucket(i >> 3, i & 7)
            const { new: now } = again.space.change(again.updates, i >> 3, i & 7)
            now.gen = from.gen
            now.oldestGen = from.oldestGen
            now.needDiscard = from.needDiscard
            now.needIncGen = from.needIncGen
          }
        }
        again.commit(copyFields)
        again.commit(() => keys.forEach((key) => again.changeKey(undefined, key)))
        again.commit(copyFields)
        const ignoringUnused = (state: Record<string, string[]>): Record<string, string[]> => ({
          ...state,
          alloc: (state['alloc'] ?? []).filter((line) => !line.includes(' free gen 0 0 ')),
        })
        expect(ignoringUnused(fixture.state)).toEqual(ignoringUnused(again.state))

        fixture.open.clear()
        fixture.commit(() => keys.forEach((key) => fixture.changeKey(key, undefined)))
        const left = fixture.state
        expect(left).toMatchObject({ lru: [], backpointers: [], rebalanceWork: [] })
        expect((left['accounting'] ?? []).every((line) => line.includes('type 3:'))).toBe(true)
      }),
      { numRuns: 150 },
    )
  })
})

test('nodes and data in many buckets, in one transaction', () => {
  const fixture = new SpaceFixture()
  const nodes = Array.from({ length: 100 }, (_, i) =>
    nodePointerOf(
      bpos(i + 1, 0),
      [0, 1].map((device) => ({ device, sector: (300 + (i >> 1)) * 512 + (i & 1) * 256 })),
    ),
  )
  const extents = Array.from({ length: 100 }, (_, i) => extent(2 * i))
  fixture.commit((each) => {
    nodes.forEach((node) => each.changeKey(undefined, node, BtreeId.inodes, 1))
    extents.forEach((key) => each.changeKey(undefined, key))
  })
  expect(fixture.freeRanges.filter((range) => range.startsWith('0'))).toHaveLength(101)
  expect(fixture.freeRanges.filter((range) => range.startsWith('1'))).toEqual(['1:0-300', '1:350-768'])
  fixture.commit((each) => {
    extents.forEach((key) => each.changeKey(key, undefined))
    nodes.forEach((node) => each.changeKey(node, undefined, BtreeId.inodes, 1))
  })
  const key = new Key()
  expect(fixture.updates.get(BtreeId.bucketGens, bpos(0, 1), key)).toBe(true)
  expect([...key.bytes.subarray(KEY_BYTES, KEY_BYTES + 96)]).toEqual(
    Array.from({ length: 96 }, (_, i) => Number(i >= 300 - 256 && i < 350 - 256)),
  )
  fixture.discardAll()
  expect(fixture.freeRanges).toEqual(['0:0-768', '1:0-768'])
})
