/**
 * A stored unit, and the entries of a key's value that describe it and where its copies lie: what `extent-entries.ts` reads, written.
 * Format chapter 6, 6.1.3.
 *
 *     [ checksum entry, if there is anything to say ][ pointer ][ pointer ] ...
 */

import { CHECKSUM_TYPES } from '../checksum.ts'
import { EntryType } from '../extent-entries.ts'

/** No checksum entry can describe a larger one. */
export const UNIT_SECTORS_MAX = 8192

/** What each kind of checksum entry can say, the smallest first. Sizes in words and sectors. */
const KINDS = [
  { words: 2, sectorsMax: 128, nonceMax: 0, checksumBytes: 4 },
  { words: 4, sectorsMax: 512, nonceMax: 1023, checksumBytes: 10 },
  { words: 6, sectorsMax: UNIT_SECTORS_MAX, nonceMax: 8191, checksumBytes: 16 },
] as const

/** One object describes one unit after another. */
export class Unit {
  /** Size on disk. */
  storedSectors = 0
  /** Size of what it decodes to. */
  sectors = 0
  /** Where in that the key's own sectors start. */
  offset = 0
  nonce = 0
  csumType = 0
  compressionType = 0
  /** The checksum, least significant word first; what the type doesn't use is 0. */
  readonly csum = new Uint32Array(4)

  /** Makes it one of so many sectors, stored in as many or fewer, of which the key covers all. */
  set(sectors: number, storedSectors: number, csumType: number, compressionType: number): this {
    this.sectors = sectors
    this.storedSectors = storedSectors
    this.offset = 0
    this.nonce = 0
    this.csumType = csumType
    this.compressionType = compressionType
    this.csum.fill(0)
    return this
  }

  /** Words that its checksum entry takes: 0 if it needs none. Throws RangeError if no entry can describe it. */
  get entryWords(): number {
    const { csumType, compressionType, nonce, sectors } = this
    if (csumType === 0 && compressionType === 0 && nonce === 0) return 0
    const { bytes } = CHECKSUM_TYPES[csumType]
    for (const kind of KINDS) {
      if (sectors <= kind.sectorsMax && nonce <= kind.nonceMax && bytes <= kind.checksumBytes) return kind.words
    }
    throw new RangeError(`a unit of ${sectors} sectors, nonce ${nonce}`)
  }

  /** Puts its checksum entry, of `entryWords`, at `words[at]`. Returns where the next entry goes. */
  putEntry(words: Uint32Array, at: number): number {
    const { csumType, compressionType, nonce, offset, csum } = this
    const stored = this.storedSectors - 1
    const decoded = this.sectors - 1
    const size = this.entryWords
    switch (size) {
      case 2:
        words[at] = (1 << EntryType.crc32) | (stored << 2) | (decoded << 9) | (offset << 16) | (csumType << 24)
        words[at] |= compressionType << 28
        words[at + 1] = csum[0]
        break
      case 4:
        words[at] = (1 << EntryType.crc64) | (stored << 3) | (decoded << 12) | (offset << 21) | (nonce << 30)
        words[at + 1] = (nonce >>> 2) | (csumType << 8) | (compressionType << 12) | (csum[2] << 16)
        words[at + 2] = csum[0]
        words[at + 3] = csum[1]
        break
      case 6:
        words[at] = (1 << EntryType.crc128) | (stored << 4) | (decoded << 17) | (offset << 30)
        words[at + 1] = (offset >>> 2) | (nonce << 11) | (csumType << 24) | (compressionType << 28)
        words.set(csum, at + 2)
        break
    }
    return at + size
  }
}

/** Puts a pointer to `sector` of a device at `words[at]`. Returns where the next entry goes. */
export function putPointer(
  words: Uint32Array,
  at: number,
  device: number,
  sector: number,
  gen: number,
  isCached: boolean,
): number {
  words[at] = (1 << EntryType.ptr) | (isCached ? 2 : 0) | (sector << 4)
  words[at + 1] = Math.floor(sector / 0x10000000) | (device << 16) | (gen << 24)
  return at + 2
}

/** Puts the wish that data be compressed as the option byte says, and moved to a target, at `words[at]`. Returns where the next entry goes. */
export function putRebalance(words: Uint32Array, at: number, compression: number, target: number): number {
  words[at] = 1 << EntryType.rebalance
  words[at + 1] = (compression << 8) | (target << 16)
  return at + 2
}
