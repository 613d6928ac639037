/**
 * Reads the data of one extent: chooses a copy, verifies, decrypts, decompresses, and cuts out what is wanted. Format chapter 6, 6.5
 * and 6.6.
 *
 * What carries a checksum or is compressed is a unit: it is read and verified as a whole. A copy that is missing, stale, unreadable
 * or damaged is passed over for the next; when none is left, a DataError says why each failed. Memory is taken once and reused.
 */

import { CodecError, DeviceError, type BlockDevice, type Codecs } from '@cowherd/shim'
import { COMPRESSION_TYPES, ExtentPointers, isCompressed } from './extent-entries.ts'
import { NonceUse } from './encryption.ts'
import { DataError, type Named } from './errors.ts'
import type { IntegrityCheck } from './integrity.ts'
import { KEY_BYTES, type Key } from './key.ts'
import type { VolumeShape } from './key-type.ts'

const SECTOR = 512
const TYPE_REFLINK_V = 16
/** Decoded units kept: small reads within one unit decode it once. */
const UNITS_KEPT = 4
const UNIT_MAX_BYTES = 8192 * SECTOR

const COMPRESSION_LZ4_OLD = 1
const COMPRESSION_GZIP = 2
const COMPRESSION_LZ4 = 3
const COMPRESSION_ZSTD = 4

/** What reading data needs of the volume. */
export interface ExtentSource {
  readonly devices: readonly (BlockDevice | undefined)[]
  readonly shape: VolumeShape
  readonly codecs: Codecs
  readonly integrity: IntegrityCheck
  /** Current generation of a bucket, or -1 if it is not known. */
  bucketGeneration(device: number, bucket: number): number
  /** Called when a copy was bad although another one served, or none did. */
  note(message: string): void
}

/** What tells a unit apart: an equal identity means equal bytes. Device, sector, generation, sizes, nonce, checksum, version. */
const IDENTITY_NUMBERS = 9

/** A copy of the data that can't be used, and why. Never leaves this file. */
class BadCopy extends Error {}

export class ExtentReader {
  private readonly source: ExtentSource
  private readonly pointers = new ExtentPointers()
  private readonly nonce = new Uint32Array(4)
  private readonly csum = new Uint8Array(16)
  private readonly csumWords = new Uint32Array(this.csum.buffer)
  /** Decoded units in memory, and which ones they are. */
  private readonly units: Uint8Array[] = Array.from({ length: UNITS_KEPT }, () => new Uint8Array(0))
  private readonly identities = new Float64Array(UNITS_KEPT * IDENTITY_NUMBERS).fill(NaN)
  private readonly wanted = new Float64Array(IDENTITY_NUMBERS)
  private nextUnit = 0
  private stored = new Uint8Array(0)

  constructor(source: ExtentSource) {
    this.source = source
  }

  /**
   * Fills `target` with the bytes from `skip` on of the range that `key` (extent or reflink_v) covers; both lie inside it. `who` names the
   * file in messages. Throws KeyError for a malformed key, DataError (EIO) when no copy can be read.
   */
  read(key: Key, skip: number, target: Uint8Array, who: Named): void {
    const { pointers } = this
    const count = pointers.decode(key, key.type === TYPE_REFLINK_V ? KEY_BYTES + 8 : KEY_BYTES)
    if (count === 0) throw new DataError('EIO', who.toString(), 'an extent without pointers')
    if (pointers.unwritten[0] !== 0) {
      target.fill(0)
      return
    }
    const failures: string[] = []
    let dirty = false
    for (const cached of [0, 1]) {
      for (let i = 0; i < count; i++) {
        if (pointers.cached[i] !== cached) continue
        dirty ||= cached === 0
        if (cached === 1 && this.isStale(i)) continue
        try {
          this.readCopy(key, i, skip, target)
          for (const failure of failures) this.source.note(`${who.toString()}: ${failure}; read from another copy`)
          return
        } catch (error) {
          if (!(error instanceof BadCopy) && !(error instanceof DeviceError) && !(error instanceof CodecError))
            throw error
          failures.push(`${this.placeText(i)}: ${error.message}`)
        }
      }
    }
    if (!dirty && failures.length === 0) {
      target.fill(0) // only cached copies, all reused since: what they cached is gone for good
      return
    }
    const error = new DataError('EIO', who.toString(), failures.join('; '))
    this.source.note(error.message)
    throw error
  }

  private readCopy(key: Key, i: number, skip: number, target: Uint8Array): void {
    const { pointers, source } = this
    const device = source.devices[pointers.device[i]]
    if (device === undefined) throw new BadCopy('the device is missing')
    if (pointers.cached[i] === 0 && this.isStale(i)) throw new BadCopy('the bucket was reused (stale pointer)')
    const compressed = isCompressed(pointers.compressionType[i])
    const live = skip + pointers.crcOffset[i] * SECTOR
    const start = pointers.sector[i] * SECTOR
    if (pointers.crcOffset[i] + key.size > pointers.uncompressedSectors[i]) {
      throw new BadCopy('the key covers more than the unit it points to')
    }
    if (!compressed && pointers.csumType[i] === 0) {
      device.read(target, start + live)
      return
    }
    const storedBytes = pointers.compressedSectors[i] * SECTOR
    if (live === 0 && target.length === pointers.uncompressedSectors[i] * SECTOR) {
      this.decode(key, i, device, start, storedBytes, target)
      return
    }
    const unit = this.unitOf(key, i, device, start, storedBytes)
    target.set(live === 0 && target.length === unit.length ? unit : unit.subarray(live, live + target.length))
  }

  /** The bytes of a unit, of which a part is wanted: from memory, or decoded into it. */
  private unitOf(key: Key, i: number, device: BlockDevice, start: number, storedBytes: number): Uint8Array {
    const { units, identities, wanted } = this
    this.identify(key, i)
    const size = this.pointers.uncompressedSectors[i] * SECTOR
    for (let unit = 0; unit < UNITS_KEPT; unit++) {
      let same = 0
      while (same < IDENTITY_NUMBERS && identities[unit * IDENTITY_NUMBERS + same] === wanted[same]) same++
      if (same === IDENTITY_NUMBERS) return units[unit].subarray(0, size)
    }
    const unit = this.nextUnit
    this.nextUnit = (unit + 1) % UNITS_KEPT
    identities[unit * IDENTITY_NUMBERS] = NaN // what fails half-way is no unit
    if (units[unit].length < size) {
      units[unit] = new Uint8Array(Math.min(UNIT_MAX_BYTES, 2 ** Math.ceil(Math.log2(size))))
    }
    const bytes = units[unit].subarray(0, size)
    this.decode(key, i, device, start, storedBytes, bytes)
    identities.set(wanted, unit * IDENTITY_NUMBERS)
    return bytes
  }

  /** Sets `wanted` to the identity of the unit of pointer `i`. */
  private identify(key: Key, i: number): void {
    const { pointers, wanted } = this
    wanted[0] = pointers.device[i]
    wanted[1] = pointers.sector[i]
    wanted[2] = pointers.compressedSectors[i]
    wanted[3] = pointers.uncompressedSectors[i]
    wanted[4] = pointers.nonce[i]
    wanted[5] = pointers.csum[4 * i]
    wanted[6] = pointers.csum[4 * i + 1]
    wanted[7] = key.versionLo
    wanted[8] = pointers.gen[i]
  }

  /** Reads, verifies and decodes the whole unit of pointer `i` into `target`, which has its uncompressed size. */
  private decode(
    key: Key,
    i: number,
    device: BlockDevice,
    start: number,
    storedBytes: number,
    target: Uint8Array,
  ): void {
    const { pointers, source } = this
    const compression = pointers.compressionType[i]
    const compressed = isCompressed(compression)
    const limit = source.shape.encodedExtentMaxSectors
    if (compressed && (pointers.uncompressedSectors[i] > limit || pointers.compressedSectors[i] > limit)) {
      throw new BadCopy(`a compressed unit of ${pointers.uncompressedSectors[i]} sectors, ${limit} are allowed`)
    }
    if (!compressed && storedBytes !== target.length) throw new BadCopy('two different sizes of an uncompressed unit')
    const raw = compressed ? this.storedBuffer(storedBytes) : target
    device.read(raw, start)
    setUnitNonce(this.nonce, key, pointers, i)
    const type = pointers.csumType[i]
    this.csumWords.set(pointers.csum.subarray(4 * i, 4 * i + 4))
    const difference = source.integrity.difference(type, this.nonce, raw, this.csum, 0)
    if (difference !== undefined) throw new BadCopy(difference)
    if (source.integrity.isEncrypted(type)) source.integrity.crypt(this.nonce, raw)
    if (compressed) decompress(source.codecs, compression, target, raw)
  }

  private isStale(i: number): boolean {
    const { pointers, source } = this
    const member = source.shape.member(pointers.device[i])
    if (member === undefined) return true
    const bucket = Math.floor(pointers.sector[i] / member.bucketSectors)
    const generation = source.bucketGeneration(pointers.device[i], bucket)
    return generation >= 0 && generation !== pointers.gen[i]
  }

  /** `dev 0 bucket 68 sector 34816`. */
  private placeText(i: number): string {
    const { pointers, source } = this
    const member = source.shape.member(pointers.device[i])
    const bucket = member === undefined ? '?' : Math.floor(pointers.sector[i] / member.bucketSectors)
    return `dev ${pointers.device[i]} bucket ${bucket} sector ${pointers.sector[i]}`
  }

  private storedBuffer(size: number): Uint8Array {
    if (this.stored.length < size) this.stored = new Uint8Array(2 ** Math.ceil(Math.log2(size)))
    return this.stored.subarray(0, size)
  }
}

/** Sets `nonce` to that of the unit of pointer `i` of a key. Chapter 6, 6.6. */
export function setUnitNonce(nonce: Uint32Array, key: Key, pointers: ExtentPointers, i: number): void {
  const compressed = isCompressed(pointers.compressionType[i])
  nonce[0] = compressed ? pointers.uncompressedSectors[i] << 22 : 0
  nonce[0] += pointers.nonce[i] * (SECTOR / 64)
  nonce[1] = key.versionLo
  nonce[2] = key.versionMid
  nonce[3] = (key.versionHi | (compressed ? pointers.compressionType[i] << 24 : 0)) ^ NonceUse.extent
}

function decompress(codecs: Codecs, compression: number, target: Uint8Array, raw: Uint8Array): void {
  switch (compression) {
    case COMPRESSION_LZ4_OLD:
    case COMPRESSION_LZ4:
      codecs.lz4Decompress(target, raw)
      return
    case COMPRESSION_GZIP:
      codecs.inflateRaw(target, raw)
      return
    case COMPRESSION_ZSTD: {
      const length = raw[0] | (raw[1] << 8) | (raw[2] << 16) | (raw[3] << 24)
      if (length < 0 || length > raw.length - 4)
        throw new BadCopy(`a zstd frame of ${length >>> 0} bytes in ${raw.length}`)
      codecs.zstdDecompress(target, raw.subarray(4, 4 + length))
      return
    }
    default:
      throw new BadCopy(`unknown compression type ${COMPRESSION_TYPES[compression] ?? compression}`)
  }
}
