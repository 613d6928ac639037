/** All that is in btrees as text, for comparing. */

import { BtreeId, KEY_BYTES, POS_MIN, type Key, type Volume } from '@cowherd/db'
import { hexText } from '@cowherd/kernel-lib'

/**
 * The live keys of all snapshots, whiteouts included: from `btree:position` to type, size and value in hex. Versions are left out: those
 * of counters depend on when they were written. `btrees`: which ones; left out: all.
 */
export function dumpKeys(volume: Volume, btrees?: readonly number[]): Map<string, string> {
  const keys = new Map<string, string>()
  for (const btree of btrees ?? btreesOf(volume)) {
    const cursor = volume.cursor(btree)
    const { key } = cursor
    for (let found = cursor.seek(POS_MIN); found; found = cursor.next()) {
      keys.set(`${btree}:${key.posText}`, valueText(key))
    }
  }
  return keys
}

/** What `dumpKeys` says of a key. */
export function valueText(key: Key): string {
  return `${key.type} ${key.size} ${hexText(key.bytes.subarray(KEY_BYTES, key.u64s * 8))}`
}

/** Those with a root, and all known ones: the journal may have keys of a btree that has no root yet. */
export function btreesOf(volume: Volume): number[] {
  return [...new Set([...Object.values(BtreeId), ...volume.btreeIds])].sort((a, b) => a - b)
}
