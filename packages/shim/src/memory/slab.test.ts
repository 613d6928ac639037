import { describe, expect, it } from 'vitest'
import fc from 'fast-check'
import { bytes, struct, u16, u32, u64, u8 } from '@cowherd/kernel-lib'
import { ThreadRegistry } from '../sync/index.ts'
import { Arena } from './arena.ts'
import { recordView } from './record-view.ts'
import { Slab } from './slab.ts'

ThreadRegistry.create().enter()

describe.each([
  { shared: false, debug: false },
  { shared: true, debug: true },
])('Slab, shared: $shared, debug: $debug', ({ shared, debug }) => {
  const words = 6

  it('gives every object once', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: -3, max: 5 }), { maxLength: 400 }), (steps) => {
        const arena = Arena.create(1 << 20, { shared })
        const slab = Slab.create(arena, words * 4, { debug })
        const other = new Slab(arena, slab.at)
        const used: number[] = []
        for (const step of steps) {
          const view = step % 2 === 0 ? slab : other
          if (step < 0) {
            for (const object of used.splice(0, -step)) {
              expect(arena.words[object]).toBe(object)
              view.free(object)
            }
            continue
          }
          const object = view.allocate()
          expect(object % 2).toBe(0)
          arena.words.fill(object, object, object + words)
          used.push(object)
        }
        expect(new Set(used).size).toBe(used.length)
        for (const object of used)
          expect(arena.words.subarray(object, object + words)).toEqual(new Uint32Array(words).fill(object))
      }),
      { numRuns: 20 },
    )
  })

  it('ends when the arena is full, and goes on when something came back', () => {
    const arena = Arena.create(20_000, { shared })
    const slab = Slab.create(arena, words * 4, { debug })
    const all: number[] = []
    for (let object = slab.allocate(); object >= 0; object = slab.allocate()) all.push(object)
    expect(all.length).toBe(slab.capacity)
    expect(all.length).toBeGreaterThan(200)
    slab.free(all[7])
    expect(slab.allocate()).toBe(all[7])
    slab.destroy()
    expect(arena.freeBytes).toBe(arena.bytes)
  })

  it('hands a released hand on to other threads', () => {
    const arena = Arena.create(8192, { shared })
    const slab = Slab.create(arena, words * 4, { debug })
    const other = new Slab(arena, slab.at)
    const all: number[] = []
    for (let object = slab.allocate(); object >= 0; object = slab.allocate()) all.push(object)
    slab.free(all[0])
    expect(other.allocate()).toBe(-1)
    slab.release()
    expect(other.allocate()).toBe(all[0])
  })
})

describe('Slab in debug mode', () => {
  const arena = Arena.create(1 << 16)
  const slab = Slab.create(arena, 40, { debug: true })

  it('finds what is given back twice, or was never given', () => {
    const object = slab.allocate()
    new Slab(arena, slab.at).free(object)
    expect(() => slab.free(object)).toThrow('free already')
    expect(() => slab.free(slab.at)).toThrow('no object of the slab')
    const another = slab.allocate()
    expect(() => slab.free(another + 2)).toThrow('no object of the slab')
  })

  it('finds a mark that was written over', () => {
    const object = slab.allocate()
    arena.words[object - 2] = 0
    expect(() => slab.free(object)).toThrow('wrote over')
  })

  it('overwrites what is free', () => {
    const object = slab.allocate()
    arena.words[object + 3] = 1
    slab.free(object)
    expect(arena.words[object + 3]).toBe(0xdeadbeef)
  })
})

describe('recordView', () => {
  const Person = struct({ age: u8, flags: u8, year: u16, id: u32, big: u64, name: bytes(8) })
  const PersonView = recordView(Person)
  const arena = Arena.create(4096, { shared: false })

  it('reads and writes the fields of the structure it stands at', () => {
    const first = arena.allocate(PersonView.bytes / 4)
    const second = arena.allocate(PersonView.bytes / 4)
    const person = new PersonView(arena, first)
    const value = { age: 200, flags: 1, year: 40_000, id: 4e9, big: 2n ** 63n, name: new Uint8Array(8).fill(7) }
    Object.assign(person, value)
    expect(Person.read(arena.view, first * 4)).toEqual(value)
    person.at = second
    person.id = 5
    expect(arena.words[second + PersonView.word.id]).toBe(5)
    person.at = first
    expect({ id: person.id, big: person.big, name: person.name, year: person.year }).toEqual({
      id: 4e9,
      big: 2n ** 63n,
      name: value.name,
      year: 40_000,
    })
  })

  it('refuses names that views have themselves', () => {
    expect(() => recordView(struct({ at: u32 }))).toThrow(RangeError)
  })
})
