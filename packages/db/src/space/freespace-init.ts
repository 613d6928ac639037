/**
 * Makes the indexes of a device's free buckets from its alloc keys: of a device that is new, or whose superblock says that they are not
 * there. Format chapter 4, 4.10.2.
 */

import { BPOS_WORDS, compareBpos, setBpos } from '../bpos.ts'
import { BtreeId } from '../btree-ids.ts'
import type { KeyCursor } from '../btree/cursor.ts'
import { DataType } from '../data-types.ts'
import type { DeviceShape, VolumeShape } from '../key-type.ts'
import { Bucket } from '../key-types/bucket.ts'
import { Key, KEY_POS_AT } from '../key.ts'
import type { Updates } from '../transaction/updates.ts'
import { loadBucket } from './alloc-key.ts'
import { GENBITS_SHIFT, genbitsOf } from './freespace.ts'
import { makeSet } from './set-key.ts'

/** What may be changed at once. */
const KEYS_AT_ONCE = 256

/** What this works on: committed keys, and a way to commit. */
export interface FreespaceInit {
  readonly shape: VolumeShape
  cursor(btree: number): KeyCursor
  commit(change: (updates: Updates) => void): void
}

/** Replaces the keys of `device` in freespace and need_discard. Throws VolumeError. */
export function initFreespace(on: FreespaceInit, device: number, member: DeviceShape): void {
  for (const btree of [BtreeId.freespace, BtreeId.needDiscard]) removeAll(on, btree, device)
  const pos = new Uint32Array(BPOS_WORDS)
  const key = new Key()
  const bucket = new Bucket()
  let next = member.firstBucket
  while (next < member.bucketCount) {
    on.commit((updates) => {
      const alloc = on.cursor(BtreeId.alloc)
      setBpos(pos, 0, device, 0, next, 0)
      let found = alloc.seek(pos)
      for (let keys = 0; keys < KEYS_AT_ONCE && next < member.bucketCount; keys++) {
        const isOfDevice = found && alloc.key.inodeHi === 0 && alloc.key.inodeLo === device
        const end = isOfDevice ? Math.min(alloc.key.offset, member.bucketCount) : member.bucketCount
        if (end > next) {
          setBpos(pos, 0, device, 0, end, 0)
          updates.put(BtreeId.freespace, makeSet(key, pos, end - next))
        }
        next = end + 1
        if (!isOfDevice || end >= member.bucketCount) continue
        loadBucket(bucket, alloc.key, on.shape)
        if (bucket.dataType === DataType.free) {
          setBpos(pos, 0, device, genbitsOf(bucket.generationsAhead) << GENBITS_SHIFT, end + 1, 0)
          updates.put(BtreeId.freespace, makeSet(key, pos, 1))
        } else if (bucket.dataType === DataType.needDiscard) {
          setBpos(pos, 0, device, 0, end, 0)
          updates.put(BtreeId.needDiscard, makeSet(key, pos))
        }
        found = alloc.next()
      }
    })
  }
}

function removeAll(on: FreespaceInit, btree: number, device: number): void {
  const from = new Uint32Array(BPOS_WORDS)
  const to = new Uint32Array(BPOS_WORDS)
  const pos = new Uint32Array(BPOS_WORDS)
  setBpos(from, 0, device, 0, 0, 0)
  setBpos(to, 0, device + 1, 0, 0, 0)
  for (let isMore = true; isMore;) {
    on.commit((updates) => {
      const cursor = on.cursor(btree)
      let keys = 0
      isMore = cursor.seek(from)
      while (isMore && keys < KEYS_AT_ONCE && compareBpos(cursor.key.words, KEY_POS_AT, to, 0) < 0) {
        for (let i = 0; i < BPOS_WORDS; i++) pos[i] = cursor.key.words[KEY_POS_AT + i]
        updates.remove(btree, pos)
        keys++
        isMore = cursor.next()
      }
      isMore &&= keys === KEYS_AT_ONCE
    })
  }
}
