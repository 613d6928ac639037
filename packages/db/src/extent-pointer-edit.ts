/**
 * Taking pointers out of the entry list of a key (`extent`, `reflink_v`), and putting others in. Format chapter 6, 6.2.5 and 6.12.3.
 *
 * A checksum entry goes with the last pointer that it governs, and an entry of a stripe with its pointer; all else stays as and where it is.
 */

import { BPOS_WORDS } from './bpos.ts'
import { putPointer, type Unit } from './data/unit.ts'
import { EntryType, entriesStart, entryBytes, entryType, MAX_POINTERS } from './extent-entries.ts'
import { error } from './key-types/bare.ts'
import { KEY_MAX_WORDS, KEY_POS_AT, KEY_SIZE_AT, type Key } from './key.ts'

/** A place that a pointer leads to. */
export interface PointedPlace {
  readonly device: number
  readonly sector: number
  readonly gen: number
  readonly isCached: boolean
}

/** Those of all calls: nothing here calls back. */
const before = new Uint32Array(KEY_MAX_WORDS)
const pos = new Uint32Array(BPOS_WORDS)
const marks = new Uint8Array(MAX_POINTERS)
const NO_VALUE = new Uint8Array(0)
const POINTER_WORDS = 2
/** The bit of a pointer that says that there is only space. */
const UNWRITTEN = 8

/**
 * Takes out the pointers whose `dropped`, of MAX_POINTERS, is not 0. If none is left, what the key covers is lost: reading it is an error from then on. The
 * list has been checked.
 */
export function dropPointers(key: Key, dropped: Uint8Array): void {
  if (takeOut(key, dropped) > 0) return
  const size = key.words[KEY_SIZE_AT]
  for (let i = 0; i < BPOS_WORDS; i++) pos[i] = key.words[KEY_POS_AT + i]
  key.make(error.number, pos, NO_VALUE, size)
}

/** Puts pointers to `places`, which hold `unit`, in the place of pointer number `index`. The list has been checked. */
export function replacePointer(key: Key, index: number, unit: Unit, places: readonly PointedPlace[]): void {
  const { words } = key
  const unwritten = words[pointerAt(key, index)] & UNWRITTEN
  marks.fill(0)
  marks[index] = 1
  takeOut(key, marks)
  const end = key.u64s * 2
  const added = unit.entryWords + POINTER_WORDS * places.length
  // what needs no checksum entry may not stand behind one
  const start = unit.entryWords === 0 ? entriesStart(key.type) / 4 : end
  words.copyWithin(start + added, start, end)
  let at = unit.entryWords === 0 ? start : unit.putEntry(words, start)
  for (const { device, sector, gen, isCached } of places) {
    const next = putPointer(words, at, device, sector, gen, isCached)
    words[at] |= unwritten
    at = next
  }
  words[0] = (words[0] & ~0xff) | ((end + added) / 2)
}

/** Lets pointer number `index` lead to another place, which holds the same. */
export function movePointer(key: Key, index: number, { device, sector, gen, isCached }: PointedPlace): void {
  const { words } = key
  const at = pointerAt(key, index)
  const unwritten = words[at] & UNWRITTEN
  putPointer(words, at, device, sector, gen, isCached)
  words[at] |= unwritten
}

function pointerAt(key: Key, index: number): number {
  const { words } = key
  const end = key.u64s * 2
  let pointer = 0
  for (let at = entriesStart(key.type) / 4; at < end; at += wordsOf(words[at])) {
    if (entryType(words[at]) === EntryType.ptr && pointer++ === index) return at
  }
  throw new RangeError(`there is no pointer ${index}`)
}

/** Returns how many pointers are left. */
function takeOut(key: Key, dropped: Uint8Array): number {
  const { words } = key
  const end = key.u64s * 2
  let to = entriesStart(key.type) / 4
  before.set(words.subarray(to, end), to)
  let pointer = 0
  let left = 0
  // entries that go in front of the next pointer that stays
  let checksum = -1
  let stripe = -1
  for (let at = to; at < end; at += wordsOf(before[at])) {
    switch (entryType(before[at])) {
      case EntryType.ptr:
        if (dropped[pointer++] === 0) {
          if (checksum >= 0) to = copyEntry(words, to, checksum)
          if (stripe >= 0) to = copyEntry(words, to, stripe)
          to = copyEntry(words, to, at)
          checksum = -1
          left++
        }
        stripe = -1
        break
      case EntryType.stripePtr:
        stripe = at
        break
      case EntryType.rebalance:
        to = copyEntry(words, to, at)
        break
      default:
        checksum = at
    }
  }
  words[0] = (words[0] & ~0xff) | (to / 2)
  return left
}

function copyEntry(words: Uint32Array, to: number, from: number): number {
  const size = wordsOf(before[from])
  for (let i = 0; i < size; i++) words[to + i] = before[from + i]
  return to + size
}

function wordsOf(entry: number): number {
  return (entryBytes(entryType(entry)) ?? KEY_MAX_WORDS) / 4
}
