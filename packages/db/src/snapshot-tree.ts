/**
 * The snapshot trees: who sees whose keys. Format chapter 5, 5.1 and 5.7.2.
 *
 * A snapshot sees its own keys and those of its ancestors. Parents have greater ids than their children, so a chain of parents always
 * ends. The trees are small and read whole; the set of a snapshot's ancestors is made once.
 */

import { POS_MIN } from './bpos.ts'
import type { KeyCursor } from './btree/cursor.ts'
import { KeyError } from './errors.ts'
import { KEY_BYTES } from './key.ts'

const TYPE_SNAPSHOT = 22
const PARENT_AT = KEY_BYTES + 4

export class SnapshotTree {
  private readonly parents = new Map<number, number>()
  private readonly ancestors = new Map<number, ReadonlySet<number>>()

  /** Reads all of the snapshots btree. Throws KeyError if a snapshot's parent doesn't have a greater id. */
  constructor(cursor: KeyCursor) {
    const { key } = cursor
    for (let found = cursor.seek(POS_MIN); found; found = cursor.next()) {
      if (key.type !== TYPE_SNAPSHOT) continue
      const parent = key.view.getUint32(PARENT_AT, true)
      if (parent !== 0 && parent <= key.offset) {
        throw new KeyError('EIO', `snapshots key ${key.posText}`, `snapshot_parent_bad: its parent is ${parent}`)
      }
      this.parents.set(key.offset, parent)
    }
  }

  /** True if the snapshot exists. */
  has(id: number): boolean {
    return this.parents.has(id)
  }

  /** The snapshot itself and all above it. */
  ancestorsOf(id: number): ReadonlySet<number> {
    let set = this.ancestors.get(id)
    if (set === undefined) {
      const chain = new Set<number>()
      for (let at = id; at !== 0 && !chain.has(at); at = this.parents.get(at) ?? 0) chain.add(at)
      this.ancestors.set(id, (set = chain))
    }
    return set
  }

  /** True if `ancestor` is `id` or above it. */
  isAncestor(id: number, ancestor: number): boolean {
    return this.ancestorsOf(id).has(ancestor)
  }
}
