/**
 * Writes btree nodes out: appends what has changed to a node where it lies, or replaces nodes by new ones elsewhere (compaction, split,
 * merge, a new root). Format chapter 2, 2.9.3 to 2.9.6.
 *
 * The order is the format's rule of safety: a node's new part or the new nodes are written first; then one journal entry gets the
 * pointers that make them reachable, together with what follows from these for the space that they take; only after that is the journal
 * entry given up that had the changes, and reused what the old nodes took. That the nodes are on stable storage before the entry is, the
 * journal sees to: it flushes the devices before it writes one.
 */

import { compareBpos, copyBpos } from '../bpos.ts'
import { BTREE_MAX_DEPTH, btreeName } from '../btree-ids.ts'
import { BtreeError } from '../errors.ts'
import type { Journal } from '../journal/journal.ts'
import { Key, KEY_POS_AT, KEY_WORDS } from '../key.ts'
import type { Btrees } from './btree.ts'
import { isV2, nodeIdentity, rangeUpdated, setSectorsWritten } from './btree-ptr.ts'
import { WITHOUT_FLAGS } from './key-flags.ts'
import { placeInList } from './key-list.ts'
import type { NodeCache } from './node-cache.ts'
import { NodeDivision, type NewNode } from './node-division.ts'
import type { NodeEditor } from './node-editor.ts'
import { ImageBuilder, keyWords } from './node-image.ts'
import { keyAt, lowerBound } from './node-order.ts'
import { makeNodePointer, placesOf, type NodePlace } from './node-pointer.ts'
import * as row from './node-row.ts'
import { NodeSet } from './node-set.ts'
import { NodeWriter, type NodeDescription, type NodeSink } from './node-write.ts'

/** The pointer to a node appears, changes or goes. */
export interface PointerChange {
  /** Of the node that holds the pointer; for the pointer to a root: the root's level + 1. */
  readonly level: number
  readonly old: Key | undefined
  readonly new: Key | undefined
}

/** What writing nodes needs of the volume. */
export interface NodeSpace {
  /** Room for a node, on as many devices as there are to be copies. Throws VolumeError ENOSPC. */
  allocate(): readonly NodePlace[]
  /** What was allocated is taken by nodes that are reachable now, or that never will be. */
  done(places: readonly NodePlace[]): void
  /** Makes sure that the superblock says that nodes may lie there. */
  cover(places: readonly NodePlace[]): void
  /** Whether all places can be written to, as far as is known. */
  areWritable(places: readonly NodePlace[]): boolean
  /** Writes to all places. False if some could not be written to. */
  write(places: readonly NodePlace[], bytes: Uint8Array, offset: number): boolean
  /** Commits, as part of the open journal entry, what follows from pointers that have changed. */
  settle(btree: number, changes: readonly PointerChange[], seq: number): void
}

export interface TreeWriterOptions {
  readonly btrees: Btrees
  readonly editor: NodeEditor
  readonly journal: Journal
  readonly sink: NodeSink
  readonly space: NodeSpace
  readonly copies: number
  /** Fills memory with bytes that nobody can guess. */
  readonly random: (bytes: Uint8Array) => void
}

const SECTOR = 512
/** Words of a pointer of four copies, and bytes of a record that has one. */
const POINTER_WORDS = KEY_WORDS + 10 + 8
const POINTER_RECORD_BYTES = 8 + POINTER_WORDS * 4
/** Bytes of all records that a pointer to one copy can bring with it: bucket, indexes, back pointer and counters. */
const SETTLE_BYTES = 2048
/** How full a node is when it is time to see whether it is to be split, and when two are made one: parts of what a node can hold. */
const FULL_AT = 0.9
const MERGE_AT = 1 / 3

export class TreeWriter {
  private readonly options: TreeWriterOptions
  private readonly cache: NodeCache
  private readonly writer: NodeWriter
  private readonly set = new NodeSet()
  private readonly builder: ImageBuilder
  private readonly division: NodeDivision
  private readonly tableView: DataView
  private readonly pointer = new Key()
  private readonly pos = new Uint32Array(5)
  private readonly overfull = new Set<number>()
  private readonly shrunken = new Set<number>()

  constructor(options: TreeWriterOptions) {
    const { nodeBytes } = options.sink
    this.options = options
    this.cache = options.btrees.cache
    this.writer = new NodeWriter(options.sink)
    this.builder = new ImageBuilder(nodeBytes)
    this.division = new NodeDivision(this.cache, this.writer, nodeBytes, options.random)
    const { table } = this.cache
    this.tableView = new DataView(table.buffer, table.byteOffset, table.byteLength)
  }

  /** Looks at a node whose keys have changed: whether it is to be split or merged at the next occasion. */
  noteSize(slot: number): void {
    const { table } = this.cache
    const live = table[slot + row.LIVE_U64S]
    if (table[slot + row.LIMIT_U64S] === 0) {
      table[slot + row.LIMIT_U64S] = live + (this.division.maxU64s >>> 3)
      table[slot + row.LOW_U64S] = this.division.maxU64s * MERGE_AT * 0.5
    }
    if (live > table[slot + row.LIMIT_U64S]) this.overfull.add(slot)
    else if (live < table[slot + row.LOW_U64S]) this.shrunken.add(slot)
  }

  /** Splits nodes that have become too large, and merges those that have become small. */
  balance(): void {
    while (this.overfull.size > 0) {
      for (const slot of this.overfull) {
        this.overfull.delete(slot)
        if (this.options.editor.dirty.has(slot)) this.splitIfFull(slot)
      }
    }
    for (const slot of this.shrunken) {
      this.shrunken.delete(slot)
      if (this.options.editor.dirty.has(slot)) this.mergeIfSmall(slot)
    }
  }

  /** Writes the changes of these nodes, those of the lowest level first. */
  writeOut(slots: readonly number[]): void {
    const { editor } = this.options
    const level = (slot: number): number => this.cache.table[slot + row.PLACE] & 3
    for (const slot of [...slots].sort((a, b) => level(a) - level(b))) {
      if (editor.dirty.has(slot) && !this.append(slot)) this.replace([slot])
    }
  }

  /**
   * Writes the node at `level` that covers `pos` anew, elsewhere. Throws BtreeError if it can't be read; VolumeError ENOSPC, with nothing
   * changed.
   */
  rewrite(btree: number, level: number, pos: Uint32Array): void {
    const slot = this.options.btrees.nodeAt(btree, level, pos)
    this.cache.leave()
    this.replace([slot])
  }

  /** Appends the changes of a node to it. False if there is no room: then it has to be replaced. */
  private append(slot: number): boolean {
    const { cache, set, writer, pointer } = this
    const { editor, journal, sink, space } = this.options
    const { table } = cache
    const node = editor.dirty.get(slot)
    const written = table[slot + row.WRITTEN]
    if (node === undefined || written === 0 || written * SECTOR + sink.blockBytes > sink.nodeBytes) return false
    set.collect(cache, slot, node.deleted)
    if (set.count === 0) {
      editor.release(slot)
      return true
    }
    writer.format.load(this.tableView, (slot + row.FORMAT) * 4)
    const high = Math.floor(node.newestSeq / 0x100000000)
    if (!writer.makeSet(this.describe(slot), set, written * SECTOR, high, node.newestSeq >>> 0)) return false
    this.loadPointer(slot)
    if (!isV2(pointer.words, 0) || rangeUpdated(pointer.words, 0)) return false
    // whatever of these can fail comes before anything is changed
    journal.reserve(POINTER_RECORD_BYTES)
    const parent = this.parentOf(slot)
    // copies on a device that has failed stay behind: the node moves to others
    const places = placesOf(pointer.words, 0)
    if (!space.areWritable(places) || !space.write(places, writer.bytes, written * SECTOR)) return false
    table[slot + row.WRITTEN] = written + writer.bytes.length / SECTOR
    editor.markWritten(slot)
    setSectorsWritten(pointer.words, 0, table[slot + row.WRITTEN])
    this.storePointer(slot, parent)
    editor.release(slot)
    return true
  }

  /** Replaces neighbouring nodes, in their order, by as few new ones as hold their keys well. */
  private replace(slots: readonly number[]): void {
    const { cache } = this
    const { btrees, editor, journal, space, copies } = this.options
    const btree = cache.table[slots[0] + row.PLACE] >>> 2
    const level = cache.table[slots[0] + row.PLACE] & 3
    const isRoot = level === btrees.rootLevel(btree)
    for (const slot of slots) cache.hold(slot)
    const nodes = this.division.divide(slots)
    const old = slots.flatMap((slot) => this.pointerKey(slot))
    const count = nodes.length + old.length + 1
    if (isRoot && nodes.length > 1 && level + 1 >= BTREE_MAX_DEPTH) {
      throw new BtreeError('ENOSPC', `btree ${btreeName(btree)}`, 'as high as a btree can be')
    }
    journal.reserve(count * copies * SETTLE_BYTES)
    const { seq } = journal
    const parent = isRoot ? -1 : this.parentOf(slots[0])
    if (parent >= 0) {
      cache.hold(parent)
      editor.makeRoom(parent, nodes.length * POINTER_WORDS, nodes.length)
    }
    const allocated: (readonly NodePlace[])[] = []
    try {
      const pointers = nodes.map((node) => this.writeNode(node, allocated))
      const root = isRoot && pointers.length > 1 ? this.division.root(btree, level + 1, pointers) : undefined
      const rootPointer = root === undefined ? pointers[0] : this.writeNode(root, allocated)
      space.cover(allocated.flat())

      nodes.forEach((node, i) => this.cacheNode(node, pointers[i]))
      if (root !== undefined) this.cacheNode(root, rootPointer)
      if (isRoot) {
        // the root's pointers too: replay must not find older ones, from when a root of this level was another node
        if (root !== undefined) for (const { words } of pointers) journal.recordKey(btree, level + 1, words, 0)
        btrees.setRoot(btree, { level: root === undefined ? level : level + 1, pointer: rootPointer })
        journal.recordRoot(btree, root === undefined ? level : level + 1, rootPointer)
      } else this.changeParent(btree, level + 1, parent, old, pointers)
      const changes: PointerChange[] = [
        ...old.map((key) => ({ level: level + 1, old: key, new: undefined })),
        ...pointers.map((key) => ({ level: level + 1, old: undefined, new: key })),
        ...(root === undefined ? [] : [{ level: level + 2, old: undefined, new: rootPointer }]),
      ]
      space.settle(btree, changes, journal.seq)
      if (journal.seq !== seq) throw new RangeError('more followed from nodes than was reserved for them')
    } finally {
      for (const places of allocated) space.done(places)
      if (parent >= 0) cache.release(parent)
      for (const slot of slots) cache.release(slot)
    }
    for (const slot of slots) {
      editor.release(slot)
      cache.drop(slot)
      this.overfull.delete(slot)
      this.shrunken.delete(slot)
    }
    if (parent >= 0) this.noteSize(parent)
  }

  private splitIfFull(slot: number): void {
    const { table } = this.cache
    const live = table[slot + row.LIVE_U64S]
    const packed = this.division.packedU64s([slot])
    if (this.division.isTooMuch(packed)) this.replace([slot])
    else table[slot + row.LIMIT_U64S] = Math.ceil(live * ((this.division.maxU64s * FULL_AT) / Math.max(packed, 64)))
  }

  private mergeIfSmall(slot: number): void {
    const { cache, pos } = this
    const { btrees } = this.options
    const { table } = cache
    const btree = table[slot + row.PLACE] >>> 2
    const level = table[slot + row.PLACE] & 3
    // not again before it is half as large
    table[slot + row.LOW_U64S] = table[slot + row.LIVE_U64S] / 2
    if (level === btrees.rootLevel(btree)) return
    const parent = this.parentOf(slot)
    const words = cache.words(parent)
    const image = cache.imageAt(parent)
    const index = lowerBound(words, image, cache.keyCount(parent), table, slot + row.MAX_KEY)
    for (const neighbour of [index + 1, index - 1]) {
      if (neighbour < 0 || neighbour >= cache.keyCount(parent)) continue
      copyBpos(pos, words, keyAt(words, image, neighbour) + KEY_POS_AT)
      cache.hold(slot)
      const other = btrees.nodeAt(btree, level, pos)
      cache.leave()
      cache.release(slot)
      const pair = neighbour > index ? [slot, other] : [other, slot]
      const live = table[slot + row.LIVE_U64S] + table[other + row.LIVE_U64S]
      // keys take a third of their size at least when they are packed
      if (live > this.division.maxU64s * MERGE_AT * 3) continue
      if (this.division.packedU64s(pair) > this.division.maxU64s * MERGE_AT) continue
      this.replace(pair)
      return
    }
  }

  private writeNode(node: NewNode, allocated: (readonly NodePlace[])[]): Key {
    const { space } = this.options
    for (;;) {
      const places = space.allocate()
      allocated.push(places)
      // a device that fails is not among the next places
      if (space.write(places, node.bytes, 0)) {
        return makeNodePointer(new Key(), node, node.bytes.length / SECTOR, places)
      }
    }
  }

  /** Puts a new node where it is found from now on. */
  private cacheNode(node: NewNode, pointer: Key): void {
    const { cache, builder } = this
    const { keys } = node
    builder.reset()
    for (let i = 0; i < keys.count; i++) {
      builder.room()
      const at = placeInList(keys, i)
      const size = keyWords(keys.words, at)
      builder.heap[builder.used] = keys.words[at] & WITHOUT_FLAGS
      for (let j = 1; j < size; j++) builder.heap[builder.used + j] = keys.words[at + j]
      builder.append(size)
    }
    builder.merge()
    const identity = nodeIdentity(pointer.words, 0)
    const claimed = cache.claim(identity, -1, 0)
    if (claimed < 0) throw new BtreeError('EIO', `btree ${btreeName(node.btree)}`, 'two nodes at one place')
    const slot = cache.fill(claimed, identity, node.btree, node.level, builder, {
      ...node,
      writtenSectors: node.bytes.length / SECTOR,
    })
    cache.leave()
    const live = cache.table[slot + row.LIVE_U64S]
    const growth = (this.division.maxU64s * FULL_AT * 8) / node.bytes.length
    cache.table[slot + row.LIMIT_U64S] = Math.ceil(Math.max(live * growth, this.division.maxU64s / 8))
    cache.table[slot + row.LOW_U64S] = live / 2
  }

  private changeParent(
    btree: number,
    level: number,
    parent: number,
    old: readonly Key[],
    pointers: readonly Key[],
  ): void {
    const { editor, journal } = this.options
    editor.markDirty(parent, journal.seq)
    for (const key of old) {
      if (pointers.some((pointer) => compareBpos(pointer.words, KEY_POS_AT, key.words, KEY_POS_AT) === 0)) continue
      const deletion = new Key().make(0, key.words.subarray(KEY_POS_AT, KEY_POS_AT + 5), new Uint8Array(0))
      journal.recordKey(btree, level, deletion.words, 0)
      editor.remove(parent, key.words, KEY_POS_AT)
    }
    for (const pointer of pointers) {
      journal.recordKey(btree, level, pointer.words, 0)
      editor.insert(parent, pointer.words, 0)
    }
  }

  /** The node's pointer, a copy of which is in `this.pointer`, has changed. */
  private storePointer(slot: number, parent: number): void {
    const { pointer, cache } = this
    const { btrees, editor, journal } = this.options
    const btree = cache.table[slot + row.PLACE] >>> 2
    const level = cache.table[slot + row.PLACE] & 3
    if (parent < 0) {
      const root = new Key()
      root.set(pointer.words, 0)
      btrees.setRoot(btree, { level, pointer: root })
      journal.recordRoot(btree, level, root)
      return
    }
    editor.markDirty(parent, journal.seq)
    journal.recordKey(btree, level + 1, pointer.words, 0)
    editor.insert(parent, pointer.words, 0)
  }

  /** The node above, with room for one more pointer; -1 above a root. */
  private parentOf(slot: number): number {
    const { cache, pos } = this
    const { btrees, editor } = this.options
    const btree = cache.table[slot + row.PLACE] >>> 2
    const level = cache.table[slot + row.PLACE] & 3
    if (level === btrees.rootLevel(btree)) return -1
    cache.copyMaxKey(pos, slot)
    cache.hold(slot)
    const parent = btrees.nodeAt(btree, level + 1, pos)
    cache.leave()
    editor.makeRoom(parent, POINTER_WORDS, 1)
    cache.release(slot)
    return parent
  }

  /** Copies the pointer to the node to `this.pointer`. Returns false for a root that is not on disk. */
  private loadPointer(slot: number): boolean {
    const { cache, pointer } = this
    const { btrees, editor } = this.options
    const btree = cache.table[slot + row.PLACE] >>> 2
    const parent = this.parentOf(slot)
    if (parent < 0) {
      const root = btrees.rootPointer(btree)
      if (root === undefined) return false
      pointer.set(root.words, 0)
    } else {
      const at = editor.find(parent, cache.table, slot + row.MAX_KEY)
      if (at < 0) throw new BtreeError('EIO', `btree ${btreeName(btree)}`, 'a node that its parent does not know')
      pointer.set(cache.words(parent), at)
    }
    // what a driver's memory left there
    pointer.words[KEY_WORDS] = pointer.words[KEY_WORDS + 1] = 0
    return true
  }

  private pointerKey(slot: number): Key[] {
    if (!this.loadPointer(slot)) return []
    const key = new Key()
    key.set(this.pointer.words, 0)
    return [key]
  }

  private describe(slot: number): NodeDescription {
    const { table } = this.cache
    return {
      btree: table[slot + row.PLACE] >>> 2,
      level: table[slot + row.PLACE] & 3,
      minKey: table.subarray(slot + row.MIN_KEY, slot + row.MIN_KEY + 5),
      maxKey: table.subarray(slot + row.MAX_KEY, slot + row.MAX_KEY + 5),
      seqLo: table[slot + row.NODE_SEQ],
      seqHi: table[slot + row.NODE_SEQ + 1],
      generation: table[slot + row.GENERATION],
    }
  }
}
