/**
 * Changing the entry list of a key with pointers. Format chapter 6, 6.2.
 *
 * A key stands for a part of the units that its pointers lead to: an extent is cut without touching what lies on the devices. What is
 * checksummed can only be read whole, so there the checksum entry says where in the unit the key's sectors start; without one, the
 * pointer itself leads to the first of them. At its end a key just covers less.
 */

import { EntryType, entriesStart, entryBytes, entryType, ExtentPointers } from './extent-entries.ts'
import type { Key } from './key.ts'

/** One for all calls: nothing here calls back. */
const pointers = new ExtentPointers()

/**
 * Makes the entries of a key (`extent`, `reflink_v`) lead to what lies `sectors` behind the key's start: the new start. The caller moves that,
 * afterwards; it stays inside the key. Throws KeyError if the list is malformed.
 */
export function moveEntriesStart(key: Key, sectors: number): void {
  if (sectors >= key.size) throw new RangeError(`an extent of ${key.size} sectors cut at ${sectors}`)
  const { words } = key
  const start = entriesStart(key.type)
  // What it checks leaves room for the greater offsets.
  pointers.decode(key, start)
  const end = key.u64s * 2
  let isChecksummed = false
  for (let at = start / 4; at < end;) {
    const entry = entryType(words[at])
    switch (entry) {
      case EntryType.ptr:
        if (!isChecksummed) moveSector(words, at, sectors)
        break
      case EntryType.crc32:
        words[at] += sectors << 16
        isChecksummed = true
        break
      case EntryType.crc64:
        words[at] += sectors << 21
        isChecksummed = true
        break
      case EntryType.crc128:
        moveOffset128(words, at, sectors)
        isChecksummed = true
        break
    }
    at += (entryBytes(entry) ?? 0) / 4
  }
}

/** The sector of a pointer: 28 bits from bit 4 on, 16 in the other word. */
function moveSector(words: Uint32Array, at: number, sectors: number): void {
  const low = (words[at] >>> 4) + sectors
  words[at] = (words[at] & 0xf) | (low << 4)
  const hi = words[at + 1]
  words[at + 1] = (hi & 0xffff0000) | ((hi + Math.floor(low / 0x10000000)) & 0xffff)
}

/** The offset of the longest checksum entry: 2 bits from bit 30 on, 11 in the other word. */
function moveOffset128(words: Uint32Array, at: number, sectors: number): void {
  const offset = ((words[at] >>> 30) | ((words[at + 1] & 0x7ff) << 2)) + sectors
  words[at] = (words[at] & 0x3fffffff) | (offset << 30)
  words[at + 1] = (words[at + 1] & ~0x7ff) | (offset >>> 2)
}
