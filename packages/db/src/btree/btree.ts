/**
 * The btrees of a volume: their roots, and the way from a root to a cached node. Format chapter 2, 2.7.
 *
 * A node's image already contains what the live journal says of it, so descending needs no further thought of the journal. A btree
 * without a root is empty, but the journal may hold keys for it: it gets a root of its own making.
 */

import { compareBpos, copyBpos, POS_MIN, SPOS_MAX } from '../bpos.ts'
import { BTREE_MAX_DEPTH, btreeName } from '../btree-ids.ts'
import { BtreeError } from '../errors.ts'
import type { JournalKeys } from '../journal/journal-keys.ts'
import { Key, KEY_POS_AT } from '../key.ts'
import { nodeIdentity, pointerProblem } from './btree-ptr.ts'
import { NodeCache } from './node-cache.ts'
import { ImageBuilder, lowerBound } from './node-image.ts'
import { NodeReader, type NodeExpectation, type NodeSource } from './node-read.ts'

/** A btree's root, as a journal entry or the section `clean` names it. */
export interface BtreeRoot {
  /** Level of the root node itself: 0 if it is a leaf. */
  readonly level: number
  /** Pointer to it; undefined if the record says that the root is lost. */
  readonly pointer: Key | undefined
}

export class Btrees {
  readonly cache: NodeCache
  private readonly roots: ReadonlyMap<number, BtreeRoot>
  private readonly journal: JournalKeys | undefined
  private readonly reader: NodeReader
  private readonly builder: ImageBuilder
  private readonly expected: NodeExpectation
  private readonly pointer = new Key()

  constructor(
    source: NodeSource,
    roots: ReadonlyMap<number, BtreeRoot>,
    journal: JournalKeys | undefined,
    cacheBytes: number,
  ) {
    this.cache = new NodeCache(cacheBytes)
    this.roots = roots
    this.journal = journal
    this.reader = new NodeReader(source)
    this.builder = new ImageBuilder(source.nodeBytes)
    this.expected = { btree: 0, level: 0, words: this.pointer.words, at: 0 }
  }

  /** Ids of the btrees that exist, unknown ones included, ascending. */
  get ids(): number[] {
    return [...this.roots.keys()].sort((a, b) => a - b)
  }

  /** Level of the btree's root node; 0 for btrees without one. */
  rootLevel(btree: number): number {
    return this.roots.get(btree)?.level ?? 0
  }

  /** The root pointer, or undefined if the btree has none on disk. */
  rootPointer(btree: number): Key | undefined {
    return this.roots.get(btree)?.pointer
  }

  /**
   * The slot of the node at `level` that covers `pos`; `level` is at most the root's. Throws BtreeError when a node on the way can't be
   * read.
   */
  nodeAt(btree: number, level: number, pos: Uint32Array): number {
    let slot = this.root(btree)
    for (let at = this.rootLevel(btree); at > level; at--) slot = this.child(btree, at, slot, pos)
    return slot
  }

  private root(btree: number): number {
    const root = this.roots.get(btree)
    if (root === undefined) return this.emptyRoot(btree)
    if (root.pointer === undefined) throw new BtreeError('EIO', `btree ${btreeName(btree)}`, 'the root is lost')
    const slot = this.cached(btree, root.level, root.pointer.words, 0)
    if (slot >= 0) return slot
    this.pointer.set(root.pointer.words, 0)
    return this.load(btree, root.level)
  }

  /** The child, at `level - 1`, of the node in `slot` that covers `pos`. */
  private child(btree: number, level: number, slot: number, pos: Uint32Array): number {
    const { cache } = this
    const words = cache.words(slot)
    const image = cache.imageAt(slot)
    const count = cache.keyCount(slot)
    const index = lowerBound(words, image, count, pos, 0)
    if (index === count)
      throw new BtreeError('EIO', `btree ${btreeName(btree)} level ${level}`, 'no child for a position')
    const at = image + words[image + index]
    const found = this.cached(btree, level - 1, words, at)
    if (found >= 0) return found
    this.pointer.set(words, at)
    return this.load(btree, level - 1)
  }

  /** The slot of the node that the key at `words[at]` points to, or -1 if it isn't cached. */
  private cached(btree: number, level: number, words: Uint32Array, at: number): number {
    const slot = this.cache.find(nodeIdentity(words, at))
    return slot >= 0 && this.cache.isNode(slot, btree, level, words, at) ? slot : -1
  }

  /** Loads the node that `this.pointer` points to. */
  private load(btree: number, level: number): number {
    const { builder, expected, reader } = this
    expected.btree = btree
    expected.level = level
    reader.read(expected, builder)
    builder.merge()
    this.overlay(btree, level)
    if (level > 0) reader.checkChildren(expected, builder)
    const identity = nodeIdentity(this.pointer.words, 0)
    return this.cache.store(identity, btree, level, builder, reader.minKey, reader.maxKey)
  }

  private emptyRoot(btree: number): number {
    const identity = -1 - btree
    const slot = this.cache.find(identity)
    if (slot >= 0) return slot
    this.builder.reset()
    this.builder.merge()
    copyBpos(this.reader.minKey, POS_MIN)
    copyBpos(this.reader.maxKey, SPOS_MAX)
    this.overlay(btree, 0)
    return this.cache.store(identity, btree, 0, this.builder, this.reader.minKey, this.reader.maxKey)
  }

  private overlay(btree: number, level: number): void {
    if (this.journal?.has(btree, level) !== true) return
    this.journal.overlay(btree, level, this.reader.minKey, this.reader.maxKey, this.builder)
    this.builder.merge()
  }
}

/** Checks a root record's pointer. Returns what is wrong with it, or undefined. */
export function rootProblem(level: number, pointer: Key): string | undefined {
  if (level >= BTREE_MAX_DEPTH) return `a root at level ${level}`
  if (compareBpos(pointer.words, KEY_POS_AT, SPOS_MAX, 0) !== 0) return `a root that ends at ${pointer.posText}`
  return pointerProblem(pointer.words, 0)
}
