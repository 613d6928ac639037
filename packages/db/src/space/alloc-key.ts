/** Alloc keys of all four types as buckets, checked. Format chapter 4, 4.3.1 and 4.3.3. */

import { KeyError } from '../errors.ts'
import type { Key } from '../key.ts'
import type { VolumeShape } from '../key-type.ts'
import { loadOldAlloc } from '../key-types/alloc-old.ts'
import { allocV4, loadAllocV4 } from '../key-types/alloc-v4.ts'
import type { Bucket } from '../key-types/bucket.ts'
import { BtreeId } from '../btree-ids.ts'

const PLACE = { btree: BtreeId.alloc, level: 0 }

/** Makes `bucket` what the alloc key says. Throws KeyError for a malformed one. */
export function loadBucket(bucket: Bucket, key: Key, shape: VolumeShape): void {
  if (key.type !== allocV4.number) {
    if (!loadOldAlloc(bucket, key)) throw malformed(key, `a value that is none of type ${key.type}`)
    return
  }
  const fault =
    key.valueBytes < allocV4.minValueBytes
      ? `alloc_v4_val_size_bad: ${key.valueBytes} bytes`
      : allocV4.check?.(key, PLACE, shape)
  if (fault !== undefined) throw malformed(key, fault)
  loadAllocV4(bucket, key)
}

function malformed(key: Key, fault: string): KeyError {
  return new KeyError('EIO', `alloc key ${key.posText}`, fault)
}
