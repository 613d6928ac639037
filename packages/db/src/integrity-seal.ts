/**
 * What is put on everything that is written: the checksum that the options ask for, or, on an encrypted volume, encryption and a MAC.
 * Format chapter 1, sections 8 and 9. Nothing is allocated per call.
 */

import type { Codecs } from '@cowherd/shim'
import { Checksum, CHECKSUM_BYTES, ChecksumType } from './checksum.ts'
import type { Cipher } from './encryption.ts'
import type { Options } from './superblock/options.ts'

/** Checksum type of metadata, by the option `metadata_checksum`. */
export const METADATA_CHECKSUM_TYPES: Readonly<Record<Options['metadataChecksum'], number>> = {
  none: ChecksumType.none,
  crc32c: ChecksumType.crc32cNonzero,
  crc64: ChecksumType.crc64Nonzero,
  xxhash: ChecksumType.xxhash,
}

export class IntegritySeal {
  /** The checksum type that structures say they have. */
  readonly type: number
  private readonly checksum: Checksum
  private readonly cipher: Cipher | undefined
  private readonly tag = new Uint8Array(CHECKSUM_BYTES)

  /** The seal of metadata. `cipher` is absent on volumes that are not encrypted. */
  constructor(codecs: Codecs, cipher: Cipher | undefined, option: Options['metadataChecksum']) {
    this.type = cipher === undefined ? METADATA_CHECKSUM_TYPES[option] : ChecksumType.chacha20Poly1305
    this.checksum = new Checksum(codecs)
    this.cipher = cipher
  }

  get isEncrypting(): boolean {
    return this.cipher !== undefined
  }

  /** XORs `data` in place with the key stream of `nonce`; before it is signed. */
  encrypt(nonce: Uint32Array, data: Uint8Array): void {
    if (this.cipher === undefined) throw new RangeError('no key')
    this.cipher.crypt(nonce, data)
  }

  /** Puts the checksum of `data` into the 16 bytes at `target[at]`. `nonce` matters for MACs only. */
  sign(nonce: Uint32Array, data: Uint8Array, target: Uint8Array, at: number): void {
    if (this.cipher !== undefined) {
      this.cipher.mac(this.tag, nonce, data)
      target.set(this.tag, at)
      return
    }
    this.checksum.compute(this.type, data)
    const { words } = this.checksum
    for (let i = 0; i < CHECKSUM_BYTES; i++) target[at + i] = (words[i >> 2] >>> ((i & 3) * 8)) & 0xff
  }
}
