/** Key type `indirect_inline_data`: inline data that several files share, in the reflink btree. Format chapter 6, 6.1.7. */

import type { KeyType } from '@cowherd/db'
import { KEY_BYTES, KEY_WORDS } from '@cowherd/db'
import { struct, u64 } from '@cowherd/kernel-lib'
import { decimalAt, hexOf, wideAt } from '../halves.ts'
import { INLINE_SHOWN_BYTES } from './inline-data.ts'

export const INDIRECT_INLINE_DATA = 19

/** The data follows. */
export const IndirectInlineDataHead = struct({ refcount: u64 })

/** Where the data starts, in the key's bytes. */
export const INDIRECT_INLINE_DATA_AT = KEY_BYTES + IndirectInlineDataHead.size

export const indirectInlineData: KeyType = {
  number: INDIRECT_INLINE_DATA,
  name: 'indirect_inline_data',
  minValueBytes: IndirectInlineDataHead.size,
  print(key) {
    const length = key.u64s * 8 - INDIRECT_INLINE_DATA_AT
    const shown = key.bytes.subarray(
      INDIRECT_INLINE_DATA_AT,
      INDIRECT_INLINE_DATA_AT + Math.min(length, INLINE_SHOWN_BYTES),
    )
    return 'refcount ' + decimalAt(key, KEY_WORDS) + ' datalen ' + length + ': ' + hexOf(shown)
  },
  describe: (key) => ({
    refcount: wideAt(key, KEY_WORDS),
    datalen: key.u64s * 8 - INDIRECT_INLINE_DATA_AT,
    data_hex: hexOf(key.bytes.subarray(INDIRECT_INLINE_DATA_AT, key.u64s * 8)),
  }),
}
