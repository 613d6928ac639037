/**
 * Makes of data what is stored of it: compressed, encrypted, with a checksum, in this order. Format chapter 6, 6.3, 6.4 and 6.6.
 * `extent-read.ts` undoes it.
 */

import type { Codecs, U64Halves } from '@cowherd/shim'
import { Checksum, ChecksumType, isEncryptedChecksum } from '../checksum.ts'
import { NonceUse, type Cipher } from '../encryption.ts'
import { isCompressed } from '../extent-entries.ts'
import type { Compression, Options } from '../superblock/options.ts'
import type { Unit } from './unit.ts'

const SECTOR = 512
/** Blocks of the key stream in a sector. */
const CIPHER_BLOCKS = SECTOR / 64
/** Bytes of a short MAC that are stored. */
const SHORT_MAC_BYTES = 10
/** In front of a zstd frame stands its length. */
const ZSTD_LENGTH_BYTES = 4

/** Types of checksums, by the option. */
export const CHECKSUM_OF_OPTION: Readonly<Record<Options['dataChecksum'], number>> = {
  none: ChecksumType.none,
  crc32c: ChecksumType.crc32c,
  crc64: ChecksumType.crc64,
  xxhash: ChecksumType.xxhash,
}

/** Types in checksum entries, by the option. */
export const COMPRESSION_OF_OPTION: Readonly<Record<Compression, number>> = { none: 0, lz4: 3, gzip: 2, zstd: 4 }

/** What `compress` says of data that it didn't compress: it gets no smaller by it; nobody here can compress like that. */
export const INCOMPRESSIBLE = 0
export const NO_COMPRESSOR = -1

export class UnitEncoder {
  private readonly codecs: Codecs
  private readonly cipher: Cipher | undefined
  private readonly encryptedType: number
  private readonly blockBytes: number
  private readonly checksum: Checksum
  private readonly nonce = new Uint32Array(4)
  private readonly tag = new Uint8Array(16)
  private readonly tagWords = new Uint32Array(this.tag.buffer)

  /** `cipher` is absent on volumes that are not encrypted. */
  constructor(codecs: Codecs, cipher: Cipher | undefined, hasWideMacs: boolean, blockBytes: number) {
    this.codecs = codecs
    this.cipher = cipher
    this.encryptedType = hasWideMacs ? ChecksumType.chacha20Poly1305 : ChecksumType.chacha20Poly1305Short
    this.blockBytes = blockBytes
    this.checksum = new Checksum(codecs)
  }

  get isEncrypting(): boolean {
    return this.cipher !== undefined
  }

  /** The checksum type of data with an option: on an encrypted volume it has no say. */
  checksumType(option: Options['dataChecksum']): number {
    return this.cipher === undefined ? CHECKSUM_OF_OPTION[option] : this.encryptedType
  }

  /**
   * Compresses `source`, whole blocks, to `target`, which is as large, and fills up the last block with zeros. Returns how many bytes that are:
   * a block less than `source` at least, or INCOMPRESSIBLE or NO_COMPRESSOR.
   */
  compress(target: Uint8Array, source: Uint8Array, { type, level }: Options['compression']): number {
    const room = target.subarray(0, Math.max(0, source.length - this.blockBytes))
    const length = room.length === 0 ? INCOMPRESSIBLE : this.compressTo(room, source, type, level)
    if (length <= 0) return length
    const stored = Math.ceil(length / this.blockBytes) * this.blockBytes
    target.fill(0, length, stored)
    return stored
  }

  private compressTo(target: Uint8Array, source: Uint8Array, type: Compression, level: number): number {
    const { codecs } = this
    switch (type) {
      case 'lz4':
        return codecs.lz4Compress(target, source, level)
      case 'gzip':
        return codecs.deflateRaw?.(target, source, level) ?? NO_COMPRESSOR
      case 'zstd': {
        const length = codecs.zstdCompress?.(target.subarray(ZSTD_LENGTH_BYTES), source, level) ?? NO_COMPRESSOR
        if (length <= 0) return length
        for (let i = 0; i < ZSTD_LENGTH_BYTES; i++) target[i] = length >>> (8 * i)
        return ZSTD_LENGTH_BYTES + length
      }
      case 'none':
        return NO_COMPRESSOR
    }
  }

  /**
   * Encrypts the stored bytes of a unit, in place, if its checksum type is one of encrypted data, and gives it its checksum. `version` is the
   * key's: no two units have the same, where it matters.
   */
  seal(unit: Unit, version: Readonly<U64Halves>, stored: Uint8Array): void {
    const { checksum, tag, tagWords, nonce } = this
    if (!isEncryptedChecksum(unit.csumType)) {
      checksum.compute(unit.csumType, stored)
      unit.csum.set(checksum.words)
      return
    }
    if (this.cipher === undefined) throw new RangeError('no key')
    const compression = isCompressed(unit.compressionType) ? unit.compressionType : 0
    nonce[0] = (compression === 0 ? 0 : unit.sectors << 22) + unit.nonce * CIPHER_BLOCKS
    nonce[1] = version.lo
    nonce[2] = version.hi
    nonce[3] = (compression << 24) ^ NonceUse.extent
    this.cipher.crypt(nonce, stored)
    this.cipher.mac(tag, nonce, stored)
    if (unit.csumType === ChecksumType.chacha20Poly1305Short) tag.fill(0, SHORT_MAC_BYTES)
    unit.csum.set(tagWords)
  }
}
