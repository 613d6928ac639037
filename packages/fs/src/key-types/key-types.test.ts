import { describe, expect, test } from 'vitest'
import fc from 'fast-check'
import { encodeUtf8 } from '@cowherd/kernel-lib'
import type { KeyType } from '@cowherd/db'
import type { KeyFields } from '../testing/keys.ts'
import { SHAPE, inodeValue, keyOf, padded } from '../testing/keys.ts'
import { fsKeyTypes } from './index.ts'

const typeOf = (name: string): KeyType => {
  const found = fsKeyTypes.find((type) => type.name === name)
  if (found === undefined) throw new Error(`no key type ${name}`)
  return found
}
const PLACE = { btree: 0, level: 0 }
const check = (name: string, fields: Omit<KeyFields, 'type'>): string | undefined =>
  typeOf(name).check?.(keyOf({ type: typeOf(name).number, ...fields }), PLACE, SHAPE)
const print = (name: string, value: string | Uint8Array, fields: Omit<KeyFields, 'type'> = {}): string | undefined =>
  typeOf(name).print?.(keyOf({ type: typeOf(name).number, value, ...fields }), SHAPE)
const describeKey = (name: string, value: string | Uint8Array): Record<string, unknown> | undefined =>
  typeOf(name).describe?.(keyOf({ type: typeOf(name).number, value }), SHAPE)

test('numbers and names are unique', () => {
  expect(new Set(fsKeyTypes.map((type) => type.number)).size).toBe(fsKeyTypes.length)
  expect(new Set(fsKeyTypes.map((type) => type.name)).size).toBe(fsKeyTypes.length)
})

test('any bytes can be checked, printed and described', () => {
  for (const type of fsKeyTypes) {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: type.minValueBytes, maxLength: 400 }), (bytes) => {
        const key = keyOf({ type: type.number, inode: 4096, offset: 77, snapshot: 5, size: 8, value: bytes })
        type.check?.(key, PLACE, SHAPE)
        expect(typeof type.print?.(key, SHAPE)).toBe('string')
        expect(type.describe?.(key, SHAPE)).toBeTypeOf('object')
      }),
      { numRuns: 200 },
    )
  }
})

describe('inode', () => {
  const at = { inode: 0, offset: 4098 }
  const inode = (fields: Parameters<typeof inodeValue>[1], position = at): string | undefined =>
    check('inode_v3', { ...position, value: inodeValue(3, fields) })

  test('rules', () => {
    expect(inode({})).toBe(undefined)
    expect(inode({}, { inode: 1, offset: 4098 })).toMatch(/^inode_pos_inode_nonzero: /)
    expect(inode({}, { inode: 0, offset: 4095 })).toMatch(/^inode_pos_blockdev_range: /)
    expect(inode({ strHash: 4 })).toMatch(/^inode_str_hash_invalid: /)
    expect(inode({ dataChecksum: 4 })).toBe(undefined)
    expect(inode({ dataChecksum: 5 })).toMatch(/^inode_checksum_type_invalid: /)
    expect(inode({ compression: 148 })).toBe(undefined) // zstd:9
    expect(inode({ compression: 5 })).toMatch(/^inode_compression_type_invalid: /)
    expect(inode({ compression: 17 })).toMatch(/^inode_compression_type_invalid: /) // a level without a type
    expect(inode({ flags: 1 << 7 })).toBe(undefined)
    expect(inode({ flags: 1 << 7, nlink: 1 })).toMatch(/^inode_unlinked_but_nlink_nonzero: /)
    expect(inode({ mode: 0o40755, subvol: 2 })).toBe(undefined)
    expect(inode({ mode: 0o100755, subvol: 2 })).toMatch(/^inode_subvol_root_but_not_dir: /)
    expect(inode({ uid: 1n << 32n })).toMatch(/^inode_unpack_error: /)
  })

  test('packed fields elsewhere than behind the head', () => {
    const value = inodeValue(3, {})
    value[19] |= 0x80 // FIELDS_START 6 -> 7
    expect(check('inode_v3', { ...at, value })).toMatch(/^inode_v3_fields_start_bad: /)
  })

  test('the older versions follow the same rules', () => {
    expect(check('inode_v2', { ...at, value: inodeValue(2, { uid: 5, size: 9n }) })).toBe(undefined)
    expect(check('inode_v2', { ...at, value: inodeValue(2, { strHash: 4 }) })).toMatch(/^inode_str_hash_invalid: /)
    expect(check('inode', { ...at, value: inodeValue(1, { uid: 5, size: 9n }, 'old') })).toBe(undefined)
    expect(check('inode', { ...at, value: inodeValue(1, { subvol: 2 }) })).toMatch(/^inode_subvol_root_but_not_dir: /)
  })

  test('printed as the reference prints it', () => {
    const value = inodeValue(3, {
      ...{ mode: 0o100644, flags: (1 << 1) | (1 << 9), journalSeq: 56n, size: 123456n, sectors: 248n },
      ...{ atime: 121560826820n, uid: 1000, dirOffset: 2630934732251867303n, nocow: 1 },
    })
    expect(print('inode_v3', value)?.split('\n')).toEqual([
      ...[
        '',
        '  mode=100644',
        '  flags=immutable,has_child_snapshot(18300202)',
        '  journal_seq=56',
        '  bi_size=123456',
      ],
      ...['  bi_sectors=248', '  bi_version=0', '  bi_atime=121560826820', '  bi_ctime=0', '  bi_mtime=0'],
      ...['  bi_otime=0', '  bi_uid=1000', '  bi_gid=0', '  bi_nlink=0', '  bi_generation=0', '  bi_dev=0'],
      ...['  bi_data_checksum=0', '  bi_compression=0', '  bi_project=0', '  bi_background_compression=0'],
      ...['  bi_data_replicas=0', '  bi_promote_target=0', '  bi_foreground_target=0', '  bi_background_target=0'],
      ...['  bi_erasure_code=0', '  bi_fields_set=0', '  bi_dir=0', '  bi_dir_offset=2630934732251867303'],
      ...['  bi_subvol=0', '  bi_parent_subvol=0', '  bi_nocow=1'],
    ])
    expect(print('inode_v3', inodeValue(3, { uid: 1n << 32n }))).toBe('(unpack error)')
    expect(describeKey('inode_v3', value)).toMatchObject({
      mode: '100644',
      flags: ['immutable', 'has_child_snapshot'],
      str_hash: 'siphash',
      bi_size: 123456,
      bi_dir_offset: 2630934732251867303n,
    })
  })

  test('generation', () => {
    expect(print('inode_generation', '0100000000000000')).toBe('generation: 1')
    expect(check('inode_generation', { offset: 4099, value: '0100000000000000' })).toBe(undefined)
    expect(check('inode_generation', { inode: 1, offset: 4099, value: '0100000000000000' })).toMatch(
      /^inode_pos_inode_nonzero: /,
    )
  })
})

describe('dirent', () => {
  const named = (name: string | number[], type = 8, target = [9, 0x10, 0, 0, 0, 0, 0, 0]): Uint8Array =>
    padded(Uint8Array.from([...target, type, ...(typeof name === 'string' ? encodeUtf8(name) : name)]))
  const at = { inode: 4098, offset: 5 }

  test('examples of the format chapter', () => {
    expect(print('dirent', '0910000000000000 08 76 000000000000')).toBe('v -> 4105 type reg')
    expect(print('dirent', '0710000000000000 08 79797979797979')).toBe('yyyyyyy -> 4103 type reg')
    expect(print('dirent', '4211000000000000 08 7777777777777777 00000000000000')).toBe('wwwwwwww -> 4418 type reg')
    expect(print('dirent', '02000000 01000000 10 7032 0000000000')).toBe('p2 -> 1 -> 2 type subvol')
  })

  test('names of every length', () => {
    for (let length = 1; length <= 512; length++) {
      const name = 'x'.repeat(length)
      expect(print('dirent', named(name))).toBe(`${name} -> 4105 type reg`)
      expect(check('dirent', { ...at, value: named(name) })).toBe(undefined)
    }
  })

  test('rules', () => {
    expect(check('dirent', { ...at, value: '0910000000000000 08 00000000000000' })).toMatch(/^dirent_empty_name: /)
    const roomy = Uint8Array.from([...named('abc'), ...new Uint8Array(8)])
    expect(check('dirent', { ...at, value: roomy })).toMatch(/^dirent_val_too_big: /)
    expect(check('dirent', { ...at, value: named([65, 0, 66]) })).toMatch(/^dirent_name_embedded_nul: /)
    expect(check('dirent', { ...at, value: named('a/b') })).toMatch(/^dirent_name_has_slash: /)
    expect(check('dirent', { ...at, value: named('.') })).toMatch(/^dirent_name_dot_or_dotdot: /)
    expect(check('dirent', { ...at, value: named('..') })).toMatch(/^dirent_name_dot_or_dotdot: /)
    expect(check('dirent', { ...at, value: named('...') })).toBe(undefined)
    expect(check('dirent', { inode: 4105, offset: 5, value: named('a') })).toMatch(/^dirent_to_itself: /)
    expect(check('dirent', { inode: 4105, offset: 5, value: named('a', 16) })).toBe(undefined)
  })

  test('odd names and types', () => {
    expect(print('dirent', named([0xff, 0x41], 3))).toBe('\ufffdA -> 4105 type (bad d_type)')
    expect(describeKey('dirent', named([0xff, 0x41], 14))).toEqual({
      name: '\ufffdA',
      name_hex: 'ff41',
      type: 'whiteout',
      inum: 4105,
    })
  })
})

describe('xattr', () => {
  const acl = `01 00 2400 | 01000000 | 0100 0700 | 0200 0500 e9030000 | 0400 0400 | 0800 0600 ea030000 | 1000 0700 | 2000 0100`

  test('examples of the format chapter', () => {
    expect(print('xattr', '00 03 0900 666f6f 6261722076616c7565')).toBe('user.foo:bar value')
    expect(print('xattr', acl)).toBe(
      '(type 1):\u0001 user_obj 7 user uid 1001 5 group_obj 4 group gid 1002 6 mask 7 other 1',
    )
    expect(describeKey('xattr', acl)).toMatchObject({
      name: 'system.posix_acl_access',
      acl: 'user_obj 7 user uid 1001 5 group_obj 4 group gid 1002 6 mask 7 other 1',
    })
  })

  test('rules', () => {
    expect(check('xattr', { value: '00 03 0900 666f6f 6261722076616c7565' })).toBe(undefined)
    expect(check('xattr', { value: '00 03 0a00 666f6f 6261722076616c7565' })).toMatch(/^xattr_val_size_too_small: /)
    expect(check('xattr', { value: '00 03 0900 666f6f 6261722076616c7565 0000000000000000' })).toBe(undefined)
    expect(check('xattr', { value: '00 03 0100 666f6f 62 0000000000000000' })).toBe(undefined)
    expect(check('xattr', { value: '00 01 0000 66 000000 0000000000000000 0000000000000000' })).toMatch(
      /^xattr_val_size_too_big: /,
    )
    expect(check('xattr', { value: '05 01 0000 66 000000' })).toMatch(/^xattr_invalid_type: /)
    expect(check('xattr', { value: '00 02 0000 6600 0000' })).toMatch(/^xattr_name_invalid_chars: /)
  })

  test('unknown name spaces and binary values', () => {
    expect(print('xattr', '09 01 0200 66 4100 00')).toBe('(unknown type 9)f:A')
    expect(describeKey('xattr', '00 01 0200 66 00ff 00')).toEqual({ name: 'user.f', value_hex: '00ff' })
  })
})

test('quota', () => {
  const value = 'd007000000000000 e803000000000000 0000000000000000 0500000000000000'
  expect(print('quota', value)).toBe('space hardlimit 2000 softlimit 1000inodes hardlimit 0 softlimit 5')
  expect(check('quota', { inode: 2, value })).toBe(undefined)
  expect(check('quota', { inode: 3, value })).toMatch(/^quota_type_invalid: /)
  expect(describeKey('quota', value)).toMatchObject({ kind: 'user', space: { hardlimit: 2000, softlimit: 1000 } })
})

test('reservation', () => {
  expect(print('reservation', '00000000 01000000')).toBe('generation 0 replicas 1')
  expect(check('reservation', { value: '00000000 04000000' })).toBe(undefined)
  expect(check('reservation', { value: '00000000 05000000' })).toMatch(/^reservation_key_nr_replicas_invalid: /)
  expect(check('reservation', { value: '00000000 00000000' })).toMatch(/^reservation_key_nr_replicas_invalid: /)
})

test('reflink_p', () => {
  expect(print('reflink_p', '8000000000000000 00000000 78000000')).toBe('idx 128 front_pad 0 back_pad 120')
  expect(check('reflink_p', { value: '8000000000000000 80000000 00000000' })).toBe(undefined)
  expect(check('reflink_p', { value: '8000000000000000 81000000 00000000' })).toMatch(/^reflink_p_front_pad_bad: /)
})

test('inline data', () => {
  expect(print('inline_data', '4c61616161616100')).toBe('datalen 8: 4c61616161616100')
  expect(print('inline_data', 'ab'.repeat(40))).toBe(`datalen 40: ${'ab'.repeat(32)}`)
  expect(print('indirect_inline_data', '0200000000000000 4c61616161616100')).toBe(
    'refcount 2 datalen 8: 4c61616161616100',
  )
})

test('subvolume', () => {
  const value = '02000000 fdffffff 0000004000000000 02000000 01000000 a180daab26000000 0000000000000000'
  expect(print('subvolume', value)).toBe('root 1073741824 snapshot id 4294967293 creation_parent 2 fs_parent 1')
  expect(print('subvolume', value.slice(0, 35))).toBe('root 1073741824 snapshot id 4294967293')
  expect(check('subvolume', { offset: 2, value })).toBe(undefined)
  expect(check('subvolume', { offset: 0, value })).toMatch(/^subvol_pos_bad: /)
  expect(check('subvolume', { offset: 0x80000000, value })).toMatch(/^subvol_pos_bad: /)
  expect(check('subvolume', { inode: 1, offset: 2, value })).toMatch(/^subvol_pos_bad: /)
  expect(check('subvolume', { offset: 2, value: '02000000 00000000 0000004000000000' })).toMatch(
    /^subvol_snapshot_bad: /,
  )
  expect(check('subvolume', { offset: 2, value: '02000000 fdffffff 0000000000000000' })).toMatch(/^subvol_inode_bad: /)
  expect(describeKey('subvolume', value)).toMatchObject({ flags: ['snapshot'], root: 1073741824, fs_parent: 1 })
})

test('logged operations', () => {
  expect(print('logged_op_truncate', '01000000 00000000 0c00004000000000 8813000000000000')).toBe(
    'subvol=1 inum=1073741836 new_i_size=5000',
  )
  const insert = '01000000 01000000 0c00004000000000 0800000000000000 0000000000000000 0800000000000000'
  expect(print('logged_op_finsert', insert)).toBe('subvol=1 inum=1073741836 dst_offset=8 src_offset=0')
  expect(describeKey('logged_op_finsert', insert)).toMatchObject({ state: 'shift_extents', dst_offset: 8n, pos: 8n })
  const collapse = '00000000 01000000 0c00004000000000 f8ffffffffffffff 0800000000000000 0800000000000000'
  expect(print('logged_op_finsert', collapse)).toBe('subvol=1 inum=1073741836 dst_offset=-8 src_offset=8')
})
