/**
 * What a database does for itself between transactions: writes changed nodes out, so that the journal's oldest entries are needed no more
 * and memory is enough. Format chapter 2, 2.9.3; 3, 3.7.7. Free buckets are looked after by `space-reclaim.ts`.
 */

import type { NodeEditor } from './btree/node-editor.ts'
import type { TreeWriter } from './btree/tree-writer.ts'
import { VolumeError } from './errors.ts'
import type { Journal } from './journal/journal.ts'
import type { Allocator } from './space/allocator.ts'
import type { SpaceTriggers } from './space/bucket-trigger.ts'
import { Watermark } from './space/reserves.ts'
import type { Superblock } from './superblock/index.ts'
import type { Committer } from './transaction/committer.ts'
import type { Transaction } from './transaction/transaction.ts'

export interface MaintenanceParts {
  readonly superblock: Superblock
  readonly journal: Journal
  readonly editor: NodeEditor
  readonly trees: TreeWriter
  readonly committer: Committer
  readonly allocator: Allocator
  readonly buckets: SpaceTriggers
  /** For transactions of its own. */
  readonly tx: Transaction
  readonly cacheBytes: number
  readonly isWritable: (device: number) => boolean
}

/** Part of the cache that changed nodes may take, and to which they are written out then. */
const DIRTY_MAX = 0.9
const DIRTY_LOW = 0.75
/** How often reclaim is tried before the journal is left to say that it is full. */
const RECLAIM_TRIES = 4
/** Nodes that were changed before the last period but one are written out, a few at once. */
const PERIOD_MS = 10_000
const OLD_AT_ONCE = 16
/** Each round of a write-back changes the nodes one level further up, and rarely others. */
const ROUNDS_MAX = 1000

/** Whatever these throw, they may be halfway: nothing may be written to the volume then. */
export class Maintenance {
  private readonly parts: MaintenanceParts
  /** When this period began, with which entry, and with which one the period before. */
  private periodMs = 0
  private periodSeq = 0
  private oldSeq = 0

  constructor(parts: MaintenanceParts) {
    this.parts = parts
  }

  /** Before a transaction: room in the journal and in memory. */
  prepare(): void {
    const { journal, editor, trees } = this.parts
    for (let tries = 1; tries <= RECLAIM_TRIES && journal.isLow; tries++) {
      const target = tries === RECLAIM_TRIES ? Infinity : journal.reclaimTarget()
      trees.writeOut([...editor.dirty.values()].filter((node) => node.oldestSeq <= target).map(({ slot }) => slot))
      trees.balance()
      journal.flush()
    }
    this.relieve()
  }

  /** Commits a transaction of the database's own, for which it makes room itself. */
  transact(change: (tx: Transaction) => void): void {
    this.prepare()
    const { tx, journal, buckets, committer, trees } = this.parts
    tx.begin(journal.seq)
    buckets.begin()
    change(tx)
    committer.commit(tx)
    trees.balance()
  }

  /**
   * Throws VolumeError ENOSPC, with nothing changed, unless there is more room for btree nodes than what frees space needs. Data leave more than
   * that: whoever has written some finds room for its keys.
   */
  requireRoom(): void {
    const { superblock, allocator, isWritable } = this.parts
    let durability = 0
    for (const { index, alive, durability: each } of superblock.members) {
      if (alive && isWritable(index) && allocator.bucketsFree(index, Watermark.copygc) > 0) durability += each
    }
    if (durability < superblock.options.metadataReplicasRequired)
      throw new VolumeError('ENOSPC', '', 'the volume is full')
  }

  /** Writes out nodes if those that were changed take too much of the cache: those that have most to be written, as each costs a write. */
  relieve(): void {
    const { editor, trees, cacheBytes } = this.parts
    const words = cacheBytes / 4
    if (editor.dirtyWords <= words * DIRTY_MAX) return
    let left = editor.dirtyWords
    const slots: number[] = []
    const most = [...editor.dirty.keys()].sort((a, b) => editor.unwrittenWords(b) - editor.unwrittenWords(a))
    for (const slot of most) {
      if (left <= words * DIRTY_LOW) break
      slots.push(slot)
      left -= editor.wordsOf(slot)
    }
    trees.writeOut(slots)
  }

  /** Writes out some of the nodes that were changed long ago. */
  writeOldest(nowMs: number): void {
    const { journal, editor, trees } = this.parts
    if (nowMs - this.periodMs >= PERIOD_MS) {
      this.oldSeq = this.periodSeq
      this.periodSeq = journal.seq
      this.periodMs = nowMs
    }
    const slots: number[] = []
    for (const { slot, oldestSeq } of editor.dirty.values()) {
      if (oldestSeq >= this.oldSeq || slots.length === OLD_AT_ONCE) break
      slots.push(slot)
    }
    if (slots.length === 0) return
    trees.writeOut(slots)
    trees.balance()
  }

  /** Writes out all changed nodes: nothing of the journal is needed then. */
  writeBack(): void {
    const { editor, trees } = this.parts
    for (let rounds = 0; editor.dirty.size > 0; rounds++) {
      if (rounds === ROUNDS_MAX) throw new RangeError('writing nodes out comes to no end')
      trees.writeOut([...editor.dirty.keys()])
    }
  }
}
