import {
  chacha20,
  crc32c,
  crc64,
  inflateRaw,
  lz4Compress,
  lz4Decompress,
  poly1305,
  xxh64,
  zstdDecompress,
} from '@cowherd/kernel-lib'
import { scrypt } from '@noble/hashes/scrypt.js'
import { sha256 } from '@noble/hashes/sha2.js'
import { type NamedCodecs, checkScryptCost } from './codecs.ts'

/**
 * The codecs in plain JavaScript, for any platform: browsers, and Node without native packages. They import nothing of
 * Node and use none of its globals.
 */

const OWN = 'cowherd'
const NOBLE = '@noble/hashes'

/** The codecs that work everywhere. */
export function portableCodecs(): NamedCodecs {
  return {
    crc32c,
    crc64,
    xxh64,
    sha256: (data) => sha256(data),
    chacha20,
    poly1305,
    scrypt(passphrase, salt, cost, length) {
      checkScryptCost(cost)
      const { logN, r, p } = cost
      // The package's own limit is lower than ours.
      const maxmem = 128 * r * (2 ** logN + p) + 4096
      return scrypt(passphrase, salt, { N: 2 ** logN, r, p, dkLen: length, maxmem })
    },
    lz4Decompress,
    inflateRaw,
    zstdDecompress,
    lz4Compress,
    names: {
      crc32c: OWN,
      crc64: OWN,
      xxh64: OWN,
      sha256: NOBLE,
      chacha20: OWN,
      poly1305: OWN,
      scrypt: NOBLE,
      lz4Decompress: OWN,
      inflateRaw: OWN,
      zstdDecompress: OWN,
      lz4Compress: OWN,
    },
  }
}
