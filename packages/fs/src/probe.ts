/**
 * Finding an entry in the hash tables that directories and attribute sets are: from the entry's home offset on, entries of other names
 * and tombstones are passed over, and the first free offset ends the search. Format chapter 5, 5.4.5.
 */

import { setBpos } from '@cowherd/db'
import type { Bpos, Key, KeyCursor } from '@cowherd/db'

export const HASH_WHITEOUT = 4

/** What is at an offset. */
export type Slot = 'found' | 'other' | 'free'

const pos: Bpos = new Uint32Array(5)

/**
 * Moves `cursor`, which shows one snapshot's view, to the entry of the table (`inodeHi`, `inodeLo`) for which `slotOf` says it is found,
 * starting at offset `hi:lo`. False if there is none. Tombstones never reach `slotOf`.
 */
export function probe(
  cursor: KeyCursor,
  inodeHi: number,
  inodeLo: number,
  hi: number,
  lo: number,
  slotOf: (key: Key) => Slot,
): boolean {
  const { key } = cursor
  setBpos(pos, inodeHi, inodeLo, hi, lo, 0)
  for (let found = cursor.seek(pos); found; found = cursor.next()) {
    const isNextSlot = key.offsetLo === lo && key.offsetHi === hi && key.inodeLo === inodeLo && key.inodeHi === inodeHi
    if (!isNextSlot) return false
    if (key.type !== HASH_WHITEOUT) {
      const slot = slotOf(key)
      if (slot !== 'other') return slot === 'found'
    }
    lo = (lo + 1) >>> 0
    if (lo === 0) hi = (hi + 1) >>> 0
  }
  return false
}
