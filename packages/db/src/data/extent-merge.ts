/**
 * Makes two extents one: those that lie one behind the other, in the file and on all devices. Appending in small pieces would else leave as
 * many keys, and as many checksums to look up. Format chapter 6, 6.2.4: its case (c), which is the one that appending meets.
 *
 * Checksums that are polynomials can be joined without the data: the left one goes on over as many zeros as the right data is long, and the
 * right one is added.
 */

import type { Codecs } from '@cowherd/shim'
import { ChecksumType } from '../checksum.ts'
import { EntryType, ExtentPointers, isCompressed } from '../extent-entries.ts'
import { KEY_BYTES, KEY_SIZE_AT, KEY_U64S, KEY_WORDS, type Key } from '../key.ts'
import type { VolumeShape } from '../key-type.ts'
import { Unit, UNIT_SECTORS_MAX } from './unit.ts'

const SECTOR = 512
const EXTENT = 6
const SIZE_MAX = 0xffffffff

export class ExtentMerge {
  private readonly codecs: Codecs
  private readonly shape: VolumeShape
  private readonly left = new ExtentPointers()
  private readonly right = new ExtentPointers()
  private readonly unit = new Unit()
  private readonly crc = { lo: 0, hi: 0 }
  private zeros = new Uint8Array(0)

  constructor(codecs: Codecs, shape: VolumeShape) {
    this.codecs = codecs
    this.shape = shape
  }

  /** See `ExtentWriter.merge`. Throws KeyError for malformed keys. */
  merge(left: Key, right: Key): boolean {
    if (left.type !== EXTENT || right.type !== EXTENT || left.u64s !== right.u64s) return false
    if (left.versionLo !== right.versionLo || left.versionMid !== right.versionMid) return false
    if (left.size + right.size > SIZE_MAX) return false
    this.left.decode(left, KEY_BYTES)
    this.right.decode(right, KEY_BYTES)
    if (!this.areNeighbours(left.size, right.size)) return false
    const entryWords = 2 * (left.u64s - KEY_U64S - this.left.count)
    if (!isPlainList(left, entryWords) || !isPlainList(right, entryWords)) return false
    if (entryWords > 0 && !this.joinUnits(left.size, entryWords)) return false
    for (let i = KEY_WORDS + entryWords; i < 2 * left.u64s; i++) right.words[i] = left.words[i]
    if (entryWords > 0) this.unit.putEntry(right.words, KEY_WORDS)
    right.words[KEY_SIZE_AT] += left.size
    return true
  }

  /** Whether each pointer of the right one leads to where that of the left one ends, in the same bucket. */
  private areNeighbours(leftSize: number, rightSize: number): boolean {
    const { left, right, shape } = this
    if (left.count !== right.count || left.hasRebalance || right.hasRebalance) return false
    for (let i = 0; i < left.count; i++) {
      const member = shape.member(left.device[i])
      const end = left.sector[i] + left.crcOffset[i] + leftSize
      const start = right.sector[i] + right.crcOffset[i]
      const isSame =
        left.device[i] === right.device[i] &&
        left.gen[i] === right.gen[i] &&
        left.cached[i] === right.cached[i] &&
        left.unwritten[i] === right.unwritten[i] &&
        left.hasCrc[i] === right.hasCrc[i]
      if (!isSame || end !== start || member === undefined) return false
      if (left.hasStripe[i] === 1 || right.hasStripe[i] === 1) return false
      const bucketOf = (sector: number): number => Math.floor(sector / member.bucketSectors)
      if (bucketOf(left.sector[i]) !== bucketOf(start + rightSize - 1)) return false
    }
    return true
  }

  /** Sets `unit` to both units together. False if they can't be joined, or not by an entry of the same size. */
  private joinUnits(leftSize: number, entryWords: number): boolean {
    const { left, right, unit, shape } = this
    const csumType = left.csumType[0]
    const compression = left.compressionType[0]
    const isJoinable =
      csumType === ChecksumType.none || csumType === ChecksumType.crc32c || csumType === ChecksumType.crc64
    if (!isJoinable || isCompressed(compression) || left.nonce[0] !== 0 || right.nonce[0] !== 0) return false
    if (right.csumType[0] !== csumType || right.compressionType[0] !== compression) return false
    if (left.crcOffset[0] + leftSize !== left.compressedSectors[0] || right.crcOffset[0] !== 0) return false
    const sectors = left.compressedSectors[0] + right.compressedSectors[0]
    const sectorsMax = csumType === ChecksumType.none ? UNIT_SECTORS_MAX : shape.encodedExtentMaxSectors
    if (sectors > sectorsMax) return false
    unit.set(sectors, sectors, csumType, compression)
    unit.offset = left.crcOffset[0]
    if (unit.entryWords !== entryWords) return false
    this.joinChecksums(csumType, right.compressedSectors[0] * SECTOR)
    return true
  }

  private joinChecksums(csumType: number, rightBytes: number): void {
    const { left, right, unit, crc, codecs } = this
    if (csumType === ChecksumType.none) return
    if (this.zeros.length < rightBytes) this.zeros = new Uint8Array(rightBytes)
    const zeros = this.zeros.subarray(0, rightBytes)
    if (csumType === ChecksumType.crc32c) {
      unit.csum[0] = codecs.crc32c(left.csum[0], zeros) ^ right.csum[0]
      return
    }
    crc.lo = left.csum[0]
    crc.hi = left.csum[1]
    codecs.crc64(crc, zeros)
    unit.csum[0] = crc.lo ^ right.csum[0]
    unit.csum[1] = crc.hi ^ right.csum[1]
  }
}

/** Whether the entries are one for the checksum, of so many words, and pointers. */
function isPlainList({ words, u64s }: Key, entryWords: number): boolean {
  const hasEntry = !isPointer(words[KEY_WORDS])
  if (entryWords < 0 || hasEntry !== entryWords > 0) return false
  for (let at = KEY_WORDS + entryWords; at < 2 * u64s; at += 2) if (!isPointer(words[at])) return false
  return true
}

function isPointer(word: number): boolean {
  return (word & (1 << EntryType.ptr)) !== 0
}
