/**
 * Pointers to btree nodes (`btree_ptr_v2`, and `btree_ptr` of old volumes), format chapter 2, 2.5: the hot-path view, by
 * offsets inside a key in memory. Their checks and their text are in `key-types/btree-ptr.ts`.
 */

import { array, struct, u16, u64, u8 } from '@cowherd/kernel-lib'
import { KEY_WORDS } from '../key.ts'

export const BTREE_PTR_TYPE = 5
export const BTREE_PTR_V2_TYPE = 18

/** Value of btree_ptr_v2 without the disk pointers that follow it. */
export const BtreePtrV2 = struct({
  memPtr: u64,
  seq: u64,
  sectorsWritten: u16,
  flags: u16,
  minKey: array(u8, 20),
})

const SEQ_AT = KEY_WORDS + BtreePtrV2.offsets.seq / 4
const WRITTEN_AT = KEY_WORDS + BtreePtrV2.offsets.sectorsWritten / 4
const MIN_KEY_AT = KEY_WORDS + BtreePtrV2.offsets.minKey / 4
const V2_POINTERS_AT = KEY_WORDS + BtreePtrV2.size / 4
const RANGE_UPDATED = 1 << 16

/** All below take the unpacked key at `words[at]`, of type btree_ptr_v2 or btree_ptr, checked by `pointerProblem`. */
export const isV2 = (words: Uint32Array, at: number): boolean => ((words[at] >>> 16) & 0xff) === BTREE_PTR_V2_TYPE
export const seqLo = (words: Uint32Array, at: number): number => words[at + SEQ_AT]
export const seqHi = (words: Uint32Array, at: number): number => words[at + SEQ_AT + 1]
/** Sectors of the node that are valid; 0 = unknown. */
export const sectorsWritten = (words: Uint32Array, at: number): number => words[at + WRITTEN_AT] & 0xffff
export const rangeUpdated = (words: Uint32Array, at: number): boolean => (words[at + WRITTEN_AT] & RANGE_UPDATED) !== 0
/** Index of the first position that the child covers. */
export const minKeyAt = (at: number): number => at + MIN_KEY_AT

export function pointerCount(words: Uint32Array, at: number): number {
  return (words[at] & 0xff) - (isV2(words, at) ? V2_POINTERS_AT : KEY_WORDS) / 2
}
export const pointerDevice = (words: Uint32Array, at: number, n: number): number =>
  (words[ptr(words, at, n) + 1] >>> 16) & 0xff
/** Generation that the bucket had when the pointer was made. */
export const pointerGen = (words: Uint32Array, at: number, n: number): number => words[ptr(words, at, n) + 1] >>> 24
export function pointerSector(words: Uint32Array, at: number, n: number): number {
  const word = ptr(words, at, n)
  return (words[word + 1] & 0xffff) * 0x10000000 + (words[word] >>> 4)
}

/** A number that names the node: device and sector of its first pointer. Two live nodes never share it. */
export function nodeIdentity(words: Uint32Array, at: number): number {
  return pointerSector(words, at, 0) * 256 + pointerDevice(words, at, 0)
}

/** What forbids using the key at `words[at]` as a node pointer, or undefined. */
export function pointerProblem(words: Uint32Array, at: number): string | undefined {
  const type = (words[at] >>> 16) & 0xff
  if (type !== BTREE_PTR_V2_TYPE && type !== BTREE_PTR_TYPE) return `a key of type ${type} instead of a node pointer`
  const count = pointerCount(words, at)
  if (count < 1 || count > 4) return `a node pointer with ${count} copies`
  for (let n = 0; n < count; n++) {
    if ((words[ptr(words, at, n)] & 1) === 0) return 'a node pointer with entries that are no pointers'
  }
  return undefined
}

/** Sets how many sectors of the node are written. */
export function setSectorsWritten(words: Uint32Array, at: number, sectors: number): void {
  words[at + WRITTEN_AT] = (words[at + WRITTEN_AT] & 0xffff0000) | sectors
}

function ptr(words: Uint32Array, at: number, n: number): number {
  return at + (isV2(words, at) ? V2_POINTERS_AT : KEY_WORDS) + 2 * n
}
