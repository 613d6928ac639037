/**
 * Makes changed structures look right again: computes checksums and MACs, encrypts and decrypts. Format chapter 1, 8 and 9.
 *
 * Written apart from the database's own checksum code, on purpose: it stands in for a writer. Works in place.
 */

import type { Codecs, U64Halves } from '@cowherd/shim'

/** Bytes of checksum at the start of every metadata structure. */
export const CSUM_BYTES = 16

/** What a nonce is for: XORed into its last word. */
export const NonceUse = { btree: 2 << 28, journal: 3 << 28 } as const
const POLY = 0x80000000

const isMac = (type: number): boolean => type === 3 || type === 4

export class Sealer {
  private readonly codecs: Codecs
  private readonly key: Uint8Array | undefined

  /** `key` is the volume's master key, if it has one. */
  constructor(codecs: Codecs, key: Uint8Array | undefined) {
    this.codecs = codecs
    this.key = key
  }

  /** Stores the checksum of `type` over `covered` to the 16 bytes at `target[at]`. Types that are unknown are left as they are. */
  seal(type: number, nonce: Uint32Array, covered: Uint8Array, target: Uint8Array, at: number): void {
    const sum = this.checksum(type, nonce, covered)
    if (sum !== undefined) target.set(sum, at)
  }

  /** XORs `data` with the key stream if structures of this checksum type are encrypted, and there is a key. */
  crypt(type: number, nonce: Uint32Array, data: Uint8Array): void {
    if (isMac(type) && this.key !== undefined) this.codecs.chacha20(this.key, nonce, data)
  }

  private checksum(type: number, nonce: Uint32Array, data: Uint8Array): Uint8Array | undefined {
    const { codecs } = this
    switch (type) {
      case 0:
        return words(0, 0)
      case 1:
        return words(~codecs.crc32c(0xffffffff, data), 0)
      case 2:
        return this.crc64(0xffffffff, data)
      case 5:
        return words(codecs.crc32c(0, data), 0)
      case 6:
        return this.crc64(0, data)
      case 7: {
        const out: U64Halves = { lo: 0, hi: 0 }
        codecs.xxh64(out, data)
        return words(out.lo, out.hi)
      }
      case 3:
      case 4:
        return this.mac(type, nonce, data)
      default:
        return undefined
    }
  }

  private crc64(start: number, data: Uint8Array): Uint8Array {
    const state: U64Halves = { lo: start, hi: start }
    this.codecs.crc64(state, data)
    return words(state.lo ^ start, state.hi ^ start)
  }

  private mac(type: number, nonce: Uint32Array, data: Uint8Array): Uint8Array | undefined {
    if (this.key === undefined) return undefined
    const oneTimeKey = new Uint8Array(32)
    const polyNonce = nonce.slice()
    polyNonce[3] ^= POLY
    this.codecs.chacha20(this.key, polyNonce, oneTimeKey)
    const tag = new Uint8Array(CSUM_BYTES)
    this.codecs.poly1305(tag, oneTimeKey, data)
    if (type === 3) tag.fill(0, 10)
    return tag
  }
}

function words(lo: number, hi: number): Uint8Array {
  const sum = new Uint8Array(CSUM_BYTES)
  const view = new DataView(sum.buffer)
  view.setUint32(0, lo >>> 0, true)
  view.setUint32(4, hi >>> 0, true)
  return sum
}
