/**
 * Extents that one snapshot sees don't overlap. Keys of a btree with ranges are taken in order, and looked at inode by inode. Format
 * chapter 2, 2.7.2, and 6, 6.1.2.
 */

import { btreeName, type Key } from '@cowherd/db'
import type { Faults } from './faults.ts'
import { Type } from './key-types.ts'

/** Who sees whose keys. */
export interface Ancestry {
  /** Ids of all snapshots; none for btrees without. */
  readonly ids: readonly number[]
  ancestorsOf(id: number): ReadonlySet<number>
}

/** Where keys and snapshots of an inode are collected. */
interface Range {
  readonly start: number
  readonly end: number
  readonly snapshot: number
  readonly isWhiteout: boolean
}

export class VisibleExtents {
  private readonly btree: number
  private readonly ancestry: Ancestry
  private readonly faults: Faults
  private readonly ranges: Range[] = []
  private inodeHi = 0
  private inodeLo = 0

  constructor(btree: number, ancestry: Ancestry, faults: Faults) {
    this.btree = btree
    this.ancestry = ancestry
    this.faults = faults
  }

  take(key: Key): void {
    if (key.inodeLo !== this.inodeLo || key.inodeHi !== this.inodeHi) {
      this.finish()
      this.inodeLo = key.inodeLo
      this.inodeHi = key.inodeHi
    }
    this.ranges.push({
      start: key.start,
      end: key.offset,
      snapshot: key.snapshot,
      isWhiteout: key.type === Type.whiteout,
    })
  }

  /** Looks at the inode at hand; at last when all keys have been seen. */
  finish(): void {
    const { ranges } = this
    if (ranges.length > 1) {
      const own = new Set(ranges.map(({ snapshot }) => snapshot))
      if (own.size === 1) this.checkView(ranges[0].snapshot, own)
      else for (const id of new Set([...own, ...this.ancestry.ids])) this.checkView(id, this.ancestry.ancestorsOf(id))
    }
    ranges.length = 0
  }

  /** At each end the key of the nearest ancestor decides: that with the smallest id. */
  private checkView(snapshot: number, ancestors: ReadonlySet<number>): void {
    let decided = -1
    let last: Range | undefined
    for (const range of this.ranges) {
      if (range.end === decided || !ancestors.has(range.snapshot)) continue
      decided = range.end
      if (range.isWhiteout) continue
      if (last !== undefined && range.start < last.end) this.complain(snapshot, last, range)
      last = range
    }
  }

  private complain(snapshot: number, a: Range, b: Range): void {
    const inode = this.inodeHi * 0x100000000 + this.inodeLo
    const place = `${btreeName(this.btree)} ${inode}:${b.end}:${b.snapshot}`
    this.faults.add(place, `starts at ${b.start}, inside ${a.start} to ${a.end} of ${a.snapshot} (seen by ${snapshot})`)
  }
}
