/**
 * Nodes: the numbers by which the kernel names files, each with its count of lookups. A file is known here by three words that its
 * filesystem chooses: an inode number and what else tells its files apart.
 *
 * A node lives from the first lookup of its file until the kernel has given all lookups back; then its number may stand for another
 * file, with another generation. Lookups are counted before the kernel is told of them, so the two sides may come in any order and from
 * any thread: FORGET in one of a node that another finds again at the same time leaves the node, or makes it a new one.
 *
 * The table lies in shared memory, for all threads that serve the mount. Counting takes its mutex; what a node stands for is read without
 * one. Memory is reserved for the most nodes there can be, and used as far as there have been nodes: 36 bytes each.
 *
 *     header: what follows | most nodes | end | used | first vacant | buckets | sum of lookups | mutex
 *     nodes:  3 words of the file | generation | count (a float64) | next of its bucket, or vacant one | -
 *     heads:  first node of each bucket
 *
 * The buckets are a linear hash: with each node the table gains one bucket, by splitting one. No request waits for a table that grows.
 */

import { Arena, Mutex, type ArenaDescriptor } from '@cowherd/shim'
import { FuseError } from './errno.ts'
import { ROOT_NODE } from './protocol.ts'

/** Words of the header. */
const NODES_AT = 0
const HEADS_AT = 1
const NODES_MAX = 2
const END = 3 // the greatest node that there has been
const USED = 4
const VACANT = 5
const BUCKETS = 6
const LOOKUPS = 8 // a float64
const MUTEX = 16
const HEADER_WORDS = 32

/** Words of a node. */
const GENERATION = 3
const COUNT = 4 // a float64: a name that is not remembered is looked up more than 2^32 times in days
const NEXT = 6
const NODE_WORDS = 8

const BUCKETS_MIN = 64
const NODES_MAX_DEFAULT = 1 << 26
const NODES_MAX_LEAST = 1 << 16
const UNIT_BYTES = 4096

/** What another thread needs to make a view of a table: plain data. */
export interface NodeTableDescriptor {
  readonly arena: ArenaDescriptor
  readonly at: number
}

export class NodeTable {
  readonly descriptor: NodeTableDescriptor
  private readonly words: Uint32Array
  private readonly numbers: Float64Array
  private readonly mutex: Mutex
  private readonly at: number
  /** Where node 0 would be. */
  private readonly base: number
  private readonly heads: number

  /** A view of a table that was created. Counting with it needs a thread that has entered the `ThreadRegistry`; looking doesn't. */
  constructor(descriptor: NodeTableDescriptor) {
    const arena = new Arena(descriptor.arena)
    const { at } = descriptor
    this.descriptor = descriptor
    this.words = arena.words
    this.numbers = new Float64Array(descriptor.arena.buffer)
    this.mutex = new Mutex(arena.place(at + MUTEX))
    this.at = at
    this.base = arena.words[at + NODES_AT] - NODE_WORDS
    this.heads = arena.words[at + HEADS_AT]
  }

  /**
   * Makes a table; `a`, `b`, `c`: the root's file, which is node 1 and stays. Address space for `nodesMax` nodes is reserved, 64 million if left
   * out, or half as many again and again where that can't be had. The thread has entered a `ThreadRegistry`.
   */
  static create(a: number, b: number, c: number, nodesMax?: number): NodeTable {
    const [arena, max] = nodesMax === undefined ? largestArena() : [arenaFor(nodesMax), nodesMax]
    const nodesAt = arena.allocate(max * NODE_WORDS)
    const headsAt = arena.allocate(max)
    const at = arena.allocate(HEADER_WORDS)
    const { words } = arena
    words.fill(0, at, at + HEADER_WORDS)
    words.fill(0, headsAt, headsAt + BUCKETS_MIN)
    words[at + NODES_AT] = nodesAt
    words[at + HEADS_AT] = headsAt
    words[at + NODES_MAX] = max
    words[at + BUCKETS] = BUCKETS_MIN
    Mutex.create(arena.place(at + MUTEX))
    const table = new NodeTable({ arena: arena.descriptor, at })
    table.retain(a, b, c)
    return table
  }

  /** How many nodes there are, the root included. */
  get size(): number {
    return Atomics.load(this.words, this.at + USED)
  }

  /** Sum of all lookups that the kernel has not given back; the root's, which it never gives back, are left out. */
  get lookups(): number {
    return this.numbers[(this.at + LOOKUPS) >> 1] // may be a moment old
  }

  /** Memory that the table takes, in bytes. */
  get bytes(): number {
    const { words, at } = this
    const nodes = Atomics.load(words, at + END) * NODE_WORDS
    return UNIT_BYTES + 4 * (nodes + Atomics.load(words, at + BUCKETS))
  }

  /**
   * Counts a lookup of a file, which gets a node if it has none. Returns the node. Throws FuseError (ENOMEM) if the table is full: the kernel
   * then knows as many files as there may be.
   */
  retain(a: number, b: number, c: number): number {
    const hash = hashOf(a, b, c)
    this.mutex.lock()
    try {
      const { numbers } = this
      const node = this.search(hash, a, b, c) || this.add(hash, a, b, c)
      numbers[(this.base + node * NODE_WORDS + COUNT) >> 1]++
      if (node !== ROOT_NODE) numbers[(this.at + LOOKUPS) >> 1]++
      return node
    } finally {
      this.mutex.unlock()
    }
  }

  /** The node of a file, if the kernel knows it, else 0. */
  find(a: number, b: number, c: number): number {
    const hash = hashOf(a, b, c)
    this.mutex.lock()
    try {
      return this.search(hash, a, b, c)
    } finally {
      this.mutex.unlock()
    }
  }

  /** Takes back `count` lookups; at zero the node is gone. More than there were count as all; unknown nodes are passed over. */
  forget(node: number, count: number): void {
    if (node === ROOT_NODE || !this.has(node)) return
    this.mutex.lock()
    try {
      const { numbers } = this
      const countAt = (this.base + node * NODE_WORDS + COUNT) >> 1
      const before = numbers[countAt]
      if (before === 0) return // another thread was faster: no kernel asks for that
      const after = Math.max(0, before - count)
      numbers[countAt] = after
      numbers[(this.at + LOOKUPS) >> 1] -= before - after
      if (after === 0) this.remove(node)
    } finally {
      this.mutex.unlock()
    }
  }

  /*
   * What follows reads without the mutex, and by plain loads. The kernel names a node only between the answer that gave it away and the
   * FORGET that takes it back: in between the words don't change and the count isn't 0, and the answer, which came to us by way of the
   * kernel, was written after them. Of a node that it should not name anything may be read, as of every node that is not there.
   */

  /** True if the kernel may name this node. */
  has(node: number): boolean {
    if (!(node >= ROOT_NODE && node <= this.words[this.at + END])) return false
    return this.numbers[(this.base + node * NODE_WORDS + COUNT) >> 1] > 0
  }

  /** One of the three words of a node's file. */
  word(node: number, i: 0 | 1 | 2): number {
    return this.words[this.base + node * NODE_WORDS + i]
  }

  /** Tells apart the files that the node stood for, one after another. */
  generation(node: number): number {
    return this.words[this.base + node * NODE_WORDS + GENERATION]
  }

  /** The node of a file, or 0. */
  private search(hash: number, a: number, b: number, c: number): number {
    const { words } = this
    let node = words[this.headOf(hash)]
    while (node !== 0 && !this.isFile(node, a, b, c)) node = words[this.base + node * NODE_WORDS + NEXT]
    return node
  }

  private isFile(node: number, a: number, b: number, c: number): boolean {
    const { words } = this
    const at = this.base + node * NODE_WORDS
    return words[at + 2] === c && words[at + 1] === b && words[at] === a
  }

  /** Word of the head of the bucket that a hash belongs to. */
  private headOf(hash: number): number {
    const buckets = this.words[this.at + BUCKETS]
    const mask = 0xffff_ffff >>> Math.clz32(buckets - 1)
    const bucket = hash & mask
    return this.heads + (bucket < buckets ? bucket : bucket & (mask >>> 1))
  }

  /** A node for a file that has none, with no lookups. */
  private add(hash: number, a: number, b: number, c: number): number {
    const { words, at } = this
    if (words[at + USED] >= words[at + BUCKETS]) this.split()
    const node = this.vacantNode()
    const record = this.base + node * NODE_WORDS
    const head = this.headOf(hash)
    words[record] = a
    words[record + 1] = b
    words[record + 2] = c
    words[record + NEXT] = words[head]
    words[head] = node
    Atomics.add(words, at + USED, 1)
    return node
  }

  private vacantNode(): number {
    const { words, numbers, at } = this
    const vacant = words[at + VACANT]
    if (vacant !== 0) {
      words[at + VACANT] = words[this.base + vacant * NODE_WORDS + NEXT]
      return vacant
    }
    const node = words[at + END] + 1
    if (node > words[at + NODES_MAX]) throw new FuseError('ENOMEM', `the kernel knows ${node - 1} files, more can't be`)
    const record = this.base + node * NODE_WORDS
    words[record + GENERATION] = 0
    numbers[(record + COUNT) >> 1] = 0
    Atomics.store(words, at + END, node)
    return node
  }

  /** Adds a bucket, and moves there what belongs into it: all from one other bucket. */
  private split(): void {
    const { words, at } = this
    const added = words[at + BUCKETS]
    if (added === words[at + NODES_MAX]) return
    const from = added ^ (0x8000_0000 >>> Math.clz32(added))
    Atomics.store(words, at + BUCKETS, added + 1)
    let node = words[this.heads + from]
    words[this.heads + from] = 0
    words[this.heads + added] = 0
    while (node !== 0) {
      const record = this.base + node * NODE_WORDS
      const next = words[record + NEXT]
      const head = this.headOf(hashOf(words[record], words[record + 1], words[record + 2]))
      words[record + NEXT] = words[head]
      words[head] = node
      node = next
    }
  }

  private remove(node: number): void {
    const { words, at } = this
    const record = this.base + node * NODE_WORDS
    let link = this.headOf(hashOf(words[record], words[record + 1], words[record + 2]))
    while (words[link] !== node) link = this.base + words[link] * NODE_WORDS + NEXT
    words[link] = words[record + NEXT]
    words[record + GENERATION]++
    words[record + NEXT] = words[at + VACANT]
    words[at + VACANT] = node
    Atomics.sub(words, at + USED, 1)
  }
}

/** Room for that many nodes. Throws RangeError if it can't be had. */
function arenaFor(nodesMax: number): Arena {
  const whole = (words: number): number => Math.max(UNIT_BYTES, 2 ** Math.ceil(Math.log2(words * 4)))
  return Arena.create(whole(nodesMax * NODE_WORDS) + whole(nodesMax) + UNIT_BYTES, { unitBytes: UNIT_BYTES })
}

/** The largest that the system gives: where it counts what is reserved as used, that may be little. */
function largestArena(): [arena: Arena, nodesMax: number] {
  for (let max = NODES_MAX_DEFAULT; ; max /= 2) {
    try {
      return [arenaFor(max), max]
    } catch (error) {
      if (!(error instanceof RangeError) || max <= NODES_MAX_LEAST) throw error
    }
  }
}

function hashOf(a: number, b: number, c: number): number {
  let hash = Math.imul(c, 0x9e3779b1) ^ Math.imul(b, 0x85ebca77) ^ Math.imul(a, 0xc2b2ae3d)
  hash ^= hash >>> 15
  hash = Math.imul(hash, 0x2c1b3c6d)
  return (hash ^ (hash >>> 12)) >>> 0
}
