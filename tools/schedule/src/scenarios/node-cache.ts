/**
 * Scenarios of the node cache in `@cowherd/db`: readers, who take no lock, beside threads that give up and fill its slots. The text
 * that schedules run has a cache of two slots, in the scenario's memory.
 *
 * A node's image is four words, all of them the node's number.
 */

/* eslint-disable cowherd/imports -- what is inside the package is what these scenarios are about */
import type { NodeCacheDescriptor } from '../../../../packages/db/src/btree/node-cache-memory.ts'
import { NodeCache, type NodeFacts } from '../../../../packages/db/src/btree/node-cache.ts'
import type { ImageBuilder } from '../../../../packages/db/src/btree/node-image.ts'
import { POS_MIN, SPOS_MAX } from '../../../../packages/db/src/bpos.ts'
/* eslint-enable cowherd/imports */
import type { Scenario } from '../scenario.ts'
import { inRoom, must, prepareRoom, wordsOf } from './room.ts'

/** Where the cache's arenas lie: see `node-cache.test.ts`. */
const IMAGES_AT = 20 * 1024
const TABLE_AT = 28 * 1024
/** Words to play with: the cache's numbers, and how often each node was read. */
const HEAD = 8
const INDEX = 9
const RCU = 10
const FILLS = 0

const IMAGE_WORDS = 4
const FACTS: NodeFacts = {
  ...{ minKey: POS_MIN, maxKey: SPOS_MAX, seqLo: 1, seqHi: 0, writtenSectors: 8, generation: 1 },
  formatWords: new Uint32Array(14),
}

// what the hashtable reads is looked at in scenarios of its own
Object.assign(globalThis, { trapped: (value: number) => value })
// every run hashes alike
Math.random = () => 0.5
const TRIES_MAX = 8

class Reader {
  private readonly cache: NodeCache
  private readonly words: Int32Array

  constructor(cache: NodeCache, words: Int32Array) {
    this.cache = cache
    this.words = words
  }

  /** Comes by node `n` as a btree does: from the cache, or by reading it. */
  node(n: number): void {
    const { cache } = this
    cache.enter()
    for (let tries = 0; tries < TRIES_MAX; tries++) {
      const slot = cache.find(n)
      if (slot >= 0) {
        const sequence = cache.sequence(slot)
        if ((sequence & 1) !== 0) {
          cache.awaitFilled(slot)
          continue
        }
        const right = cache.hasIdentity(slot, n) && this.sees(slot, n)
        if (!cache.isUnchanged(slot, sequence)) continue
        if (!cache.hasIdentity(slot, n)) continue
        must(right, 'what is believed is the node')
        break
      }
      const claimed = cache.claim(n, -1, 0)
      if (claimed < 0) continue
      this.fill(claimed, n)
      break
    }
    cache.leave()
  }

  /** Reads node `n`, which is not cached, and looks at it: nobody may have taken it away meanwhile. */
  miss(n: number): void {
    const { cache } = this
    cache.enter()
    const claimed = cache.claim(n, -1, 0)
    if (claimed >= 0) this.fill(claimed, n)
    cache.leave()
  }

  /** Claims node `n`, and can't read it. */
  fail(n: number): void {
    const { cache } = this
    cache.enter()
    const claimed = cache.claim(n, -1, 0)
    if (claimed >= 0) cache.abandon(claimed)
    cache.leave()
  }

  private fill(claimed: number, n: number): void {
    const { cache } = this
    Atomics.add(this.words, FILLS + n, 1)
    const slot = cache.fill(claimed, n, 1, 0, imageOf(n), FACTS)
    const sequence = cache.sequence(slot)
    must(this.sees(slot, n), 'who has read a node sees it')
    must(cache.isUnchanged(slot, sequence), 'a pinned node stays')
  }

  /** Whether the slot's image is node `n`, word by word. */
  private sees(slot: number, n: number): boolean {
    const words = this.cache.words(slot)
    const at = this.cache.imageAt(slot)
    for (let i = 0; i < IMAGE_WORDS; i++) if (Atomics.load(words, at + i) !== n) return false
    return true
  }
}

function imageOf(n: number): ImageBuilder {
  const image = {
    count: 1,
    imageWords: IMAGE_WORDS,
    store(words: Uint32Array, at: number): void {
      for (let i = 0; i < IMAGE_WORDS; i++) Atomics.store(words, at + i, n)
    },
  }
  return image as unknown as ImageBuilder
}

function on(
  cached: readonly number[],
  acts: readonly ((reader: Reader) => void)[],
  check: (fills: (n: number) => number) => void = () => undefined,
  more: Partial<Scenario> = {},
): Scenario {
  return {
    prepare(memory) {
      forget()
      prepareRoom(memory, acts.length)
      placeArenas(memory)
      const cache = NodeCache.create(0, true)
      const words = wordsOf(memory)
      const { head, index, rcu } = cache.descriptor
      words[HEAD] = head
      words[INDEX] = index
      words[RCU] = rcu?.offset ?? 0
      const reader = new Reader(cache, new Int32Array(16))
      for (const n of cached) reader.miss(n)
      cache.close()
    },
    threads: acts.map((act, thread) =>
      inRoom(thread, (memory, words) => {
        forget()
        const reader = new Reader(new NodeCache(descriptorOf(memory)), words)
        return () => act(reader)
      }),
    ),
    check: (memory) => check((n) => wordsOf(memory)[FILLS + n]),
    ...more,
  }
}

/** The views that a thread had in the run before. */
function forget(): void {
  ;(globalThis as { rcuViews?: Map<number, unknown> }).rcuViews?.clear()
}

/** The text's own `Arena.create` calls ask for these. */
function placeArenas(buffer: SharedArrayBuffer): void {
  Object.assign(globalThis, {
    imagesPlace: { buffer, offset: IMAGES_AT },
    tablePlace: { buffer, offset: TABLE_AT },
  })
}

function descriptorOf(buffer: SharedArrayBuffer): NodeCacheDescriptor {
  const words = wordsOf(buffer)
  return {
    images: { buffer, offset: IMAGES_AT },
    table: { buffer, offset: TABLE_AT },
    head: words[HEAD],
    index: words[INDEX],
    rcu: { buffer, offset: words[RCU] },
  }
}

const reads =
  (...nodes: readonly number[]) =>
  (reader: Reader): void => {
    for (const n of nodes) reader.node(n)
  }

export const scenarios: Readonly<Record<string, Scenario>> = {
  'a reader, and one who takes its node away': on([1, 2], [reads(2), reads(3)]),
  'two miss one node: it is read once': on([], [reads(1), reads(1)], (fills) =>
    must(fills(1) === 1, 'a node that two threads miss is read once'),
  ),
  'one misses a node, the other two: what was just read stays': on(
    [1, 2],
    [
      (reader) => reader.miss(3),
      (reader) => {
        reader.miss(4)
        reader.miss(5)
      },
    ],
  ),
  'one can not read its node, the other waits for it': on([], [(r) => r.fail(1), reads(1)]),
  'a reader of both, and one who takes both away': on([1, 2], [reads(1, 2), reads(3, 4)], undefined, { isLarge: true }),
  'three threads, three nodes, two slots': on([1], [reads(1, 2), reads(2, 3), reads(3, 1)], undefined, {
    isLarge: true,
  }),
}
