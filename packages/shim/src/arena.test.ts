import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Arena } from './arena.ts'

describe('Arena', () => {
  it('gives out pieces that never overlap, and joins what is given back', () => {
    const step = fc.oneof(fc.record({ take: fc.integer({ min: 1, max: 5000 }) }), fc.record({ giveBack: fc.nat() }))
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 40 }), fc.array(step, { maxLength: 60 }), (units, steps) => {
        const arena = new Arena(units * 1024, 1024)
        const pieces: { at: number; words: number }[] = []
        for (const each of steps) {
          if ('take' in each) {
            const at = arena.allocate(each.take)
            if (at < 0) continue
            expect(at + each.take).toBeLessThanOrEqual(arena.words.length)
            for (const other of pieces) {
              expect(at + each.take <= other.at || other.at + other.words <= at).toBe(true)
            }
            pieces.push({ at, words: each.take })
          } else if (pieces.length > 0) {
            arena.deallocate(pieces.splice(each.giveBack % pieces.length, 1)[0].at)
          }
        }
        for (const piece of pieces) arena.deallocate(piece.at)
        expect(arena.allocate(arena.largest)).toBeGreaterThanOrEqual(0)
      }),
    )
  })

  it('refuses to take back what is not in use', () => {
    const arena = new Arena(4096, 1024)
    const at = arena.allocate(256)
    arena.deallocate(at)
    expect(() => arena.deallocate(at)).toThrow(RangeError)
    expect(() => arena.deallocate(512)).toThrow(RangeError)
  })
})
