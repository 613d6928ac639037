/** The hashtable in one thread: as a model says. What several threads do with it: tools/schedule. */

import { Arena, Rcu, ThreadRegistry } from '@cowherd/shim'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { hashWords, seedOf } from './hash.ts'
import { HashTable, type HashTableOptions } from './index.ts'

const registry = ThreadRegistry.create(4)
registry.enter()

/** Objects of this test: link | key of two words | value. */
const OBJECT_WORDS = 4
const KEY_AT = 1

interface World {
  readonly arena: Arena
  readonly table: HashTable
  readonly rcu: Rcu | undefined
}

/** A hashtable in memory of its own: for one thread, or for many. */
function worldOf(isShared: boolean, bytes = 1 << 20, options: Partial<HashTableOptions> = {}): World {
  const arena = Arena.create(bytes, { unitBytes: 16, shared: isShared })
  const rcu = isShared ? Rcu.create(registry) : undefined
  rcu?.online()
  const table = HashTable.create(arena, {
    keyAt: KEY_AT,
    keyWords: 2,
    ...(rcu === undefined ? {} : { rcu }),
    ...options,
  })
  return { arena, table, rcu }
}

function newObject({ arena }: World, key: number, value = 0): number {
  const at = arena.allocate(OBJECT_WORDS)
  expect(at).toBeGreaterThan(0)
  arena.ints[at + KEY_AT] = key
  arena.ints[at + KEY_AT + 1] = ~key
  arena.ints[at + 3] = value
  return at
}

function keysOf({ arena, table }: World): number[] {
  return [...table.walk()].map((at) => arena.ints[at + KEY_AT])
}

/** Everything that is pending is done. */
function settle({ table, rcu }: World): void {
  for (let i = 0; i < 10_000 && table.state().work !== 'idle'; i++) {
    table.maintenance.step()
    rcu?.quiescent()
  }
  expect(table.state().work).toBe('idle')
}

const ascending = (a: number, b: number) => a - b

describe.each([
  ['for one thread', false],
  ['for many', true],
])('a table %s', (_, isShared) => {
  it('finds what was inserted, and nothing else', () => {
    const world = worldOf(isShared)
    const { table } = world
    const one = newObject(world, 1)
    expect(table.lookup(1, ~1)).toBe(0)
    expect(table.insert(one)).toBe(true)
    expect(table.lookup(1, ~1)).toBe(one)
    expect(table.lookup(1, 1)).toBe(0)
    expect(table.lookupKey(Int32Array.of(9, 1, ~1), 1)).toBe(one)
    const other = newObject(world, 1)
    expect(table.insert(other)).toBe(false)
    expect(table.lookupOrInsert(other)).toBe(one)
    expect(table.replace(one, other)).toBe(true)
    expect(table.replace(one, other)).toBe(false)
    expect(table.lookup(1, ~1)).toBe(other)
    expect(table.remove(one)).toBe(false)
    expect(table.remove(other)).toBe(true)
    expect(table.removeKey(1, ~1)).toBe(0)
    expect(table.size).toBe(0)
    expect(() => table.replace(one, newObject(world, 2))).toThrow(RangeError)
  })

  it('grows and shrinks with what is in it', () => {
    const world = worldOf(isShared)
    const { table } = world
    const objects = Array.from({ length: 3000 }, (_, key) => newObject(world, key))
    for (const object of objects) {
      expect(table.insert(object)).toBe(true)
      world.rcu?.quiescent()
    }
    settle(world)
    expect(table.size).toBe(3000)
    expect(table.state().buckets).toBe(4096)
    objects.forEach((object, key) => expect(table.lookup(key, ~key)).toBe(object))
    expect(keysOf(world).sort(ascending)).toEqual(objects.map((_, key) => key))
    for (const object of objects.slice(10)) {
      expect(table.remove(object)).toBe(true)
      world.rcu?.quiescent()
    }
    settle(world)
    expect(table.state().buckets).toBeLessThanOrEqual(64)
    expect(keysOf(world).sort(ascending)).toEqual(objects.slice(0, 10).map((_, key) => key))
  })

  it('does what a Map does', () => {
    const key = fc.nat(40)
    const step = fc.oneof(
      fc.record({ insert: key }),
      fc.record({ remove: key }),
      fc.record({ replace: key }),
      fc.record({ place: key }),
      fc.record({ step: fc.integer({ min: 1, max: 4 }) }),
      fc.record({ many: fc.integer({ min: 50, max: 300 }) }),
      fc.constant({ quiescent: true }),
    )
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), fc.integer(), (steps, seed) => {
        const world = worldOf(isShared, 1 << 18, { seed })
        const { table, rcu } = world
        const model = new Map<number, number>()
        for (const each of steps) {
          if ('insert' in each) {
            const object = newObject(world, each.insert)
            expect(table.insert(object)).toBe(!model.has(each.insert))
            if (!model.has(each.insert)) model.set(each.insert, object)
          } else if ('remove' in each) {
            expect(table.removeKey(each.remove, ~each.remove)).toBe(model.get(each.remove) ?? 0)
            model.delete(each.remove)
          } else if ('replace' in each) {
            const old = model.get(each.replace)
            if (old === undefined) continue
            const object = newObject(world, each.replace)
            expect(table.replace(old, object)).toBe(true)
            model.set(each.replace, object)
          } else if ('place' in each) {
            const object = newObject(world, each.place)
            expect(table.lookupOrInsert(object)).toBe(model.get(each.place) ?? object)
            model.set(each.place, model.get(each.place) ?? object)
          } else if ('step' in each) {
            table.maintenance.step(each.step)
          } else if ('many' in each) {
            const objects = Array.from({ length: each.many }, (_, i) => newObject(world, 1000 + i))
            for (const object of objects) expect(table.insert(object)).toBe(true)
            for (const object of objects) expect(table.remove(object)).toBe(true)
          } else {
            rcu?.quiescent()
          }
          expect(table.size).toBe(model.size)
        }
        for (let k = 0; k <= 40; k++) expect(table.lookup(k, ~k)).toBe(model.get(k) ?? 0)
        expect([...new Set(table.walk())].sort(ascending)).toEqual([...model.values()].sort(ascending))
      }),
      { numRuns: 200 },
    )
  })

  it('is walked while it changes: what stays is seen', () => {
    fc.assert(
      fc.property(fc.integer(), fc.array(fc.nat(999), { maxLength: 300 }), (seed, extra) => {
        const world = worldOf(isShared, 1 << 20, { seed })
        const { table, arena, rcu } = world
        for (let key = 0; key < 100; key++) table.insert(newObject(world, key))
        const seen = new Set<number>()
        let turn = 0
        for (const object of table.walk()) {
          seen.add(arena.ints[object + KEY_AT])
          const key = 1000 + (extra[turn++] ?? -1)
          if (key < 1000) continue
          const existing = table.removeKey(key, ~key)
          if (existing === 0) table.insert(newObject(world, key))
          if (turn % 3 === 0) rcu?.quiescent()
        }
        for (let key = 0; key < 100; key++) expect(seen.has(key)).toBe(true)
      }),
      { numRuns: 100 },
    )
  })

  it('goes on with longer chains when there is no memory to grow', () => {
    const arenaBytes = 1 << 16
    const world = worldOf(isShared, arenaBytes)
    const { table, arena } = world
    const objects: number[] = []
    for (let key = 0; arena.freeBytes >= 4 * OBJECT_WORDS; key++) {
      const object = newObject(world, key)
      objects.push(object)
      expect(table.insert(object)).toBe(true)
      world.rcu?.quiescent()
    }
    expect(table.state().refused).toBeGreaterThan(0)
    objects.forEach((object, key) => expect(table.lookup(key, ~key)).toBe(object))
    for (const object of objects) {
      expect(table.remove(object)).toBe(true)
      arena.deallocate(object)
      world.rcu?.quiescent()
    }
    expect(table.size).toBe(0)
    settle(world)
    table.destroy()
    expect(arena.freeBytes).toBe(arena.bytes)
  })

  it('has keys of any length', () => {
    const arena = Arena.create(1 << 20, { shared: isShared })
    const rcu = isShared ? Rcu.create(registry) : undefined
    rcu?.online()
    const table = HashTable.create(arena, { keyAt: 1, keyWords: 'counted', ...(rcu === undefined ? {} : { rcu }) })
    const key = (length: number, fill: number) =>
      Int32Array.from({ length: 1 + Math.ceil(length / 4) }, (_, i) => (i === 0 ? length : fill))
    for (let length = 0; length < 200; length++) {
      const words = key(length, 7)
      const at = arena.allocate(1 + words.length)
      arena.ints.set(words, at + 1)
      expect(table.insert(at)).toBe(true)
    }
    for (let length = 0; length < 200; length++) {
      const found = table.lookupKey(key(length, 7))
      expect(arena.ints[found + 1]).toBe(length)
      expect(table.lookupKey(key(length, 8))).toBe(length === 0 ? found : 0)
      expect(table.takeOut(key(length, 7))).toBe(found)
    }
    expect(table.size).toBe(0)
  })
})

describe('a table', () => {
  it('takes another seed when a chain is too long', () => {
    const world = worldOf(false, 1 << 20, { expected: 1 << 12, seed: 1 })
    const { table } = world
    const { resizes } = table.state()
    const objects = collidingKeys(world, 40)
    for (const object of objects) expect(table.insert(object)).toBe(true)
    settle(world)
    expect(table.state().resizes).toBeGreaterThan(resizes)
    for (const object of objects) expect(table.lookupKey(world.arena.ints, object + KEY_AT)).toBe(object)
  })

  it('is refused where there is none, without memory, and with keys of nothing', () => {
    const arena = Arena.create(4096, { shared: false })
    expect(() => new HashTable(arena, arena.allocate(64))).toThrow(RangeError)
    expect(() => HashTable.create(arena, { keyAt: 0, keyWords: 2 })).toThrow(RangeError)
    expect(() => HashTable.create(arena, { keyAt: 1, keyWords: 2, expected: 100_000 })).toThrow(RangeError)
  })

  it('is for threads that are online', () => {
    const world = worldOf(true)
    const object = newObject(world, 1)
    world.rcu?.offline()
    expect(() => world.table.insert(object)).toThrow('offline')
  })

  it('is opened by a descriptor', () => {
    const world = worldOf(true)
    const object = newObject(world, 5)
    world.table.insert(object)
    const other = HashTable.open(world.table.describe(world.arena))
    expect(other.lookup(5, ~5)).toBe(object)
  })
})

/** Objects whose keys fall into one bucket of the table's first seed. */
function collidingKeys(world: World, count: number): number[] {
  const objects: number[] = []
  for (let key = 0; objects.length < count; key++) {
    if (isInFirstBucket(key)) objects.push(newObject(world, key))
  }
  return objects
}

function isInFirstBucket(key: number): boolean {
  return (hashWords(seedOf(1, 1), key, ~key, 0, 2) & 0x1fff) === 0
}
