/**
 * Generations of buckets by the bucket_gens btree, for telling stale pointers: one byte a bucket, read in groups of 256 at
 * first use and kept. Format chapter 4, 4.3.4.
 */

import { compareBpos, setBpos } from './bpos.ts'
import type { KeyCursor } from './btree/cursor.ts'
import { KEY_BYTES, KEY_POS_AT } from './key.ts'
import { BUCKETS_PER_GENS_KEY } from './key-types/bucket-gens.ts'

const TYPE_BUCKET_GENS = 30

export class BucketGenerations {
  private readonly cursor: KeyCursor
  private readonly pos = new Uint32Array(5)
  /** By device and group; a group without key has generation 0 throughout. */
  private readonly groups = new Map<number, Uint8Array>()
  private lastId = -1
  private last: Uint8Array = NONE

  /** `cursor` walks over the bucket_gens btree, for this object alone. */
  constructor(cursor: KeyCursor) {
    this.cursor = cursor
  }

  /** The bucket's generation. Throws VolumeError if the btree can't be read. */
  at(device: number, bucket: number): number {
    const group = Math.floor(bucket / BUCKETS_PER_GENS_KEY)
    const id = group * 256 + device
    if (id !== this.lastId) {
      this.last = this.groups.get(id) ?? this.load(device, group, id)
      this.lastId = id
    }
    return this.last[bucket % BUCKETS_PER_GENS_KEY]
  }

  private load(device: number, group: number, id: number): Uint8Array {
    const { key } = this.cursor
    setBpos(this.pos, 0, device, Math.floor(group / 0x100000000), group >>> 0, 0)
    let gens: Uint8Array = NONE
    if (
      this.cursor.seek(this.pos) &&
      compareBpos(key.words, KEY_POS_AT, this.pos, 0) === 0 &&
      key.type === TYPE_BUCKET_GENS &&
      key.valueBytes >= BUCKETS_PER_GENS_KEY
    ) {
      gens = key.bytes.slice(KEY_BYTES, KEY_BYTES + BUCKETS_PER_GENS_KEY)
    }
    this.groups.set(id, gens)
    return gens
  }
}

const NONE = new Uint8Array(BUCKETS_PER_GENS_KEY)
