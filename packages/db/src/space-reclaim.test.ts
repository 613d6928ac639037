/** A volume that is written for long, or is nearly full, goes on. */

import { fuzzCodecs as codecs, Random } from '@cowherd/fuzz'
import { writableMemoryStore } from '@cowherd/store'
import { verifyVolume } from '@cowherd/verify'
import { describe, expect, test } from 'vitest'
import { bpos } from './bpos.ts'
import { BtreeId } from './btree-ids.ts'
import { DataType } from './data-types.ts'
import { openDatabase, type Database } from './database.ts'
import { Bucket } from './key-types/bucket.ts'
import { Key } from './key.ts'
import { makeVolume, type NewDevice, type NewVolumeOptions } from './new-volume/make-volume.ts'
import { loadBucket } from './space/alloc-key.ts'
import { Watermark } from './space/reserves.ts'

const KIB = 2 ** 10
const MIB = 2 ** 20
const SECTOR = 512
const COOKIE = 3
const BTREE = 30
const INODE = 5000
const SNAPSHOT = 0xffffffff

class Volume {
  readonly notes: string[] = []
  private readonly disks: readonly Uint8Array[]
  private readonly random = new Random(3)

  constructor(sizes: readonly number[], devices: Partial<NewDevice>, more: Partial<NewVolumeOptions>, last = devices) {
    this.disks = sizes.map((size) => new Uint8Array(size))
    makeVolume(
      this.stores().map((device, i) => {
        return { device, blockBytes: 4096, label: `disk${i}`, ...(i === sizes.length - 1 ? last : devices) }
      }),
      { codecs, nowNs: 1n, random: (target) => void this.random.fill(target), fill: () => undefined, ...more },
    )
  }

  open(cacheBytes = 16 * MIB): Database {
    return openDatabase(this.stores(), {
      ...{ codecs, random: (target) => void this.random.fill(target), nowSeconds: () => 5n, cacheBytes },
      note: (message) => this.notes.push(message),
    })
  }

  faults(): string[] {
    return verifyVolume(this.stores(), { codecs })
  }

  private stores() {
    return this.disks.map((disk, i) => writableMemoryStore(disk, `disk ${i}`))
  }
}

/** Generations of buckets: how far they have come, and how far the oldest pointer may be behind. */
function generations(db: Database): { greatest: number; farthest: number } {
  const cursor = db.cursor(BtreeId.alloc)
  const bucket = new Bucket()
  let greatest = 0
  let farthest = 0
  for (let found = cursor.seek(bpos(0, 0)); found; found = cursor.next()) {
    loadBucket(bucket, cursor.key, db.shape)
    greatest = Math.max(greatest, bucket.gen)
    farthest = Math.max(farthest, bucket.generationsAhead)
  }
  return { greatest, farthest }
}

/** A file of extents of 4 to 32 KiB, one in each slot of 64 KiB. */
class SlottedFile {
  readonly contents: Uint8Array[] = []
  private readonly db: Database
  private readonly extents
  private readonly key = new Key()

  constructor(db: Database) {
    this.db = db
    this.extents = db.data.newExtents()
  }

  write(slot: number, seed: number): void {
    const { db, extents, key } = this
    const random = new Random(slot, seed)
    const bytes = random.fill(new Uint8Array(4096 * (1 + random.below(8))))
    const start = slot * 128
    db.data.write(extents, bytes, db.superblock.options, { writer: slot % 4 })
    try {
      db.write((tx) => {
        for (let end = start + 8; end <= start + 64; end += 8) tx.remove(BtreeId.extents, bpos(INODE, end, SNAPSHOT))
        for (let i = 0; i < extents.count; i++) {
          extents.copy(i, key, { numberHi: 0, numberLo: INODE, snapshot: SNAPSHOT }, start)
          tx.put(BtreeId.extents, key)
        }
      })
    } finally {
      extents.done()
    }
    this.contents[slot] = bytes
  }

  check(db: Database): void {
    const read = this.contents.map(({ length }) => new Uint8Array(length))
    const cursor = db.cursor(BtreeId.extents)
    for (let found = cursor.seek(bpos(INODE, 0)); found; found = cursor.next()) {
      const { start, size } = cursor.key
      const at = (start % 128) * SECTOR
      db.readExtent(cursor.key, 0, read[Math.floor(start / 128)].subarray(at, at + size * SECTOR), 'the file')
    }
    read.forEach((bytes, slot) => expect(Buffer.compare(bytes, this.contents[slot]), `slot ${slot}`).toBe(0))
  }
}

describe('a volume', () => {
  test('whose buckets are used hundreds of times', () => {
    const nodeBytes = 16 * KIB
    const volume = new Volume(
      [3 * MIB],
      { blockBytes: 512, bucketBytes: nodeBytes },
      { btreeNodeBytes: nodeBytes, superblockBytes: 64 * KIB },
    )
    const db = volume.open(4 * MIB)
    const random = new Random(1)
    const key = new Key()
    const value = new Uint8Array(1900)
    let most = 0
    for (let i = 0; most < 120; i++) {
      random.fill(value.subarray(0, 64))
      db.write((tx) => tx.put(BTREE, key.make(COOKIE, bpos(1, (i * 7919) % 150), value)))
      if (i % 1000 === 0) most = generations(db).greatest
    }
    expect(generations(db).farthest).toBeLessThanOrEqual(97)
    db.close()
    expect(volume.faults()).toEqual([])
  })

  test.each([0.1, 0.01])('that has %f of its room left, and is overwritten at random', (left) => {
    const volume = new Volume([64 * MIB], {}, {})
    const db = volume.open()
    const { capacity } = db
    const file = new SlottedFile(db)
    while (capacity.freeSectors > capacity.totalSectors * left) file.write(file.contents.length, 0)
    const random = new Random(2)
    for (let i = 1; i <= 6000; i++) {
      // without room for a write before the old data is given up it is refused, as everywhere
      if (capacity.availableSectors < 128) file.write(0, 0)
      else file.write(random.below(file.contents.length), i)
      if (i % 500 === 0) db.work(i * 1000)
    }
    file.check(db)
    db.close()
    expect(volume.notes).toEqual([])
    expect(volume.faults()).toEqual([])
  })

  test('whose cache is full of data that nobody needs', () => {
    const volume = new Volume([64 * MIB, 32 * MIB], {}, { targets: { foregroundTarget: 'disk1' } }, { durability: 0 })
    const db = volume.open()
    const file = new SlottedFile(db)
    for (let i = 0; i < 4000; i++) file.write(i % 600, i)
    expect(db.usage.buckets(1, DataType.cached)).toBeGreaterThan(50)
    expect(db.allocator.bucketsFree(1, Watermark.normal)).toBeGreaterThan(0)
    file.check(db)
    db.close()
    expect(volume.notes).toEqual([])
    expect(volume.faults()).toEqual([])
  })
})
