/**
 * Encryption of metadata and data: ChaCha20 with Poly1305 under the volume's master key, format chapter 1, section 9.
 *
 * A nonce is four words d0..d3; d0 is the block counter. The MAC covers the ciphertext, so a reader verifies first, then
 * decrypts. Nothing is allocated per call.
 */

import type { Codecs } from '@cowherd/shim'

/** What a nonce is for: XORed into d3. */
export const NonceUse = { extent: 1 << 28, btree: 2 << 28, journal: 3 << 28, poly: 0x80000000 } as const

export class Cipher {
  private readonly codecs: Codecs
  private readonly key: Uint8Array
  private readonly polyNonce = new Uint32Array(4)
  private readonly oneTimeKey = new Uint8Array(32)

  /** `key` is the 32-byte master key. */
  constructor(codecs: Codecs, key: Uint8Array) {
    this.codecs = codecs
    this.key = key
  }

  /** The 16-byte Poly1305 tag of `data` (ciphertext) under `nonce`, to `tag`. */
  mac(tag: Uint8Array, nonce: Uint32Array, data: Uint8Array): void {
    this.polyNonce.set(nonce)
    this.polyNonce[3] ^= NonceUse.poly
    this.oneTimeKey.fill(0)
    this.codecs.chacha20(this.key, this.polyNonce, this.oneTimeKey)
    this.codecs.poly1305(tag, this.oneTimeKey, data)
  }

  /** XORs `data` in place with the key stream; `nonce` is unchanged. Encryption and decryption are the same. */
  crypt(nonce: Uint32Array, data: Uint8Array): void {
    this.codecs.chacha20(this.key, nonce, data)
  }
}
