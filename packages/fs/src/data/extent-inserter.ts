/**
 * Puts new extents into a file, each as one with the extent in front of it where that is possible: appending in small pieces leaves few keys.
 * Format chapter 6, 6.2.4 and 6.9.
 *
 * Who writes to a file has a snapshot of its own, below which there is none: nobody else's view changes when two of its keys become one.
 */

import { BtreeId, Key, KEY_SIZE_AT, KEY_WORDS, setBpos, type Bpos, type Updates } from '@cowherd/db'
import { EXTENT } from '../extents/extent-key.ts'
import { insertExtent } from '../extents/overwrite.ts'
import { RESERVATION } from '../key-types/reservation.ts'
import type { DataVolume } from './data-volume.ts'

const SIZE_MAX = 0xffffffff

export class ExtentInserter {
  private readonly volume: DataVolume
  private readonly before = new Key()
  private readonly pos: Bpos = new Uint32Array(5)

  constructor(volume: DataVolume) {
    this.volume = volume
  }

  /** Inserts an extent in place of what is there. Returns how many sectors more the file has. Throws KeyError for malformed extents. */
  insert(updates: Updates, key: Key): number {
    this.merge(updates, key)
    return insertExtent(updates, this.volume.snapshots, key)
  }

  /** Lets the key begin where the one in front of it does, if they can be one. */
  private merge(updates: Updates, key: Key): void {
    const { before, pos } = this
    const { start } = key
    if (start === 0 || (key.type !== EXTENT && key.type !== RESERVATION)) return
    setBpos(pos, key.inodeHi, key.inodeLo, Math.floor(start / 0x100000000), start, key.snapshot)
    if (!updates.get(BtreeId.extents, pos, before) || before.type !== key.type) return
    if (key.type === EXTENT) this.volume.data.merge(before, key)
    else if (isSamePromise(before, key)) key.words[KEY_SIZE_AT] += before.size
  }
}

function isSamePromise(a: Key, b: Key): boolean {
  if (a.u64s !== b.u64s || a.size + b.size > SIZE_MAX) return false
  for (let at = KEY_WORDS; at < 2 * a.u64s; at++) if (a.words[at] !== b.words[at]) return false
  return true
}
