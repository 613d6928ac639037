/** Keys of type `set`: positions without a value, of which the indexes of buckets consist. Format chapter 4, 4.2. */

import { BPOS_WORDS } from '../bpos.ts'
import { KEY_POS_AT, KEY_SIZE_AT, KEY_U64S, type Key } from '../key.ts'

export const KEY_TYPE_SET = 25

/** Makes the key at `pos`; `size`: how many positions up to there it covers, in btrees of ranges. */
export function makeSet(key: Key, pos: Uint32Array, size = 0): Key {
  const { words } = key
  words.fill(0, 0, KEY_POS_AT)
  words[0] = KEY_U64S | 0x100 | (KEY_TYPE_SET << 16)
  words[KEY_SIZE_AT] = size
  for (let i = 0; i < BPOS_WORDS; i++) words[KEY_POS_AT + i] = pos[i]
  return key
}
