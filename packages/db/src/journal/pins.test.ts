import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { Pins } from './pins.ts'

describe('pins', () => {
  test('the oldest one says what is needed', () => {
    const pins = new Pins()
    expect(pins.oldest()).toBe(Infinity)
    const [a, b, c] = [pins.pin(5), pins.pin(5), pins.pin(7)]
    expect([pins.oldest(), pins.count]).toEqual([5, 3])
    pins.release(a)
    expect(pins.oldest()).toBe(5)
    pins.release(c)
    expect(pins.oldest()).toBe(5)
    pins.release(b)
    expect([pins.oldest(), pins.count]).toEqual([Infinity, 0])
  })

  test('one that is older than others gets its place', () => {
    const pins = new Pins()
    const first = pins.pin(10)
    pins.pin(12)
    const older = pins.pin(8)
    expect(pins.oldest()).toBe(8)
    expect([pins.first, pins.after(pins.first)]).toEqual([older, first])
    pins.release(older)
    expect(pins.oldest()).toBe(10)
  })

  test('what a closed entry gave up is not pinned any more', () => {
    const pins = new Pins()
    const pin = pins.pin(3)
    expect(pins.settle(5)).toBe(3)
    pins.pin(3)
    expect(() => pins.pin(2)).toThrow(RangeError)
    pins.release(pin)
    pins.release(pins.first)
    expect(pins.settle(6)).toBe(6)
    expect(() => pins.pin(5)).toThrow(RangeError)
    expect(() => pins.pin(NaN)).toThrow(RangeError)
    expect(pins.count).toBe(0)
  })

  test('a pin is released once', () => {
    const pins = new Pins()
    const pin = pins.pin(1)
    pins.release(pin)
    expect(() => pins.release(pin)).toThrow('is not held')
    expect(() => pins.release(7)).toThrow('is not held')
    expect(() => pins.release(-1)).toThrow('is not held')
    expect(pins.pin(2)).toBe(pin)
  })

  test('whatever is pinned and released, they are in order', () => {
    const step = fc.oneof(
      fc.record({ kind: fc.constant('pin' as const), back: fc.nat(3) }),
      fc.record({ kind: fc.constant('release' as const), which: fc.nat(1000) }),
    )
    fc.assert(
      fc.property(fc.array(step, { maxLength: 400 }), (steps) => {
        const pins = new Pins()
        const held: { pin: number; seq: number }[] = []
        let seq = 10
        for (const each of steps) {
          if (each.kind === 'pin') {
            seq++
            held.push({ pin: pins.pin(seq - each.back), seq: seq - each.back })
          } else if (held.length > 0) {
            const [{ pin }] = held.splice(each.which % held.length, 1)
            pins.release(pin)
          }
          const seqs = held.map((one) => one.seq).sort((a, b) => a - b)
          expect(pins.oldest()).toBe(seqs[0] ?? Infinity)
          const walked: number[] = []
          for (let pin = pins.first; pin >= 0; pin = pins.after(pin)) walked.push(pins.seqOf(pin))
          expect(walked).toEqual(seqs)
        }
      }),
      { numRuns: 50 },
    )
  })
})
