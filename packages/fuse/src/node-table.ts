/**
 * Nodes: the numbers by which the kernel names files, each with its count of lookups. A file is known here by three words that its
 * filesystem chooses: an inode number and what else tells its files apart.
 *
 * A node lives from the first lookup of its file until the kernel has given all lookups back; then its number may stand for another
 * file, with another generation. Everything lies in a few typed arrays: 32 to 64 bytes a node, no object for any.
 */

import { ROOT_NODE } from './protocol.ts'

const CAPACITY_MIN = 1024
const EMPTY = -1

export class NodeTable {
  /** The words of each node's file, by node - 1. */
  private words = new Uint32Array(CAPACITY_MIN * 3)
  /** Lookups; a name that is not remembered is looked up more than 2^32 times in days. */
  private counts = new Float64Array(CAPACITY_MIN)
  private generations = new Uint32Array(CAPACITY_MIN)
  /** Open addressing: node - 1, or EMPTY. Twice as many places as nodes at least. */
  private index = new Int32Array(CAPACITY_MIN * 2).fill(EMPTY)
  private readonly vacant: number[] = []
  private end = 0
  private used = 0

  /** `a`, `b`, `c`: the root's file. It is node 1 and stays. */
  constructor(a: number, b: number, c: number) {
    this.retain(a, b, c)
  }

  /** How many nodes there are, the root included. */
  get size(): number {
    return this.used
  }

  /** Sum of all lookups that the kernel has not given back; the root's, which it never gives back, are left out. */
  get lookups(): number {
    let sum = 0
    for (let slot = ROOT_NODE; slot < this.end; slot++) sum += this.counts[slot]
    return sum
  }

  /** Memory that the table takes, in bytes. */
  get bytes(): number {
    return this.words.byteLength + this.counts.byteLength + this.generations.byteLength + this.index.byteLength
  }

  /** Counts a lookup of a file, which gets a node if it has none. Returns the node. */
  retain(a: number, b: number, c: number): number {
    let slot = this.index[this.placeOf(a, b, c)]
    if (slot === EMPTY) {
      slot = this.newSlot()
      this.words[3 * slot] = a
      this.words[3 * slot + 1] = b
      this.words[3 * slot + 2] = c
      this.index[this.placeOf(a, b, c)] = slot
      this.used++
    }
    this.counts[slot]++
    return slot + 1
  }

  /** Takes back `count` lookups; at zero the node is gone. More than there were count as all; unknown nodes are passed over. */
  forget(node: number, count: number): void {
    const slot = node - 1
    if (node === ROOT_NODE || !this.has(node)) return
    this.counts[slot] = Math.max(0, this.counts[slot] - count)
    if (this.counts[slot] === 0) this.remove(slot)
  }

  /** True if the kernel may name this node. */
  has(node: number): boolean {
    return node >= ROOT_NODE && node <= this.end && this.counts[node - 1] > 0
  }

  /** One of the three words of a node's file. */
  word(node: number, i: 0 | 1 | 2): number {
    return this.words[3 * (node - 1) + i]
  }

  /** Tells apart the files that the node stood for, one after another. */
  generation(node: number): number {
    return this.generations[node - 1]
  }

  /** The place in the index of a file's node, or the empty one where it would be. */
  private placeOf(a: number, b: number, c: number): number {
    const { index, words } = this
    const mask = index.length - 1
    let place = hashOf(a, b, c) & mask
    for (;;) {
      const slot = index[place]
      if (slot === EMPTY) return place
      if (words[3 * slot + 2] === c && words[3 * slot + 1] === b && words[3 * slot] === a) return place
      place = (place + 1) & mask
    }
  }

  private newSlot(): number {
    const free = this.vacant.pop()
    if (free !== undefined) return free
    if (this.end === this.counts.length) this.grow()
    return this.end++
  }

  private grow(): void {
    const capacity = this.counts.length * 2
    this.words = enlarged(this.words, capacity * 3)
    const counts = new Float64Array(capacity)
    counts.set(this.counts)
    this.counts = counts
    this.generations = enlarged(this.generations, capacity)
    this.index = new Int32Array(capacity * 2).fill(EMPTY)
    const { words } = this
    // none is vacant: the table would not grow
    for (let slot = 0; slot < this.end; slot++) {
      this.index[this.placeOf(words[3 * slot], words[3 * slot + 1], words[3 * slot + 2])] = slot
    }
  }

  private remove(slot: number): void {
    const { index, words } = this
    const mask = index.length - 1
    let gap = this.placeOf(words[3 * slot], words[3 * slot + 1], words[3 * slot + 2])
    // what lies behind the gap moves up, unless that would put it before the place where its search begins
    for (let place = (gap + 1) & mask; index[place] !== EMPTY; place = (place + 1) & mask) {
      const other = 3 * index[place]
      const home = hashOf(words[other], words[other + 1], words[other + 2]) & mask
      if (((place - home) & mask) < ((place - gap) & mask)) continue
      index[gap] = index[place]
      gap = place
    }
    index[gap] = EMPTY
    this.generations[slot]++
    this.vacant.push(slot)
    this.used--
  }
}

function hashOf(a: number, b: number, c: number): number {
  let hash = Math.imul(c, 0x9e3779b1) ^ Math.imul(b, 0x85ebca77) ^ Math.imul(a, 0xc2b2ae3d)
  hash ^= hash >>> 15
  hash = Math.imul(hash, 0x2c1b3c6d)
  return (hash ^ (hash >>> 12)) >>> 0
}

function enlarged(array: Uint32Array<ArrayBuffer>, length: number): Uint32Array<ArrayBuffer> {
  const larger = new Uint32Array(length)
  larger.set(array)
  return larger
}
