/**
 * Key types `btree_ptr` and `btree_ptr_v2`: where a btree node lies, in the interior nodes of every btree and in the
 * roots' entries. The first is the old one and says nothing but that. Format chapter 2, 2.5.
 */

import { u64Hex } from '@cowherd/kernel-lib'
import { bposText, compareBpos } from '../bpos.ts'
import {
  BTREE_PTR_TYPE,
  BTREE_PTR_V2_TYPE,
  BtreePtrV2,
  minKeyAt,
  rangeUpdated,
  sectorsWritten,
  seqHi,
  seqLo,
} from '../btree/btree-ptr.ts'
import { checkEntries } from '../extent-entries.ts'
import { KEY_BYTES, KEY_POS_AT } from '../key.ts'
import type { KeyType } from '../key-type.ts'
import { describePointers, entriesText } from './entries-text.ts'
import { plainHalves } from './plain.ts'

const MAX_NODE_POINTERS = 4
const V2_BYTES = BtreePtrV2.size
const MIN_KEY = minKeyAt(0)

export const btreePtr: KeyType = {
  number: BTREE_PTR_TYPE,
  name: 'btree_ptr',
  minValueBytes: 0,
  check(key, _place, shape) {
    if (key.valueBytes > 8 * MAX_NODE_POINTERS) return `btree_ptr_val_too_big: ${key.valueBytes} bytes`
    return checkEntries(key, KEY_BYTES, shape)
  },
  print: (key, shape) => entriesText(key, KEY_BYTES, shape),
  describe: (key) => describePointers(key, KEY_BYTES),
}

export const btreePtrV2: KeyType = {
  number: BTREE_PTR_V2_TYPE,
  name: 'btree_ptr_v2',
  minValueBytes: V2_BYTES,
  check(key, _place, shape) {
    if (key.valueBytes > V2_BYTES + 8 * MAX_NODE_POINTERS) return `btree_ptr_v2_val_too_big: ${key.valueBytes} bytes`
    if (compareBpos(key.words, MIN_KEY, key.words, KEY_POS_AT) >= 0) {
      return `btree_ptr_v2_min_key_bad: ${bposText(key.words, MIN_KEY)}`
    }
    return checkEntries(key, KEY_BYTES + V2_BYTES, shape)
  },
  print(key, shape) {
    const { words } = key
    return (
      `seq ${u64Hex(seqHi(words, 0), seqLo(words, 0))} written ${sectorsWritten(words, 0)} min_key ` +
      `${rangeUpdated(words, 0) ? 'R ' : ''}${bposText(words, MIN_KEY)} ${entriesText(key, KEY_BYTES + V2_BYTES, shape)}`
    )
  },
  describe(key) {
    const { words } = key
    return {
      seq: plainHalves(seqHi(words, 0), seqLo(words, 0)),
      sectors_written: sectorsWritten(words, 0),
      range_updated: rangeUpdated(words, 0),
      min_key: bposText(words, MIN_KEY),
      ...describePointers(key, KEY_BYTES + V2_BYTES),
    }
  },
}
