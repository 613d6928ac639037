/**
 * The codecs that cases run with: our own decoders, which are what is to be tested, and a scrypt that does the work once. A mutated
 * superblock can ask for any cost; a key that nobody waits for is as wrong as one that takes a minute.
 */

import { createHash, scryptSync } from 'node:crypto'
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
import type { Codecs } from '@cowherd/shim'

const keys = new Map<string, Uint8Array>()
/** N, r and p of every volume that bcachefs-tools makes, as logN, r, p. */
const USUAL_COST = '14:8:16'

export const fuzzCodecs: Codecs = {
  crc32c,
  crc64,
  xxh64,
  chacha20,
  poly1305,
  lz4Decompress,
  inflateRaw,
  zstdDecompress,
  lz4Compress,
  sha256: (data) => new Uint8Array(createHash('sha256').update(data).digest()),
  scrypt(passphrase, salt, { logN, r, p }, length) {
    const cost = `${logN}:${r}:${p}`
    if (cost !== USUAL_COST) return new Uint8Array(length)
    const name = `${Buffer.from(passphrase).toString('hex')}:${Buffer.from(salt).toString('hex')}:${length}`
    let key = keys.get(name)
    if (key === undefined) {
      key = new Uint8Array(scryptSync(passphrase, salt, length, { N: 2 ** logN, r, p, maxmem: 2 ** 30 }))
      keys.set(name, key)
    }
    return key
  },
}
