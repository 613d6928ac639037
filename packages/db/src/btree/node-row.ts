/**
 * A row of the node cache: what is known of one cached node, beside its image. Rows lie in one piece of memory and are rows for ever:
 * who holds a row's number finds a row there, if not the node he knew.
 *
 *     words 0-7 six lock | 8 link of the index | 9-10 identity | 11 state | 12 image | 13 keys | 14 used | 15 place | 16 min_key | 21 max_key
 *     26-27 seq | 28 written | 29 generation | 30 holds | 31-34 the image's room and use | 35 limit | 36-49 format | 50-52 counts
 *
 * What stands behind max_key matters to whoever changes nodes only (`node-editor.ts`).
 */

import { SixLock } from '@cowherd/shim'
import { BPOS_WORDS } from '../bpos.ts'

export const ROW_WORDS = 64

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

/** The node's incarnation, two words. */
export const NODE_SEQ = 26
/** Sectors of the node that are written on disk; 0: it is nowhere on disk. */
export const WRITTEN = 28
/** How often the node was replaced. */
export const GENERATION = 29
/** While it isn't 0, the node is not given up. */
export const HOLDS = 30
/** Words of the image that may be used in all. */
export const IMAGE_ROOM = 31
/** Keys that the image has places for in front. */
export const ORDER_ROOM = 32
/** First free word of the image. */
export const IMAGE_USED = 33
/** u64s of the live keys, unpacked. */
export const LIVE_U64S = 34
/** So many live u64s, and it is time to see whether the node has to be split. */
export const LIMIT_U64S = 35
/** So few, and it is time to see whether it can be merged with a neighbour. */
export const LOW_U64S = 50
/** Words of keys that have changed since the node was written. */
export const UNWRITTEN = 51
/** How many keys were put at the end one after another, without any elsewhere. */
export const APPENDED = 52
/** The format of its packed keys, as it is stored. */
export const FORMAT = 36
export const FORMAT_WORDS = 14

/** `claimed`: a thread reads the node, and holds the row's lock exclusively. */
export const RowState = { vacant: 0, claimed: 1, filled: 2 } as const

export function placeOf(btree: number, level: number): number {
  return btree * 4 + level
}
