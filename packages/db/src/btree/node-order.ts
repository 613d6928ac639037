/**
 * The order of a node's image: where each key starts, and beside it 32 bits that say about where its position is. A search compares those
 * bits, which lie close together, and then the position of one key: a third of the time that it takes to look at a key at each step.
 *
 *     word 0-3       window: the least inode and offset, high word first
 *          4-5       how many bits the inodes take from there on, and the offsets
 *          6         where the hints start
 *          7 ...     where each key starts, in order of position, with spare places behind
 *          hints     of each key, in the same order, with as many spare places
 *
 * All are relative to the image's first word. A hint is the inode's bits and then the offset's, as far as they go into 32: of two
 * positions the greater one never has the lesser hint, whatever the window; a good one makes few hints equal. What lies outside of it is
 * as good as at its edge.
 */

import { compareBpos } from '../bpos.ts'
import { KEY_POS_AT } from '../key.ts'
import type { KeyList } from './key-list.ts'

const INODE_HI = 0
const INODE_LO = 1
const OFFSET_HI = 2
const OFFSET_LO = 3
const INODE_BITS = 4
const OFFSET_BITS = 5
const HINTS_AT = 6
/** Words in front of the order. */
export const ORDER_AT = 7

const HINT_MAX = 0xffffffff
const WORD = 0x100000000
/** Where nodes hold more than one inode, so many keys are asked how large offsets get. */
const SAMPLES = 16
/** Inodes of more bits than that leave no exact number for offsets. */
const EXACT_BITS = 52

const POWERS = Float64Array.from({ length: 65 }, (_, bits) => 2 ** bits)
/** By the bits of a window: what makes 32 bits of them. */
const SCALES = Float64Array.from({ length: 129 }, (_, bits) => 2 ** (32 - bits))

/** Words that an image takes beside its keys, with room for so many. */
export function orderWords(keys: number): number {
  return ORDER_AT + 2 * keys
}

/** The word at which key number `index` of the image at `words[at]` lies. */
export function keyAt(words: Uint32Array, at: number, index: number): number {
  return at + words[at + ORDER_AT + index]
}

/** Index of the first key of the image at `words[at]` whose position is not below `pos[posAt]`; `count` if there is none. */
export function lowerBound(words: Uint32Array, at: number, count: number, pos: Uint32Array, posAt: number): number {
  const hints = at + words[at + HINTS_AT]
  const hint = hintOf(words, at, pos, posAt)
  let low = 0
  let high = count
  while (low < high) {
    const middle = (low + high) >>> 1
    if (words[hints + middle] < hint) low = middle + 1
    else high = middle
  }
  // those with this hint, of which there is rarely more than one
  let step = 1
  high = low
  while (high < count && words[hints + high] === hint && isBelow(words, at, high, pos, posAt)) {
    low = high + 1
    high = low + step
    step *= 2
  }
  if (high > count) high = count
  while (low < high) {
    const middle = (low + high) >>> 1
    if (words[hints + middle] === hint && isBelow(words, at, middle, pos, posAt)) low = middle + 1
    else high = middle
  }
  return low
}

/** Makes room in the order for the key that starts at `words[key]`, in place `index` of `count`. There is a spare place. */
export function insertInOrder(words: Uint32Array, at: number, count: number, index: number, key: number): void {
  const order = at + ORDER_AT
  const hints = at + words[at + HINTS_AT]
  if (index < count) {
    words.copyWithin(order + index + 1, order + index, order + count)
    words.copyWithin(hints + index + 1, hints + index, hints + count)
  }
  words[order + index] = key - at
  words[hints + index] = hintOf(words, at, words, key + KEY_POS_AT)
}

/** The key in place `index` starts at `words[key]` now. */
export function moveInOrder(words: Uint32Array, at: number, index: number, key: number): void {
  words[at + ORDER_AT + index] = key - at
}

export function removeFromOrder(words: Uint32Array, at: number, count: number, index: number): void {
  const order = at + ORDER_AT
  const hints = at + words[at + HINTS_AT]
  words.copyWithin(order + index, order + index + 1, order + count)
  words.copyWithin(hints + index, hints + index + 1, hints + count)
}

/**
 * Begins an image at `words[at]` for the keys of `list`, with places for `room` of them: the window. Then each key gets its place
 * (`placeKey`), behind `orderWords(room)`.
 */
export function beginOrder(words: Uint32Array, at: number, list: KeyList, room: number): void {
  words.fill(0, at, at + ORDER_AT)
  words[at + HINTS_AT] = ORDER_AT + room
  if (list.count === 0) return
  const first = posOf(list, 0)
  const last = posOf(list, list.count - 1)
  const from = list.words
  words[at + INODE_HI] = from[first + 4]
  words[at + INODE_LO] = from[first + 3]
  const inodes = difference(from, last + 3, words[at + INODE_HI], words[at + INODE_LO])
  const inodeBits = inodes === 0 ? 0 : bitsOf(inodes)
  words[at + INODE_BITS] = inodeBits
  if (inodeBits > EXACT_BITS) return
  let offsets: number
  if (inodeBits === 0) {
    words[at + OFFSET_HI] = from[first + 2]
    words[at + OFFSET_LO] = from[first + 1]
    offsets = difference(from, last + 1, from[first + 2], from[first + 1])
  } else offsets = largestOffset(list)
  // one more, for those that come behind them
  words[at + OFFSET_BITS] = Math.min(64, bitsOf(offsets) + 1)
}

/** Says where key number `index` of the image starts: at `words[key]`. */
export function placeKey(words: Uint32Array, at: number, index: number, key: number): void {
  words[at + ORDER_AT + index] = key - at
  words[at + words[at + HINTS_AT] + index] = hintOf(words, at, words, key + KEY_POS_AT)
}

function hintOf(words: Uint32Array, at: number, pos: Uint32Array, posAt: number): number {
  const inode = difference(pos, posAt + 3, words[at + INODE_HI], words[at + INODE_LO])
  if (inode < 0) return 0
  const inodeBits = words[at + INODE_BITS]
  if (inode >= POWERS[inodeBits]) return HINT_MAX
  const offsetBits = words[at + OFFSET_BITS]
  const offsetsEnd = POWERS[offsetBits]
  let offset = difference(pos, posAt + 1, words[at + OFFSET_HI], words[at + OFFSET_LO])
  if (offset < 0) offset = 0
  else if (offset >= offsetsEnd) offset = offsetsEnd - 1
  const hint = Math.floor((inode * offsetsEnd + offset) * SCALES[inodeBits + offsetBits])
  return hint > HINT_MAX ? HINT_MAX : hint
}

/** The number in two words, low one first, less the number in two others. */
function difference(words: Uint32Array, at: number, hi: number, lo: number): number {
  return (words[at + 1] - hi) * WORD + (words[at] - lo)
}

function largestOffset(list: KeyList): number {
  let largest = 0
  for (let i = 0; i < SAMPLES; i++) {
    const at = posOf(list, Math.floor((i * (list.count - 1)) / (SAMPLES - 1)))
    largest = Math.max(largest, difference(list.words, at + 1, 0, 0))
  }
  return largest
}

/** Bits that a number from 0 to `value`, which may be rounded, takes. */
function bitsOf(value: number): number {
  let bits = 0
  while (bits < 64 && POWERS[bits] <= value) bits++
  return bits
}

function posOf({ base, order, first }: KeyList, index: number): number {
  return base + order[first + index] + KEY_POS_AT
}

function isBelow(words: Uint32Array, at: number, index: number, pos: Uint32Array, posAt: number): boolean {
  return compareBpos(words, keyAt(words, at, index) + KEY_POS_AT, pos, posAt) < 0
}
