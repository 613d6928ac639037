/**
 * The memory of a node cache: an arena for images, and one for everything else, in which lie the head, the rows (`node-row.ts`) and the index.
 * It says all that a thread needs to know for a view of its own.
 *
 *     head    0 first row | 1 rows | 2 first vacant row | 3 clock's hand | 4-7 counts | 8-15 mutex | 16 bound
 */

import { HashTable } from '@cowherd/rhashtable'
import { Arena, Mutex, Rcu, SixLock, ThreadRegistry, type ArenaDescriptor, type SharedPlace } from '@cowherd/shim'
import * as row from './node-row.ts'

/** Words of the head. */
export const FIRST_ROW = 0
export const ROWS = 1
export const VACANT = 2 // first vacant row
export const HAND = 3
export const NODES = 4
export const HITS = 5
export const MISSES = 6
export const EVICTIONS = 7
export const MUTEX = 8
/** Bytes of images from which on others are given up, although there is more memory. */
export const SOFT_BYTES = MUTEX + Mutex.bytes / 4
const HEAD_WORDS = SOFT_BYTES + 1

/** Unit of memory for images. */
export const UNIT_BYTES = 16 << 10
/** The least size of a cache. It works with any; who asks for so little reads most nodes again and again. */
const BYTES_MIN = 16 * UNIT_BYTES
/** Bytes of the index for each row, and of a second one while it is rehashed. */
const INDEX_BYTES = 32
/** For the threads' own rows, and what the index keeps for each of them. */
const TABLE_SPARE_BYTES = 1 << 18
const NO_BOUND = 0xffffffff

/** What another thread needs to have the same cache: it can be posted. */
export interface NodeCacheDescriptor {
  readonly images: ArenaDescriptor
  readonly table: ArenaDescriptor
  /** Words of the table at which the cache's head and its index lie. */
  readonly head: number
  readonly index: number
  /** Of those threads that share it. */
  readonly rcu: SharedPlace | undefined
}

/**
 * Makes the memory of a cache. `bytes` bounds the images. `shared`: several threads have it. `heldBytes`: how much there may be as long as nodes
 * are held that can't be given up.
 */
export function createCacheMemory(bytes: number, shared: boolean, heldBytes: number): NodeCacheDescriptor {
  const images = Arena.create(Math.max(heldBytes, bytes, BYTES_MIN), { unitBytes: UNIT_BYTES, shared })
  const rows = Math.floor((heldBytes > bytes ? Math.max(bytes, BYTES_MIN) : images.bytes) / UNIT_BYTES)
  const table = Arena.create(2 * rows * (row.ROW_WORDS * 4 + INDEX_BYTES) + TABLE_SPARE_BYTES, { shared })
  const { words } = table
  const head = newPiece(table, HEAD_WORDS)
  const firstRow = newPiece(table, rows * row.ROW_WORDS)
  words[head + FIRST_ROW] = firstRow
  words[head + SOFT_BYTES] = heldBytes > bytes ? bytes : NO_BOUND
  words[head + ROWS] = rows
  if (shared) Mutex.create(table.place(head + MUTEX))
  for (let i = rows - 1; i >= 0; i--) {
    const slot = firstRow + i * row.ROW_WORDS
    if (shared) SixLock.create(table.place(slot))
    words[slot + row.IMAGE_AT] = words[head + VACANT]
    words[head + VACANT] = slot
  }
  const rcu = shared ? domainOf(ThreadRegistry.entered) : undefined
  rcu?.online()
  const index = HashTable.create(table, {
    keyAt: row.IDENTITY_LO - row.LINK,
    keyWords: 2,
    expected: rows,
    ...(rcu === undefined ? {} : { rcu }),
  }).address
  rcu?.offline()
  return { images: images.descriptor, table: table.descriptor, head, index, rcu: rcu?.place }
}

/** Takes zeroed words of the arena. Throws RangeError if there are none. */
export function newPiece(arena: Arena, words: number): number {
  const at = arena.allocate(words)
  if (at < 0) throw new RangeError('no room for the node cache')
  arena.words.fill(0, at, at + words)
  return at
}

/** All caches that the threads of a registry share have one domain: each thread is in the middle of one thing at most. */
const domains = new WeakMap<ThreadRegistry, Rcu>()

function domainOf(registry: ThreadRegistry): Rcu {
  let domain = domains.get(registry)
  if (domain === undefined) domains.set(registry, (domain = Rcu.create(registry)))
  return domain
}
