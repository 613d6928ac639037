/** The same questions to every implementation: portable, and native with and without each package. */

import { createCipheriv, createHash, randomBytes, scryptSync } from 'node:crypto'
import { createRequire } from 'node:module'
import { deflateRawSync } from 'node:zlib'
import { crc32c, poly1305 } from '@cowherd/kernel-lib'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { nativeCodecs } from './codecs-native.ts'
import { portableCodecs } from './codecs-portable.ts'
import { CodecError, type NamedCodecs } from './codecs.ts'

const load = createRequire(import.meta.url)

const implementations: [string, NamedCodecs][] = [
  ['portable', portableCodecs()],
  ['native', nativeCodecs()],
  ['native without packages', nativeCodecs(() => undefined)],
  ['native without sodium', nativeCodecs((name) => (name === 'sodium-native' ? undefined : load(name)))],
]

/** Memory of every kind that a caller may have, at an odd offset; each gives `length` bytes. */
const memories: Record<string, (length: number) => Uint8Array> = {
  ordinary: (length) => new Uint8Array(new ArrayBuffer(length + 8), 3, length),
  shared: (length) => new Uint8Array(new SharedArrayBuffer(length + 8), 3, length),
  growable: (length) => new Uint8Array(new SharedArrayBuffer(length + 8, { maxByteLength: 1 << 20 }), 3, length),
}

/** Above and below every size at which another implementation takes over. */
const LENGTHS = [0, 1, 9, 64, 100, 127, 128, 1000, 1535, 1536, 5000]

const DIGITS = bytesOf('313233343536373839')
const COUNTING = Uint8Array.from({ length: 512 }, (_, i) => i)
const COUNTING_DOWN = Uint8Array.from({ length: 1024 }, (_, i) => 255 - (i % 256))

function bytesOf(hex: string): Uint8Array {
  return Uint8Array.from(Buffer.from(hex.replaceAll(' ', ''), 'hex'))
}

function hexOf(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex')
}

function into(memory: (length: number) => Uint8Array, bytes: Uint8Array): Uint8Array {
  const copy = memory(bytes.length)
  copy.set(bytes)
  return copy
}

describe.each(implementations)('%s', (_, codecs) => {
  const crc64 = (start: number, data: Uint8Array) => {
    const crc = { lo: start, hi: start }
    codecs.crc64(crc, data)
    return crc
  }
  const xxh64 = (data: Uint8Array) => {
    const out = { lo: 0, hi: 0 }
    codecs.xxh64(out, data)
    return out
  }
  const tag = (key: Uint8Array, data: Uint8Array) => {
    const out = new Uint8Array(16)
    codecs.poly1305(out, key, data)
    return hexOf(out)
  }

  test('checksums: vectors of format chapters 1 and 6', () => {
    expect(codecs.crc32c(0, DIGITS)).toBe(0x58e3fa20)
    expect(codecs.crc32c(0xffffffff, DIGITS)).toBe(0x1cf96d7c)
    expect(codecs.crc32c(0, new Uint8Array(512))).toBe(0)
    expect(codecs.crc32c(0xffffffff, new Uint8Array(64))).toBe(~0x03c8eb67 >>> 0)
    expect(codecs.crc32c(0, COUNTING)).toBe(0x9eec039a)
    expect(codecs.crc32c(codecs.crc32c(0, COUNTING), COUNTING_DOWN)).toBe(0x034f8a59)
    expect(crc64(0, DIGITS)).toEqual({ hi: 0x6c40df5f, lo: 0x0b497347 })
    expect(crc64(0xffffffff, DIGITS)).toEqual({ hi: 0x9d13a61c, lo: 0x0e5b0ff5 })
    expect(crc64(0, COUNTING)).toEqual({ hi: 0x167b8ea9, lo: 0xc273a319 })
    expect(xxh64(new Uint8Array(0))).toEqual({ hi: 0xef46db37, lo: 0x51d8e999 })
    expect(xxh64(DIGITS)).toEqual({ hi: 0x8cb841db, lo: 0x40e6ae83 })
    expect(xxh64(COUNTING)).toEqual({ hi: 0x7b3bfcaa, lo: 0xc0348ac0 })
  })

  test('encryption: vectors of format chapters 1 and 6', () => {
    const cases = [
      ['00000000 08070605 04030201 11000010', '5f7e071e567f2d08683a6fee94c61ce4', '9e55d7fdac3742565bd01443df1b02c8'],
      ['18000000 08070605 04030201 11000010', '41f2ed6ca81ea9157149d01a8793401d', '0053be3d2722b0d62e552050e143670b'],
      ['00000020 08070605 04030201 11000014', 'f124e5c37f866ed5114b9c262ead08a7', '00980afc613635fb7a548f6f8c0b70f0'],
      ['00000000 1b000000 00000000 00000010', '7f7618a3eb0e3e9b13a9efca376465fd', 'fb7354995471d5fc124092de7f8b61ae'],
    ]
    const key = COUNTING.subarray(0, 32)
    for (const [nonceHex, first, expected] of cases) {
      const nonce = new Uint32Array(bytesOf(nonceHex).buffer)
      const data = COUNTING.slice()
      codecs.chacha20(key, nonce, data)
      expect(hexOf(data.subarray(0, 16))).toBe(first)
      const macKey = new Uint8Array(32)
      codecs.chacha20(key, nonce.with(3, (nonce[3] ^ 0x80000000) >>> 0), macKey)
      expect(tag(macKey, data)).toBe(expected)
    }
    expect(tag(bytesOf('a20f92f0b8c63b68ee677b6de201315efde4d2699e058f31049643ef883920a1'), DIGITS)).toBe(
      '3ac55ccd5d8738d63e806838a23550a6',
    )
  })

  test('passphrases: a vector of format chapter 1', () => {
    const passphrase = bytesOf(Buffer.from('secret pass').toString('hex'))
    const key = codecs.scrypt(passphrase, bytesOf('62636163686500'), { logN: 14, r: 8, p: 16 }, 32)
    expect(hexOf(key)).toBe('1c88096e9a1ad4af097c6ddcf76dc915d2e4f180a2b05d001e2408d7efdca97f')
  }, 60_000)

  test('scrypt of other costs; unreasonable ones are refused', () => {
    const cost = { logN: 4, r: 1, p: 3 }
    const salt = COUNTING.subarray(0, 7)
    expect(hexOf(codecs.scrypt(DIGITS, salt, cost, 40))).toBe(
      hexOf(scryptSync(DIGITS, salt, 40, { N: 16, r: 1, p: 3 })),
    )
    for (const [logN, r, p] of [
      [0, 1, 1],
      [40, 8, 1],
      [14, 8, 2 ** 20],
      [20, 2 ** 20, 1],
      [14, 0, 1],
      [1.5, 1, 1],
    ]) {
      expect(() => codecs.scrypt(DIGITS, salt, { logN, r, p }, 32)).toThrow(CodecError)
    }
  })

  test.each(Object.entries(memories))('%s memory, at an odd offset, of any length', (__, memory) => {
    const keyBytes = randomBytes(32)
    const key = into(memory, keyBytes)
    const nonce = Uint32Array.of(7, 8, 9, 0x10000000)
    for (const length of LENGTHS) {
      const bytes = new Uint8Array(randomBytes(length))
      const data = into(memory, bytes)
      expect(codecs.crc32c(0x12345678, data)).toBe(crc32c(0x12345678, bytes))
      expect(crc64(5, data)).toEqual(crc64(5, bytes))
      expect(xxh64(data)).toEqual(xxh64(bytes))
      expect(hexOf(codecs.sha256(data))).toBe(createHash('sha256').update(bytes).digest('hex'))
      const out = memory(16)
      const expectedTag = new Uint8Array(16)
      codecs.poly1305(out, key, data)
      poly1305(expectedTag, keyBytes, bytes)
      expect(hexOf(out)).toBe(hexOf(expectedTag))
      codecs.chacha20(key, nonce, data)
      const cipher = createCipheriv('chacha20', keyBytes, new Uint8Array(nonce.buffer))
      expect(hexOf(data)).toBe(hexOf(cipher.update(bytes)))

      const target = memory(length)
      codecs.inflateRaw(target, into(memory, Buffer.concat([deflateRawSync(bytes), new Uint8Array(300)])))
      expect(hexOf(target)).toBe(hexOf(bytes))
    }
    const zeros = memory(1000).fill(1)
    codecs.lz4Decompress(zeros, into(memory, bytesOf('1f 00 0100 ff ff ff d2 50 0000000000 0000')))
    expect(zeros.every((byte) => byte === 0)).toBe(true)
    const words = memory(300)
    codecs.zstdDecompress(words, into(memory, bytesOf('28b52ffd602c005d00002061622063010025ab8e08')))
    expect(Buffer.from(words).toString('latin1')).toBe('ab c'.repeat(75))
  })

  test('the block counter wraps without a carry into the nonce', () => {
    const key = COUNTING.subarray(0, 32)
    const data = new Uint8Array(4096)
    codecs.chacha20(key, Uint32Array.of(0xfffffff0, 5, 6, 7), data)
    const behind = new Uint8Array(4096 - 16 * 64)
    codecs.chacha20(key, Uint32Array.of(0, 5, 6, 7), behind)
    expect(hexOf(data.subarray(16 * 64))).toBe(hexOf(behind))
    const last = new Uint8Array(64)
    codecs.chacha20(key, Uint32Array.of(0xffffffff, 5, 6, 7), last)
    expect(hexOf(last)).toBe(hexOf(data.subarray(15 * 64, 16 * 64)))
  })

  test('keys, nonces and tags of wrong sizes are errors of the program', () => {
    const [key, nonce, data] = [new Uint8Array(32), new Uint32Array(4), new Uint8Array(4096)]
    expect(() => codecs.chacha20(key.subarray(1), nonce, data)).toThrow(RangeError)
    expect(() => codecs.chacha20(key, nonce.subarray(1), data)).toThrow(RangeError)
    expect(() => codecs.poly1305(new Uint8Array(15), key, data)).toThrow(RangeError)
    expect(() => codecs.poly1305(new Uint8Array(16), key.subarray(1), data)).toThrow(RangeError)
  })

  test.each(Object.entries(memories))('what is compressed comes back: %s memory', (__, memory) => {
    type Compress = (target: Uint8Array, source: Uint8Array) => number | undefined
    const compressorsAt = (level: number): [Compress, (target: Uint8Array, source: Uint8Array) => void][] => [
      [(to, from) => codecs.lz4Compress(to, from, level), (to, from) => codecs.lz4Decompress(to, from)],
      [(to, from) => codecs.deflateRaw?.(to, from, level), (to, from) => codecs.inflateRaw(to, from)],
      [(to, from) => codecs.zstdCompress?.(to, from, level), (to, from) => codecs.zstdDecompress(to, from)],
    ]
    const data = into(
      memory,
      Uint8Array.from({ length: 65_536 }, (___, i) => (i >> 9) ^ (i % 7)),
    )
    for (const [compress, decompress] of [0, 1, 9, 15].flatMap(compressorsAt)) {
      const compressed = memory(data.length)
      const length = compress(compressed, data)
      if (length === undefined) continue // not here
      expect(length).toBeGreaterThan(0)
      expect(length).toBeLessThan(20_000)
      const back = memory(data.length)
      decompress(back, compressed.subarray(0, length))
      expect(hexOf(back)).toBe(hexOf(data))
      expect(compress(compressed.subarray(0, length), data)).toBe(length)
      expect(compress(compressed.subarray(0, length - 1), data)).toBe(0)
      expect(compress(memory(4095), into(memory, randomBytes(4096)))).toBe(0)
    }
  })

  test('damaged compressed data is a CodecError or other bytes', () => {
    const plain = Uint8Array.from({ length: 3000 }, (___, i) => (i % 97) * (i % 5))
    const stream = deflateRawSync(plain)
    const target = new Uint8Array(plain.length)
    const frame = bytesOf('28b52ffd602c005d00002061622063010025ab8e08')
    const decoders = [
      {
        decode: (to: Uint8Array, from: Uint8Array) => codecs.inflateRaw(to, from),
        source: stream,
        length: plain.length,
      },
      { decode: (to: Uint8Array, from: Uint8Array) => codecs.zstdDecompress(to, from), source: frame, length: 300 },
      { decode: (to: Uint8Array, from: Uint8Array) => codecs.lz4Decompress(to, from), source: stream, length: 1000 },
    ]
    for (const { decode, source, length } of decoders) {
      fc.assert(
        fc.property(fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 4 }), fc.nat(), (changes, cut) => {
          const damaged = Uint8Array.from(source)
          for (const [at, byte] of changes) damaged[at % damaged.length] = byte
          try {
            decode(target.subarray(0, length), damaged.subarray(0, cut % (damaged.length + 1)))
          } catch (error) {
            if (!(error instanceof CodecError)) throw error
          }
        }),
      )
    }
    for (const length of [0, 2999]) {
      expect(() => codecs.inflateRaw(target.subarray(0, length), stream)).toThrow(CodecError)
    }
    expect(() => codecs.inflateRaw(new Uint8Array(3001), stream)).toThrow(CodecError)
    expect(() => codecs.inflateRaw(new Uint8Array(1000), deflateRawSync(new Uint8Array(3_000_000)))).toThrow(CodecError)
    expect(() => codecs.zstdDecompress(target, frame)).toThrow(CodecError)
  })
})

describe('the choice', () => {
  test('the packages serve where they are, and their names are told', () => {
    expect(nativeCodecs().names).toMatchObject({
      crc32c: '@node-rs/crc32',
      xxh64: '@node-rs/xxhash',
      inflateRaw: 'node',
      deflateRaw: 'node',
      lz4Compress: 'cowherd',
    })
    expect(nativeCodecs(() => undefined).names).toMatchObject({ crc32c: 'cowherd', xxh64: 'cowherd', chacha20: 'node' })
    expect(Object.keys(portableCodecs().names).sort()).toEqual(
      Object.keys(portableCodecs())
        .filter((name) => name !== 'names')
        .sort(),
    )
  })

  test('a package that answers wrongly or exports something else is not used', () => {
    const wrong = {
      '@node-rs/crc32': { crc32c: () => 5 },
      '@node-rs/xxhash': { xxh64: () => 5n },
      'sodium-native': { crypto_onetimeauth: () => undefined, crypto_stream_chacha20_ietf_xor_ic: () => undefined },
    }
    const none = nativeCodecs(() => undefined).names
    expect(nativeCodecs((name) => new Map<string, unknown>(Object.entries(wrong)).get(name)).names).toEqual(none)
    expect(nativeCodecs(() => ({})).names).toEqual(none)
  })

  test('COWHERD_PORTABLE_CODECS=1 switches native code off', () => {
    process.env['COWHERD_PORTABLE_CODECS'] = '1'
    try {
      expect(nativeCodecs().names).toEqual(portableCodecs().names)
    } finally {
      delete process.env['COWHERD_PORTABLE_CODECS']
    }
  })
})
