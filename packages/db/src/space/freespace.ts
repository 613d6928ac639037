/**
 * The freespace btree: which buckets may be allocated, as ranges. A bucket lies at its number, with the upper bits of how far its
 * generation is ahead in bits 56 to 63 (`genbits`): what was used seldom sorts first. Format chapter 4, 4.3.5.
 *
 * Taking a bucket out of a range leaves what is left and right of it; one that is put in joins its neighbours. Everything is read as
 * the transaction leaves it, so any number of buckets of one range can change in one transaction.
 */

import { BPOS_WORDS, setBpos } from '../bpos.ts'
import { BtreeId } from '../btree-ids.ts'
import { KeyError } from '../errors.ts'
import { Key } from '../key.ts'
import type { Updates } from '../transaction/updates.ts'
import { KEY_TYPE_SET, makeSet } from './set-key.ts'

/** In the upper half of an offset. */
export const GENBITS_SHIFT = 24

export class Freespace {
  private readonly found = new Key()
  private readonly made = new Key()
  private readonly pos = new Uint32Array(BPOS_WORDS)

  /** Puts a bucket in. Throws KeyError if it is in already. */
  add(updates: Updates, device: number, bucket: number, genbits: number): void {
    const { found, made } = this
    let start = bucket
    let end = bucket + 1
    if (this.findBehind(updates, device, bucket, genbits)) {
      if (startOf(found) <= bucket) throw new KeyError('EIO', `freespace ${device}:${bucket}`, 'is free already')
      if (startOf(found) === end) end = found.offsetLo
    }
    if (updates.get(BtreeId.freespace, this.at(device, bucket, genbits), found) && isRange(found)) {
      start = startOf(found)
      updates.remove(BtreeId.freespace, this.pos)
    }
    updates.put(BtreeId.freespace, makeSet(made, this.at(device, end, genbits), end - start))
  }

  /** Takes a bucket out. False, and nothing happens, if it isn't in. */
  remove(updates: Updates, device: number, bucket: number, genbits: number): boolean {
    const { found, made } = this
    if (!this.findBehind(updates, device, bucket, genbits)) return false
    const start = startOf(found)
    const end = found.offsetLo
    if (start > bucket) return false
    if (start < bucket) {
      updates.put(BtreeId.freespace, makeSet(made, this.at(device, bucket, genbits), bucket - start))
    }
    const position = this.at(device, end, genbits)
    if (end > bucket + 1) updates.put(BtreeId.freespace, makeSet(made, position, end - bucket - 1))
    else updates.remove(BtreeId.freespace, position)
    return true
  }

  /** Copies the first range with these genbits that ends behind the bucket to `found`. False if there is none. */
  private findBehind(updates: Updates, device: number, bucket: number, genbits: number): boolean {
    const { found } = this
    if (!updates.peek(BtreeId.freespace, this.at(device, bucket + 1, genbits), found)) return false
    const isHere = found.inodeHi === 0 && found.inodeLo === device && found.offsetHi === genbits << GENBITS_SHIFT
    return isHere && isRange(found)
  }

  private at(device: number, offset: number, genbits: number): Uint32Array {
    setBpos(this.pos, 0, device, genbits << GENBITS_SHIFT, offset, 0)
    return this.pos
  }
}

/** The genbits of a bucket whose generation is so far ahead of that of its oldest pointer. */
export function genbitsOf(generationsAhead: number): number {
  return generationsAhead >>> 4
}

/** First bucket of a range: `Key.start` can't tell, as genbits are above what a number holds exactly. */
export function startOf(range: Key): number {
  return range.offsetLo - range.size
}

/** Whether the key is a range of buckets with the same genbits. */
export function isRange(key: Key): boolean {
  return key.type === KEY_TYPE_SET && key.size > 0 && key.size <= key.offsetLo && key.snapshot === 0
}
