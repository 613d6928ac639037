/**
 * Verification of what was read: checksums of all kinds, and the MACs of encrypted volumes, behind one call. Format chapter 1,
 * sections 8 and 9. Nothing is allocated while all is well.
 */

import type { Codecs } from '@cowherd/shim'
import { CHECKSUM_BYTES, Checksum, checksumName, checksumText, ChecksumType, isEncryptedChecksum } from './checksum.ts'
import type { Cipher } from './encryption.ts'

/** Bytes of a short MAC that are stored; the other six are zero. */
const SHORT_MAC_BYTES = 10

export class IntegrityCheck {
  private readonly checksum: Checksum
  private readonly cipher: Cipher | undefined
  private readonly tag = new Uint8Array(CHECKSUM_BYTES)

  /** `cipher` is absent on volumes without a key. */
  constructor(codecs: Codecs, cipher: Cipher | undefined) {
    this.checksum = new Checksum(codecs)
    this.cipher = cipher
  }

  /** True if structures with this checksum type are encrypted. */
  isEncrypted(type: number): boolean {
    return isEncryptedChecksum(type)
  }

  /**
   * Compares the checksum of `data` with the 16 bytes at `stored[storedAt]`. Returns undefined if they agree, otherwise what differs, both
   * values included. `nonce` matters for MACs only.
   */
  difference(
    type: number,
    nonce: Uint32Array,
    data: Uint8Array,
    stored: Uint8Array,
    storedAt: number,
  ): string | undefined {
    if (isEncryptedChecksum(type)) return this.macDifference(type, nonce, data, stored, storedAt)
    if (!this.checksum.compute(type, data)) return `unknown checksum type ${type}`
    if (this.checksum.equals(stored, storedAt)) return undefined
    return differenceText(type, new Uint8Array(this.checksum.words.buffer), stored, storedAt)
  }

  /** XORs `data` in place with the key stream of `nonce`. Only for volumes with a key. */
  crypt(nonce: Uint32Array, data: Uint8Array): void {
    if (this.cipher === undefined) throw new RangeError('no key')
    this.cipher.crypt(nonce, data)
  }

  private macDifference(
    type: number,
    nonce: Uint32Array,
    data: Uint8Array,
    stored: Uint8Array,
    storedAt: number,
  ): string | undefined {
    if (this.cipher === undefined) return 'encrypted, on a volume without a key'
    const { tag } = this
    this.cipher.mac(tag, nonce, data)
    if (type === ChecksumType.chacha20Poly1305Short) tag.fill(0, SHORT_MAC_BYTES)
    for (let i = 0; i < CHECKSUM_BYTES; i++) {
      if (tag[i] !== stored[storedAt + i]) return differenceText(type, tag, stored, storedAt)
    }
    return undefined
  }
}

function differenceText(type: number, computed: Uint8Array, stored: Uint8Array, storedAt: number): string {
  const [is, should] = [checksumText(computed), checksumText(stored, storedAt)]
  return `checksum ${checksumName(type)} is ${is}, should be ${should}`
}
