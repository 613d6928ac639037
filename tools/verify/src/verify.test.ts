/** Sound volumes are sound to the judge: real ones, and ours. */

import {
  AccountingType,
  bpos,
  BtreeId,
  Key,
  makeVolume,
  openVolume,
  type NewVolumeOptions,
  type VolumeBuilder,
} from '@cowherd/db'
import { fixtureNames } from '@cowherd/fixtures'
import { addFirstKeys, fsKeyTypes } from '@cowherd/fs'
import { devicesOf, fuzzCodecs as codecs, Random, specimen } from '@cowherd/fuzz'
import type { BlockDevice } from '@cowherd/shim'
import { describe, expect, test } from 'vitest'
import { dumpKeys, verifyVolume } from './index.ts'
import { Type } from './key-types.ts'
import { memory } from './memory-device.ts'
import { Patient } from './testing.ts'

const MIB = 2 ** 20
const ROOT_SNAPSHOT = 0xffffffff
const NOTHING = new Uint8Array(0)

test.each(fixtureNames())('a real volume: %s', (name) => {
  expect(new Patient(name).faults()).toEqual([])
})

interface Made extends Partial<NewVolumeOptions> {
  readonly devices?: number
  readonly sizeBytes?: number
  readonly bucketBytes?: number
  /** Adds keys besides those of a new volume. */
  readonly more?: (builder: VolumeBuilder, key: Key) => void
}

function made({ devices: count = 1, sizeBytes = 64 * MIB, bucketBytes, more, ...options }: Made): BlockDevice[] {
  const devices = Array.from({ length: count }, (_, i) => memory(sizeBytes, `disk ${i}`))
  const source = new Random(count, sizeBytes)
  const random = (target: Uint8Array): void => void source.fill(target)
  makeVolume(
    devices.map((device) => ({ device, blockBytes: 512, ...(bucketBytes === undefined ? {} : { bucketBytes }) })),
    {
      ...{ codecs, random, nowNs: 1_800_000_000_000_000_000n },
      fill: (builder) => {
        addFirstKeys(builder, { codecs, random, strHash: 'siphash' })
        more?.(builder, new Key())
      },
      ...options,
    },
  )
  return devices
}

const judge = (devices: readonly BlockDevice[], passphrase = ''): string[] =>
  verifyVolume(devices, { codecs, keyTypes: fsKeyTypes, passphrase: () => new TextEncoder().encode(passphrase) })

/** Counters as the kernel would have them of reserved space of one inode, in extents of 8 sectors. */
function reserve(builder: VolumeBuilder, key: Key, count: number): void {
  const value = Uint8Array.of(0, 0, 0, 0, 1, 0, 0, 0)
  for (let i = 1; i <= count; i++) {
    builder.add(BtreeId.extents, key.make(Type.reservation, bpos(4096, 8 * i, ROOT_SNAPSHOT), value, 8))
  }
  builder.counters.add(AccountingType.persistentReserved, [1], 8 * count)
}

describe('a new volume', () => {
  test.each<[string, Made]>([
    ['usual', {}],
    ['small nodes, many levels', { btreeNodeBytes: 64 << 10, more: (builder, key) => reserve(builder, key, 8000) }],
    ['nodes as large as buckets', { btreeNodeBytes: 256 << 10, bucketBytes: 256 << 10 }],
    ['blocks of 4 KiB', { blockBytes: 4096 }],
    ['two copies on two devices', { devices: 2, options: { metadataReplicas: 2 } }],
    ['two copies on three devices', { devices: 3, options: { metadataReplicas: 2 } }],
    ['one copy on three devices', { devices: 3 }],
    ['checksums: xxhash', { options: { metadataChecksum: 'xxhash' } }],
    ['checksums: crc64', { options: { metadataChecksum: 'crc64' } }],
    ['checksums: none', { options: { metadataChecksum: 'none' } }],
    ['encrypted without a passphrase', { encryption: { passphrase: undefined } }],
    ['encrypted', { encryption: { passphrase: new TextEncoder().encode('word') } }],
    ['large', { sizeBytes: 256 * MIB }],
  ])('%s', (_, options) => {
    expect(judge(made(options), 'word')).toEqual([])
  })

  test('before its first start', () => {
    const device = memory(64 * MIB, 'disk')
    makeVolume([{ device, blockBytes: 512 }], { codecs, random: (bytes) => void bytes.fill(1), nowNs: 1n })
    expect(judge([device])).toEqual([])
  })

  test('takes no time', () => {
    const devices = made({ more: (builder, key) => reserve(builder, key, 4000) })
    const durations = Array.from({ length: 10 }, () => {
      const start = performance.now()
      judge(devices)
      return performance.now() - start
    })
    expect(Math.min(...durations)).toBeLessThan(200) // 20 on an idle machine
  })
})

describe('a new volume that is wrong:', () => {
  test.each<[string, Made['more'], RegExp]>([
    [
      'a key where its type may not be',
      (builder, key) => builder.add(BtreeId.quotas, key.make(Type.dirent, bpos(1, 1), new Uint8Array(24).fill(65))),
      /^quotas 1:1:0 .*: a key of type 10 can't be there$/,
    ],
    [
      'an inode that is not counted',
      (builder) => builder.counters.add(AccountingType.inodes, [], -1),
      /^accounting nr_inodes: accounting_mismatch: 1, should be 2$/,
    ],
    [
      'reserved space that is not counted',
      (builder, key) => {
        const value = Uint8Array.of(0, 0, 0, 0, 1, 0, 0, 0)
        builder.add(BtreeId.extents, key.make(Type.reservation, bpos(4097, 8, ROOT_SNAPSHOT), value, 8))
      },
      /^accounting persistent_reserved 1: missing, should be 8$/,
    ],
    [
      'extents that overlap',
      (builder, key) => {
        const value = Uint8Array.of(0, 0, 0, 0, 1, 0, 0, 0)
        reserve(builder, key, 2)
        builder.add(BtreeId.extents, key.make(Type.reservation, bpos(4096, 12, ROOT_SNAPSHOT), value, 4))
        builder.counters.add(AccountingType.persistentReserved, [1], 4)
      },
      /^extents 4096:16:4294967295: starts at 8, inside 8 to 12 of/,
    ],
    [
      'a bucket to be discarded that is free',
      (builder, key) => builder.add(BtreeId.needDiscard, key.make(Type.set, bpos(0, 300), NOTHING)),
      /^bucket 0:300: in need_discard, though it is free$/,
    ],
    [
      'generations of free buckets',
      (builder, key) =>
        builder.add(BtreeId.bucketGens, key.make(Type.bucketGens, bpos(0, 1), new Uint8Array(256).fill(1))),
      /^bucket 0:256: bucket_gens_key_wrong: 1, should be 0$/,
    ],
  ])('%s', (_, more, found) => {
    const options = more === undefined ? {} : { more }
    expect(judge(made(options))).toEqual(expect.arrayContaining([expect.stringMatching(found)]))
  })

  test('no more is said than anybody reads', () => {
    const faults = judge(
      made({
        more: (builder, key) => {
          for (let bucket = 0; bucket < 400; bucket++) {
            builder.add(BtreeId.needDiscard, key.make(Type.set, bpos(0, bucket), NOTHING))
          }
        },
      }),
    )
    expect(faults).toHaveLength(201)
    expect(faults.at(-1)).toMatch(/^and \d+ more$/)
  })

  test('no volume at all', () => {
    expect(judge([memory(MIB, 'empty')])).toEqual(['volume: empty: not a bcachefs volume'])
  })
})

describe('keys as text', () => {
  test('of a new volume', () => {
    const volume = openVolume(made({ more: (builder, key) => reserve(builder, key, 2) }), { codecs })
    expect([...dumpKeys(volume, [BtreeId.extents, BtreeId.snapshotTrees])]).toEqual([
      ['0:4096:8:U32_MAX', '7 8 0000000001000000'],
      ['0:4096:16:U32_MAX', '7 8 0000000001000000'],
      ['15:0:1:0', '31 0 01000000ffffffff'],
    ])
    expect(dumpKeys(volume).size).toBeGreaterThan(50)
  })

  test('with the journal laid over the btrees', () => {
    const open = (norecovery: boolean) => openVolume(devicesOf(specimen('unclean')), { codecs, norecovery })
    const [bare, whole] = [open(true), open(false)].map((volume) => dumpKeys(volume, [BtreeId.dirents]).size)
    expect(whole).not.toBe(bare)
  })
})
