/**
 * Makes emptied buckets free again, when the journal entry that emptied them is on stable storage: until then a crash would bring what was
 * in them back. The device is told that their contents are not needed, if the member is to be told such things. Format chapter 4, 4.6.1
 * and 4.6.2.
 */

import { DeviceError, isWritable, type BlockDevice } from '@cowherd/shim'
import { BPOS_WORDS, copyBpos, POS_MIN } from '../bpos.ts'
import { BtreeId } from '../btree-ids.ts'
import type { KeyCursor } from '../btree/cursor.ts'
import { DataType, dataTypeName } from '../data-types.ts'
import { KeyError } from '../errors.ts'
import type { VolumeShape } from '../key-type.ts'
import { Bucket } from '../key-types/bucket.ts'
import { Key, KEY_POS_AT } from '../key.ts'
import type { Member } from '../superblock/sections/members.ts'
import type { Updates } from '../transaction/updates.ts'
import { loadBucket } from './alloc-key.ts'
import type { SpaceTriggers } from './bucket-trigger.ts'

export interface DiscardSource {
  readonly shape: VolumeShape
  readonly members: readonly Member[]
  readonly devices: readonly (BlockDevice | undefined)[]
  /** A walk over the committed keys of a btree. */
  cursor(btree: number): KeyCursor
  isOpen(device: number, bucket: number): boolean
  /** Whether a device can be written to. */
  isRw(device: number): boolean
  /** The last journal entry up to which all are on stable storage. */
  flushedSeq(): number
  note(message: string): void
}

export interface DiscardProgress {
  /** Buckets that the transaction turns free. */
  readonly freed: number
  /** Buckets that were passed over, as the journal has to be flushed first. */
  readonly waiting: number
  /** Buckets that were passed over, as the allocator holds them. */
  readonly held: number
}

const SECTOR = 512

export class Discards {
  private readonly source: DiscardSource
  private readonly cursor: KeyCursor
  private readonly key = new Key()
  private readonly bucket = new Bucket()
  /** Where to go on. */
  private readonly next = new Uint32Array(BPOS_WORDS)
  /** Devices that have failed to discard: they are left alone. */
  private readonly failed = new Set<number>()

  constructor(source: DiscardSource) {
    this.source = source
    this.cursor = source.cursor(BtreeId.needDiscard)
  }

  /**
   * Turns up to `most` buckets free, as part of a transaction, going on where the call before stopped, to the end of the btree: then 0 are
   * freed, or fewer than `most`, and the next call begins at the front. Throws KeyError if one of them is not what the btree says.
   */
  step(updates: Updates, space: SpaceTriggers, most: number): DiscardProgress {
    const { cursor, next } = this
    let freed = 0
    let waiting = 0
    let held = 0
    for (let found = cursor.seek(next); found; found = cursor.next()) {
      if (freed === most) {
        copyBpos(next, cursor.key.words, KEY_POS_AT)
        return { freed, waiting, held }
      }
      const { inode: device, offset: number } = cursor.key
      if (!this.source.isRw(device)) continue
      if (this.source.isOpen(device, number)) held++
      else if (!this.isFlushed(updates, cursor.key)) waiting++
      else {
        this.discard(device, number)
        space.discarded(updates, device, number)
        freed++
      }
    }
    copyBpos(next, POS_MIN)
    return { freed, waiting, held }
  }

  private isFlushed(updates: Updates, { words, posText }: Key): boolean {
    const { key, bucket } = this
    const pos = words.subarray(KEY_POS_AT, KEY_POS_AT + BPOS_WORDS)
    if (updates.get(BtreeId.alloc, pos, key)) loadBucket(bucket, key, this.source.shape)
    else bucket.clear()
    if (bucket.dataType !== DataType.needDiscard) {
      const what = `need_discard_freespace_key_bad: the bucket is ${dataTypeName(bucket.dataType)}`
      throw new KeyError('EIO', `need_discard key ${posText}`, what)
    }
    return bucket.journalSeqHi * 0x100000000 + bucket.journalSeqLo <= this.source.flushedSeq()
  }

  private discard(index: number, bucket: number): void {
    const { members, devices } = this.source
    const { discard, bucketSectors } = members[index]
    const device = devices[index]
    if (!discard || device === undefined || !isWritable(device) || !device.canDiscard || this.failed.has(index)) return
    try {
      device.discard(bucket * bucketSectors * SECTOR, bucketSectors * SECTOR)
    } catch (error) {
      if (!(error instanceof DeviceError)) throw error
      // It was but a hint.
      this.failed.add(index)
      this.source.note(`device ${index}: nothing is discarded any more: ${error.message}`)
    }
  }
}
