/** What lies on a device is moved to another, whole, in whichever way it is stored. */

import { fuzzCodecs as codecs, Random } from '@cowherd/fuzz'
import { writableMemoryStore } from '@cowherd/store'
import { verifyVolume } from '@cowherd/verify'
import { describe, expect, test } from 'vitest'
import { bpos } from '../bpos.ts'
import { BtreeId } from '../btree-ids.ts'
import { DataType } from '../data-types.ts'
import { openDatabase, type Database } from '../database.ts'
import { ExtentPointers } from '../extent-entries.ts'
import { moveEntriesStart } from '../extent-edit.ts'
import { Key, KEY_BYTES, KEY_SIZE_AT } from '../key.ts'
import { makeVolume, type NewVolumeOptions } from '../new-volume/make-volume.ts'
import { SuperblockEdit } from '../superblock/edit.ts'
import type { Options } from '../superblock/options.ts'

const MIB = 2 ** 20
const SECTOR = 512
const INODE = 5000
const SNAPSHOT = 0xffffffff
const UNIT_SECTORS = 128

/** Two devices or more, of which the first is written first. */
class Disks {
  readonly disks: Uint8Array[]
  readonly notes: string[] = []
  private readonly random = new Random(3)

  constructor(options: Partial<Options>, more: Partial<NewVolumeOptions> = {}, count = 2) {
    this.disks = Array.from({ length: count }, () => new Uint8Array(32 * MIB))
    makeVolume(
      this.stores().map((device, i) => ({ device, blockBytes: 4096, label: `disk${i}` })),
      {
        ...{ codecs, nowNs: 1n, random: (target) => void this.random.fill(target), options },
        ...{ targets: { foregroundTarget: 'disk0', metadataTarget: 'disk0' }, fill: () => undefined },
        ...more,
      },
    )
  }

  open(): Database {
    return openDatabase(this.stores(), {
      ...{ codecs, random: (target) => void this.random.fill(target), nowSeconds: () => 5n },
      note: (message) => this.notes.push(message),
    })
  }

  setState(device: number, state: string): void {
    const edit = new SuperblockEdit(this.stores(), codecs)
    edit.setState(String(device), state)
    edit.write(6n)
  }

  faults(): string[] {
    return verifyVolume(this.stores(), { codecs })
  }

  private stores() {
    return this.disks.map((disk, i) => writableMemoryStore(disk, `disk ${i}`))
  }
}

/** A file whose extents are cut here and there: each with what it covers. */
function writeFile(db: Database, random: Random): Map<string, Uint8Array> {
  const contents = new Map<string, Uint8Array>()
  const extents = db.data.newExtents()
  const key = new Key()
  for (let n = 0; n < 40; n++) {
    const bytes = compressible(random, 8 * (1 + random.below(UNIT_SECTORS / 8)))
    const start = n * 2 * UNIT_SECTORS
    db.data.write(extents, bytes, db.superblock.options, { writer: 1 })
    db.write((tx) => {
      for (let i = 0; i < extents.count; i++) {
        extents.copy(i, key, { numberHi: 0, numberLo: INODE, snapshot: SNAPSHOT }, start)
        const from = (key.start - start) * SECTOR
        const rest = cut(key, random)
        const first = from + rest.front * SECTOR
        tx.put(BtreeId.extents, key)
        contents.set(key.posText, bytes.slice(first, first + key.size * SECTOR))
      }
    })
    extents.done()
  }
  return contents
}

/** Cuts an extent at its front, its back, both or not at all. */
function cut(key: Key, random: Random): { front: number } {
  const front = random.chance(0.4) ? 8 * random.below(key.size / 8) : 0
  if (front > 0) {
    moveEntriesStart(key, front)
    key.words[KEY_SIZE_AT] -= front
  }
  const back = random.chance(0.4) ? 8 * random.below(key.size / 8) : 0
  key.words[KEY_SIZE_AT] -= back
  key.words.set(bpos(INODE, key.offset - back, SNAPSHOT), 5)
  return { front }
}

function compressible(random: Random, sectors: number): Uint8Array {
  const words = random.fill(new Uint8Array(64))
  return Uint8Array.from({ length: sectors * SECTOR }, (_, i) => words[(i + (i >>> 8)) % 64] ^ ((i >>> 12) & 0xff))
}

function expectContents(db: Database, contents: ReadonlyMap<string, Uint8Array>): void {
  const cursor = db.cursor(BtreeId.extents)
  const seen: string[] = []
  for (let found = cursor.seek(bpos(INODE, 0)); found; found = cursor.next()) {
    const { posText, size } = cursor.key
    const target = new Uint8Array(size * SECTOR)
    db.readExtent(cursor.key, 0, target, posText)
    expect(Buffer.compare(target, contents.get(posText) ?? new Uint8Array(0)), posText).toBe(0)
    seen.push(posText)
  }
  expect(seen.length).toBe(contents.size)
}

function evacuateAll(db: Database, device: number, kind: 'all' | 'nodes' = 'all'): { moved: number; left: number } {
  const { bucketCount, bucketSectors } = db.superblock.members[device]
  let moved = 0
  let left = 0
  for (let sector = 0; sector < bucketCount * bucketSectors;) {
    const progress = db.evacuate(device, kind, sector, 7)
    sector = progress.nextSector
    moved += progress.moved
    left += progress.left
  }
  return { moved, left }
}

const none = { type: 'none', level: 0 } as const
const STORED: Readonly<Record<string, [Partial<Options>, Partial<NewVolumeOptions>?]>> = {
  'without checksums': [{ dataChecksum: 'none' }],
  'with crc32c': [{ dataChecksum: 'crc32c' }],
  'with xxhash': [{ dataChecksum: 'xxhash' }],
  'with lz4': [{ compression: { type: 'lz4', level: 0 } }],
  'with gzip, without checksums': [{ compression: { type: 'gzip', level: 0 }, dataChecksum: 'none' }],
  'in large units': [{ encodedExtentMax: 1 << 20, compression: none }],
  encrypted: [{}, { encryption: { passphrase: undefined } }],
  'encrypted, with lz4 and wide MACs': [
    { compression: { type: 'lz4', level: 0 }, wideMacs: true },
    { encryption: { passphrase: undefined } },
  ],
}

describe('a device is left', () => {
  test.each(Object.keys(STORED))('%s', (name) => {
    const disks = new Disks(...STORED[name])
    const db = disks.open()
    const contents = writeFile(db, new Random(5))
    expect(db.usage.buckets(0, DataType.user)).toBeGreaterThan(0)
    expect(db.usage.buckets(1, DataType.user)).toBe(0)
    db.close()
    disks.setState(0, 'ro')

    const again = disks.open()
    expect(evacuateAll(again, 0)).toMatchObject({ left: 0 })
    expect(again.usage.buckets(0, DataType.user)).toBe(0)
    expect(again.usage.buckets(0, DataType.btree)).toBe(0)
    expectContents(again, contents)
    again.close()
    expect(disks.notes).toEqual([])
    expect(disks.faults()).toEqual([])
    expectContents(disks.open(), contents)
  })

  test('by its btree nodes alone', () => {
    const disks = new Disks({})
    const db = disks.open()
    writeFile(db, new Random(5))
    db.close()
    disks.setState(0, 'ro')
    const again = disks.open()
    evacuateAll(again, 0, 'nodes')
    expect(again.usage.buckets(0, DataType.user)).toBeGreaterThan(0)
    expect(again.usage.buckets(0, DataType.btree)).toBe(0)
    again.close()
    expect(disks.faults()).toEqual([])
  })

  test('but for what can not be read', () => {
    const disks = new Disks({ dataChecksum: 'crc32c' })
    const db = disks.open()
    writeFile(db, new Random(5))
    const sector = firstPointer(db, 0)
    db.close()
    disks.disks[0].fill(0x55, sector * SECTOR, (sector + 8) * SECTOR)
    disks.setState(0, 'ro')
    const again = disks.open()
    expect(evacuateAll(again, 0)).toMatchObject({ left: 1 })
    expect(disks.notes).toContainEqual(expect.stringMatching(/^extent 5000:.* checksum crc32c is/))
    expect(again.usage.buckets(0, DataType.user)).toBe(1)
    again.close()
    expect(disks.faults()).toEqual([])
  })

  test('although some of it can not be read, if there are other copies', () => {
    const disks = new Disks({ dataReplicas: 2, metadataReplicas: 2 }, {}, 3)
    const db = disks.open()
    const contents = writeFile(db, new Random(5))
    const sector = firstPointer(db, 0)
    db.close()
    disks.disks[0].fill(0x55, sector * SECTOR, (sector + 8) * SECTOR)
    disks.setState(0, 'ro')
    const again = disks.open()
    expect(evacuateAll(again, 0)).toMatchObject({ left: 0 })
    expect(disks.notes).toEqual([expect.stringMatching(/checksum crc32c is/)])
    expectContents(again, contents)
    again.close()
    expect(disks.faults()).toEqual([])
  })

  test('only as far as there is room', () => {
    const disks = new Disks({ dataReplicas: 2 })
    const db = disks.open()
    const contents = writeFile(db, new Random(5))
    db.close()
    disks.setState(0, 'ro')
    const again = disks.open()
    expect(() => evacuateAll(again, 0)).toThrow(/no room for data/)
    again.write((tx) => tx.put(30, new Key().make(3, bpos(1, 1), new Uint8Array(8))))
    expectContents(again, contents)
    again.close()
    expect(disks.faults()).toEqual([])
  })

  test('not while it is written', () => {
    const disks = new Disks({})
    const db = disks.open()
    expect(() => db.evacuate(0, 'all', 0, 10)).toThrow(/writable/)
    expect(() => db.evacuate(7, 'all', 0, 10)).toThrow(/no such device/)
    db.abandon()
  })
})

/** Where the first extent lies on a device. */
function firstPointer(db: Database, device: number): number {
  const cursor = db.cursor(BtreeId.extents)
  const pointers = new ExtentPointers()
  cursor.seek(bpos(INODE, 0))
  pointers.decode(cursor.key, KEY_BYTES)
  return pointers.sector[pointers.device.indexOf(device)]
}
