/**
 * The codecs that Node brings itself: SHA-256, scrypt and ChaCha20 of OpenSSL, DEFLATE of zlib, and zstd since Node 22.15. It is the only
 * one that brings compressors for these two.
 */

import { createCipheriv, createHash, scryptSync } from 'node:crypto'
import * as zlib from 'node:zlib'
import { readZstdFrameHeader } from '@cowherd/kernel-lib'
import { CodecError, type Codecs, checkScryptCost } from './codecs.ts'

/** Below this many bytes our ChaCha20 is faster than setting up one of Node's ciphers (measured: even at about 1500). */
const CIPHER_PAYS_BYTES = 1536
/** zlib's least output buffer. */
const CHUNK_BYTES_MIN = 64
/** Of a zstd frame; larger ones go to our decoder, which needs no window. */
const WINDOW_BYTES_MAX = 8 * 2 ** 20

/** What this Node can do; `portable` serves where it can't. */
export function codecsOfNode(portable: Codecs): Partial<Codecs> {
  return {
    sha256: (data) => createHash('sha256').update(data).digest(),
    scrypt(passphrase, salt, cost, length) {
      checkScryptCost(cost)
      const { logN, r, p } = cost
      const maxmem = 128 * r * (2 ** logN + p + 2) + 2 ** 20
      return scryptSync(passphrase, salt, length, { N: 2 ** logN, r, p, maxmem })
    },
    inflateRaw(target, source) {
      fill('DEFLATE', target, (options) => zlib.inflateRawSync(source, options))
    },
    deflateRaw: (target, source, level) =>
      compress(target, (options) => zlib.deflateRawSync(source, { ...options, level: deflateLevel(level) })),
    ...chacha20OfNode(portable),
    ...zstdOfNode(zlib, portable),
  }
}

interface DecoderOptions {
  chunkSize: number
  maxOutputLength: number
}

/** Decodes to `target`, which must be filled exactly. zlib stops at one byte too many. */
function fill(what: string, target: Uint8Array, decode: (options: DecoderOptions) => Uint8Array): void {
  // One output buffer that holds all, so that nothing is put together of pieces.
  const chunkSize = Math.max(target.length + 1, CHUNK_BYTES_MIN)
  let decoded: Uint8Array
  try {
    decoded = decode({ chunkSize, maxOutputLength: Math.max(target.length, 1) })
  } catch (cause) {
    throw new CodecError(`${what}: ${cause instanceof Error ? cause.message : String(cause)}`, { cause })
  }
  if (decoded.length !== target.length) {
    throw new CodecError(`${what}: ${decoded.length} bytes where ${target.length} are expected`)
  }
  target.set(decoded)
}

/** 0 is zlib's default. */
function deflateLevel(level: number): number {
  return level === 0 ? zlib.constants.Z_DEFAULT_COMPRESSION : Math.min(level, 9)
}

/** Compresses to `target`. Returns the length, or 0 if it doesn't fit. zlib stops at one byte too many. */
function compress(target: Uint8Array, encode: (options: DecoderOptions) => Uint8Array): number {
  const chunkSize = Math.max(target.length + 1, CHUNK_BYTES_MIN)
  let encoded: Uint8Array
  try {
    encoded = encode({ chunkSize, maxOutputLength: Math.max(target.length, 1) })
  } catch (error) {
    if (error instanceof RangeError) return 0 // more than maxOutputLength
    throw error
  }
  if (encoded.length > target.length) return 0
  target.set(encoded)
  return encoded.length
}

/** OpenSSL's 16-byte nonce is the format's, but its block counter carries into the nonce: ours takes over there. */
function chacha20OfNode(portable: Codecs): Partial<Codecs> {
  const nonceBytes = new Uint8Array(16)
  const nonceView = new DataView(nonceBytes.buffer)
  const chacha20: Codecs['chacha20'] = (key, nonce, data) => {
    const isShort = data.length < CIPHER_PAYS_BYTES || key.length !== 32 || nonce.length !== 4
    if (isShort || nonce[0] + Math.ceil(data.length / 64) > 2 ** 32) return portable.chacha20(key, nonce, data)
    for (let i = 0; i < 4; i++) nonceView.setUint32(4 * i, nonce[i], true)
    data.set(createCipheriv('chacha20', key, nonceBytes).update(data))
  }
  return givesTheSame(chacha20, portable) ? { chacha20 } : {}
}

/** Whether OpenSSL here knows the cipher, and by the same convention. */
function givesTheSame(chacha20: Codecs['chacha20'], portable: Codecs): boolean {
  const key = Uint8Array.from({ length: 32 }, (_, i) => i)
  const nonce = Uint32Array.of(1, 2, 3, 4)
  const ours = new Uint8Array(CIPHER_PAYS_BYTES)
  const theirs = new Uint8Array(CIPHER_PAYS_BYTES)
  portable.chacha20(key, nonce, ours)
  try {
    chacha20(key, nonce, theirs)
  } catch {
    return false // OpenSSL without this cipher
  }
  return ours.every((byte, i) => byte === theirs[i])
}

interface ZlibWithZstd {
  zstdDecompressSync(source: Uint8Array, options: DecoderOptions): Uint8Array
  zstdCompressSync(source: Uint8Array, options: DecoderOptions & { params: Record<number, number> }): Uint8Array
  constants: { ZSTD_c_compressionLevel: number }
}

function hasZstd(module: object): module is ZlibWithZstd {
  return ['zstdDecompressSync', 'zstdCompressSync'].every((name) => typeof Reflect.get(module, name) === 'function')
}

/** The levels of the option are spread over those of zstd; 0 is its default. */
const zstdLevel = (level: number): number => Math.min(Math.floor((level * 3) / 2), ZSTD_LEVEL_MAX)
const ZSTD_LEVEL_MAX = 22

/**
 * The frame's header is checked before zstd makes a window of the size it asks for. A frame that was made must say how long its content is, and
 * not ask for a larger window: zstd does so if it has all of the content at once.
 */
function zstdOfNode(module: object, portable: Codecs): Partial<Codecs> {
  if (!hasZstd(module)) return {}
  return {
    zstdDecompress(target, source) {
      const { contentBytes, windowBytes } = readZstdFrameHeader(
        new DataView(source.buffer, source.byteOffset, source.length),
      )
      if (windowBytes > WINDOW_BYTES_MAX) return portable.zstdDecompress(target, source)
      if (contentBytes !== undefined && contentBytes !== target.length) {
        throw new CodecError(`zstd: ${contentBytes} bytes where ${target.length} are expected`)
      }
      fill('zstd', target, (options) => module.zstdDecompressSync(source, options))
    },
    zstdCompress(target, source, level) {
      const params = { [module.constants.ZSTD_c_compressionLevel]: zstdLevel(level) }
      const length = compress(target, (options) => module.zstdCompressSync(source, { ...options, params }))
      if (length === 0) return 0
      const { contentBytes, windowBytes } = readZstdFrameHeader(new DataView(target.buffer, target.byteOffset, length))
      return contentBytes === source.length && windowBytes <= source.length ? length : 0
    },
  }
}
