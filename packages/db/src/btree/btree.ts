/**
 * The btrees of a volume: their roots, and the way from a root to a cached node. Format chapter 2, 2.7.
 *
 * Walking down takes no lock. What was read of a node is believed when, after the child's sequence number was read, the node's own is
 * still the same; a node that was given up meanwhile makes the walk begin again. No error is believed before that, and none of the
 * loops depends on what it reads for its end.
 *
 * A node's image already contains what the live journal says of it, so descending needs no further thought of the journal. A btree
 * without a root is empty, but the journal may hold keys for it: it gets a root of its own making.
 */

import { compareBpos, SPOS_MAX } from '../bpos.ts'
import { BTREE_MAX_DEPTH, btreeName } from '../btree-ids.ts'
import { BtreeError } from '../errors.ts'
import type { JournalKeys } from '../journal/journal-keys.ts'
import { Key, KEY_POS_AT } from '../key.ts'
import { nodeIdentity, pointerProblem } from './btree-ptr.ts'
import type { NodeCache } from './node-cache.ts'
import { ImageBuilder } from './node-image.ts'
import { keyAt, lowerBound } from './node-order.ts'
import type { PositionList } from './position-list.ts'
import { NodeReader, type NodeExpectation, type NodeSource } from './node-read.ts'

/** A btree's root, as a journal entry or the section `clean` names it. */
export interface BtreeRoot {
  /** Level of the root node itself: 0 if it is a leaf. */
  readonly level: number
  /** Pointer to it; undefined if the record says that the root is lost. */
  readonly pointer: Key | undefined
}

/** Who changes nodes takes the journal's keys into them, when they are loaded, as changes of his own. */
export interface KeyTakeover {
  /** Gets the positions that such keys deleted from the node. */
  readonly deleted: PositionList
  /** The node has become one with changes. */
  taken(slot: number): void
}

/** After so many tries in vain to walk down through nodes that others give up meanwhile, a thread reads its nodes for itself. */
const TRIES_SHARED_MAX = 64
/** A node that was given up while it was read: walk down again. */
const AGAIN = -1

export class Btrees {
  readonly cache: NodeCache
  /** The sequence number that the slot which `nodeAt` returned had then. */
  sequence = 0
  private readonly roots: Map<number, BtreeRoot>
  private readonly journal: JournalKeys | undefined
  private readonly takeover: KeyTakeover | undefined
  private readonly reader: NodeReader
  private readonly builder: ImageBuilder
  private readonly expected: NodeExpectation
  private readonly pointer = new Key()
  private isAlone = false
  private takenKeys = 0

  constructor(
    source: NodeSource,
    roots: ReadonlyMap<number, BtreeRoot>,
    journal: JournalKeys | undefined,
    cache: NodeCache,
    takeover?: KeyTakeover,
  ) {
    this.cache = cache
    this.roots = new Map(roots)
    this.journal = journal
    this.takeover = takeover
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

  /** The btrees that have a root on disk, ascending. */
  *diskRoots(): Generator<{ btree: number; level: number; pointer: Key }> {
    for (const btree of this.ids) {
      const root = this.roots.get(btree)
      if (root?.pointer !== undefined) yield { btree, level: root.level, pointer: root.pointer }
    }
  }

  /** Gives the btree another root. */
  setRoot(btree: number, root: BtreeRoot): void {
    this.roots.set(btree, root)
  }

  /**
   * The slot of the node at `level` that covers `pos`; `level` is at most the root's. Its sequence number is in `sequence`: what is read
   * from the slot holds if that is still the same afterwards; then `cache.leave`. `tries`: how often it was not. Throws BtreeError when a node on the way
   * can't be read.
   */
  nodeAt(btree: number, level: number, pos: Uint32Array, tries = 0): number {
    this.cache.enter()
    for (; ; tries++) {
      this.isAlone = tries > TRIES_SHARED_MAX
      let slot = this.root(btree)
      for (let at = this.rootLevel(btree); at > level && slot !== AGAIN; at--) slot = this.child(btree, at, slot, pos)
      if (slot !== AGAIN) return slot
    }
  }

  private root(btree: number): number {
    const root = this.roots.get(btree)
    if (root === undefined) return this.emptyRoot(btree)
    if (root.pointer === undefined) throw new BtreeError('EIO', `btree ${btreeName(btree)}`, 'the root is lost')
    return this.node(btree, root.level, root.pointer.words, 0, -1)
  }

  /** The child, at `level - 1`, of the node in `slot` that covers `pos`; AGAIN if that slot has changed. */
  private child(btree: number, level: number, slot: number, pos: Uint32Array): number {
    const { cache, sequence } = this
    const words = cache.words(slot)
    const image = cache.imageAt(slot)
    const count = cache.keyCount(slot)
    const index = lowerBound(words, image, count, pos, 0)
    if (index === count) {
      if (!cache.isUnchanged(slot, sequence)) return AGAIN
      throw new BtreeError('EIO', `btree ${btreeName(btree)} level ${level}`, 'no child for a position')
    }
    return this.node(btree, level - 1, words, keyAt(words, image, index), slot)
  }

  /**
   * The slot of the node that the key at `words[at]` points to, read if it isn't cached. The key lies in the slot `parent`, which had
   * the sequence number `sequence` (or -1: it lies where nobody changes it); AGAIN if that slot has changed.
   */
  private node(btree: number, level: number, words: Uint32Array, at: number, parent: number): number {
    const { cache, pointer } = this
    const parentSequence = this.sequence
    for (;;) {
      const identity = nodeIdentity(words, at)
      const slot = this.isAlone ? cache.findOwn(identity) : cache.find(identity)
      const sequence = slot < 0 ? 0 : cache.sequence(slot)
      const isRight = slot >= 0 && cache.isNode(slot, identity, btree, level, words, at)
      if (parent >= 0 && !cache.isUnchanged(parent, parentSequence)) return AGAIN
      if (slot >= 0 && (sequence & 1) !== 0) {
        cache.awaitFilled(slot)
        continue
      }
      if (isRight) {
        this.sequence = sequence
        return slot
      }
      pointer.set(words, at)
      if (parent >= 0 && !cache.isUnchanged(parent, parentSequence)) return AGAIN
      if (slot >= 0 && !(cache.hasIdentity(slot, identity) && cache.isUnchanged(slot, sequence))) continue
      const claimed = this.isAlone ? cache.claimOwn() : cache.claim(identity, slot, sequence)
      if (claimed >= 0) return this.load(claimed, btree, level)
    }
  }

  /** Loads the node that `this.pointer` points to into a claimed slot. */
  private load(claimed: number, btree: number, level: number): number {
    const { builder, cache, expected, reader } = this
    expected.btree = btree
    expected.level = level
    try {
      reader.read(expected, builder)
      builder.merge()
      this.overlay(btree, level)
      if (level > 0) reader.checkChildren(expected, builder)
    } catch (error) {
      if (this.takenKeys > 0) this.journal?.giveBack(btree, level, reader.minKey, reader.maxKey)
      this.takenKeys = 0
      this.takeover?.deleted.clear()
      cache.abandon(claimed)
      throw error
    }
    return this.filled(claimed, nodeIdentity(this.pointer.words, 0), btree, level)
  }

  private emptyRoot(btree: number): number {
    const { builder, cache, reader } = this
    const identity = -1 - btree
    for (;;) {
      const slot = this.isAlone ? cache.findOwn(identity) : cache.find(identity)
      if (slot >= 0) {
        const sequence = cache.sequence(slot)
        if ((sequence & 1) !== 0) cache.awaitFilled(slot)
        else if (cache.hasIdentity(slot, identity) && cache.isUnchanged(slot, sequence)) {
          this.sequence = sequence
          return slot
        }
        continue
      }
      const claimed = this.isAlone ? cache.claimOwn() : cache.claim(identity, -1, 0)
      if (claimed < 0) continue
      builder.reset()
      builder.merge()
      reader.forgetNode()
      this.overlay(btree, 0)
      return this.filled(claimed, identity, btree, 0)
    }
  }

  private filled(claimed: number, identity: number, btree: number, level: number): number {
    const { cache, reader } = this
    const slot = cache.fill(claimed, identity, btree, level, this.builder, reader)
    if (this.takenKeys > 0) this.takeover?.taken(slot)
    this.takenKeys = 0
    this.sequence = cache.sequence(slot)
    return slot
  }

  private overlay(btree: number, level: number): void {
    const { journal, takeover, builder } = this
    if (journal?.has(btree, level) !== true) return
    const { minKey, maxKey } = this.reader
    if (takeover === undefined) journal.overlay(btree, level, minKey, maxKey, builder)
    else this.takenKeys = journal.take(btree, level, minKey, maxKey, builder, takeover.deleted)
    builder.merge()
  }
}

/** Checks a root record's pointer. Returns what is wrong with it, or undefined. */
export function rootProblem(level: number, pointer: Key): string | undefined {
  if (level >= BTREE_MAX_DEPTH) return `a root at level ${level}`
  if (compareBpos(pointer.words, KEY_POS_AT, SPOS_MAX, 0) !== 0) return `a root that ends at ${pointer.posText}`
  return pointerProblem(pointer.words, 0)
}
