import { describe, expect, it } from 'vitest'
import { KeyError } from './errors.ts'
import { checkEntries, entriesStart, ExtentPointers } from './extent-entries.ts'
import { keyOf, shapeOf } from './testing/keys.ts'

const EXTENT = 6
const REFLINK_V = 16
const shape = shapeOf({ devices: 2, bucketSectors: 256, bucketCount: 512 })

function decode(value: string, fields: { type?: number; offset?: number; size: number; inode?: number }) {
  const key = keyOf({ type: EXTENT, inode: 4113, offset: fields.size, snapshot: 0xffffffff, ...fields, value })
  const pointers = new ExtentPointers()
  pointers.decode(key, entriesStart(key.type))
  return pointers
}

function fault(value: string, fields: { type?: number; size: number }) {
  const key = keyOf({ type: EXTENT, inode: 4113, offset: fields.size, snapshot: 0xffffffff, ...fields, value })
  return checkEntries(key, entriesStart(key.type), shape)
}

// Chapter 6, 6.1.6.
describe('worked examples', () => {
  it('crc32 and a pointer', () => {
    const p = decode('3e1e0005 68aad65d 8110050000000000', { offset: 16, size: 16 })
    expect(p.count).toBe(1)
    expect([p.hasCrc[0], p.compressedSectors[0], p.uncompressedSectors[0], p.crcOffset[0]]).toEqual([1, 16, 16, 0])
    expect([p.csumType[0], p.compressionType[0], p.csum[0], p.csum[1]]).toEqual([5, 0, 0x5dd6aa68, 0])
    expect([p.sector[0], p.device[0], p.gen[0], p.cached[0], p.unwritten[0]]).toEqual([20744, 0, 0, 0, 0])
    expect([p.hasStripe[0], p.hasRebalance]).toEqual([0, false])
  })

  it('a trimmed extent', () => {
    const p = decode('feff1805 5af60beb 8110050000000000', { offset: 120, size: 104 })
    expect([p.compressedSectors[0], p.uncompressedSectors[0], p.crcOffset[0]]).toEqual([128, 128, 24])
  })

  it('lz4', () => {
    const p = decode('02040035 6a1c4e0f f11f060000000000', { offset: 387, size: 3 })
    expect([p.compressedSectors[0], p.uncompressedSectors[0], p.compressionType[0]]).toEqual([1, 3, 3])
    expect(p.sector[0]).toBe(25087)
  })

  it('crc64 with xxhash', () => {
    const p = decode('fcf3070000070000 caf08b0bfd7ec87f 0130070000000000', { size: 128 })
    expect([p.compressedSectors[0], p.uncompressedSectors[0], p.nonce[0], p.csumType[0]]).toEqual([128, 128, 0, 7])
    expect([...p.csum.subarray(0, 4)]).toEqual([0x0b8bf0ca, 0x7fc87efd, 0, 0])
  })

  it('crc64 with an 80 bit MAC', () => {
    const p = decode('2cf007000043487d ab97e74c742ec87e 0160040000000000', { size: 128 })
    expect([p.compressedSectors[0], p.uncompressedSectors[0]]).toEqual([6, 128])
    expect([p.csumType[0], p.compressionType[0]]).toEqual([3, 4])
    expect([...p.csum.subarray(0, 4)]).toEqual([0x4ce797ab, 0x7ec82e74, 0x7d48, 0])
  })

  it('crc128 with a MAC', () => {
    const p = decode('78000e0000000054 a8787f0be9468af67194a72b8b412df2 8168030000000000', { size: 8 })
    expect([p.compressedSectors[0], p.uncompressedSectors[0], p.csumType[0], p.compressionType[0]]).toEqual([
      8, 8, 4, 5,
    ])
    expect([...p.csum.subarray(0, 4)]).toEqual([0x0b7f78a8, 0xf68a46e9, 0x2ba79471, 0xf22d418b])
  })

  it('crc128 because the unit is large', () => {
    const p = decode('f808fe0f00000045 9d3d1f0500000000 0000000000000000 81c2030000000000', { size: 2048 })
    expect([p.compressedSectors[0], p.uncompressedSectors[0], p.csumType[0], p.compressionType[0]]).toEqual([
      144, 2048, 5, 4,
    ])
    expect(p.csum[0]).toBe(0x051f3d9d)
  })

  it('unwritten, without checksum entry', () => {
    const p = decode('09d0050000000000', { size: 24 })
    expect([p.unwritten[0], p.sector[0], p.hasCrc[0], p.compressedSectors[0]]).toEqual([1, 23808, 0, 24])
  })

  it('a cached and a dirty pointer under one checksum', () => {
    const p = decode('76bb0005d31e4c7f 0310020000000000 218a020000000100', { size: 30 })
    expect(p.count).toBe(2)
    expect([...p.cached.subarray(0, 2)]).toEqual([1, 0])
    expect([...p.device.subarray(0, 2)]).toEqual([0, 1])
    expect([...p.sector.subarray(0, 2)]).toEqual([8448, 10402])
    expect([...p.hasCrc.subarray(0, 2)]).toEqual([1, 1])
  })

  it('rebalance behind the pointer', () => {
    const p = decode('feff00054c98655e 01f0050000000000 2000000000030301', { size: 128 })
    expect([p.hasRebalance, p.rebalanceCompression, p.rebalanceTarget]).toEqual([true, 3, 0x0103])
  })

  it('pass the check', () => {
    expect(fault('3e1e0005 68aad65d 8110050000000000', { size: 16 })).toBeUndefined()
    expect(fault('76bb0005d31e4c7f 0310020000000000 218a020000000100', { size: 30 })).toBeUndefined()
    expect(fault('09d0050000000000', { size: 24 })).toBeUndefined()
  })
})

it('decodes the list behind the count of an indirect extent', () => {
  const key = keyOf({
    type: REFLINK_V,
    offset: 16,
    size: 16,
    value: '0300000000000000 3e1e000568aad65d 8110050000000000',
  })
  expect(new ExtentPointers().decode(key, entriesStart(REFLINK_V))).toBe(1)
})

it('decodes stripe pointers with wide indices', () => {
  // idx 0x123456789 << 17 | redundancy 2 << 13 | block 5 << 5 | 1 << 4
  const word = (0x123456789n << 17n) | (2n << 13n) | (5n << 5n) | 0x10n
  const p = decode(le64(word) + '0100000000000000', { size: 8 })
  expect([p.hasStripe[0], p.stripeIndex[0], p.stripeBlock[0], p.stripeRedundancy[0]]).toEqual([1, 0x123456789, 5, 2])
})

it('decodes wide fields', () => {
  // dev 63, gen 255, the greatest sector
  const p = decode(le64((255n << 56n) | (63n << 48n) | (((1n << 44n) - 1n) << 4n) | 1n), { size: 8 })
  expect([p.device[0], p.gen[0], p.sector[0]]).toEqual([63, 255, 2 ** 44 - 1])
  // crc128: csize 8192, usize 8192, offset 8184, nonce 7
  const q = decode(
    le64((0x45n << 56n) | (7n << 43n) | (8184n << 30n) | (8191n << 17n) | (8191n << 4n) | 8n) +
      '00'.repeat(16) +
      '01'.padEnd(16, '0'),
    { size: 8 },
  )
  expect([q.compressedSectors[0], q.uncompressedSectors[0], q.crcOffset[0], q.nonce[0]]).toEqual([8192, 8192, 8184, 7])
  expect([q.csumType[0], q.compressionType[0]]).toEqual([5, 4])
  // crc64: csize 512, usize 512, offset 504, nonce 1023
  const r = decode(
    le64((5n << 40n) | (1023n << 30n) | (504n << 21n) | (511n << 12n) | (511n << 3n) | 4n) +
      '00'.repeat(8) +
      '01'.padEnd(16, '0'),
    { size: 8 },
  )
  expect([r.compressedSectors[0], r.uncompressedSectors[0], r.crcOffset[0], r.nonce[0]]).toEqual([512, 512, 504, 1023])
})

describe('malformed lists', () => {
  const PTR = '8110050000000000'
  const CRC = '3e1e000568aad65d'
  const cases: [string, string, number, number?][] = [
    ['extent_ptrs_invalid_entry', '0000000000000000', 16],
    ['extent_ptrs_invalid_entry', '4000000000000000', 16],
    ['extent_ptrs_invalid_entry', '0000000001000000', 16],
    ['extent_ptrs_invalid_entry', PTR + 'fcf3070000070000', 16],
    ['extent_ptrs_invalid_entry', PTR + '78000e0000000054 a8787f0be9468af6', 8],
    ['extent_ptrs_no_ptrs', '', 16],
    ['extent_ptrs_no_ptrs', CRC, 16],
    ['extent_ptrs_no_ptrs', '2000000000030301', 16],
    [
      'extent_ptrs_too_many_ptrs',
      Array.from({ length: 17 }, (_, i) => `8110050000${hex2(0)}${hex2(i + 10)}00`).join(''),
      16,
    ],
    ['ptr_to_duplicate_device', PTR + PTR, 16],
    ['ptr_after_last_bucket', le64(((512n * 256n) << 4n) | 1n), 16],
    ['ptr_spans_multiple_buckets', le64((255n << 4n) | 1n), 16],
    ['ptr_crc_uncompressed_size_too_small', CRC + PTR, 17],
    ['ptr_crc_csum_type_unknown', '3e1e000868aad65d' + PTR, 16],
    ['ptr_crc_csum_type_unknown', '3e1e000368aad65d' + PTR, 16],
    ['ptr_crc_compression_type_unknown', '3e1e006568aad65d' + PTR, 16],
    ['ptr_crc_redundant', CRC + CRC + PTR, 16],
    ['extent_ptrs_redundant_crc', PTR + CRC, 16],
    ['ptr_stripe_redundant', '3000000000000000' + '3000000000000000' + PTR, 16],
    ['extent_ptrs_redundant_stripe', PTR + '3000000000000000', 16],
    ['ptr_cached_and_erasure_coded', '3000000000000000' + '8310050000000000', 16],
    ['extent_ptrs_written_and_unwritten', PTR + '8910050000000100', 16],
    ['extent_ptrs_unwritten', '0100000000000000' + '8910050000000000', 16, REFLINK_V],
  ]
  for (const [name, value, size, type] of cases) {
    it(`${name}: ${value.slice(0, 40)}`, () => {
      expect(fault(value, { size, type: type ?? EXTENT })).toContain(name)
    })
  }

  it('are thrown by decode, with the place', () => {
    expect(() => decode('0000000000000000', { size: 16 })).toThrow(KeyError)
    expect(() => decode('0000000000000000', { size: 16 })).toThrow('key 4113:16:U32_MAX: extent_ptrs_invalid_entry')
  })

  it('of uncompressed units that end before their content', () => {
    expect(() => decode('3a1e000568aad65d 8110050000000000', { size: 15 })).not.toThrow()
    expect(() => decode('3a1e000568aad65d 8110050000000000', { size: 16 })).toThrow('not compressed')
  })

  it('of encrypted data with differing nonces', () => {
    const crc = (offset: bigint) =>
      le64((0x03n << 40n) | (offset << 21n) | (15n << 12n) | (15n << 3n) | 4n) + '00'.repeat(8)
    const encrypted = shapeOf({ devices: 2, bucketSectors: 256, bucketCount: 512, encrypted: true })
    const check = (value: string) =>
      checkEntries(keyOf({ type: EXTENT, offset: 8, size: 8, value }), entriesStart(EXTENT), encrypted)
    expect(check(crc(0n) + '8110050000000000' + crc(0n) + '8110050000000100')).toBeUndefined()
    expect(check(crc(0n) + '8110050000000000' + crc(8n) + '8110050000000100')).toContain('ptr_crc_nonce_mismatch')
  })
})

function le64(value: bigint): string {
  return Array.from({ length: 8 }, (_, i) => hex2(Number((value >> BigInt(8 * i)) & 0xffn))).join('')
}

function hex2(value: number): string {
  return value.toString(16).padStart(2, '0')
}
