/** What the keys of a database should be: per btree a sorted list, with each key as text. Copies cost what they differ by. */

import { bposText, compareBpos, KEY_POS_AT, type Key } from '@cowherd/db'
import { valueText } from '@cowherd/verify'

export interface Row {
  readonly pos: Uint32Array
  readonly type: number
  /** As `dumpKeys` has it. */
  readonly text: string
}

/** A key that a transaction puts somewhere, or the place of one that it removes. */
export interface Change {
  readonly btree: number
  readonly pos: Uint32Array
  readonly key: Key | undefined
}

export class KeyModel {
  private readonly btrees: Map<number, readonly Row[]>

  constructor(btrees: ReadonlyMap<number, readonly Row[]> = new Map()) {
    this.btrees = new Map(btrees)
  }

  copy(): KeyModel {
    return new KeyModel(this.btrees)
  }

  /** Does what a transaction does. */
  apply(changes: readonly Change[]): void {
    const own = new Map<number, Row[]>()
    for (const { btree, pos, key } of changes) {
      let rows = own.get(btree)
      if (rows === undefined) own.set(btree, (rows = [...this.rowsOf(btree)]))
      const at = placeOf(rows, pos)
      const isThere = at < rows.length && compareBpos(rows[at].pos, 0, pos, 0) === 0
      if (key === undefined) rows.splice(at, isThere ? 1 : 0)
      else rows.splice(at, isThere ? 1 : 0, { pos, type: key.type, text: valueText(key) })
    }
    for (const [btree, rows] of own) this.btrees.set(btree, rows)
  }

  /** All keys of a btree, in order. */
  rowsOf(btree: number): readonly Row[] {
    return this.btrees.get(btree) ?? []
  }

  /** What is at exactly `pos`. */
  at(btree: number, pos: Uint32Array): Row | undefined {
    const row = this.first(btree, pos)
    return row !== undefined && compareBpos(row.pos, 0, pos, 0) === 0 ? row : undefined
  }

  /** The first key at or behind `pos`. */
  first(btree: number, pos: Uint32Array): Row | undefined {
    const rows = this.rowsOf(btree)
    const at = placeOf(rows, pos)
    return at < rows.length ? rows[at] : undefined
  }

  /** The last key at or before `pos`. */
  last(btree: number, pos: Uint32Array): Row | undefined {
    const rows = this.rowsOf(btree)
    const at = placeOf(rows, pos)
    if (at < rows.length && compareBpos(rows[at].pos, 0, pos, 0) === 0) return rows[at]
    return at === 0 ? undefined : rows[at - 1]
  }

  /** What snapshot `id` sees of a btree: at each place the key of the nearest of `ancestors`, unless that is of type `whiteout`. */
  view(btree: number, ancestors: ReadonlySet<number>, whiteout: number): Row[] {
    const seen: Row[] = []
    let decided: Uint32Array | undefined
    for (const row of this.rowsOf(btree)) {
      if (!ancestors.has(row.pos[0])) continue
      if (decided !== undefined && isSamePlace(decided, row.pos)) continue
      decided = row.pos
      if (row.type !== whiteout) seen.push(row)
    }
    return seen
  }

  /** As `dumpKeys`, of these btrees. */
  dump(btrees: readonly number[]): Map<string, string> {
    const keys = new Map<string, string>()
    for (const btree of btrees) {
      for (const { pos, text } of this.rowsOf(btree)) keys.set(`${btree}:${bposText(pos)}`, text)
    }
    return keys
  }
}

/** A row of a key. */
export function rowOf(key: Key): Row {
  return { pos: key.words.slice(KEY_POS_AT, KEY_POS_AT + 5), type: key.type, text: valueText(key) }
}

function placeOf(rows: readonly Row[], pos: Uint32Array): number {
  let low = 0
  let high = rows.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if (compareBpos(rows[middle].pos, 0, pos, 0) < 0) low = middle + 1
    else high = middle
  }
  return low
}

/** Words of a position behind the snapshot. */
function isSamePlace(a: Uint32Array, b: Uint32Array): boolean {
  return a[1] === b[1] && a[2] === b[2] && a[3] === b[3] && a[4] === b[4]
}
