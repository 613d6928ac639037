/** What is written, cut, promised, punched and copied is what plain arrays of bytes say it must be; on every kind of volume. */

import { describe, expect, test } from 'vitest'
import { Field } from '../inode-fields.ts'
import { FileRig, type Setting } from '../testing/file-rig.ts'
import { RandomFileChanges } from '../testing/random-file-changes.ts'

const KIB = 1024
const none = { type: 'none', level: 0 } as const
const SETTINGS: [string, Setting][] = [
  ['crc32c', {}],
  ['crc64', { options: { dataChecksum: 'crc64' } }],
  ['xxhash', { options: { dataChecksum: 'xxhash' } }],
  ['no checksum', { options: { dataChecksum: 'none' } }],
  ['lz4', { options: { compression: { type: 'lz4', level: 0 } } }],
  ['gzip', { options: { compression: { type: 'gzip', level: 1 } } }],
  ['zstd', { options: { compression: { type: 'zstd', level: 1 } } }],
  ['lz4 without checksum', { options: { compression: { type: 'lz4', level: 0 }, dataChecksum: 'none' } }],
  [
    'lz4, then gzip',
    { options: { compression: { type: 'lz4', level: 0 }, backgroundCompression: { type: 'gzip', level: 0 } } },
  ],
  ['blocks of 512 bytes', { blockBytes: 512 }],
  ['blocks of 512 bytes, lz4', { blockBytes: 512, options: { compression: { type: 'lz4', level: 0 } } }],
  ['small units', { options: { encodedExtentMax: 4096, compression: none } }],
  ['large units', { options: { encodedExtentMax: 256 * KIB, dataChecksum: 'xxhash' } }],
  ['without inline data', { inlineData: false }],
  ['encrypted', { encrypted: true }],
  [
    'encrypted, lz4, wide MACs',
    { encrypted: true, options: { wideMacs: true, compression: { type: 'lz4', level: 0 } } },
  ],
  ['two devices', { devices: 2 }],
  ['two copies on two devices', { devices: 2, options: { dataReplicas: 2, metadataReplicas: 2 } }],
  [
    'two copies on three devices, lz4',
    { devices: 3, options: { dataReplicas: 2, metadataReplicas: 2, compression: { type: 'lz4', level: 0 } } },
  ],
]

/** Those of which the real fsck is asked too. */
const REFEREED = new Set([
  'crc32c',
  'blocks of 512 bytes, lz4',
  'encrypted, lz4, wide MACs',
  'two copies on three devices, lz4',
])
const isSoak = process.env['COWHERD_SOAK'] === '1'
const ROUNDS = isSoak ? 60 : 3
const TIMEOUT_MS = isSoak ? 3_600_000 : 60_000
const seed = isSoak ? Date.now() >>> 0 : 1

describe(`random changes (seed ${seed})`, { timeout: TIMEOUT_MS }, () => {
  test.each(SETTINGS)('%s', async (name, setting) => {
    const rig = new FileRig(setting)
    rig.makeFiles(4)
    const changes = new RandomFileChanges(rig, seed, name.length)
    for (let round = 0; round < ROUNDS; round++) {
      for (let i = 0; i < 5; i++) {
        changes.some(8)
        rig.compare()
      }
      rig.reopen(round % 2 === 0 ? 'crash' : 'clean')
      rig.compare()
      expect(rig.faults()).toEqual([])
    }
    rig.db.close()
    rig.compareClosed()
    expect(rig.faults()).toEqual([])
    if (isSoak || REFEREED.has(name)) expect(await rig.complaints()).toEqual([])
  })

  test.each(SETTINGS.filter(([name]) => !name.includes('gzip')))('with snapshots: %s', async (name, setting) => {
    const rig = new FileRig(setting)
    rig.makeFiles(2)
    const changes = new RandomFileChanges(rig, seed, name.length)
    changes.some(30)
    for (const source of isSoak ? [1, 2, 1, 3, 1, 2, 4] : [1, 2, 1]) {
      rig.snapshot(source)
      rig.compare()
      for (let i = 0; i < (isSoak ? 40 : 4); i++) {
        changes.some(10)
        rig.compare()
      }
      rig.reopen('crash')
      rig.compare()
      expect(rig.faults()).toEqual([])
    }
    rig.db.close()
    rig.compareClosed()
    expect(rig.faults()).toEqual([])
    if (isSoak || REFEREED.has(name)) expect(await rig.complaints()).toEqual([])
  })

  test('files with options of their own', () => {
    const rig = new FileRig({ devices: 2, options: { metadataReplicas: 2 } })
    const options: [number, number][] = [
      [Field.dataChecksum, 1],
      [Field.dataChecksum, 4],
      [Field.compression, 2],
      [Field.compression, 0x93],
      [Field.dataReplicas, 3],
      [Field.nocow, 2],
      [Field.foregroundTarget, 3],
    ]
    for (const [field, value] of options) rig.makeFiles(1, (inode) => (inode.fields[2 * field] = value))
    const changes = new RandomFileChanges(rig, seed)
    for (let i = 0; i < 20; i++) {
      changes.some(10)
      rig.compare()
    }
    rig.db.close()
    expect(rig.faults()).toEqual([])
  })
})
