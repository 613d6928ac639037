import { describe, expect, test } from 'vitest'
import fc from 'fast-check'
import { Field, FIELDS_V2, FIELDS_V3, unpackFields } from './inode-fields.ts'
import { INODE_V1, INODE_V2, INODE_V3, Inode } from './inode.ts'
import { fastVarint, inodeValue, keyOf, oldVarint } from './testing/keys.ts'
import { TimeScale } from './time-scale.ts'

const LOST_AND_FOUND = `
  010000000000000046be9802046af11500003015031c0400
  000000000000000000000000000000000000000000000000
  a7980403 00 a7980403 00 a7980403 00 a7980403 00
  00 00 00 00 00 00 00 00 00 00 00 00 00 00 00
  0140 ffa7281c1f33f58224 0000`

test('the worked example of the format chapter', () => {
  const inode = new Inode(new TimeScale(1795355132649671451n, 1))
  expect(inode.decode(keyOf({ type: INODE_V3, offset: 4097, snapshot: 0xffffffff, value: LOST_AND_FOUND }))).toBe(
    undefined,
  )
  expect(inode.mode).toBe(0o40700)
  expect(inode.strHash).toBe(3)
  expect(inode.fieldCount).toBe(21)
  expect(inode.hashSeed).toEqual(Uint8Array.from([0x46, 0xbe, 0x98, 0x02, 0x04, 0x6a, 0xf1, 0x15]))
  expect(inode.linkCount).toBe(2)
  expect([inode.dirHi, inode.dirLo]).toEqual([0, 4096])
  expect((BigInt(inode.dirOffsetHi) << 32n) | BigInt(inode.dirOffsetLo)).toBe(2630934732251867303n)
  expect([inode.mtimeSeconds, inode.mtimeNanoseconds]).toEqual([1795355132, 649671451 + 3164554])
  expect(inode.number).toBe(4097n)
})

test.each([
  [0n, '00'],
  [1n, '02'],
  [127n, 'fe'],
  [128n, '0102'],
  [0x1234n, 'd148'],
  [16383n, 'fdff'],
  [16384n, '030002'],
  [70000n, '838b08'],
  [0xfffffffn, 'f7ffffff'],
  [1n << 28n, '0f00000002'],
  [0xffffffffn, 'efffffff1f'],
  [(1n << 49n) - 1n, 'bfffffffffffff'],
  [(1n << 56n) - 1n, '7fffffffffffffff'],
  [1n << 56n, 'ff0000000000000001'],
  [1n << 63n, 'ff0000000000000080'],
  [(1n << 64n) - 1n, 'ffffffffffffffffff'],
])('packed integer %d', (value, hex) => {
  expect(Buffer.from(fastVarint(value)).toString('hex')).toBe(hex)
  const fields = new Uint32Array(52)
  const bytes = Uint8Array.from(Buffer.from(hex, 'hex'))
  expect(unpackFields(bytes, 0, bytes.length, 1, Uint8Array.of(Field.dir), fields)).toBe(true)
  expect((BigInt(fields[2 * Field.dir + 1]) << 32n) | BigInt(fields[2 * Field.dir])).toBe(value)
  expect(unpackFields(bytes, 0, bytes.length - 1, 1, Uint8Array.of(Field.dir), fields)).toBe(false)
})

const u64 = fc.bigInt({ min: 0n, max: (1n << 64n) - 1n })
const u32 = fc.oneof(fc.bigInt({ min: 0n, max: 0xffffffffn }), fc.constant(0n))
const u16 = fc.bigInt({ min: 0n, max: 0xffffn })
const u8 = fc.bigInt({ min: 0n, max: 0xffn })
const attributes = fc.record({
  ...{ atime: u64, ctime: u64, mtime: u64, otime: u64, uid: u32, gid: u32, nlink: u32, generation: u32, dev: u32 },
  ...{ dataChecksum: u8, compression: u8, project: u32, backgroundCompression: u8, dataReplicas: u8 },
  ...{ promoteTarget: u16, foregroundTarget: u16, backgroundTarget: u16, erasureCode: u16, fieldsSet: u16 },
  ...{ dir: u64, dirOffset: u64, subvol: u32, parentSubvol: u32, nocow: u8, size: u64, sectors: u64, journalSeq: u64 },
  ...{ hashSeed: u64, mode: fc.integer({ min: 0, max: 0xffff }), flags: fc.integer({ min: 0, max: 0x3ff }) },
})

describe.each([
  ['inode_v3', INODE_V3, 3, 'fast'],
  ['inode_v2', INODE_V2, 2, 'fast'],
  ['inode with fast integers', INODE_V1, 1, 'fast'],
  ['inode with old integers', INODE_V1, 1, 'old'],
] as const)('%s', (_, type, version, packing) => {
  const inode = new Inode()

  test('every field comes back', () => {
    fc.assert(
      fc.property(attributes, (wanted) => {
        const value = inodeValue(version, wanted, packing)
        expect(inode.decode(keyOf({ type, offset: 5000, snapshot: 7, value }))).toBe(undefined)
        const field = (name: keyof typeof Field): bigint =>
          (BigInt(inode.fields[2 * Field[name] + 1]) << 32n) | BigInt(inode.fields[2 * Field[name]])
        for (const name of Object.keys(Field) as (keyof typeof Field)[]) {
          if (version < 3 && name === 'nocow') continue
          expect(field(name), name).toBe(wanted[name])
        }
        expect(inode.mode).toBe(wanted.mode)
        expect(inode.flags).toBe(wanted.flags)
        expect(inode.strHash).toBe(3)
        expect(inode.hashSeedText).toBe(wanted.hashSeed.toString(16))
        expect(inode.uid).toBe(Number(wanted.uid))
        if (version > 1)
          expect((BigInt(inode.journalSeqHi) << 32n) | BigInt(inode.journalSeqLo)).toBe(wanted.journalSeq)
      }),
    )
  })

  test('a cut value is damaged, never more', () => {
    fc.assert(
      fc.property(attributes, fc.nat(40), (wanted, cut) => {
        const whole = inodeValue(version, { ...wanted, parentSubvol: 1n }, packing)
        const head = { 1: 16, 2: 32, 3: 48 }[version]
        const value = whole.slice(0, Math.max(head, whole.length - 8 * (cut + 2)))
        expect(inode.decode(keyOf({ type, offset: 5000, snapshot: 7, value }))).toMatch(/^inode_unpack_error/)
      }),
    )
  })

  test('random bytes never throw', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 48, maxLength: 240 }), (bytes) => {
        inode.decode(keyOf({ type, offset: 5000, snapshot: 7, value: bytes }))
      }),
    )
  })
})

test('values wider than their field are refused', () => {
  const order = { v3: FIELDS_V3, v2: FIELDS_V2 }
  const fields = new Uint32Array(52)
  const uid = [0, 0, 0, 0, 0, 0, 0, 0, ...fastVarint(1n << 32n)]
  expect(unpackFields(Uint8Array.from(uid), 0, uid.length, 5, order.v3, fields)).toBe(false)
  const secondHalf = [0, 2]
  expect(unpackFields(Uint8Array.from(secondHalf), 0, 2, 1, order.v3, fields)).toBe(false)
})

test('the lengths of old integers', () => {
  expect(oldVarint(0n)).toHaveLength(1)
  expect(oldVarint((1n << 64n) - 1n)).toHaveLength(10)
})

test('more fields than are known are passed over', () => {
  const inode = new Inode()
  const value = inodeValue(3, { nocow: 2, fieldCount: 27 })
  expect(inode.decode(keyOf({ type: INODE_V3, offset: 5000, value }))).toBe(undefined)
})

test('link counts and device numbers', () => {
  const inode = new Inode()
  const decode = (fields: Parameters<typeof inodeValue>[1]): Inode => {
    expect(inode.decode(keyOf({ type: INODE_V3, offset: 5000, value: inodeValue(3, fields) }))).toBe(undefined)
    return inode
  }
  expect(decode({ mode: 0o100644, nlink: 2 }).linkCount).toBe(3)
  expect(decode({ mode: 0o40755, nlink: 2 }).linkCount).toBe(4)
  expect(decode({ mode: 0o100644, flags: 1 << 7 }).linkCount).toBe(0)
  const device = decode({ mode: 0o20644, dev: 5242881 })
  expect([device.deviceMajor, device.deviceMinor]).toEqual([5, 1])
  expect(decode({ mode: 0o100644, dev: 5242881 }).deviceMajor).toBe(0)
})
