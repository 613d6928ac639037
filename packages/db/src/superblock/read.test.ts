import { fixture, fixtureNames } from '@cowherd/fixtures'
import { memoryStore, openStore } from '@cowherd/store'
import { describe, expect, test } from 'vitest'
import { SuperblockError, type ErrorCode } from '../errors.ts'
import { portableCodecs } from '@cowherd/shim'
import { SuperblockImage, u64Bytes } from '../../test/superblock-image.ts'
import { readSuperblock } from './read.ts'
import { journalBucketAt } from './sections/journal-buckets.ts'
import { version } from './versions.ts'

const codecs = portableCodecs()

const read = (image: SuperblockImage) => readSuperblock(image.device(), codecs)

function readFixture(name: string, index = 0) {
  const store = openStore(fixture(name).devices[index], { lock: false })
  try {
    return readSuperblock(store, codecs)
  } finally {
    store.close()
  }
}

describe('golden volumes', () => {
  test.each(fixtureNames())('%s: every device is read', (name) => {
    fixture(name).devices.forEach((_, index) => {
      const superblock = readFixture(name, index)
      expect(superblock.version).toBe(version(1, 13))
      expect(superblock.deviceIndex).toBe(index)
      expect(superblock.members).toHaveLength(fixture(name).devices.length)
      expect(superblock.members.every(({ alive }) => alive)).toBe(true)
      expect(superblock.clean).toBe(!name.startsWith('unclean'))
      expect(superblock.unknownSections).toEqual([])
      expect(superblock.journalBuckets.count).toBe(8)
    })
  })

  test('the fields are those of the volume', () => {
    const superblock = readFixture('tiered')
    expect(superblock).toMatchObject({
      initialized: true,
      hasErrors: false,
      encryptionType: 0,
      sector: 8,
      blockSectors: 8,
      checksumType: 1,
      timePrecisionNs: 1,
      seq: 33n,
      versionUpgradeComplete: version(1, 13),
      diskGroups: [
        { label: 'ssd', parent: undefined, deleted: false },
        { label: 'fast', parent: 0 },
        { label: 'hdd', parent: undefined },
        { label: 'slow', parent: 2 },
      ],
      layout: { maxSectors: 2048, sectors: [8n, 2056n, 96256n] },
      journalBuckets: { runs: [{ start: 17, count: 8 }], count: 8 },
      cleanSection: { journalSeq: 38n },
      options: { backgroundCompression: { type: 'zstd', level: 0 }, btreeNodeSize: 131072, foregroundTarget: 257 },
    })
    expect(superblock.replicas).toContainEqual({ dataType: 5, required: 1, devices: [0] })
    expect(superblock.members[1]).toMatchObject({
      bucketCount: 384,
      bucketSectors: 256,
      group: 3,
      state: 'rw',
      seq: 33n,
    })
    expect(readFixture('crc64').checksumType).toBe(2)
    expect(readFixture('checksums').checksumType).toBe(7)
    expect(readFixture('nocow-quota').quota[1].spaceTimeLimit).toBe(604800)
    expect(readFixture('encrypted').encryptionType).toBe(1)
  })
})

describe('copies', () => {
  const image = new SuperblockImage()
  const good = image.bytes().subarray(4096, 4096 + 8192)

  function deviceWith(change: (start: Uint8Array) => void) {
    const start = image.bytes()
    change(start)
    const second = new Uint8Array(65536)
    second.set(good, (2056 * 512) % 65536)
    const pages = new Map([
      [0, start],
      [(2056 * 512) >> 16, second],
    ])
    return memoryStore({ size: image.size, pageSize: 65536, pages }, 'a.img')
  }

  test('the copy at sector 8 is used if it is good', () => {
    expect(
      readSuperblock(
        deviceWith(() => undefined),
        codecs,
      ).sector,
    ).toBe(8)
  })

  test('another copy is found through sector 7', () => {
    const device = deviceWith((start) => start.fill(0xff, 4096))
    expect(readSuperblock(device, codecs)).toMatchObject({
      sector: 2056,
      badCopies: [expect.stringMatching(/^a\.img sector 8: superblock: not a superblock/)],
    })
  })

  test('a copy can be named by hand, and is then the only one', () => {
    const device = deviceWith((start) => start.fill(0, 0, 8192))
    expect(readSuperblock(device, codecs, 2056).seq).toBe(image.head.seq)
    expect(() => readSuperblock(device, codecs, 16)).toThrow('a.img sector 16: superblock: not a superblock')
  })

  test('when all are bad, each says why', () => {
    const device = deviceWith((start) => {
      start[4096 + 700] ^= 1
      start[4096 + 16] = 0xff
    })
    const damaged = memoryStore({
      size: device.size,
      pageSize: 65536,
      pages: new Map([[0, image.bytes().map((byte, at) => (at === 5000 ? byte ^ 1 : at === 4096 ? 1 : byte))]]),
    })
    expect(() => readSuperblock(damaged, codecs)).toThrow(
      /^memory: no usable superblock \(sector 8: superblock: checksum mismatch \(none: 1 stored, 0 computed\); sector 2056: superblock: not a superblock \(magic number 0+\); sector 129024: /,
    )
  })
})

describe('what is refused', () => {
  const refusals: [name: string, code: ErrorCode, message: string, change: (image: SuperblockImage) => unknown][] = [
    [
      'newer major version',
      'EOPNOTSUPP',
      'format version 2.0: (unknown version) is too new',
      (i) => (i.head.version = version(2, 0)),
    ],
    [
      'too old',
      'EOPNOTSUPP',
      'format version 0.8: (unknown version) is too old',
      (i) => (i.head.version = i.head.versionMin = 8),
    ],
    ['oldest above newest', 'EIO', 'oldest version on disk (1.13', (i) => (i.head.version = version(1, 12))],
    ['unknown feature', 'EOPNOTSUPP', 'unknown incompatible feature bit 23', (i) => (i.head.features[0] |= 1n << 23n)],
    [
      'unknown features',
      'EOPNOTSUPP',
      'unknown incompatible feature bits 19, 64',
      (i) => {
        i.head.features[0] |= 1n << 19n
        i.head.features[1] = 1n
      },
    ],
    ['zero uuid', 'EIO', 'the uuid is zero', (i) => i.head.uuid.fill(0)],
    ['no devices', 'EIO', '0 devices where 1 to 64', (i) => (i.head.nrDevices = 0)],
    ['too many devices', 'EIO', '65 devices where 1 to 64', (i) => (i.head.nrDevices = 65)],
    ['device index', 'EIO', 'device index 1 of 1 devices', (i) => (i.head.devIdx = 1)],
    ['block size 0', 'EIO', 'blocks of 0 bytes', (i) => (i.head.blockSize = 0)],
    ['block size 8K', 'EIO', 'blocks of 8192 bytes', (i) => (i.head.blockSize = 16)],
    ['block size odd', 'EIO', 'option block_size is 1.50 KiB, not a power of two', (i) => (i.head.blockSize = 3)],
    ['time precision', 'EIO', 'time precision 0 ns', (i) => (i.head.timePrecision = 0)],
    ['replicas', 'EIO', 'option data_replicas is 4, not below 4', (i) => i.flag(0, 52, 56, 4)],
    ['node size', 'EIO', 'option btree_node_size is 96.0 KiB, not a power of two', (i) => i.flag(0, 12, 28, 192)],
    ['enum', 'EIO', 'option errors has unknown value 4', (i) => i.flag(0, 8, 12, 4)],
    ['compression level', 'EIO', 'option compression is none, with level 3', (i) => i.flag(4, 56, 60, 3)],
    ['encryption type', 'EOPNOTSUPP', 'unknown encryption type 2', (i) => i.flag(1, 10, 14, 2)],
    ['no key', 'EIO', 'the volume is encrypted, but has no key section', (i) => i.flag(1, 10, 14, 1)],
    ['layout', 'EIO', 'layout: superblocks 1 and 2 overlap', (i) => (i.head.layout.sbOffset[2] = 3000n)],
    ['layout copies', 'EIO', 'layout: 62 superblocks where', (i) => (i.head.layout.nrSuperblocks = 62)],
    ['no members', 'EIO', 'section members_v1 is missing', (i) => i.remove('members_v1')],
    [
      'short members',
      'EIO',
      'section members_v1 has 16 bytes where at least 64',
      (i) => i.set('members_v1', new Uint8Array(8)),
    ],
    [
      'member stride',
      'EIO',
      'section members_v2: records of 8 bytes are too short',
      (i) => i.body('members_v2').set([8, 0]),
    ],
    [
      'few buckets',
      'EIO',
      'device 0 has too few buckets (63 from 0 on',
      (i) => i.body('members_v2').set(u64Bytes(63), 24),
    ],
    ['many buckets', 'EIO', 'device 0 has too many buckets', (i) => i.body('members_v2').set(u64Bytes(1n << 40n), 24)],
    [
      'small buckets',
      'EIO',
      'buckets of 8 sectors are smaller than a btree node (256)',
      (i) => i.body('members_v2').set([8, 0], 34),
    ],
    [
      'journal bucket 0',
      'EIO',
      'section journal_v2: a journal bucket at the superblock',
      (i) => i.set('journal_v2', u64Bytes(0, 8)),
    ],
    [
      'journal past end',
      'EIO',
      'section journal_v2: bucket 512 is past the end',
      (i) => i.set('journal_v2', u64Bytes(500, 13)),
    ],
    ['journal twice', 'EIO', 'section journal_v2: bucket 20 twice', (i) => i.set('journal_v2', u64Bytes(17, 8, 20, 1))],
    ['journal empty run', 'EIO', 'an empty run', (i) => i.set('journal_v2', u64Bytes(17, 0))],
    [
      'journal overflow',
      'EIO',
      'is past the end of the device',
      (i) => i.set('journal_v2', u64Bytes((1n << 64n) - 1n, 8)),
    ],
    ['blacklist empty', 'EIO', 'range 7 to 7 is empty', (i) => i.set('journal_seq_blacklist', u64Bytes(7, 7))],
    [
      'blacklist order',
      'EIO',
      'ranges out of order at 8',
      (i) => i.set('journal_seq_blacklist', u64Bytes(7, 9, 8, 10)),
    ],
    [
      'replicas device',
      'EIO',
      'entry user: 1/1 [3] names missing device 3',
      (i) => i.set('replicas_v0', Uint8Array.of(4, 1, 3)),
    ],
    ['replicas none', 'EIO', 'entry user: 1/0 [] names no device', (i) => i.set('replicas_v0', Uint8Array.of(4, 0))],
    ['replicas twice', 'EIO', 'occurs twice', (i) => i.set('replicas_v0', Uint8Array.of(4, 1, 0, 4, 1, 0))],
    [
      'replicas cut',
      'EIO',
      'section replicas_v0: an entry runs past the end',
      (i) => i.set('replicas_v0', Uint8Array.of(4, 200, 0)),
    ],
    ['replicas required', 'EIO', 'requires too many devices', (i) => i.set('replicas', Uint8Array.of(4, 2, 2, 0, 255))],
    ['clean cut', 'EIO', 'section clean: the record at byte 24 ends at', (i) => i.body('clean').set([0xff, 0xff], 16)],
    [
      'errors order',
      'EIO',
      'section errors: sb_clean_missing is out of order',
      (i) => i.set('errors', u64Bytes((1 << 16) + 6, 0, (1 << 16) + 5, 0)),
    ],
    ['errors zero', 'EIO', 'counted 0 times', (i) => i.set('errors', u64Bytes(5, 0))],
    ['ext short', 'EIO', 'section ext has 16 bytes where at least 88', (i) => i.set('ext', new Uint8Array(8))],
    ['quota short', 'EIO', 'section quota has 16 bytes', (i) => i.set('quota', new Uint8Array(8))],
    ['crypt short', 'EIO', 'section crypt has 16 bytes', (i) => i.set('crypt', new Uint8Array(8))],
    [
      'key derivation',
      'EIO',
      'section crypt: unknown key derivation 1',
      (i) => i.set('crypt', Uint8Array.of(1, ...new Uint8Array(55))),
    ],
    [
      'downgrade major',
      'EIO',
      'section downgrade: entry for major version 0',
      (i) => i.set('downgrade', new Uint8Array(24)),
    ],
    ['label missing', 'EIO', "device 0 has label 0, which doesn't exist", (i) => i.body('members_v2').set([0x10], 50)],
  ]
  test.each(refusals)('%s', (_, code, message, change) => {
    const image = new SuperblockImage()
    change(image)
    expect(() => read(image)).toThrow(SuperblockError)
    expect(() => read(image)).toThrow(message)
    expect(() => read(image)).toThrow(/^test\.img/)
    expect(() => read(image)).toThrow(expect.objectContaining({ code }))
  })

  test('things that are no volumes', () => {
    for (const bytes of [new Uint8Array(0), new Uint8Array(100), new Uint8Array(4096), new Uint8Array(1 << 20)]) {
      expect(() => readSuperblock(memoryStore(bytes, 'x'), codecs)).toThrow('x: not a bcachefs volume')
    }
  })

  test('a size that the layout has no room for is not allocated', () => {
    const bytes = new SuperblockImage().bytes()
    new DataView(bytes.buffer).setUint32(4096 + 124, 0xffffffff, true)
    expect(() => readSuperblock(memoryStore(bytes), codecs)).toThrow(/34359739112 bytes long where 1048576 can be/)
  })

  test('a device that was cut off inside the superblock', () => {
    const bytes = new SuperblockImage().bytes().subarray(0, 6000)
    expect(() => readSuperblock(memoryStore(bytes), codecs)).toThrow(/the device ends before .*truncated/)
  })
})

describe('what is accepted', () => {
  test('a newer minor version, unknown compatible features, unknown sections', () => {
    const image = new SuperblockImage().set(17, u64Bytes(1, 2)).set(40, new Uint8Array(0))
    image.head.version = version(1, 32)
    image.head.compat[0] = 0xffn
    const superblock = read(image)
    expect(superblock).toMatchObject({ newerMinor: true, unknownSections: [17, 40], compat: 0xffn })
    expect(superblock.sections.find(({ type }) => type === 17)?.bytes).toHaveLength(24)
  })

  test('the old magic number, the old journal section, members_v1 alone', () => {
    const image = new SuperblockImage().remove('members_v2').remove('journal_v2')
    image.set('journal', u64Bytes(17, 18, 30, 29))
    image.head.magic.set([0x4e, 0x1a, 0x45, 0xca, 0x82, 0x65, 0xf5, 0x7f, 0x48, 0xba, 0x6d, 0x81], 4)
    const { journalBuckets, members } = read(image)
    expect([0, 1, 2, 3].map((i) => journalBucketAt(journalBuckets, i))).toEqual([17, 18, 30, 29])
    expect(members[0]).toMatchObject({ bucketCount: 512, seq: 0n })
  })

  test('records of other lengths than ours', () => {
    const image = new SuperblockImage()
    const body = image.body('members_v2')
    const longer = new Uint8Array(8 + 200)
    longer.set(body)
    longer[0] = 200
    expect(read(image.set('members_v2', longer)).members[0]).toMatchObject({ seq: 27n })
    const shorter = body.slice(0, 8 + 56)
    shorter[0] = 56
    expect(read(image.set('members_v2', shorter)).members[0]).toMatchObject({ bucketCount: 512, seq: 0n })
    expect(read(image.set('ext', new Uint8Array(80))).ext).toMatchObject({ btreesLostData: 0n })
  })

  test('old volumes get the defaults of options that they do not have', () => {
    const image = new SuperblockImage().flag(3, 30, 62, 0).flag(4, 0, 32, 0).flag(5, 0, 32, 0).flag(0, 63, 64, 0)
    expect(read(image).options).toMatchObject({
      journalFlushDelay: 1000,
      journalReclaimDelay: 1000,
      allocatorStuckTimeout: 0,
      promoteWholeExtents: false,
    })
    image.head.version = image.head.versionMin = version(1, 9)
    const old = read(image)
    expect(old.options).toMatchObject({ allocatorStuckTimeout: 30, promoteWholeExtents: true })
    expect(old.versionUpgradeComplete).toBe(version(1, 9))
  })

  test('a journal that claims the whole device costs nothing', () => {
    const image = new SuperblockImage()
    image.body('members_v2').set(u64Bytes(0x7fffffff - 64), 24)
    image.set('journal_v2', u64Bytes(17, 0x7fffffff - 64 - 17))
    const { journalBuckets } = read(image)
    expect(journalBuckets.count).toBe(0x7fffffff - 64 - 17)
    expect(journalBucketAt(journalBuckets, 2_000_000_000)).toBe(2_000_000_017)
  })
})
