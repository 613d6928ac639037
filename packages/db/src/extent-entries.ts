/**
 * The entry list of a key with pointers (`extent`, `reflink_v`, `btree_ptr`, `btree_ptr_v2`): which copies of the data
 * there are, and how each is checksummed and compressed. Format chapter 6, 6.1.3 to 6.1.5; chapter 7, 7.6.2.
 *
 * The list is a row of 8, 16 and 24-byte entries. A checksum entry ("crc") governs all pointers behind it up to the next
 * one; a stripe entry belongs to the next pointer. `ExtentPointers` holds the decoded view: one row per pointer, in
 * typed arrays that live as long as the object. Decoding a key makes no object, closure or bigint.
 *
 *     bits of the first word     ptr ......1   crc32 .....10   crc64 ....100   crc128 ...1000   stripe ..10000   rebalance 100000
 *     size in bytes              8             8               16              24               8                8
 */

import { CHECKSUM_TYPES, checksumName, isEncryptedChecksum } from './checksum.ts'
import { KeyError } from './errors.ts'
import { KEY_BYTES, type Key } from './key.ts'
import type { DeviceShape, VolumeShape } from './key-type.ts'

/** No key has more pointers. */
export const MAX_POINTERS = 16
/** A pointer to this device leads nowhere: the device was removed. */
export const INVALID_DEVICE = 255

/** Kinds of entries: the index of the lowest set bit of an entry's first word. */
export const EntryType = { ptr: 0, crc32: 1, crc64: 2, crc128: 3, stripePtr: 4, rebalance: 5 } as const

/** Types of compression in checksum entries. */
export const COMPRESSION_TYPES: readonly string[] = ['none', 'lz4_old', 'gzip', 'lz4', 'zstd', 'incompressible']

export const COMPRESSION_INCOMPRESSIBLE = 5

const KEY_TYPE_BTREE_PTR = 5
const KEY_TYPE_EXTENT = 6
const KEY_TYPE_REFLINK_V = 16
const KEY_TYPE_BTREE_PTR_V2 = 18

/** Bytes per entry by its type. */
const ENTRY_BYTES: readonly number[] = [8, 8, 16, 24, 8, 8]

/** True if data of this compression type has to be decompressed to be read. */
export const isCompressed = (compressionType: number): boolean =>
  compressionType !== 0 && compressionType !== COMPRESSION_INCOMPRESSIBLE

/** Byte at which the entry list of a key of this type starts; -1 for types without one. */
export function entriesStart(keyType: number): number {
  switch (keyType) {
    case KEY_TYPE_BTREE_PTR:
    case KEY_TYPE_EXTENT:
      return KEY_BYTES
    case KEY_TYPE_REFLINK_V:
      return KEY_BYTES + 8
    case KEY_TYPE_BTREE_PTR_V2:
      return KEY_BYTES + 40
    default:
      return -1
  }
}

/** Type of the entry whose first word's low half is `lo`: no entry type has its bit in the high half. -1 or 6..31: invalid. */
export function entryType(lo: number): number {
  return 31 - Math.clz32(lo & -lo)
}

/** Size of an entry in bytes, undefined for types that the format doesn't know. */
export function entryBytes(type: number): number | undefined {
  return ENTRY_BYTES[type]
}

export class ExtentPointers {
  /** Number of pointers; the columns below have a row for each. */
  count = 0

  readonly device = new Uint8Array(MAX_POINTERS)
  /** Generation of the bucket at the time the pointer was made. */
  readonly gen = new Uint8Array(MAX_POINTERS)
  /** 1 for a copy that may vanish at any time. */
  readonly cached = new Uint8Array(MAX_POINTERS)
  /** 1 for space without content: reads as zeros. */
  readonly unwritten = new Uint8Array(MAX_POINTERS)
  /** Device sector at which the stored unit starts. */
  readonly sector = new Float64Array(MAX_POINTERS)

  /** 1 if a checksum entry governs the pointer. Without one the next four are size, size, 0 and 0. */
  readonly hasCrc = new Uint8Array(MAX_POINTERS)
  /** Size of the stored unit on disk. */
  readonly compressedSectors = new Uint32Array(MAX_POINTERS)
  /** Size of the stored unit after decompression. */
  readonly uncompressedSectors = new Uint32Array(MAX_POINTERS)
  /** Where in the decoded unit the key's own sectors start. */
  readonly crcOffset = new Uint32Array(MAX_POINTERS)
  readonly nonce = new Uint32Array(MAX_POINTERS)
  readonly csumType = new Uint8Array(MAX_POINTERS)
  readonly compressionType = new Uint8Array(MAX_POINTERS)
  /** The stored checksum: four words per pointer, least significant first; unused ones are zero. */
  readonly csum = new Uint32Array(4 * MAX_POINTERS)

  /** 1 if the pointer is a block of a stripe. */
  readonly hasStripe = new Uint8Array(MAX_POINTERS)
  readonly stripeIndex = new Float64Array(MAX_POINTERS)
  readonly stripeBlock = new Uint8Array(MAX_POINTERS)
  readonly stripeRedundancy = new Uint8Array(MAX_POINTERS)

  /** True if the key asks for its data to be moved or recompressed in the background. */
  hasRebalance = false
  rebalanceTarget = 0
  /** Compression option: type in the low four bits, level above. */
  rebalanceCompression = 0

  /**
   * Decodes the entry list between `firstByte` of the key and its end, and returns the number of pointers (1 to 16).
   * What the list itself can tell is checked: afterwards every row has known checksum and compression types, and its
   * key's sectors lie inside the decoded unit. Devices and buckets are not looked at.
   * @throws KeyError for a malformed list.
   */
  decode(key: Key, firstByte: number): number {
    const fault = this.load(key, firstByte, undefined) ?? this.liveSectorsFault(key)
    if (fault !== undefined) throw new KeyError('EIO', `key ${key.posText}`, fault)
    return this.count
  }

  /**
   * Like `decode`, but returns what is wrong with the list, undefined if nothing is. With `shape` the pointers are
   * also held against the devices' geometry and the volume's encryption.
   */
  load(key: Key, firstByte: number, shape: VolumeShape | undefined): string | undefined {
    const { words, size, type } = key
    const ofBtree = type === KEY_TYPE_BTREE_PTR || type === KEY_TYPE_BTREE_PTR_V2
    const end = key.u64s * 2
    this.count = 0
    this.hasRebalance = false

    let hasCrc = 0
    let compressed = size
    let uncompressed = size
    let crcOffset = 0
    let nonce = 0
    let csumType = 0
    let compressionType = 0
    let csum0 = 0
    let csum1 = 0
    let csum2 = 0
    let csum3 = 0
    // A crc or stripe entry that no pointer has followed yet: the word at which it stands.
    let pendingCrc = -1
    let pendingStripe = -1
    let encryptedStart = -1
    let unwrittenPointers = 0

    for (let at = firstByte >>> 2; at < end;) {
      const lo = words[at]
      const hi = words[at + 1]
      const entry = entryType(lo)
      if (entry < 0 || entry > EntryType.rebalance) {
        return `extent_ptrs_invalid_entry: entry word ${hex(hi, lo)} is of no known type`
      }
      if (ofBtree && entry !== EntryType.ptr) return `btree_ptr_has_non_ptr: entry of type ${entry}`
      const next = at + ENTRY_BYTES[entry] / 4
      if (next > end) return `extent_ptrs_invalid_entry: the last entry, type ${entry}, runs past the value's end`

      if (entry === EntryType.ptr) {
        const i = this.count
        if (i === MAX_POINTERS) return `extent_ptrs_too_many_ptrs: more than ${MAX_POINTERS}`
        const cached = (lo >>> 1) & 1
        const unwritten = (lo >>> 3) & 1
        this.device[i] = (hi >>> 16) & 0xff
        this.gen[i] = hi >>> 24
        this.cached[i] = cached
        this.unwritten[i] = unwritten
        this.sector[i] = (hi & 0xffff) * 0x10000000 + (lo >>> 4)
        this.hasCrc[i] = hasCrc
        this.compressedSectors[i] = compressed
        this.uncompressedSectors[i] = uncompressed
        this.crcOffset[i] = crcOffset
        this.nonce[i] = nonce
        this.csumType[i] = csumType
        this.compressionType[i] = compressionType
        this.csum[4 * i] = csum0
        this.csum[4 * i + 1] = csum1
        this.csum[4 * i + 2] = csum2
        this.csum[4 * i + 3] = csum3
        if (pendingStripe < 0) {
          this.hasStripe[i] = 0
        } else {
          const stripeLo = words[pendingStripe]
          this.hasStripe[i] = 1
          this.stripeIndex[i] = (stripeLo >>> 17) + words[pendingStripe + 1] * 0x8000
          this.stripeBlock[i] = stripeLo >>> 5
          this.stripeRedundancy[i] = (stripeLo >>> 13) & 0xf
        }
        this.count = i + 1
        unwrittenPointers += unwritten
        if (shape !== undefined) {
          const fault = this.devicePointerFault(i, ofBtree ? shape.btreeNodeSectors : compressed, shape)
          if (fault !== undefined) return fault
        }
        if (cached === 1 && pendingStripe >= 0) {
          return 'ptr_cached_and_erasure_coded: a cached pointer belongs to a stripe'
        }
        pendingCrc = -1
        pendingStripe = -1
      } else if (entry === EntryType.stripePtr) {
        if (pendingStripe >= 0) return 'ptr_stripe_redundant: two stripe entries without a pointer between them'
        pendingStripe = at
      } else if (entry === EntryType.rebalance) {
        this.hasRebalance = true
        this.rebalanceCompression = (hi >>> 8) & 0xff
        this.rebalanceTarget = hi >>> 16
      } else {
        hasCrc = 1
        if (entry === EntryType.crc32) {
          compressed = ((lo >>> 2) & 0x7f) + 1
          uncompressed = ((lo >>> 9) & 0x7f) + 1
          crcOffset = (lo >>> 16) & 0x7f
          nonce = 0
          csumType = (lo >>> 24) & 0xf
          compressionType = lo >>> 28
          csum0 = hi
          csum1 = 0
          csum2 = 0
          csum3 = 0
        } else if (entry === EntryType.crc64) {
          compressed = ((lo >>> 3) & 0x1ff) + 1
          uncompressed = ((lo >>> 12) & 0x1ff) + 1
          crcOffset = (lo >>> 21) & 0x1ff
          nonce = (lo >>> 30) | ((hi & 0xff) << 2)
          csumType = (hi >>> 8) & 0xf
          compressionType = (hi >>> 12) & 0xf
          csum0 = words[at + 2]
          csum1 = words[at + 3]
          csum2 = hi >>> 16
          csum3 = 0
        } else {
          compressed = ((lo >>> 4) & 0x1fff) + 1
          uncompressed = ((lo >>> 17) & 0x1fff) + 1
          crcOffset = (lo >>> 30) | ((hi & 0x7ff) << 2)
          nonce = (hi >>> 11) & 0x1fff
          csumType = (hi >>> 24) & 0xf
          compressionType = hi >>> 28
          csum0 = words[at + 2]
          csum1 = words[at + 3]
          csum2 = words[at + 4]
          csum3 = words[at + 5]
        }
        if (crcOffset + size > uncompressed) {
          return `ptr_crc_uncompressed_size_too_small: offset ${crcOffset} + size ${size} > ${uncompressed} sectors`
        }
        if (csumType >= CHECKSUM_TYPES.length) return `ptr_crc_csum_type_unknown: ${csumType}`
        const encrypted = isEncryptedChecksum(csumType)
        if (encrypted && shape?.encrypted === false) {
          return `ptr_crc_csum_type_unknown: ${checksumName(csumType)} on a volume without a key`
        }
        if (compressionType >= COMPRESSION_TYPES.length) return `ptr_crc_compression_type_unknown: ${compressionType}`
        if (encrypted) {
          const start = crcOffset + nonce
          if (encryptedStart >= 0 && start !== encryptedStart) {
            return `ptr_crc_nonce_mismatch: offset + nonce is ${start}, before it was ${encryptedStart}`
          }
          encryptedStart = start
        }
        if (pendingCrc >= 0) return 'ptr_crc_redundant: two checksum entries without a pointer between them'
        pendingCrc = at
      }
      at = next
    }

    if (this.count === 0) return 'extent_ptrs_no_ptrs'
    if (unwrittenPointers !== 0) {
      if (unwrittenPointers !== this.count) return 'extent_ptrs_written_and_unwritten'
      if (type !== KEY_TYPE_EXTENT) return 'extent_ptrs_unwritten: only an extent may have unwritten pointers'
    }
    if (pendingCrc >= 0) return 'extent_ptrs_redundant_crc: a checksum entry behind the last pointer'
    if (pendingStripe >= 0) return 'extent_ptrs_redundant_stripe: a stripe entry behind the last pointer'
    return undefined
  }

  /** Uncompressed units have one size, or the key's sectors might not be among those stored. Nobody else asks. */
  private liveSectorsFault(key: Key): string | undefined {
    for (let i = 0; i < this.count; i++) {
      if (!isCompressed(this.compressionType[i]) && this.crcOffset[i] + key.size > this.compressedSectors[i]) {
        return `${this.compressedSectors[i]} of ${this.uncompressedSectors[i]} sectors stored, though the data is not compressed`
      }
    }
    return undefined
  }

  /** What is wrong with row `i` in the eyes of its device. Pointers to unknown devices are left alone. */
  private devicePointerFault(i: number, sectorsOnDisk: number, shape: VolumeShape): string | undefined {
    const device = this.device[i]
    const member = shape.member(device)
    if (member === undefined) return undefined
    for (let j = 0; j < i; j++) {
      if (this.device[j] === device) return `ptr_to_duplicate_device: ${device}`
    }
    return pointerFault(member, device, this.sector[i], sectorsOnDisk)
  }
}

/** What is wrong with a pointer to `sectorsOnDisk` sectors from `sector` on device `device`; undefined if nothing is. */
export function pointerFault(
  member: DeviceShape,
  device: number,
  sector: number,
  sectorsOnDisk: number,
): string | undefined {
  const { bucketSectors } = member
  const bucket = Math.floor(sector / bucketSectors)
  const inBucket = sector - bucket * bucketSectors
  if (bucket >= member.bucketCount) return `ptr_after_last_bucket: ${device}:${bucket}, of ${member.bucketCount}`
  if (bucket < member.firstBucket) {
    return `ptr_before_first_bucket: ${device}:${bucket}, the first is ${member.firstBucket}`
  }
  if (inBucket + sectorsOnDisk > bucketSectors) {
    return `ptr_spans_multiple_buckets: ${device}:${bucket}:${inBucket} + ${sectorsOnDisk} of ${bucketSectors} sectors`
  }
  return undefined
}

const scratch = new ExtentPointers()

/** Checks the whole entry list of a key against all rules for reading, and returns the first that it breaks. */
export function checkEntries(key: Key, firstByte: number, shape: VolumeShape): string | undefined {
  return scratch.load(key, firstByte, shape)
}

function hex(hi: number, lo: number): string {
  return `0x${hi.toString(16).padStart(8, '0')}${lo.toString(16).padStart(8, '0')}`
}
