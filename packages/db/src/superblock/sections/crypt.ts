/**
 * Section `crypt`: the volume's master key, plain or wrapped by a key made from a passphrase. It stays when encryption is
 * switched off, since old data remain encrypted. Format chapter 1, 4.3 and 9.4.
 */

export interface CryptSection {
  /** scrypt's cost parameters as logarithms of N, r and p. */
  readonly kdf: { readonly logN: number; readonly logR: number; readonly logP: number }
  /** Marker and master key (8 + 32 bytes), wrapped if the volume has a passphrase. */
  readonly key: Uint8Array
  /** True if the key is wrapped. */
  readonly needsPassphrase: boolean
}
