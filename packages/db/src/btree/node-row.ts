/**
 * A row of the node cache: what is known of one cached node, beside its image. Rows lie in one piece of memory and are rows for ever:
 * who holds a row's number finds a row there, if not the node he knew.
 *
 *     words 0-7 six lock | 8 link of the index | 9-10 identity | 11 state | 12 image | 13 keys | 14 used | 15 place | 16 min_key | 21 max_key
 */

import { SixLock } from '@cowherd/shim'
import { BPOS_WORDS } from '../bpos.ts'

export const ROW_WORDS = 32

/** Rises with each change of the row; odd while it is changed. Part of the six lock. */
export const SEQUENCE = SixLock.sequenceWord
/** Where the index has its object: this link, then the key. */
export const LINK = 8
export const IDENTITY_LO = 9
export const IDENTITY_HI = 10
export const STATE = 11
/** First word of the image; of vacant rows the next vacant one. */
export const IMAGE_AT = 12
export const KEY_COUNT = 13
/** By a lookup, since the clock's hand passed. */
export const REFERENCED = 14
/** Btree and level: see `placeOf`. */
export const PLACE = 15
export const MIN_KEY = 16
export const MAX_KEY = MIN_KEY + BPOS_WORDS

/** `claimed`: a thread reads the node, and holds the row's lock exclusively. */
export const RowState = { vacant: 0, claimed: 1, filled: 2 } as const

export function placeOf(btree: number, level: number): number {
  return btree * 4 + level
}
