import { encodeUtf8 } from '@cowherd/kernel-lib'
import { portableCodecs } from '@cowherd/shim'
import { expect, test } from 'vitest'
import { Checksum, checksumName, checksumText, ChecksumType } from './checksum.ts'

const checksum = new Checksum(portableCodecs())
const text = (type: number, data: Uint8Array) => {
  expect(checksum.compute(type, data)).toBe(true)
  return checksumText(new Uint8Array(checksum.words.buffer))
}

/** Format chapter 1, 8.2. */
test.each([
  ['', '0', '0', '0', '0', 'ef46db3751d8e999'],
  ['123456789', 'e3069283', '58e3fa20', '62ec59e3f1a4f00a', '6c40df5f0b497347', '8cb841db40e6ae83'],
  ['\0'.repeat(64), '3c8eb67', '0', '40240c68a55e2a7b', '0', '257b09a147b82a19'],
])('vectors of %j', (input, crc32cNonzero, crc32c, crc64Nonzero, crc64, xxhash) => {
  const data = encodeUtf8(input)
  expect(text(ChecksumType.none, data)).toBe('0')
  expect(text(ChecksumType.crc32cNonzero, data)).toBe(crc32cNonzero)
  expect(text(ChecksumType.crc32c, data)).toBe(crc32c)
  expect(text(ChecksumType.crc64Nonzero, data)).toBe(crc64Nonzero)
  expect(text(ChecksumType.crc64, data)).toBe(crc64)
  expect(text(ChecksumType.xxhash, data)).toBe(xxhash)
})

test('all 16 stored bytes count, at any place', () => {
  const stored = new Uint8Array(24)
  checksum.compute(ChecksumType.crc32cNonzero, encodeUtf8('123456789'))
  stored.set([0x83, 0x92, 0x06, 0xe3], 5)
  expect(checksum.equals(stored, 5)).toBe(true)
  expect(checksum.equals(stored)).toBe(false)
  for (let at = 5; at < 21; at++) {
    const changed = stored.slice()
    changed[at] ^= 1
    expect(checksum.equals(changed, 5)).toBe(false)
  }
})

test('types that need a key, or are unknown, are not computed', () => {
  for (const type of [3, 4, 8, 63]) {
    expect(checksum.compute(type, new Uint8Array(8))).toBe(false)
    expect([...checksum.words]).toEqual([0, 0, 0, 0])
  }
  expect(checksumName(4)).toBe('chacha20_poly1305_128')
  expect(checksumName(9)).toBe('(unknown checksum type 9)')
})
