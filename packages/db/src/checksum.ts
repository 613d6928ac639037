/**
 * Checksum types and the checksums that need no key. Format chapter 1, section 8.
 *
 * Superblocks, journal entries and btree nodes start with 16 bytes of checksum over everything behind them; data extents
 * carry theirs in the key. The type lies in the structure itself, so types may be mixed in a volume. All 16 bytes count:
 * those that a type doesn't use are zero.
 */

import type { Codecs, U64Halves } from '@cowherd/shim'

export const CHECKSUM_BYTES = 16

/** Checksum types by name, as stored. */
export const ChecksumType = {
  none: 0,
  crc32cNonzero: 1,
  crc64Nonzero: 2,
  chacha20Poly1305Short: 3,
  chacha20Poly1305: 4,
  crc32c: 5,
  crc64: 6,
  xxhash: 7,
} as const

/** What a stored checksum type means. */
export interface ChecksumKind {
  /** The format's name. */
  readonly name: string
  /** Significant bytes of the 16. */
  readonly bytes: number
  /** True if it is a MAC, made with the volume's key over encrypted bytes. */
  readonly encrypted: boolean
}

/** All checksum types by number. */
export const CHECKSUM_TYPES: readonly ChecksumKind[] = [
  { name: 'none', bytes: 0, encrypted: false },
  { name: 'crc32c_nonzero', bytes: 4, encrypted: false },
  { name: 'crc64_nonzero', bytes: 8, encrypted: false },
  { name: 'chacha20_poly1305_80', bytes: 10, encrypted: true },
  { name: 'chacha20_poly1305_128', bytes: 16, encrypted: true },
  { name: 'crc32c', bytes: 4, encrypted: false },
  { name: 'crc64', bytes: 8, encrypted: false },
  { name: 'xxhash', bytes: 8, encrypted: false },
]

/** The name of a checksum type, `(unknown checksum type N)` for others. */
export function checksumName(type: number): string {
  return CHECKSUM_TYPES[type]?.name ?? `(unknown checksum type ${type})`
}

/** True if `type` is a MAC. */
export function isEncryptedChecksum(type: number): boolean {
  return type === ChecksumType.chacha20Poly1305Short || type === ChecksumType.chacha20Poly1305
}

/** Computes and compares checksums without a key. One object serves any number of calls; nothing is allocated per call. */
export class Checksum {
  /** The checksum computed last, as it is stored: four little-endian words, least significant first. */
  readonly words = new Uint32Array(4)
  private readonly codecs: Codecs
  private readonly halves: U64Halves = { lo: 0, hi: 0 }

  constructor(codecs: Codecs) {
    this.codecs = codecs
  }

  /** Puts the checksum of `data` in `words`. Returns false, with `words` zero, if the type is unknown or needs a key. */
  compute(type: number, data: Uint8Array): boolean {
    const { words } = this
    words.fill(0)
    switch (type) {
      case ChecksumType.none:
        return true
      case ChecksumType.crc32c:
        words[0] = this.codecs.crc32c(0, data)
        return true
      case ChecksumType.crc32cNonzero:
        words[0] = ~this.codecs.crc32c(0xffffffff, data)
        return true
      case ChecksumType.crc64:
        this.crc64(0, data)
        return true
      case ChecksumType.crc64Nonzero:
        this.crc64(0xffffffff, data)
        return true
      case ChecksumType.xxhash:
        this.codecs.xxh64(this.halves, data)
        words[0] = this.halves.lo
        words[1] = this.halves.hi
        return true
      default:
        return false
    }
  }

  /** True if `words` equal the 16 bytes stored at `bytes[at]`. */
  equals(bytes: Uint8Array, at = 0): boolean {
    const { words } = this
    for (let i = 0; i < CHECKSUM_BYTES; i++) {
      if (bytes[at + i] !== ((words[i >> 2] >>> ((i & 3) * 8)) & 0xff)) return false
    }
    return true
  }

  /** Start and final inversion are the same word, twice: all ones or none. */
  private crc64(start: number, data: Uint8Array): void {
    const { halves, words } = this
    halves.lo = start
    halves.hi = start
    this.codecs.crc64(halves, data)
    words[0] = halves.lo ^ start
    words[1] = halves.hi ^ start
  }
}

/** A stored checksum for messages: its number in hexadecimal, e.g. `4d3a2a02`. */
export function checksumText(bytes: Uint8Array, at = 0): string {
  let text = ''
  for (let i = CHECKSUM_BYTES - 1; i >= 0; i--) text += (bytes[at + i] ?? 0).toString(16).padStart(2, '0')
  return text.replace(/^0+(?=.)/, '')
}
