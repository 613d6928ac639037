/** The heap against a sorted array. */

import fc from 'fast-check'
import { expect, it } from 'vitest'
import { TimerHeap } from './timer-heap.ts'

const CAPACITY = 8

const change = fc.record({ slot: fc.nat(CAPACITY - 1), time: fc.option(fc.nat(20)) })

it('gives what is due, earliest first, whatever is set, changed and removed', () => {
  fc.assert(
    fc.property(fc.array(change, { maxLength: 40 }), fc.constantFrom(0, 5, 20, Infinity), (changes, now) => {
      const heap = new TimerHeap(
        new Int32Array(new SharedArrayBuffer(4 * (3 + TimerHeap.words(CAPACITY)))),
        3,
        CAPACITY,
      )
      const model = new Map<number, number>()
      for (const { slot, time } of changes) {
        if (time === null) {
          expect(heap.remove(slot)).toBe(model.delete(slot))
        } else {
          heap.set(slot, time)
          model.set(slot, time)
        }
        expect(heap.has(slot)).toBe(model.has(slot))
        expect(heap.size).toBe(model.size)
        expect(heap.firstDueMs).toBe(Math.min(...model.values()))
      }
      for (let last = -1; ;) {
        const slot = heap.takeDue(now)
        if (slot < 0) break
        const time = model.get(slot) ?? -1
        expect(time).toBe(Math.min(...model.values()))
        expect(time).toBeGreaterThanOrEqual(last)
        last = time
        model.delete(slot)
      }
      expect([...model.values()].every((time) => time > now)).toBe(true)
    }),
  )
})
