/** What the allocation btrees say, as text: to be compared between a real volume and a recomputed one. Format chapter 4, 4.12. */

import { bposText, POS_MIN } from '../bpos.ts'
import { BtreeId } from '../btree-ids.ts'
import type { KeyCursor } from '../btree/cursor.ts'
import { dataTypeName } from '../data-types.ts'
import type { VolumeShape } from '../key-type.ts'
import { AccountingType } from '../key-types/accounting.ts'
import { Bucket } from '../key-types/bucket.ts'
import { KEY_BYTES, KEY_POS_AT } from '../key.ts'
import { loadBucket } from '../space/alloc-key.ts'
import { startOf } from '../space/freespace.ts'

/** One line a fact, sorted, by btree; what is free, zero or without meaning is left out. */
export function spaceState(cursorOf: (btree: number) => KeyCursor, shape: VolumeShape): Record<string, string[]> {
  return {
    alloc: lines(cursorOf(BtreeId.alloc), (cursor, add) => {
      const bucket = new Bucket()
      loadBucket(bucket, cursor.key, shape)
      const { dataType, gen, dirtySectors, stripeSectors, cachedSectors, stripe, oldestGen } = bucket
      const flags = `${Number(bucket.needDiscard)}${Number(bucket.needIncGen)}`
      add(
        `${cursor.key.posText} ${dataTypeName(dataType)} gen ${gen} ${oldestGen} sectors ${dirtySectors} ${stripeSectors} ` +
          `${cachedSectors} stripe ${stripe} flags ${flags}`,
      )
    }),
    freespace: lines(cursorOf(BtreeId.freespace), ({ key }, add) => {
      for (let bucket = startOf(key); bucket < key.offsetLo; bucket++) {
        add(`${key.inode}:${bucket} genbits ${key.offsetHi >>> 24}`)
      }
    }),
    needDiscard: lines(cursorOf(BtreeId.needDiscard), ({ key }, add) => add(`${key.posText} size ${key.size}`)),
    lru: lines(cursorOf(BtreeId.lru), ({ key }, add) => add(key.posText)),
    rebalanceWork: lines(cursorOf(BtreeId.rebalanceWork), ({ key }, add) => {
      if (key.type === 25) add(key.posText)
    }),
    bucketGens: lines(cursorOf(BtreeId.bucketGens), ({ key }, add) => {
      for (let i = 0; i < 256; i++) {
        const gen = key.bytes[KEY_BYTES + i]
        if (gen !== 0) add(`${key.inode}:${key.offset * 256 + i} gen ${gen}`)
      }
    }),
    backpointers: lines(cursorOf(BtreeId.backpointers), ({ key }, add) => {
      add(`${key.posText}: ${[...key.words.subarray(KEY_BYTES / 4, key.u64s * 2)].join(' ')}`)
    }),
    accounting: lines(cursorOf(BtreeId.accounting), ({ key }, add) => {
      const type = key.words[KEY_POS_AT] & 0xff
      const counters = Array.from({ length: key.valueBytes / 8 }, (_, i) =>
        key.view.getBigInt64(KEY_BYTES + 8 * i, true),
      )
      const isOurs = type !== AccountingType.inodes && type <= AccountingType.inum
      if (isOurs && counters.some((counter) => counter !== 0n)) {
        add(`${bposText(key.words, KEY_POS_AT)} type ${type}: ${counters.join(' ')}`)
      }
    }),
  }
}

function lines(cursor: KeyCursor, tell: (cursor: KeyCursor, add: (line: string) => void) => void): string[] {
  const all: string[] = []
  for (let found = cursor.seek(POS_MIN); found; found = cursor.next()) tell(cursor, (line) => all.push(line))
  return all.sort()
}
