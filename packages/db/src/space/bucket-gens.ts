/** The bucket_gens btree: the generations of all buckets once more, 256 to a key, as a mount loads them. Format chapter 4, 4.3.4. */

import { BPOS_WORDS, setBpos } from '../bpos.ts'
import { BtreeId } from '../btree-ids.ts'
import { KeyError } from '../errors.ts'
import { bucketGens, BUCKETS_PER_GENS_KEY } from '../key-types/bucket-gens.ts'
import { Key, KEY_BYTES } from '../key.ts'
import type { Updates } from '../transaction/updates.ts'

export class BucketGens {
  private readonly key = new Key()
  private readonly pos = new Uint32Array(BPOS_WORDS)

  /** Notes a bucket's generation. Throws KeyError for a key that is none of generations. */
  put(updates: Updates, device: number, bucket: number, gen: number): void {
    const { key, pos } = this
    setBpos(pos, 0, device, 0, Math.floor(bucket / BUCKETS_PER_GENS_KEY), 0)
    if (!updates.get(BtreeId.bucketGens, pos, key)) key.make(bucketGens.number, pos, ALL_ZERO)
    if (key.type !== bucketGens.number || key.valueBytes !== BUCKETS_PER_GENS_KEY) {
      throw new KeyError('EIO', `bucket_gens key ${key.posText}`, `type ${key.type}, ${key.valueBytes} bytes`)
    }
    key.bytes[KEY_BYTES + (bucket % BUCKETS_PER_GENS_KEY)] = gen
    updates.put(BtreeId.bucketGens, key)
  }
}

const ALL_ZERO = new Uint8Array(BUCKETS_PER_GENS_KEY)
