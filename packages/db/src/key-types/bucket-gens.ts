/** Key type `bucket_gens`: the generations of 256 buckets, at (device, bucket / 256). Format chapter 4, 4.3.4. */

import { KEY_BYTES } from '../key.ts'
import type { KeyType } from '../key-type.ts'

export const BUCKETS_PER_GENS_KEY = 256

export const bucketGens: KeyType = {
  number: 30,
  name: 'bucket_gens',
  minValueBytes: 0,
  check(key) {
    if (key.valueBytes === BUCKETS_PER_GENS_KEY) return undefined
    return `bucket_gens_val_size_bad: ${key.valueBytes} bytes instead of ${BUCKETS_PER_GENS_KEY}`
  },
  print: (key) => key.bytes.subarray(KEY_BYTES, KEY_BYTES + BUCKETS_PER_GENS_KEY).join(' '),
  describe: (key) => ({ gens: [...key.bytes.subarray(KEY_BYTES, KEY_BYTES + BUCKETS_PER_GENS_KEY)] }),
}
