/**
 * Commits transactions. Format chapter 2, 2.9.3 and 2.12.
 *
 *     triggers    what follows from the changed keys joins the transaction, until nothing more does
 *     checks      every key is as the format demands
 *     leaves      all nodes concerned are in memory, with room for their keys
 *     reserve     the journal has room for all of it in one entry
 *     record      each key goes into the journal entry, and into its node
 *
 * Whatever can fail comes before the last step, so a transaction that is refused leaves no trace. The last step can't be interrupted:
 * there is one thread that commits.
 */

import { compareBpos } from '../bpos.ts'
import { BtreeId, btreeName } from '../btree-ids.ts'
import type { Btrees } from '../btree/btree.ts'
import type { NodeEditor } from '../btree/node-editor.ts'
import { keyWords } from '../btree/node-image.ts'
import { leafKeyProblem } from '../btree/node-read.ts'
import type { TreeWriter } from '../btree/tree-writer.ts'
import { KeyError } from '../errors.ts'
import type { Journal } from '../journal/journal.ts'
import type { KeyType, VolumeShape } from '../key-type.ts'
import { Key, KEY_POS_AT, KEY_WORDS } from '../key.ts'
import { setJournalSeq } from '../key-types/alloc-v4.ts'
import { addCounters, type Transaction } from './transaction.ts'
import type { KeyTrigger, Updates } from './updates.ts'

const TYPE_DELETED = 0
const RECORD_HEADER_BYTES = 8

export interface CommitterOptions {
  readonly btrees: Btrees
  readonly editor: NodeEditor
  readonly journal: Journal
  readonly trees: TreeWriter
  readonly keyTypes: ReadonlyMap<number, KeyType>
  readonly shape: VolumeShape
  /** By btree. */
  readonly triggers: ReadonlyMap<number, readonly KeyTrigger[]>
  /** Adds what follows from all of a transaction. */
  readonly finish: (updates: Updates) => void
  /** Counters, as a transaction that is about to be committed changes them: the key at `words[at]`. Throws VolumeError, DeviceError. */
  readonly beforeCounters: (words: Uint32Array, at: number) => void
  /** The same when it is committed. */
  readonly afterCounters: (words: Uint32Array, at: number) => void
}

export class Committer {
  /** How many transactions were committed. */
  commits = 0
  private readonly options: CommitterOptions
  private readonly old = new Key()
  private readonly now = new Key()
  private readonly pos = new Uint32Array(5)
  private readonly leafEnd = new Uint32Array(5)
  /** The slot of each change, in order; -1: there is nothing to do. */
  private slots = new Int32Array(64)
  /** By key type: 1 if the value begins with the number of the journal entry that it is in. */
  private readonly stamped = new Uint8Array(256)

  constructor(options: CommitterOptions) {
    this.options = options
    for (const { number, beginsWithSeq } of options.keyTypes.values())
      this.stamped[number] = Number(beginsWithSeq ?? false)
  }

  /**
   * Commits the transaction, and returns the sequence number of the journal entry that it is part of. Throws KeyError EINVAL for a key
   * that may not be, whatever a trigger throws, BtreeError if a node can't be read, JournalError.
   */
  commit(tx: Transaction): number {
    this.runTriggers(tx)
    this.options.finish(tx)
    this.runTriggers(tx)
    return this.settle(tx)
  }

  /** The same without triggers: they have been run. */
  settle(tx: Transaction): number {
    this.check(tx)
    this.slots = room(this.slots, tx.count)
    try {
      this.options.journal.reserve(this.findLeaves(tx))
      return this.record(tx)
    } finally {
      this.releaseLeaves(tx)
    }
  }

  private runTriggers(tx: Transaction): void {
    const { untriggered } = tx
    for (let i = 0; i < untriggered.length; i++) {
      const index = untriggered[i]
      const at = tx.ats[index]
      const triggers = tx.levels[index] === 0 ? this.options.triggers.get(tx.btrees[index]) : undefined
      if (triggers !== undefined) this.trigger(tx, index, triggers)
      tx.seen[index] = at
      // what a trigger has made of its own key is a change too
      if (tx.ats[index] !== at) untriggered.push(index)
    }
    untriggered.length = 0
  }

  private trigger(tx: Transaction, index: number, triggers: readonly KeyTrigger[]): void {
    const { old, now } = this
    const at = tx.ats[index]
    const btree = tx.btrees[index]
    const seen = tx.seen[index]
    let hasOld: boolean
    if (seen < 0) hasOld = tx.getCommitted(btree, 0, tx.heap, at + KEY_POS_AT, old)
    else {
      old.set(tx.heap, seen)
      hasOld = old.type !== TYPE_DELETED
    }
    now.set(tx.heap, at)
    const hasNew = now.type !== TYPE_DELETED
    if (!hasOld && !hasNew) return
    const change = { btree, level: 0, old: hasOld ? old : undefined, new: hasNew ? now : undefined }
    for (const trigger of triggers) trigger(tx, change)
  }

  /** Throws KeyError for a key that may not be written. Format chapter 2, 2.8.2. */
  private check(tx: Transaction): void {
    const { keyTypes, shape } = this.options
    const { now } = this
    const { heap } = tx
    for (let i = 0; i < tx.count; i++) {
      const at = tx.ats[i]
      const type = (heap[at] >>> 16) & 0xff
      const btree = tx.btrees[i]
      if (type === TYPE_DELETED || btree === BtreeId.accounting) continue
      const keyType = keyTypes.get(type)
      let problem = leafKeyProblem(btree, heap, at, keyType?.minValueBytes ?? 0)
      if (problem === undefined && keyType === undefined) problem = `a key of type ${type}, which is not known`
      if (problem === undefined && keyType?.check !== undefined) {
        now.set(heap, at)
        problem = keyType.check(now, { btree, level: 0 }, shape)
      }
      if (problem === undefined) continue
      now.set(heap, at)
      throw new KeyError('EINVAL', `btree ${btreeName(btree)} key ${now.posText}`, problem)
    }
  }

  /** Loads and holds the leaves of all changes. Returns the bytes of their journal records. */
  private findLeaves(tx: Transaction): number {
    const { order, heap, count } = tx
    const { slots } = this
    const { btrees, editor, beforeCounters } = this.options
    const { cache } = btrees
    let bytes = 0
    for (let first = 0; first < count;) {
      const btree = tx.btrees[order[first]]
      for (let i = 0; i < 5; i++) this.pos[i] = heap[tx.ats[order[first]] + KEY_POS_AT + i]
      const slot = btrees.nodeAt(btree, 0, this.pos)
      cache.leave()
      cache.copyMaxKey(this.leafEnd, slot)
      let words = 0
      let keys = 0
      let end = first
      for (; end < count && tx.btrees[order[end]] === btree; end++) {
        const at = tx.ats[order[end]]
        if (compareBpos(heap, at + KEY_POS_AT, this.leafEnd, 0) > 0) break
        if (!this.isWanted(tx, order[end], slot)) continue
        slots[end] = slot
        cache.hold(slot)
        if (btree === BtreeId.accounting) beforeCounters(heap, at)
        const size = keyWords(heap, at)
        bytes += RECORD_HEADER_BYTES + size * 4
        words += size
        keys++
      }
      if (keys > 0) editor.makeRoom(slot, words, keys)
      first = end
    }
    return bytes
  }

  /** False for what changes nothing: deletions of what isn't there, differences of nothing. */
  private isWanted(tx: Transaction, index: number, slot: number): boolean {
    const { heap } = tx
    const at = tx.ats[index]
    if (((heap[at] >>> 16) & 0xff) === TYPE_DELETED) return this.options.editor.find(slot, heap, at + KEY_POS_AT) >= 0
    if (tx.btrees[index] !== BtreeId.accounting) return true
    for (let i = KEY_WORDS; i < keyWords(heap, at); i++) if (heap[at + i] !== 0) return true
    return false
  }

  private record(tx: Transaction): number {
    const { editor, journal, trees, afterCounters } = this.options
    const { order, heap, count } = tx
    const { seq } = journal
    this.commits++
    for (let i = 0; i < count; i++) {
      const slot = this.slots[i]
      if (slot < 0) continue
      const index = order[i]
      const at = tx.ats[index]
      const btree = tx.btrees[index]
      editor.markDirty(slot, seq)
      if (btree === BtreeId.accounting) {
        this.addCounters(slot, heap, at, seq)
        afterCounters(heap, at)
        continue
      }
      const type = (heap[at] >>> 16) & 0xff
      if (this.stamped[type] === 1) setJournalSeq(heap, at, tx.seq, seq)
      journal.recordKey(btree, 0, heap, at)
      if (type === TYPE_DELETED) editor.remove(slot, heap, at + KEY_POS_AT)
      else editor.insert(slot, heap, at)
    }
    for (let i = 0; i < count; i++) if (this.slots[i] >= 0) trees.noteSize(this.slots[i])
    return seq
  }

  /** The journal gets the difference, the node the total. Format chapter 4, 4.8.3. */
  private addCounters(slot: number, heap: Uint32Array, at: number, seq: number): void {
    const { editor, journal, btrees } = this.options
    const { now } = this
    const index = journal.recordKey(BtreeId.accounting, 0, heap, at)
    journal.stampVersion(index)
    heap[at + 1] = index
    heap[at + 2] = seq >>> 0
    heap[at + 3] = Math.floor(seq / 0x100000000)
    const present = editor.find(slot, heap, at + KEY_POS_AT)
    if (present < 0) {
      editor.insert(slot, heap, at)
      return
    }
    now.set(btrees.cache.words(slot), present)
    for (let i = 1; i <= 3; i++) now.words[i] = heap[at + i]
    addCounters(now.words, 0, heap, at)
    editor.insert(slot, now.words, 0)
  }

  private releaseLeaves(tx: Transaction): void {
    const { cache } = this.options.btrees
    for (let i = 0; i < tx.count; i++) if (this.slots[i] >= 0) cache.release(this.slots[i])
  }
}

/** Room for `count` slots, none of which is one. */
function room(slots: Int32Array<ArrayBuffer>, count: number): Int32Array<ArrayBuffer> {
  const enough = slots.length < count ? new Int32Array(2 * count) : slots
  return enough.fill(-1, 0, count)
}
