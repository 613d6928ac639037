/**
 * A key of the extents btree: which types there are, and cutting one at either end. Format chapter 6, 6.1.7 and 6.2.
 *
 * The position is the end, in sectors of the file: a key that is cut at the front stays where it is, one that is cut at the back moves.
 */

import { KEY_BYTES, KEY_POS_AT, KEY_SIZE_AT, KEY_U64S, KeyError, moveEntriesStart } from '@cowherd/db'
import type { Key } from '@cowherd/db'
import { INLINE_DATA } from '../key-types/inline-data.ts'
import { clearReflinkPads, moveReflinkIndex, REFLINK_P } from '../key-types/reflink-p.ts'
import { RESERVATION } from '../key-types/reservation.ts'

/** Data that is lost. */
export const ERROR = 2
export const COOKIE = 3
export const EXTENT = 6

const SECTOR = 512

/** True if the sectors of such a key count as the file's own: in bi_sectors, and in a quota. */
export function isAllocated(type: number): boolean {
  return type === EXTENT || type === RESERVATION || type === REFLINK_P || type === INLINE_DATA || type === ERROR
}

/** Moves the start of the key up to `start`, a sector inside it. Throws KeyError for a malformed key. */
export function cutFront(key: Key, start: number): void {
  const { words, size } = key
  const left = (key.offsetLo - start) >>> 0
  const sectors = size - left
  if (left === 0 || sectors <= 0) throw new RangeError(`key ${key.posText} of ${size} sectors cut at ${start}`)
  switch (key.type) {
    case EXTENT:
      moveEntriesStart(key, sectors)
      break
    case REFLINK_P:
      moveReflinkIndex(key, sectors)
      clearReflinkPads(key)
      break
    case INLINE_DATA:
      dropFirst(key, sectors * SECTOR)
      break
    case RESERVATION:
    case ERROR:
    case COOKIE:
      break
    default:
      throw unknownType(key)
  }
  words[KEY_SIZE_AT] = left
}

/** Moves the end of the key, which is its position, down to `end`, a sector inside it. Throws KeyError for a key of unknown type. */
export function cutBack(key: Key, end: number): void {
  const { words, size } = key
  const sectors = (key.offsetLo - end) >>> 0
  if (sectors === 0 || sectors >= size) throw new RangeError(`key ${key.posText} of ${size} sectors cut at ${end}`)
  switch (key.type) {
    case REFLINK_P:
      clearReflinkPads(key)
      break
    case INLINE_DATA:
      setValueBytes(key, Math.min(key.valueBytes, (size - sectors) * SECTOR))
      break
    case EXTENT:
    case RESERVATION:
    case ERROR:
    case COOKIE:
      break
    default:
      throw unknownType(key)
  }
  words[KEY_SIZE_AT] = size - sectors
  words[KEY_POS_AT + 1] = end
  words[KEY_POS_AT + 2] = Math.floor(end / 0x100000000)
}

function dropFirst(key: Key, bytes: number): void {
  const dropped = Math.min(bytes, key.valueBytes)
  key.bytes.copyWithin(KEY_BYTES, KEY_BYTES + dropped, key.u64s * 8)
  setValueBytes(key, key.valueBytes - dropped)
}

/** `bytes`: a multiple of 8. */
function setValueBytes(key: Key, bytes: number): void {
  key.words[0] = (key.words[0] & ~0xff) | (KEY_U64S + bytes / 8)
}

function unknownType(key: Key): KeyError {
  return new KeyError('EIO', `extents key ${key.posText}`, `a key of type ${key.type}, which can't be cut`)
}
