/** What is written is read back, by what reads real volumes; and a judge that knows nothing of the writer finds no fault with it. */

import { Random } from '@cowherd/fuzz'
import { DeviceError, nativeCodecs, type WritableBlockDevice } from '@cowherd/shim'
import { writableMemoryStore } from '@cowherd/store'
import { verifyVolume } from '@cowherd/verify'
import { describe, expect, test } from 'vitest'
import { bpos } from '../bpos.ts'
import { BtreeId } from '../btree-ids.ts'
import { openDatabase, type Database } from '../database.ts'
import { ExtentPointers } from '../extent-entries.ts'
import { Key, KEY_BYTES } from '../key.ts'
import { SnapshotValue } from '../key-types/snapshot.ts'
import { makeVolume, type NewVolumeOptions } from '../new-volume/make-volume.ts'
import type { DataOptions } from './extent-writer.ts'

const MIB = 2 ** 20
const SNAPSHOT = 0xffffffff
const FILE = { numberHi: 0, numberLo: 4100, snapshot: SNAPSHOT }
const codecs = nativeCodecs()

interface Setting {
  readonly devices?: number
  readonly encrypted?: boolean
  readonly options?: NewVolumeOptions['options']
}

function blank({ devices = 1, encrypted = false, options = {} }: Setting): Uint8Array[] {
  const disks = Array.from({ length: devices }, () => new Uint8Array(32 * MIB))
  const random = new Random(7)
  makeVolume(
    disks.map((disk, i) => ({
      device: writableMemoryStore(disk, `disk ${i}`),
      blockBytes: 4096,
      bucketBytes: 256 << 10,
    })),
    {
      ...{ codecs, nowNs: 1n, btreeNodeBytes: 64 << 10, options },
      ...(encrypted ? { encryption: { passphrase: undefined } } : {}),
      random: (target) => void random.fill(target),
      fill: (builder) => {
        const value = SnapshotValue.bytes({
          ...{ flags: { deleted: 0, subvolume: 0 }, parent: 0, children: [0, 0], subvolume: 0, tree: 1, depth: 0 },
          ...{ skip: [0, 0, 0], createdLo: 0n, createdHi: 0n },
        })
        builder.add(BtreeId.snapshots, new Key().make(22, bpos(0, SNAPSHOT), value))
      },
    },
  )
  return disks
}

function open(disks: readonly Uint8Array[], wrap = (device: WritableBlockDevice) => device): Database {
  const random = new Random(8)
  return openDatabase(
    disks.map((disk, i) => wrap(writableMemoryStore(disk, `disk ${i}`))),
    { codecs, random: (target) => void random.fill(target), nowSeconds: () => 5n },
  )
}

const PLAIN: DataOptions = {
  dataChecksum: 'crc32c',
  compression: { type: 'none', level: 0 },
  backgroundCompression: { type: 'none', level: 0 },
  dataReplicas: 1,
  foregroundTarget: 0,
  backgroundTarget: 0,
}

/** Half of it repeats. */
function mixed(bytes: number, seed: number): Uint8Array {
  const random = new Random(seed)
  const data = new Uint8Array(bytes)
  for (let at = 0; at < bytes; at += 4096) {
    const block = data.subarray(at, at + 4096)
    if (random.chance(0.6)) block.fill(random.below(256))
    else random.fill(block)
  }
  return data
}

/** Writes data behind `start`, in one transaction. Returns the keys. */
function write(db: Database, start: number, bytes: Uint8Array, options: DataOptions): Key[] {
  const keys: Key[] = []
  const extents = db.data.newExtents()
  try {
    db.write((tx) => {
      db.data.write(extents, bytes, options, { writer: 1 })
      expect(extents.sectors * 512).toBe(bytes.length)
      for (let i = 0; i < extents.count; i++) {
        const key = new Key()
        extents.copy(i, key, FILE, start)
        tx.put(BtreeId.extents, key)
        keys.push(key)
      }
    })
  } finally {
    extents.done()
  }
  return keys
}

/** All that is in the file, from its keys. */
function contents(db: Database): Uint8Array {
  const parts: Uint8Array[] = []
  const cursor = db.cursor(BtreeId.extents)
  for (let found = cursor.seek(bpos(4100, 0)); found && cursor.key.inode === 4100; found = cursor.next()) {
    const part = new Uint8Array(cursor.key.size * 512)
    db.readExtent(cursor.key, 0, part, 'the test')
    parts.push(part)
  }
  return Buffer.concat(parts)
}

const faults = (disks: readonly Uint8Array[]): string[] =>
  verifyVolume(
    disks.map((disk, i) => writableMemoryStore(disk.slice(), `disk ${i}`)),
    { codecs },
  )

function expectSame(a: Uint8Array, b: Uint8Array): void {
  expect(Buffer.compare(a, b)).toBe(0)
}

const SETTINGS: [string, Setting & { readonly data?: Partial<DataOptions> }][] = [
  ['crc32c', {}],
  ['no checksum', { data: { dataChecksum: 'none' } }],
  ['crc64', { data: { dataChecksum: 'crc64' } }],
  ['xxhash', { data: { dataChecksum: 'xxhash' } }],
  ['lz4', { data: { compression: { type: 'lz4', level: 0 } } }],
  ['gzip', { data: { compression: { type: 'gzip', level: 9 } } }],
  ['zstd', { data: { compression: { type: 'zstd', level: 3 } } }],
  ['lz4 without checksum', { data: { dataChecksum: 'none', compression: { type: 'lz4', level: 0 } } }],
  ['large units', { options: { encodedExtentMax: MIB }, data: { dataChecksum: 'xxhash' } }],
  [
    'large compressed units',
    { options: { encodedExtentMax: 256 << 10 }, data: { compression: { type: 'gzip', level: 0 } } },
  ],
  ['encrypted', { encrypted: true }],
  ['encrypted with wide MACs', { encrypted: true, options: { wideMacs: true } }],
  ['encrypted and compressed', { encrypted: true, data: { compression: { type: 'lz4', level: 0 } } }],
  ['two copies on two devices', { devices: 2, data: { dataReplicas: 2 } }],
  [
    'two copies on three devices, compressed',
    { devices: 3, data: { dataReplicas: 2, compression: { type: 'lz4', level: 0 } } },
  ],
]

describe('what was written is there', () => {
  test.each(SETTINGS)('%s', (_, setting) => {
    const disks = blank(setting)
    const db = open(disks)
    const options = { ...PLAIN, ...setting.data }
    const parts: Uint8Array[] = []
    let sectors = 0
    for (const size of [4096, 65_536, 8192, MIB, 12_288, 300 * 1024, 4096, 4096, 4096, 2 * MIB]) {
      const data = mixed(size, size + sectors)
      write(db, sectors, data, options)
      parts.push(data)
      sectors += size / 512
    }
    const all = Buffer.concat(parts)
    expectSame(contents(db), all)
    expect(db.capacity.usedSectors).toBeGreaterThan(0)
    db.flush()
    expect(faults(disks)).toEqual([])
    db.close()
    expect(faults(disks)).toEqual([])
    const again = open(disks)
    expectSame(contents(again), all)
    again.abandon()
  })

  test('every copy is', () => {
    const disks = blank({ devices: 3 })
    const db = open(disks)
    const data = mixed(400 * 1024, 1)
    write(db, 0, data, { ...PLAIN, dataReplicas: 2 })
    const cursor = db.cursor(BtreeId.extents)
    const pointers = new ExtentPointers()
    const damaged = [0, 0]
    for (let found = cursor.seek(bpos(4100, 0)); found; found = cursor.next()) {
      expect(pointers.decode(cursor.key, KEY_BYTES)).toBe(2)
      const which = damaged[0] <= damaged[1] ? 0 : 1
      damaged[which]++
      disks[pointers.device[which]].fill(0xee, pointers.sector[which] * 512, (pointers.sector[which] + 1) * 512)
    }
    expect(Math.min(...damaged)).toBeGreaterThan(0)
    expectSame(contents(db), data)
    db.abandon()
  })

  test('compressed, it takes less', () => {
    const disks = blank({})
    const db = open(disks)
    write(db, 0, new Uint8Array(MIB), { ...PLAIN, compression: { type: 'lz4', level: 0 } })
    const cursor = db.cursor(BtreeId.extents)
    const pointers = new ExtentPointers()
    let stored = 0
    for (let found = cursor.seek(bpos(4100, 0)); found; found = cursor.next()) {
      pointers.decode(cursor.key, KEY_BYTES)
      stored += pointers.compressedSectors[0]
    }
    expect(stored).toBe(16 * 8)
    expect(db.live.isWritten).toBe(true)
    db.close()
    expect(faults(disks)).toEqual([])
  })

  test('what can not be compressed is marked, and what nobody can compress here is not', () => {
    const disks = blank({})
    const db = open(disks)
    const noise = new Random(1).fill(new Uint8Array(65_536))
    const typeOf = ([key]: Key[]): number => {
      const pointers = new ExtentPointers()
      pointers.decode(key, KEY_BYTES)
      return pointers.compressionType[0]
    }
    expect(typeOf(write(db, 0, noise, { ...PLAIN, compression: { type: 'lz4', level: 0 } }))).toBe(5)
    expect(typeOf(write(db, 128, noise.subarray(0, 4096), { ...PLAIN, compression: { type: 'lz4', level: 0 } }))).toBe(
      5,
    )
    const isPossible = codecs.zstdCompress !== undefined
    const zeros = new Uint8Array(65_536)
    expect(typeOf(write(db, 136, zeros, { ...PLAIN, compression: { type: 'zstd', level: 0 } }))).toBe(
      isPossible ? 4 : 0,
    )
    db.close()
    expect(faults(disks)).toEqual([])
  })

  test('what is to be compressed later is listed', () => {
    const disks = blank({})
    const db = open(disks)
    write(db, 0, new Uint8Array(65_536), { ...PLAIN, backgroundCompression: { type: 'zstd', level: 0 } })
    expect(db.cursor(BtreeId.rebalanceWork).seek(bpos(4100, 0))).toBe(true)
    db.close()
    expect(faults(disks)).toEqual([])
  })
})

describe('encrypted data', () => {
  test('no two units have the same version, also after a crash', () => {
    const disks = blank({ encrypted: true })
    const seen = new Set<number>()
    for (let round = 0; round < 3; round++) {
      const db = open(disks)
      for (const key of write(db, round * 2048, mixed(MIB, round), PLAIN)) {
        expect(seen.has(key.versionLo)).toBe(false)
        seen.add(key.versionLo)
      }
      if (round === 0) db.flush()
      if (round === 2) db.close()
      else db.abandon()
    }
    expect(Math.max(...seen)).toBeGreaterThan(65_536)
    expect(faults(disks)).toEqual([])
  })
})

describe('a device that fails', () => {
  function failing(disks: readonly Uint8Array[], which: number, failsAfter: number): Database {
    let writes = 0
    return open(disks, (device) => {
      if (device.name !== `disk ${which}`) return device
      return {
        ...device,
        write: (source, offset) => {
          if (source.length === MIB / 4 && writes++ >= failsAfter)
            throw new DeviceError('EIO', device.name, 'failed for a test')
          device.write(source, offset)
        },
      }
    })
  }

  test('is left out, and the data is on the others', () => {
    const disks = blank({ devices: 3, options: { metadataReplicas: 2, dataReplicas: 2 } })
    const db = failing(disks, 1, 2)
    const data = mixed(4 * MIB, 5)
    for (let at = 0; at < data.length; at += MIB / 4) {
      write(db, at / 512, data.subarray(at, at + MIB / 4), { ...PLAIN, dataReplicas: 2, dataChecksum: 'none' })
    }
    expectSame(contents(db), data)
    db.close()
    const again = open(disks)
    expectSame(contents(again), data)
    again.close()
    expect(faults(disks)).toEqual([])
  })

  test('without a second copy: another device gets it', () => {
    const disks = blank({ devices: 2, options: { metadataReplicas: 2 } })
    const db = failing(disks, 1, 0)
    const data = mixed(2 * MIB, 5)
    for (let at = 0; at < data.length; at += MIB / 4) {
      write(db, at / 512, data.subarray(at, at + MIB / 4), { ...PLAIN, dataChecksum: 'none' })
    }
    expectSame(contents(db), data)
    db.abandon()
  })

  test('the only one: EIO, and no trace of it', () => {
    const disks = blank({})
    const db = failing(disks, 0, 0)
    expect(() => write(db, 0, mixed(MIB / 4, 1), { ...PLAIN, dataChecksum: 'none' })).toThrow(
      expect.objectContaining({ code: 'EIO' }),
    )
    expect(contents(db).length).toBe(0)
    db.abandon()
    expect(faults(disks)).toEqual([])
  })
})

test('a full volume: ENOSPC, and all that was written is there', () => {
  const disks = blank({})
  const db = open(disks)
  const data = mixed(MIB, 3)
  let written = 0
  expect(() => {
    for (;;) {
      write(db, written * 2048, data, PLAIN)
      written++
    }
  }).toThrow(expect.objectContaining({ code: 'ENOSPC' }))
  expect(written).toBeGreaterThan(15)
  const all = contents(db)
  expect(all.length).toBe(written * MIB)
  for (let i = 0; i < written; i++) expectSame(all.subarray(i * MIB, (i + 1) * MIB), data)
  db.close()
  expect(faults(disks)).toEqual([])
})

describe('extents that lie one behind the other become one', () => {
  function appended(
    data: Uint8Array,
    options: Partial<DataOptions>,
    pieceBytes: number,
  ): { db: Database; count: number; disks: Uint8Array[] } {
    const disks = blank({ devices: options.dataReplicas ?? 1 })
    const db = open(disks)
    const last = new Key()
    let count = 0
    for (let at = 0; at < data.length; at += pieceBytes) {
      const extents = db.data.newExtents()
      db.write((tx) => {
        db.data.write(extents, data.subarray(at, at + pieceBytes), { ...PLAIN, ...options }, { writer: 1 })
        const key = new Key()
        extents.copy(0, key, FILE, at / 512)
        const before = key.words.slice()
        if (at > 0 && db.data.merge(last, key)) tx.remove(BtreeId.extents, last.words.subarray(5))
        else {
          expect(key.words).toEqual(before)
          count++
        }
        tx.put(BtreeId.extents, key)
        last.set(key.words, 0)
      })
      extents.done()
    }
    return { db, count, disks }
  }

  test.each<[string, Partial<DataOptions>, number]>([
    ['crc32c: up to the size of a unit', { dataChecksum: 'crc32c' }, 8],
    ['crc64: the same', { dataChecksum: 'crc64' }, 8],
    ['xxhash: not at all', { dataChecksum: 'xxhash' }, 128],
    ['no checksum: up to a bucket', { dataChecksum: 'none' }, 2],
    ['incompressible', { compression: { type: 'lz4', level: 0 } }, 8],
    ['incompressible, without checksum', { dataChecksum: 'none', compression: { type: 'lz4', level: 0 } }, 8],
    ['two copies', { dataReplicas: 2 }, 8],
  ])('%s', (_, options, expected) => {
    const data = new Random(1).fill(new Uint8Array(512 << 10))
    const { db, count, disks } = appended(data, options, 4096)
    expect(count).toBe(expected)
    expectSame(contents(db), data)
    db.close()
    expect(faults(disks)).toEqual([])
  })
})
