import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ThreadRegistry } from '../sync/index.ts'
import { Arena } from './arena.ts'

ThreadRegistry.create().enter()

describe.each([{ shared: false }, { shared: true }])('Arena, shared: $shared', ({ shared }) => {
  it('gives out pieces that never overlap, and joins what is given back', () => {
    const step = fc.oneof(fc.record({ take: fc.integer({ min: 1, max: 5000 }) }), fc.record({ giveBack: fc.nat() }))
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 40 }), fc.array(step, { maxLength: 60 }), (units, steps) => {
        const arena = Arena.create(units * 1024, { unitBytes: 1024, shared })
        const other = new Arena(arena.descriptor)
        const pieces: { at: number; words: number }[] = []
        for (const [i, each] of steps.entries()) {
          const view = i % 2 === 0 ? arena : other
          if ('take' in each) {
            const at = view.allocate(each.take)
            if (at < 0) continue
            expect(at).toBeGreaterThan(0)
            expect(at + each.take).toBeLessThanOrEqual(arena.words.length)
            for (const other of pieces) {
              expect(at + each.take <= other.at || other.at + other.words <= at).toBe(true)
            }
            pieces.push({ at, words: each.take })
            arena.words.fill(0xffffffff, at, at + each.take) // whatever is written in them
          } else if (pieces.length > 0) {
            view.deallocate(pieces.splice(each.giveBack % pieces.length, 1)[0].at)
          }
        }
        for (const piece of pieces) arena.deallocate(piece.at)
        expect(arena.freeBytes).toBe(arena.bytes)
        expect(arena.allocate(arena.largest)).toBeGreaterThanOrEqual(0)
      }),
      { numRuns: shared ? 20 : 100 }, // each arena reserves address space until it is collected
    )
  })

  it('refuses to take back what is not in use', () => {
    const arena = Arena.create(4096, { unitBytes: 1024, shared })
    const at = arena.allocate(256)
    arena.deallocate(at)
    expect(() => arena.deallocate(at)).toThrow(RangeError)
    expect(() => arena.deallocate(at + 1)).toThrow(RangeError)
    expect(() => arena.deallocate(0)).toThrow(RangeError)
    expect(() => arena.deallocate(1e9)).toThrow(RangeError)
  })

  it('begins pieces of a page on a page', () => {
    const arena = Arena.create(100_000, { shared })
    for (;;) {
      const at = arena.allocate(1024)
      if (at < 0) break
      expect((at * 4) % 4096).toBe(0)
    }
  })

  it('says what it can not be made of', () => {
    expect(() => Arena.create(0, { shared })).toThrow(RangeError)
    expect(() => Arena.create(2 ** 33, { shared })).toThrow(RangeError)
    expect(() => Arena.create(4096, { unitBytes: 100, shared })).toThrow(RangeError)
    expect(() => new Arena({ buffer: new ArrayBuffer(4096) })).toThrow('no arena')
  })
})

it('an arena in memory that is there leaves the rest of it alone', () => {
  const buffer = new SharedArrayBuffer(64 * 1024)
  new Uint8Array(buffer).fill(7, 0, 8192)
  const arena = Arena.create(16 * 1024, { place: { buffer, offset: 8192 } })
  const other = new Arena(arena.descriptor)
  for (let at = other.allocate(100); at >= 0; at = other.allocate(100)) {
    expect(at * 4).toBeGreaterThan(8192)
    arena.words.fill(1, at, at + 100)
  }
  expect(new Uint8Array(buffer, 0, 8192).every((byte) => byte === 7)).toBe(true)
  expect(() => Arena.create(4096, { place: { buffer, offset: 100 } })).toThrow(RangeError)
  expect(() => Arena.create(4096, { place: { buffer, offset: 61440 } })).toThrow(RangeError)
})

it('a large arena costs what is used of it', () => {
  const before = process.memoryUsage().rss
  const arena = Arena.create(3 * 2 ** 30, { unitBytes: 4096 })
  arena.words.fill(1, arena.allocate(2 ** 20), 2 ** 20)
  expect(process.memoryUsage().rss - before).toBeLessThan(200e6)
})
