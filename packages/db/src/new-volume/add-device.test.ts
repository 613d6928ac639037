import { fuzzCodecs as codecs, Random } from '@cowherd/fuzz'
import { writableMemoryStore } from '@cowherd/store'
import { verifyVolume } from '@cowherd/verify'
import { describe, expect, test } from 'vitest'
import { bpos } from '../bpos.ts'
import { BtreeId } from '../btree-ids.ts'
import { DataType } from '../data-types.ts'
import { openDatabase, type Database } from '../database.ts'
import { Key } from '../key.ts'
import { readSuperblock } from '../superblock/index.ts'
import { addDevice } from './add-device.ts'
import { makeVolume, type NewDevice, type NewVolumeOptions } from './make-volume.ts'
import { resizeDevice } from './resize-device.ts'

const MIB = 2 ** 20
const BTREE = 21
const COOKIE = 3

class Volume {
  readonly disks: Uint8Array[]
  readonly random = new Random(4)

  constructor(sizes: readonly number[], options: Partial<NewVolumeOptions> = {}, device: Partial<NewDevice> = {}) {
    this.disks = sizes.map((size) => new Uint8Array(size))
    makeVolume(
      this.stores().map((store) => ({ device: store, blockBytes: 4096, ...device })),
      { codecs, nowNs: 1n, random: (target) => void this.random.fill(target), fill: () => undefined, ...options },
    )
  }

  get options() {
    return { codecs, random: (target: Uint8Array) => void this.random.fill(target), nowSeconds: () => 7n }
  }

  stores() {
    return this.disks.map((disk, i) => writableMemoryStore(disk, `disk ${i}`))
  }

  open(): Database {
    return openDatabase(this.stores(), this.options)
  }

  add(size: number, device: Partial<NewDevice> = {}, disk = new Uint8Array(size)): number {
    const store = writableMemoryStore(disk, `disk ${this.disks.length}`)
    const index = addDevice(this.stores(), { device: store, blockBytes: 4096, ...device }, this.options)
    this.disks.push(disk)
    return index
  }

  resize(which: number, size: number, name = `disk ${which}`) {
    const larger = new Uint8Array(size)
    larger.set(this.disks[which])
    this.disks[which] = larger
    return resizeDevice(this.stores(), name, undefined, this.options)
  }

  faults(): string[] {
    return verifyVolume(this.stores(), { codecs })
  }

  superblock(disk = 0) {
    return readSuperblock(this.stores()[disk], codecs)
  }
}

const put = (db: Database, from: number, to: number): void => {
  const key = new Key()
  for (let i = from; i < to; i++) {
    db.write((tx) => tx.put(BTREE, key.make(COOKIE, bpos(1, i), new Uint8Array(200).fill(i))))
  }
}

function count(db: Database): number {
  const cursor = db.cursor(BTREE)
  let keys = 0
  for (let found = cursor.seek(bpos(0, 0)); found; found = cursor.next()) keys++
  return keys
}

describe('a device that is added', () => {
  test('is part of the volume, and used', () => {
    const volume = new Volume([48 * MIB])
    const db = volume.open()
    put(db, 0, 2000)
    db.close()
    const before = volume.superblock()
    expect(volume.add(64 * MIB)).toBe(1)
    expect(volume.faults()).toEqual([])
    const superblock = volume.superblock()
    expect(superblock).toMatchObject({ clean: true, deviceCount: 2, features: before.features, blacklist: [] })
    expect(superblock.members[1]).toMatchObject({
      ...{ alive: true, bucketCount: 512, durability: 1, state: 'rw', freespaceInitialized: true, lastMount: 7n },
    })
    expect(volume.superblock(1).journalBuckets.count).toBe(8)
    expect(volume.superblock(1).uuid).toEqual(superblock.uuid)

    const again = volume.open()
    expect(count(again)).toBe(2000)
    expect(again.usage.buckets(1, DataType.free)).toBeGreaterThan(450)
    put(again, 2000, 6000)
    again.close()
    expect(volume.faults()).toEqual([])
    expect(volume.open().usage.buckets(1, DataType.btree)).toBeGreaterThan(2)
  })

  test('has sizes and options of its own', () => {
    const volume = new Volume([64 * MIB], { btreeNodeBytes: 128 << 10 })
    volume.add(128 * MIB, {
      ...{ bucketBytes: 512 << 10, sizeBytes: 64 * MIB, label: 'ssd.fast', durability: 2, discard: true },
      dataAllowed: 0b11000,
    })
    expect(volume.faults()).toEqual([])
    expect(volume.superblock().members[1]).toMatchObject({
      ...{ bucketCount: 128, bucketSectors: 1024, durability: 2, discard: true, dataAllowed: 0b11000, group: 1 },
    })
    expect(volume.superblock().diskGroups).toMatchObject([{ label: 'ssd' }, { label: 'fast', parent: 0 }])
    volume.add(64 * MIB, { label: 'ssd.slow' })
    expect(volume.superblock().diskGroups.length).toBe(3)
    expect(volume.faults()).toEqual([])
    volume.open().close()
    expect(volume.faults()).toEqual([])
  })

  test.each<[string, Partial<NewVolumeOptions>, Partial<NewDevice>]>([
    ['with two copies of metadata', { options: { metadataReplicas: 2 } }, {}],
    ['that counts for nothing', {}, { durability: 0 }],
    ['to an encrypted volume', { encryption: { passphrase: undefined } }, {}],
  ])('%s', (_, options, device) => {
    const volume = new Volume([64 * MIB, 64 * MIB], options)
    volume.add(64 * MIB, device)
    expect(volume.faults()).toEqual([])
    const db = volume.open()
    put(db, 0, 1000)
    db.close()
    expect(volume.faults()).toEqual([])
  })

  test('to a volume that was not shut down', () => {
    const volume = new Volume([64 * MIB])
    const db = volume.open()
    put(db, 0, 1000)
    db.flush()
    db.abandon()
    volume.add(64 * MIB)
    expect(volume.faults()).toEqual([])
    expect(count(volume.open())).toBe(1000)
  })

  test('to a full volume makes room', () => {
    const volume = new Volume([32 * MIB])
    const db = volume.open()
    const fill = (on: Database): number => {
      let keys = 0
      try {
        for (;;) put(on, keys, ++keys)
      } catch {
        return keys
      }
    }
    const full = fill(db)
    db.close()
    volume.add(64 * MIB)
    expect(volume.faults()).toEqual([])
    expect(fill(volume.open())).toBeGreaterThan(2 * full)
  })

  test('again, after an attempt that came to nothing', () => {
    const volume = new Volume([64 * MIB])
    const disk = new Uint8Array(64 * MIB)
    const images = volume.disks.map((each) => each.slice())
    volume.add(64 * MIB, {}, disk)
    // the volume knows nothing of it
    volume.disks.splice(0, 2, images[0])
    const db = volume.open()
    put(db, 0, 10)
    db.close()
    volume.add(64 * MIB, {}, disk)
    expect(volume.faults()).toEqual([])
    const again = volume.open()
    put(again, 10, 20)
    again.flush()
    again.abandon()
    expect(volume.faults()).toEqual([])
    expect(count(volume.open())).toBe(20)
  })

  test.each<[string, Partial<NewDevice>, number, RegExp]>([
    ['too small', {}, 2 * MIB, /smaller than a btree node/],
    ['far too small', {}, 100_000, /not enough/],
    ['with too large blocks', { blockBytes: 8192 }, 64 * MIB, /larger than/],
    ['with buckets smaller than a btree node', { bucketBytes: 64 << 10 }, 64 * MIB, /smaller than a btree node/],
    ['with a label that is none', { label: 'a..b' }, 64 * MIB, /label/],
  ])('is refused if it is %s, and nothing is written', (_, device, size, message) => {
    const volume = new Volume([64 * MIB], { blockBytes: 4096 })
    const before = volume.disks[0].slice()
    const disk = new Uint8Array(size).fill(0x77)
    expect(() => volume.add(size, device, disk)).toThrow(message)
    expect(Buffer.compare(before, volume.disks[0])).toBe(0)
    expect(disk.every((byte) => byte === 0x77)).toBe(true)
  })

  test('is refused if it is one already', () => {
    const volume = new Volume([64 * MIB, 64 * MIB])
    const twice = writableMemoryStore(volume.disks[1], 'twice')
    expect(() => addDevice(volume.stores(), { device: twice, blockBytes: 4096 }, volume.options)).toThrow(
      /twice: is a device of this volume already/,
    )
  })

  test('to a volume that was never mounted is refused', () => {
    const volume = new Volume([64 * MIB])
    const fresh = [writableMemoryStore(new Uint8Array(64 * MIB), 'fresh')]
    makeVolume([{ device: fresh[0], blockBytes: 4096 }], { ...volume.options, nowNs: 1n })
    const device = writableMemoryStore(new Uint8Array(64 * MIB), 'more')
    expect(() => addDevice(fresh, { device, blockBytes: 4096 }, volume.options)).toThrow(/never mounted/)
  })
})

describe('a device that has grown', () => {
  test.each([0, 1])('is used whole (device %d of 2)', (which) => {
    const volume = new Volume([64 * MIB, 64 * MIB])
    const db = volume.open()
    put(db, 0, 1000)
    db.close()
    expect(volume.resize(which, 100 * MIB)).toEqual({ index: which, before: 512, after: 800 })
    expect(volume.faults()).toEqual([])
    expect(volume.superblock().members[which]).toMatchObject({ bucketCount: 800, freespaceInitialized: true })
    const again = volume.open()
    expect(count(again)).toBe(1000)
    put(again, 1000, 3000)
    again.close()
    expect(volume.faults()).toEqual([])
  })

  test('again and again, by little', () => {
    const volume = new Volume([64 * MIB])
    for (let n = 1; n <= 4; n++) {
      volume.resize(0, 64 * MIB + n * 300_000, '0')
      expect(volume.faults()).toEqual([])
      const db = volume.open()
      put(db, n * 100, n * 100 + 100)
      db.close()
      expect(volume.faults()).toEqual([])
    }
    expect(volume.superblock().journalBuckets.count).toBe(8 + 4 * 8)
  })

  test('has superblocks where there was nothing before', () => {
    // the last copy of the superblock lies behind the last bucket
    const volume = new Volume([64 * MIB + 100_000])
    expect(volume.resize(0, 65 * MIB).after).toBe(520)
    expect(volume.faults()).toEqual([])
  })

  test('not at all: nothing is written', () => {
    const volume = new Volume([64 * MIB])
    const before = volume.disks[0].slice()
    expect(volume.resize(0, 64 * MIB + 1000)).toEqual({ index: 0, before: 512, after: 512 })
    expect(Buffer.compare(before, volume.disks[0].subarray(0, before.length))).toBe(0)
  })

  test.each<[string, string, number | undefined, RegExp]>([
    ['smaller', 'disk 0', 32 * MIB, /can't become smaller/],
    ['larger than it is', 'disk 0', 65 * MIB, /more than there is/],
    ['if it is none of the volume', 'disk 9', undefined, /no device of the volume/],
  ])('is refused to be %s', (_, name, size, message) => {
    const volume = new Volume([64 * MIB])
    expect(() => resizeDevice(volume.stores(), name, size, volume.options)).toThrow(message)
  })

  test('with many buckets that were used before', () => {
    const volume = new Volume([48 * MIB])
    const db = volume.open()
    put(db, 0, 4000)
    for (let i = 0; i < 4000; i++) db.write((tx) => tx.remove(BTREE, bpos(1, i)), { frees: true })
    db.close()
    const alloc = db.cursor(BtreeId.alloc)
    expect(alloc).toBeDefined()
    volume.resize(0, 64 * MIB)
    expect(volume.faults()).toEqual([])
  })
})
