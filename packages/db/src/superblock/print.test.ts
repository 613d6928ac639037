import * as fs from 'node:fs'
import * as os from 'node:os'
import * as path from 'node:path'
import { fixture, fixtureNames } from '@cowherd/fixtures'
import { encodeUtf8 } from '@cowherd/kernel-lib'
import { referee } from '@cowherd/referee'
import { portableCodecs } from '@cowherd/shim'
import { openStore } from '@cowherd/store'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { SuperblockImage, u64Bytes } from '../../test/superblock-image.ts'
import { describeSuperblock } from './describe.ts'
import { printSuperblock } from './print.ts'
import { readSuperblock } from './read.ts'
import { version } from './versions.ts'

const codecs = portableCodecs()

/** Superblocks with what golden volumes don't have. */
const variants: Record<string, () => SuperblockImage> = {
  'a newer version': () => {
    const image = new SuperblockImage().flag(5, 0, 16, version(1, 32))
    image.head.version = version(1, 32)
    image.head.features[0] |= 0xfn
    image.head.compat[0] = 0xffn
    return image
  },
  'labels, targets, errors, old sections': () => {
    const image = new SuperblockImage()
      .remove('journal_v2')
      .remove('replicas_v0')
      .set('journal', u64Bytes(17, 18, 30, 29))
      .set('replicas', Uint8Array.of(3, 1, 1, 0, 4, 2, 1, 0, 255, 4, 2, 0, 0, 255, 14, 1, 1, 0, 6, 1, 0, 0))
      .set('journal_seq_blacklist', u64Bytes(2, 48, 60, 70))
      .set('counters', u64Bytes(...Array.from({ length: 85 }, (_, i) => i * 1000)))
      .set('errors', u64Bytes((1 << 16) | 5, 0, (3 << 16) | 273, 1700000000, (9 << 16) | 300, 1700000001))
      .set('disk_groups', Uint8Array.of(...group('ssd', 0x3e), ...group('fast', 0x7e), ...group('gone', 0x3f)))
      .flag(1, 28, 40, 0x101)
      .flag(1, 40, 52, 0x102)
      .flag(1, 52, 64, 1)
      .flag(3, 16, 28, 0x105)
      .flag(2, 0, 4, 3)
      .flag(4, 60, 64, 7)
      .flag(2, 4, 64, 12345678)
      .flag(0, 60, 62, 3)
    image.head.label.set(encodeUtf8('ein Schädel'))
    image.head.timeBaseLo = 0n
    image.head.writeTime = 0n
    image.body('ext').set(u64Bytes(0xffffffffffn, 3, 1n << 63n, 1, 2, 4, 0, 0, 0, 1 << 20, 5))
    const member = image.body('members_v2').subarray(8)
    member.set(u64Bytes(0, 0x200fc002n | (2n << 20n)), 32)
    member.set(u64Bytes(0x600000005n, 0x800000007n, 1, 2, 3, 1, 1, 1, 1700000000), 48)
    return image
  },
  'a spare of durability 0, an old record of passes': () => {
    const image = new SuperblockImage().set('replicas', new Uint8Array(0)).set('journal_v2', u64Bytes(17, 2, 30, 1))
    const downgrade = new DataView(new ArrayBuffer(48))
    downgrade.setUint16(0, version(1, 9), true)
    downgrade.setUint16(18, 2, true)
    downgrade.setUint16(20, 5, true)
    downgrade.setUint16(22, 400, true)
    downgrade.setUint16(24, version(1, 32), true)
    downgrade.setBigUint64(26, (1n << 64n) - 1n, true)
    image.set('downgrade', new Uint8Array(downgrade.buffer))
    image.set('crypt', Uint8Array.of(...new Uint8Array(16), ...encodeUtf8('bch**key'), ...new Uint8Array(32)))
    image.body('members_v2').set(u64Bytes(0x10000003), 8 + 40)
    return image
  },
  'members_v1 alone': () => new SuperblockImage().remove('members_v2'),
  'a dead slot, no journal': () => {
    const image = new SuperblockImage().set('journal_v2', new Uint8Array(0))
    const v1 = image.body('members_v1')
    const v2 = image.body('members_v2')
    const withoutUuid = (record: Uint8Array) => Uint8Array.of(...new Uint8Array(16), ...record.subarray(16))
    image.set('members_v1', Uint8Array.of(...v1, ...withoutUuid(v1), ...v1))
    image.set('members_v2', Uint8Array.of(...v2, ...withoutUuid(v2.subarray(8)), ...v2.subarray(8)))
    image.head.nrDevices = 3
    return image
  },
  'an unknown state': () => {
    const image = new SuperblockImage()
    image.body('members_v2')[8 + 40] |= 7
    return image
  },
}

function group(label: string, flags: number): Uint8Array {
  const record = new Uint8Array(48)
  record.set(encodeUtf8(label))
  record[32] = flags
  return record
}

function read(image: string) {
  const store = openStore(image, { lock: false })
  try {
    return readSuperblock(store, codecs)
  } finally {
    store.close()
  }
}

async function expectSame(image: string): Promise<void> {
  const superblock = read(image)
  const whole = await referee.bcachefs(['show-super', '-l', '-f', 'all', image])
  expect(printSuperblock(superblock, { layout: true, fields: 'all' })).toBe(whole.stdout)
  const short = await referee.bcachefs(['show-super', image])
  expect(printSuperblock(superblock)).toBe(short.stdout)
}

describe.skipIf(!referee.available())('as the real tool prints it', () => {
  const images = fixtureNames().flatMap((name) => [...fixture(name).devices])
  let folder = ''

  beforeAll(() => {
    folder = fs.mkdtempSync(path.join(os.tmpdir(), 'cowherd-test-'))
  })
  afterAll(() => fs.rmSync(folder, { recursive: true }))

  test.each(images)('%s', expectSame, 30_000)

  test.each(Object.keys(variants))(
    '%s',
    async (name) => {
      const image = variants[name]()
      const file = path.join(folder, `${name}.img`)
      fs.writeFileSync(file, image.bytes())
      fs.truncateSync(file, image.size)
      await expectSame(file)
    },
    30_000,
  )
})

test('chosen sections, unknown ones, and a device name', () => {
  const image = new SuperblockImage().set(17, u64Bytes(1))
  const superblock = readSuperblock(image.device(), codecs)
  const chosen = printSuperblock(superblock, { device: 'disk', fields: ['journal_v2'] })
  expect(chosen).toMatch(/^Device: {37}disk\nExternal UUID: {29}[-0-9a-f]{36}\n/)
  expect(chosen).toMatch(/\n {2}nocow: {35}0\n\njournal_v2 \(size 24\):\nBuckets: {2}17-25\n$/)
  const all = printSuperblock(superblock, { fields: 'all' })
  expect(all).toMatch(/\nSections: .*,downgrade,\(unknown field 17\)\n/)
  expect(all).toMatch(/\n\n\(unknown field 17\) \(size 16\):\n$/)
})

test('control characters of a label are shown as numbers', () => {
  const image = new SuperblockImage()
  image.head.label.set(encodeUtf8('a\x1b[2Jb'))
  expect(printSuperblock(readSuperblock(image.device(), codecs))).toContain('a\\x1b[2Jb\n')
})

test('the description holds the same facts', () => {
  const superblock = read(fixture('tiered').devices[0])
  expect(describeSuperblock(superblock)).toMatchObject({
    userUuid: '2150f56c-4e4c-452d-8faa-74ee4bf1732e',
    version: '1.13: inode_has_child_snapshots',
    seq: 33n,
    options: { foreground_target: { label: 'ssd' }, metadata_target: null, background_compression: { type: 'zstd' } },
    members: [
      { label: 'ssd.fast', state: 'rw' },
      { label: 'hdd.slow', dataAllowed: ['journal', 'btree', 'user'] },
    ],
    replicas: expect.arrayContaining([{ dataType: 'cached', required: 1, devices: [0] }]) as unknown,
    counters: { io_read: 1592n },
    journalBuckets: [{ start: 17, count: 8 }],
    cleanSection: { journalSeq: 38n },
  })
})
