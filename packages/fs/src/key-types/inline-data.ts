/** Key type `inline_data`: the bytes of a small file, in the key itself. Format chapter 6, 6.1.7. */

import type { KeyType } from '@cowherd/db'
import { KEY_BYTES } from '@cowherd/db'
import { hexOf } from '../halves.ts'

export const INLINE_DATA = 17

/** Listings show so many bytes of inline data at most. */
export const INLINE_SHOWN_BYTES = 32

export const inlineData: KeyType = {
  number: INLINE_DATA,
  name: 'inline_data',
  minValueBytes: 0,
  print(key) {
    const length = key.valueBytes
    return (
      'datalen ' +
      length +
      ': ' +
      hexOf(key.bytes.subarray(KEY_BYTES, KEY_BYTES + Math.min(length, INLINE_SHOWN_BYTES)))
    )
  },
  describe: (key) => ({ datalen: key.valueBytes, data_hex: hexOf(key.value) }),
}
