/**
 * The codecs of native packages, given what such a package exports: `@node-rs/crc32` and `@node-rs/xxhash` (optional
 * dependencies) and libsodium by `sodium-native` (used if somebody has installed it). Each is asked a question with a known
 * answer first.
 */

import type { U64Halves } from '@cowherd/kernel-lib'
import type { Codecs } from './codecs.ts'

/** Below this many bytes our CRC is faster than a call of native code. */
const CRC_CALL_PAYS_BYTES = 128

const DIGITS = Uint8Array.from('123456789', (digit) => digit.charCodeAt(0))

interface Crc32Package {
  crc32c(data: Uint8Array, initial: number): number
}

/** CRC-32C of `@node-rs/crc32`, which inverts the value at both ends: inverted back. */
export function crc32cOfPackage(module: unknown, portable: Codecs): Partial<Codecs> {
  if (!isCrc32Package(module)) return {}
  const crc32c: Codecs['crc32c'] = (crc, data) =>
    data.length < CRC_CALL_PAYS_BYTES ? portable.crc32c(crc, data) : ~module.crc32c(data, ~crc >>> 0) >>> 0
  const question = new Uint8Array(CRC_CALL_PAYS_BYTES).fill(0x5a)
  return crc32c(1, question) === portable.crc32c(1, question) ? { crc32c } : {}
}

function isCrc32Package(module: unknown): module is Crc32Package {
  return hasFunctions(module, ['crc32c'])
}

interface XxhashPackage {
  xxh64(data: Uint8Array): bigint
}

/** XXH64 of `@node-rs/xxhash`. Its bigint is cut by way of memory, which makes no other bigints. */
export function xxh64OfPackage(module: unknown): Partial<Codecs> {
  if (!isXxhashPackage(module)) return {}
  const cut = new DataView(new ArrayBuffer(8))
  const xxh64: Codecs['xxh64'] = (out, data) => {
    cut.setBigUint64(0, module.xxh64(data))
    out.hi = cut.getUint32(0)
    out.lo = cut.getUint32(4)
  }
  const answer: U64Halves = { lo: 0, hi: 0 }
  xxh64(answer, DIGITS)
  return answer.hi === 0x8cb841db && answer.lo === 0x40e6ae83 ? { xxh64 } : {}
}

function isXxhashPackage(module: unknown): module is XxhashPackage {
  return hasFunctions(module, ['xxh64'])
}

interface SodiumPackage {
  crypto_onetimeauth(tag: Uint8Array, data: Uint8Array, key: Uint8Array): void
  crypto_stream_chacha20_ietf_xor_ic(
    out: Uint8Array,
    data: Uint8Array,
    nonce: Uint8Array,
    firstBlock: number,
    key: Uint8Array,
  ): void
}

/**
 * Poly1305 and ChaCha20 of libsodium. It ends the process when its block counter would wrap, so ours takes over there, and
 * for keys, nonces and tags of wrong sizes, which ours refuses.
 */
export function sodiumOfPackage(module: unknown, portable: Codecs): Partial<Codecs> {
  if (!isSodiumPackage(module)) return {}
  const nonceBytes = new Uint8Array(12)
  const nonceView = new DataView(nonceBytes.buffer)
  const codecs = {
    poly1305(tag, key, data) {
      if (key.length !== 32 || tag.length !== 16) portable.poly1305(tag, key, data)
      else module.crypto_onetimeauth(tag, data, key)
    },
    chacha20(key, nonce, data) {
      const isOurs = key.length !== 32 || nonce.length !== 4 || nonce[0] + Math.ceil(data.length / 64) > 2 ** 32
      if (isOurs) return portable.chacha20(key, nonce, data)
      for (let i = 0; i < 3; i++) nonceView.setUint32(4 * i, nonce[i + 1], true)
      module.crypto_stream_chacha20_ietf_xor_ic(data, data, nonceBytes, nonce[0], key)
    },
  } satisfies Partial<Codecs>
  return [codecs, portable].map(askedSodium).every((answer, _, answers) => answer === answers[0]) ? codecs : {}
}

function askedSodium({ poly1305, chacha20 }: Pick<Codecs, 'poly1305' | 'chacha20'>): string {
  const key = Uint8Array.from({ length: 32 }, (_, i) => i)
  const data = new Uint8Array(100)
  chacha20(key, Uint32Array.of(1, 2, 3, 4), data)
  const tag = new Uint8Array(16)
  poly1305(tag, key, data)
  return `${data.join()};${tag.join()}`
}

function isSodiumPackage(module: unknown): module is SodiumPackage {
  return hasFunctions(module, ['crypto_onetimeauth', 'crypto_stream_chacha20_ietf_xor_ic'])
}

function hasFunctions(module: unknown, names: readonly string[]): boolean {
  if (typeof module !== 'object' || module === null) return false
  const exported = new Map(Object.entries(module))
  return names.every((name) => typeof exported.get(name) === 'function')
}
