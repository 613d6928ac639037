import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { bpos } from '../bpos.ts'
import { Key, KEY_POS_AT } from '../key.ts'
import { ImageBuilder } from './node-image.ts'
import { keyAt, lowerBound } from './node-order.ts'

/** A key as the tests write it: position, type, one value word. */
interface Plain {
  offset: number
  snapshot: number
  deleted: boolean
  value: number
}

function put(builder: ImageBuilder, { offset, snapshot, deleted, value }: Plain): boolean {
  builder.room()
  const { heap, used } = builder
  const u64s = deleted ? 5 : 6
  heap.fill(0, used, used + 2 * u64s)
  heap[used] = u64s | 0x100 | ((deleted ? 0 : 25) << 16)
  heap.set(bpos(7, offset, snapshot), used + KEY_POS_AT)
  if (!deleted) heap[used + 10] = value
  return builder.append(2 * u64s)
}

const plain = fc.record({
  offset: fc.integer({ min: 0, max: 40 }),
  snapshot: fc.integer({ min: 1, max: 3 }),
  deleted: fc.boolean(),
  value: fc.nat(1e6),
})

const byPosition = (a: Plain, b: Plain) => a.offset - b.offset || a.snapshot - b.snapshot
const name = ({ offset, snapshot }: Plain) => `${offset}:${snapshot}`
const unique = (set: Plain[]) => [...new Map(set.map((key) => [name(key), key])).values()].sort(byPosition)

describe('images of nodes', () => {
  it('hold the newest live key of each position, in order, and find the first at or behind a position', () => {
    fc.assert(
      fc.property(fc.array(fc.array(plain), { maxLength: 9 }), fc.integer({ min: 0, max: 41 }), (sets, wanted) => {
        const builder = new ImageBuilder(64)
        builder.reset()
        const model = new Map<string, Plain>()
        for (const set of sets.map(unique)) {
          for (const key of set) {
            expect(put(builder, key)).toBe(true)
            model.set(name(key), key)
          }
          builder.endRun()
        }
        builder.merge()
        const expected = [...model.values()].filter((key) => !key.deleted).sort(byPosition)

        const words = new Uint32Array(builder.imageWords + 3)
        builder.store(words, 3)
        const key = new Key()
        const found = Array.from({ length: builder.count }, (_, i) => {
          key.set(words, keyAt(words, 3, i))
          return { offset: key.offset, snapshot: key.snapshot, deleted: false, value: key.words[10] }
        })
        expect(found).toEqual(expected)
        const index = lowerBound(words, 3, builder.count, bpos(7, wanted, 2), 0)
        const before = expected.filter((k) => byPosition(k, { ...k, offset: wanted, snapshot: 2 }) < 0)
        expect(index).toBe(before.length)
      }),
    )
  })

  it('refuse keys out of order and let the later of two equal ones win', () => {
    const builder = new ImageBuilder(64)
    builder.reset()
    expect(put(builder, { offset: 5, snapshot: 1, deleted: false, value: 1 })).toBe(true)
    expect(put(builder, { offset: 4, snapshot: 1, deleted: false, value: 2 })).toBe(false)
    expect(put(builder, { offset: 5, snapshot: 1, deleted: false, value: 3 })).toBe(true)
    builder.merge()
    expect(builder.count).toBe(1)
    expect(builder.heap[builder.order[0] + 10]).toBe(3)
  })
})
