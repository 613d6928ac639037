/**
 * The key types that are all position: nothing, or one number, as value. Format chapters 2 (deleted, whiteout), 4 (set),
 * 5 (hash_whiteout) and 6 (error, cookie).
 */

import { u64Decimal } from '@cowherd/kernel-lib'
import { KEY_WORDS, type Key } from '../key.ts'
import type { KeyType } from '../key-type.ts'
import { plainHalves } from './plain.ts'

/** No key here: hides older keys at the same position inside a node, or in the journal's overlay. */
export const deleted: KeyType = { number: 0, name: 'deleted', minValueBytes: 0 }

/** Hides the key of an ancestor snapshot at the same position. */
export const whiteout: KeyType = { number: 1, name: 'whiteout', minValueBytes: 0 }

/** Data lost: reading it is an I/O error. */
export const error: KeyType = { number: 2, name: 'error', minValueBytes: 0, check: checkEmpty }

/** A counter, for instance of changes that ask for a scan in the rebalance_work btree. */
export const cookie: KeyType = {
  number: 3,
  name: 'cookie',
  minValueBytes: 8,
  print: (key) => u64Decimal(key.words[KEY_WORDS + 1], key.words[KEY_WORDS]),
  describe: (key) => ({ cookie: plainHalves(key.words[KEY_WORDS + 1], key.words[KEY_WORDS]) }),
}

/** A tombstone in a hash-ordered btree: the search goes on behind it. */
export const hashWhiteout: KeyType = { number: 4, name: 'hash_whiteout', minValueBytes: 0, check: checkEmpty }

/** Bare membership; in the freespace btree a range. */
export const set: KeyType = { number: 25, name: 'set', minValueBytes: 0, check: checkEmpty }

function checkEmpty(key: Key): string | undefined {
  return key.valueBytes === 0 ? undefined : `bkey_val_size_nonzero: ${key.valueBytes} bytes`
}
