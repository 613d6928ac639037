import { createHash } from 'node:crypto'
import { expect, test } from 'vitest'
import fc from 'fast-check'
import { crc32c, crc64, encodeUtf8 } from '@cowherd/kernel-lib'
import { INODE_V3, Inode } from './inode.ts'
import { StringHash } from './string-hash.ts'
import { bytesOfHex, inodeValue, keyOf } from './testing/keys.ts'

const hash = new StringHash({
  crc32c,
  crc64,
  sha256: (data) => new Uint8Array(createHash('sha256').update(data).digest()),
})

function inodeWith(strHash: number, seedHex: string): Inode {
  const inode = new Inode()
  const seed = new DataView(bytesOfHex(seedHex).buffer).getBigUint64(0, true)
  inode.decode(keyOf({ type: INODE_V3, offset: 5000, value: inodeValue(3, { strHash, hashSeed: seed }) }))
  return inode
}

function hashed(strHash: number, seed: string, kind: 'dirent' | number, text: string): bigint {
  if (kind === 'dirent') hash.name(inodeWith(strHash, seed), encodeUtf8(text))
  else hash.attribute(inodeWith(strHash, seed), kind, encodeUtf8(text))
  return (BigInt(hash.hi) << 32n) | BigInt(hash.lo)
}

test.each([
  ['dirent', 'a', '1ebd401e', '6cad28d8ead82269', '6d9b86f3a0012321', '11a3a8c23d557feb'],
  ['dirent', 'hello', '107c977d', '6015e02a161b8c7d', '43e5541bcbdf819b', '150467237e8436da'],
  ['dirent', '12345678', '27793a3f', '554efbcd2f83cf89', '01d171fc7773c88a', '3888f1c301e6c9e1'],
  ['dirent', 'a-longer-file-name.txt', '0f4ea840', '4d7f4b7b98154392', '25f322a0b70647b5', '1b6ebb2d58be4782'],
  [0, 'foo', '650ea1eb', '52deb94a2869f662', '631d500e3e4299b2', '4e588e6583ec7711'],
  [0, '1234567', '62aaf5a8', '3bab894229af726f', '552e94594f56a55b', '2e89858641d54982'],
  [0, '12345678', '92ca56e2', '48a9875aae38c8fd', '0b8e2a0f7f6e9ce0', '48ff30be00d6633b'],
  [0, 'verylongname_for_hash', '548295b4', '6bd1c0cc9155ef65', '7721445e3be730fc', '77112b7c00659cbc'],
  [1, '', '7f7bd37c', '6792d12d8f0fb711', '0a8ac2babcba1f38', '085662b899f0a515'],
  [4, 'selinux', 'd7e4ea68', '07cb817c33c552df', '4771e5ee1eba45b0', '30a895a6b010d452'],
  [3, 'overlay.opaque', 'ec1c6f7e', '16f2888681bae067', '35d5a7b6cddf9279', '49c38cc61ca43458'],
] as const)('vectors: %s %s', (kind, text, ...expected) => {
  expected.forEach((value, type) => expect(hashed(type, '0123456789abcdef', kind, text)).toBe(BigInt(`0x${value}`)))
})

test.each([
  [3, '80e2a92015e30e25', 'dirent', 'lost+found', 2630934732251867303n],
  [3, '80e2a92015e30e25', 'dirent', 'hello.txt', 3457347043312539516n],
  [3, '80e2a92015e30e25', 'dirent', '日本語ファイル', 1820659656217713651n],
  [3, 'd7098fd7bef8ab86', 0, 'foo', 4887937026236654194n],
  [3, 'd7098fd7bef8ab86', 0, '1234567', 4766004469354513787n],
  [3, 'd7098fd7bef8ab86', 0, '12345678', 4330458443593728573n],
  [3, 'd7098fd7bef8ab86', 0, '123456789012345', 2319075196457223175n],
  [3, 'd7098fd7bef8ab86', 0, 'verylongname_for_hash', 5733284017537622759n],
  [0, '966285c1b4e30ffd', 'dirent', 'hello.txt', 1780073247n],
  [0, 'c52a0599e1b9e071', 0, 'foo', 2099941871n],
  [1, '1c5e3f51472d85e2', 'dirent', 'hello.txt', 6330878176993774923n],
  [1, '5171fca8aee368b4', 4, 'sss', 2057412756727575610n],
  [2, 'd34376168f8a790d', 'dirent', 'longer_name_for_hash', 1547445245287150260n],
  [2, 'acd6a0ccf7fc9eb3', 0, 'verylongname_for_hash', 1981870471064197305n],
] as const)('real volumes: type %i seed %s, %s %s', (type, seed, kind, text, expected) => {
  expect(hashed(type, seed, kind, text)).toBe(expected)
})

test('home offsets: never those of `.` and `..`, and 63 bits at most', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 3 }), fc.string({ minLength: 1 }), (type, text) => {
      const offset = hashed(type, '0123456789abcdef', 'dirent', text)
      expect(offset).toBeGreaterThanOrEqual(2n)
      expect(offset).toBeLessThan(1n << 63n)
    }),
  )
})

test('attribute names that differ only in a lost last byte collide, as they do in the reference', () => {
  expect(hashed(3, '0123456789abcdef', 0, '123456789a')).toBe(hashed(3, '0123456789abcdef', 0, '123456789b'))
  expect(hashed(0, '0123456789abcdef', 0, '123456789a')).not.toBe(hashed(0, '0123456789abcdef', 0, '123456789b'))
})
