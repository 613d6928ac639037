import { nativeCodecs } from '@cowherd/shim'
import { fixture, fixtureNames } from '@cowherd/fixtures'
import { openStore } from '@cowherd/store'
import { expect, test } from 'vitest'
import { bpos, POS_MIN, SPOS_MAX } from '../bpos.ts'
import { openVolume, type Volume } from '../volume.ts'
import { NodeCache } from './node-cache.ts'
import { ImageBuilder } from './node-image.ts'

const KIB = 1024

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

test('the bound holds, whatever is stored; what was given up is not found, and its slot says so', () => {
  const builder = new ImageBuilder(64 * KIB)
  const cache = new NodeCache(512 * KIB)
  const largest = 20_000 * 44
  let stored = -1
  let generation = 0
  for (let n = 0; n < 3000; n++) {
    const count = n % 97 === 0 ? 20_000 : (n * 7919) % 900
    const slot = cache.store(n, 1, 0, image(builder, count, n), POS_MIN, SPOS_MAX)
    expect(cache.find(n)).toBe(slot)
    expect(cache.keyCount(slot)).toBe(count)
    if (count > 0) {
      const words = cache.words(slot)
      const at = cache.imageAt(slot)
      expect(words[at + words[at + count - 1] + 5 + 3]).toBe(n)
      expect(words[at + words[at + count - 1] + 5 + 1]).toBe(count - 1)
    }
    expect(cache.bytes).toBeLessThanOrEqual(512 * KIB + largest)
    if (stored < 0) {
      stored = slot
      generation = cache.generation(slot)
    }
  }
  expect(cache.find(0)).toBe(-1)
  expect(cache.generation(stored)).toBeGreaterThan(generation)
  cache.clear()
  expect(cache.bytes).toBe(512 * KIB)
  for (let n = 0; n < 3000; n++) expect(cache.find(n)).toBe(-1)
})

test('an image that is stored again takes the place of the former one', () => {
  const builder = new ImageBuilder(64 * KIB)
  const cache = new NodeCache(0)
  const first = cache.store(1, 1, 0, image(builder, 3, 1), POS_MIN, bpos(9, 0))
  const generation = cache.generation(first)
  const second = cache.store(1, 2, 1, image(builder, 4, 1), POS_MIN, SPOS_MAX)
  expect(cache.find(1)).toBe(second)
  expect(cache.generation(first)).toBeGreaterThan(generation)
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
  const shown = (cacheBytes: number): string[] => {
    const stores = devices.map((path) => openStore(path, { lock: false }))
    const volume = openVolume(stores, {
      codecs: nativeCodecs(),
      cacheBytes,
      passphrase: () => (passphrase === undefined ? undefined : Buffer.from(passphrase)),
    })
    try {
      return keysOf(volume)
    } finally {
      volume.close()
    }
  }
  expect(shown(0)).toEqual(shown(64 << 20))
})
