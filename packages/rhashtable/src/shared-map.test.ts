/** The map in one thread: as a Map, but for what is said. What several threads do with it: tools/schedule. */

import { enteredRegistry } from '@cowherd/shim'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { SharedMap, SharedMapFullError } from './index.ts'

const values = fc.oneof(
  fc.double(),
  fc.string({ unit: 'binary' }),
  fc.constantFrom(undefined, null, true, false, ''),
  fc.uint8Array(),
  fc.anything({ withBigInt: true, withDate: true, withMap: true, withSet: true, maxDepth: 3 }),
)
const keys = fc.oneof(fc.nat(20), fc.double(), fc.string({ maxLength: 3 }), fc.string({ unit: 'binary', maxLength: 3 }))

describe('SharedMap', () => {
  it('keeps keys and values of all kinds', () => {
    const map = SharedMap.create<string | number | Uint8Array>({ bytes: 1 << 22 })
    fc.assert(
      fc.property(fc.oneof(keys, fc.uint8Array({ maxLength: 5 })), values, (key, value) => {
        fc.pre(isStorable(value))
        map.set(key, value)
        expect(map.get(key)).toEqual(value)
        expect(map.get(typeof key === 'object' ? Uint8Array.from(key) : key)).toEqual(value)
        expect(map.has(key)).toBe(true)
        expect([...map].length).toBe(map.size)
      }),
      { numRuns: 300 },
    )
  })

  it('does what a Map does', () => {
    const step = fc.oneof(
      fc.record({ set: keys, value: fc.nat() }),
      fc.record({ delete: keys }),
      fc.record({ insert: keys, value: fc.nat() }),
      fc.record({ add: keys }),
      fc.record({ compare: keys, with: fc.nat(3), value: fc.nat(3) }),
      fc.constant({ clear: true }),
    )
    fc.assert(
      fc.property(fc.array(step, { maxLength: 100 }), (steps) => {
        const map = SharedMap.create<string | number, number>({ bytes: 1 << 20 })
        const model = new Map<string | number, number>()
        for (const each of steps) {
          if ('set' in each) {
            map.set(each.set, each.value)
            model.set(each.set, each.value)
          } else if ('delete' in each) {
            expect(map.delete(each.delete)).toBe(model.delete(each.delete))
          } else if ('insert' in each) {
            const value = model.get(each.insert) ?? each.value
            model.set(each.insert, value)
            expect(map.getOrInsert(each.insert, each.value)).toBe(value)
          } else if ('add' in each) {
            const value = (model.get(each.add) ?? 0) + 1
            model.set(each.add, value)
            expect(map.update(each.add, (old = 0) => old + 1)).toBe(value)
          } else if ('compare' in each) {
            const isSame = model.get(each.compare) === each.with
            expect(map.compareAndSet(each.compare, each.with, each.value)).toBe(isSame)
            if (isSame) model.set(each.compare, each.value)
          } else {
            map.clear()
            model.clear()
          }
          expect(map.size).toBe(model.size)
        }
        expect(new Map(map)).toEqual(model)
        expect([...map.keys()].length).toBe(model.size)
        expect([...map.values()].sort()).toEqual([...model.values()].sort())
      }),
      { numRuns: 100 },
    )
  })

  it('puts in what is not there, takes out what is, in one step', () => {
    const map = SharedMap.create<string, number>({ bytes: 1 << 16 })
    expect(map.compareAndSet('a', undefined, 1)).toBe(true)
    expect(map.compareAndSet('a', undefined, 2)).toBe(false)
    expect(map.compareAndSet('a', 1, undefined)).toBe(true)
    expect(map.has('a')).toBe(false)
    expect(map.update('a', () => undefined)).toBe(undefined)
    expect(map.getOrInsertComputed('b', (key) => key.length)).toBe(1)
    expect(map.update('b', () => undefined)).toBe(undefined)
    expect(map.size).toBe(0)
  })

  it('says when it is full, and goes on when something is deleted', () => {
    const map = SharedMap.create<number, string>({ bytes: 1 << 16 })
    let count = 0
    const fill = () => {
      for (;;) map.set(count++, 'x'.repeat(100))
    }
    expect(fill).toThrow(SharedMapFullError)
    const free = map.freeBytes
    count--
    for (let round = 0; round < 1000; round++) {
      expect(map.delete(round % count)).toBe(true)
      map.set(round % count, 'y'.repeat(100))
    }
    expect(map.size).toBe(count)
    expect(map.get(0)).toMatch(/^y+$/)
    map.clear()
    expect(map.size).toBe(0)
    expect(map.freeBytes).toBeGreaterThan(free)
  })

  it('refuses what it can not keep', () => {
    const map = SharedMap.create({ bytes: 1 << 16 })
    const circle: unknown[] = []
    circle.push(circle)
    expect(() => map.set('circle', circle)).toThrow(TypeError)
    expect(() => map.set('function', () => 1)).toThrow(TypeError)
    expect(() => map.set('floats', new Float32Array(1))).toThrow(TypeError)
    // @ts-expect-error: no key
    expect(() => map.set(true, 1)).toThrow(TypeError)
    expect(map.size).toBe(0)
    expect(enteredRegistry()).toBeDefined()
  })

  it('is seen by every view', () => {
    const map = SharedMap.create<string, number>({ bytes: 1 << 16 })
    const view = new SharedMap<string, number>(structuredClone(map.descriptor))
    view.set('a', 1)
    expect(map.get('a')).toBe(1)
    for (const [key] of map) view.delete(key)
    expect(map.size).toBe(0)
  })
})

/** Whether our notion of plain objects and fast-check's are the same. */
function isStorable(value: unknown): boolean {
  if (typeof value === 'symbol' || typeof value === 'function') return false
  if (typeof value !== 'object' || value === null) return true
  if (ArrayBuffer.isView(value)) return value instanceof Uint8Array
  if (value instanceof Map) return [...value].flat().every(isStorable)
  if (value instanceof Set) return [...value].every(isStorable)
  if (value instanceof Date) return true
  if (Array.isArray(value)) return value.every((item, i) => i in value && isStorable(item))
  const prototype: unknown = Object.getPrototypeOf(value)
  return (
    prototype === Object.prototype &&
    !('__proto__' in Object.getOwnPropertyDescriptors(value)) &&
    Object.values(value).every(isStorable)
  )
}
