import { nativeCodecs, ThreadRegistry } from '@cowherd/shim'
import { fixture, fixtureNames } from '@cowherd/fixtures'
import { openStore } from '@cowherd/store'
import { describe, expect, test } from 'vitest'
import { bpos, POS_MIN, SPOS_MAX } from '../bpos.ts'
import { openVolume, type Volume } from '../volume.ts'
import { NodeCache, type NodeFacts } from './node-cache.ts'
import { ImageBuilder } from './node-image.ts'
import { keyAt } from './node-order.ts'

const KIB = 1024

ThreadRegistry.create().enter()

/** An image of `count` keys without values; their inode is `mark`. */
function image(builder: ImageBuilder, count: number, mark: number): ImageBuilder {
  builder.reset()
  for (let i = 0; i < count; i++) {
    builder.room()
    const at = builder.used
    builder.heap.fill(0, at, at + 10)
    builder.heap[at] = 5 | 0x100 | (25 << 16)
    builder.heap.set(bpos(mark, i), at + 5)
    builder.append(10)
  }
  builder.merge()
  return builder
}

/** Caches the image under `identity`, as a reader that missed it does. Returns its slot. */
function factsOf(minKey: Uint32Array, maxKey: Uint32Array): NodeFacts {
  return { minKey, maxKey, seqLo: 1, seqHi: 0, writtenSectors: 8, generation: 1, formatWords: new Uint32Array(14) }
}

function store(
  cache: NodeCache,
  identity: number,
  place: readonly [number, number],
  builder: ImageBuilder,
  max = SPOS_MAX,
): number {
  cache.enter()
  const present = cache.find(identity)
  const claimed = cache.claim(identity, present, present < 0 ? 0 : cache.sequence(present))
  const slot = cache.fill(claimed, identity, ...place, builder, factsOf(POS_MIN, max))
  cache.leave()
  return slot
}

describe.each([{ shared: false }, { shared: true }])('a node cache, shared: $shared', ({ shared }) => {
  test('what fits is kept', () => {
    const builder = new ImageBuilder(64 * KIB)
    const cache = NodeCache.create(512 * KIB, shared)
    for (let n = 0; n < 20; n++) store(cache, n, [1, 0], image(builder, 100, n))
    for (let n = 0; n < 20; n++) expect(cache.find(n)).toBeGreaterThan(0)
    expect(cache.state).toMatchObject({ nodes: 20, evictions: 0 })
    cache.close()
  })

  test('the bound holds, whatever is stored; what was given up is not found, and its slot says so', () => {
    const builder = new ImageBuilder(64 * KIB)
    const cache = NodeCache.create(512 * KIB, shared)
    const largest = 20_000 * 48
    let stored = -1
    let sequence = 0
    for (let n = 0; n < 3000; n++) {
      const count = n % 97 === 0 ? 20_000 : (n * 7919) % 900
      const slot = store(cache, n, [1, 0], image(builder, count, n))
      expect(cache.find(n)).toBe(slot)
      expect(cache.keyCount(slot)).toBe(count)
      if (count > 0) {
        const words = cache.words(slot)
        const at = cache.imageAt(slot)
        expect(words[keyAt(words, at, count - 1) + 5 + 3]).toBe(n)
        expect(words[keyAt(words, at, count - 1) + 5 + 1]).toBe(count - 1)
      }
      expect(cache.bytes).toBeLessThanOrEqual(512 * KIB + 2 * largest)
      if (stored < 0 && n % 97 !== 0) {
        stored = slot
        sequence = cache.sequence(slot)
      }
    }
    expect(cache.find(1)).toBe(-1)
    expect(cache.isUnchanged(stored, sequence)).toBe(false)
    cache.clear()
    expect(cache.bytes).toBe(512 * KIB)
    expect(cache.state).toMatchObject({ nodes: 0, misses: 3000 })
    for (let n = 0; n < 3000; n++) expect(cache.find(n)).toBe(-1)
    cache.close()
  })

  test('an image that is stored again takes the place of the former one', () => {
    const builder = new ImageBuilder(64 * KIB)
    const cache = NodeCache.create(0, shared)
    const first = store(cache, 1, [1, 0], image(builder, 3, 1), bpos(9, 0))
    const sequence = cache.sequence(first)
    const second = store(cache, 1, [2, 1], image(builder, 4, 1))
    expect(cache.find(1)).toBe(second)
    expect(cache.isUnchanged(first, sequence)).toBe(false)
    expect(cache.state.nodes).toBe(1)
  })

  test('a node that could not be read leaves nothing behind', () => {
    const cache = NodeCache.create(0, shared)
    for (let n = 0; n < 100; n++) {
      cache.enter()
      const claimed = cache.claim(n, -1, 0)
      expect(cache.sequence(claimed) & 1).toBe(1)
      cache.abandon(claimed)
      expect(cache.find(n)).toBe(-1)
    }
    expect(cache.state).toMatchObject({ nodes: 0, evictions: 0 })
  })
})

test('what a thread has pinned stays; when all is pinned, a node lies beside the cache', () => {
  const builder = new ImageBuilder(64 * KIB)
  const cache = NodeCache.create(0, true)
  const others = Array.from({ length: 16 }, () => new NodeCache(cache.descriptor))
  const small = image(builder, 10, 1)
  cache.enter() // all of them: one thread has one view of what RCU protects
  others.forEach((other, n) => other.fill(other.claim(n, -1, 0), n, 1, 0, small, factsOf(POS_MIN, SPOS_MAX)))
  const slot = store(cache, 99, [1, 0], image(builder, 10, 99))
  expect(cache.find(99)).toBe(slot)
  expect(others[0].find(99)).toBe(-1)
  cache.enter()
  for (let n = 0; n < 16; n++) expect(cache.find(n)).toBeGreaterThan(0)

  others[3].leave()
  store(cache, 100, [1, 0], image(builder, 10, 100))
  expect(others[0].find(100)).toBeGreaterThan(0)
  expect(cache.find(3)).toBe(-1)
  for (const other of others) other.close()
})

test('of two threads that miss a node, the second finds that it is being read', () => {
  const builder = new ImageBuilder(64 * KIB)
  const one = NodeCache.create(0, true)
  const two = new NodeCache(one.descriptor)
  one.enter()
  const claimed = one.claim(7, -1, 0)
  expect(two.claim(7, -1, 0)).toBe(-1)
  const found = two.find(7)
  expect(found).toBe(claimed)
  expect(two.sequence(found) & 1).toBe(1)
  one.fill(claimed, 7, 1, 0, image(builder, 5, 7), factsOf(POS_MIN, SPOS_MAX))
  two.awaitFilled(found)
  expect(two.sequence(found) & 1).toBe(0)
  expect(two.keyCount(found)).toBe(5)
})

/** The positions of all keys at all levels, in order, and what seeking from a few places on finds. */
function keysOf(volume: Volume): string[] {
  const lines: string[] = []
  for (const btree of volume.btreeIds) {
    for (let level = volume.rootLevel(btree); level >= 0; level--) {
      const cursor = volume.cursor(btree, level)
      const { key } = cursor
      for (let found = cursor.seek(POS_MIN); found; found = cursor.next()) {
        lines.push(`${btree} ${level} ${key.posText} ${key.type} ${Buffer.from(key.value).toString('base64')}`)
      }
    }
    // Here and there, so that every other node is read again.
    const cursor = volume.cursor(btree)
    for (let i = 0; i < 40; i++) {
      const found = cursor.seek(bpos((i * 7919) % 5000, (i * 104729) % 50000))
      lines.push(`${btree} from ${i}: ${found ? cursor.key.posText : 'nothing'}`)
    }
  }
  return lines
}

test.each(fixtureNames())('%s shows the same keys through the least cache as through a large one', (name) => {
  const { devices, passphrase } = fixture(name)
  const shown = (cacheBytes: number, shared = false): string[] => {
    const stores = devices.map((path) => openStore(path, { lock: false }))
    const volume = openVolume(stores, {
      codecs: nativeCodecs(),
      cacheBytes,
      shared,
      passphrase: () => (passphrase === undefined ? undefined : Buffer.from(passphrase)),
    })
    try {
      return keysOf(volume)
    } finally {
      volume.close()
    }
  }
  const expected = shown(64 << 20)
  expect(shown(0)).toEqual(expected)
  expect(shown(0, true)).toEqual(expected)
})
