/**
 * The codecs a volume needs: checksums, ciphers and compression, behind one interface, so that the database itself
 * imports no library and no platform. All calls are synchronous and take ordinary and shared memory alike.
 *
 * Sources: format chapters 1 (checksums, encryption), 5 (string hashes) and 6 (compression).
 */

import { CodecError, type U64Halves } from '@cowherd/kernel-lib'

export { CodecError, type U64Halves } from '@cowherd/kernel-lib'

/**
 * Memory given to a codec may be ordinary or shared, at any byte offset. Keys, nonces and tags of a wrong size are errors
 * of the program: RangeError. Calls don't nest: a codec calls nothing of the caller's.
 */
export interface Codecs {
  /** CRC-32C continued from `crc` over `data`, no inversion at either end. Returns an unsigned 32-bit number. */
  crc32c(crc: number, data: Uint8Array): number
  /** CRC-64/ECMA-182 (most significant bit first), continued in place in `crc`, no inversion at either end. */
  crc64(crc: U64Halves, data: Uint8Array): void
  /** XXH64 with seed 0 of `data`, stored to `out`. */
  xxh64(out: U64Halves, data: Uint8Array): void
  /** SHA-256 digest, 32 bytes. */
  sha256(data: Uint8Array): Uint8Array

  /** XORs `data` in place with the ChaCha20 key stream; `nonce` is the four words d0..d3 of format chapter 1, 9.1. */
  chacha20(key: Uint8Array, nonce: Uint32Array, data: Uint8Array): void
  /** Poly1305 tag (16 bytes, to `tag`) of `data` under the 32-byte one-time key. */
  poly1305(tag: Uint8Array, key: Uint8Array, data: Uint8Array): void
  /**
   * scrypt of `passphrase` with `salt`; returns `length` bytes. Throws CodecError if the cost is out of all proportion
   * (`SCRYPT_LIMITS`): it comes from the volume.
   */
  scrypt(
    passphrase: Uint8Array,
    salt: Uint8Array,
    cost: { logN: number; r: number; p: number },
    length: number,
  ): Uint8Array

  /** Decodes one raw LZ4 block until `target` is full; bytes of `source` behind that are ignored. Throws CodecError. */
  lz4Decompress(target: Uint8Array, source: Uint8Array): void
  /** Decodes one raw DEFLATE stream, which must fill `target` exactly; padding behind it is ignored. Throws CodecError. */
  inflateRaw(target: Uint8Array, source: Uint8Array): void
  /** Decodes one zstd frame, given exactly, which must fill `target` exactly. Throws CodecError. */
  zstdDecompress(target: Uint8Array, source: Uint8Array): void

  /**
   * Compresses all of `source` into `target` as one raw LZ4 block. `level`: as in the option `compression`, 0 for the usual one up to 15. Returns
   * the bytes that it takes, or 0 if it doesn't fit.
   */
  lz4Compress(target: Uint8Array, source: Uint8Array, level: number): number
  /** The same as one raw DEFLATE stream. Left out: there is no such compressor here. */
  deflateRaw?(target: Uint8Array, source: Uint8Array, level: number): number
  /** The same as one zstd frame that says how long its content is, and needs no window beyond it. Left out: there is none here. */
  zstdCompress?(target: Uint8Array, source: Uint8Array, level: number): number
}

/** What scrypt may cost: 1 GiB of memory (128 * N * r bytes), and 64 times the work (N * r * p) that volumes are made with. */
const SCRYPT_LIMITS = { memoryBytes: 2 ** 30, work: 2 ** 27 } as const

/** Throws CodecError unless scrypt of this cost is possible and affordable. */
export function checkScryptCost({ logN, r, p }: { logN: number; r: number; p: number }): void {
  const isCost = [logN, r, p].every((value) => Number.isInteger(value) && value >= 1)
  if (
    !isCost ||
    logN > 31 ||
    128 * 2 ** logN * r > SCRYPT_LIMITS.memoryBytes ||
    2 ** logN * r * p > SCRYPT_LIMITS.work
  ) {
    throw new CodecError(`scrypt with N = 2^${logN}, r = ${r}, p = ${p} is refused`)
  }
}

/** Codecs that can tell what stands behind each call: a package's name, `node`, or `cowherd` for our own. */
export interface NamedCodecs extends Codecs {
  readonly names: { readonly [Codec in keyof Codecs]: string }
}
