import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { bpos } from '../bpos.ts'
import { BtreeId } from '../btree-ids.ts'
import { DataType } from '../data-types.ts'
import { KeyError, VolumeError } from '../errors.ts'
import { extentOf } from '../testing/extents.ts'
import { keyOf } from '../testing/keys.ts'
import { memberOf, optionsOf } from '../testing/members.ts'
import { SpaceFixture } from '../testing/space-fixture.ts'
import type { BtreeBitmap } from '../superblock/btree-bitmap.ts'
import type { Options } from '../superblock/options.ts'
import type { DiskGroup } from '../superblock/sections/disk-groups.ts'
import type { Member } from '../superblock/sections/members.ts'
import { Allocator, type DataRequest, type Place } from './allocator.ts'
import { Capacity } from './capacity.ts'
import { Watermark } from './reserves.ts'
import { Usage } from './usage.ts'

const { normal, btree } = Watermark

interface Made {
  readonly members?: readonly Partial<Member>[]
  readonly options?: Partial<Options>
  readonly diskGroups?: readonly DiskGroup[]
}

/** Devices of 768 buckets with 512 sectors, nodes of 256 sectors. */
class Volume extends SpaceFixture {
  readonly usage = new Usage()
  readonly readOnly = new Set<number>()
  readonly bitmaps = new Map<number, BtreeBitmap>()
  readonly allocator: Allocator
  private inode = 1

  constructor({ members = [{}, {}], options = {}, diskGroups = [] }: Made = {}) {
    const { bucketCount = 768 } = members[0]
    super({ devices: members.length, bucketCount })
    const superblock = {
      members: members.map((fields, i) => memberOf(i, { bucketCount, ...fields })),
      options: optionsOf({ btreeNodeSize: 256 * 512, ...options }),
      diskGroups,
      blockSectors: 8,
    }
    const isRw = (device: number): boolean => !this.readOnly.has(device)
    this.allocator = new Allocator({
      ...{ superblock, shape: this.shape, usage: this.usage, isRw },
      capacity: new Capacity(superblock, this.usage, isRw),
      cursor: (tree) => this.updates.cursor(tree),
      btreeBitmap: (device) => this.bitmaps.get(device) ?? { bits: 0n, shift: 0 },
    })
    this.load()
  }

  load(): void {
    this.usage.load(this.updates.cursor(BtreeId.accounting))
  }

  allocate(request: Partial<DataRequest> = {}): { sectors: number; places: readonly Place[] } {
    return this.allocator.allocateData({ writer: 1, sectors: 64, replicas: 1, watermark: normal, ...request })
  }

  /** Commits an extent at places. */
  use(places: readonly Place[], sectors: number): void {
    const inode = this.inode++
    const pointers = places.map(({ device, sector, gen, isCached }) => ({ device, sector, gen, cached: isCached }))
    this.commit(() => this.changeKey(undefined, extentOf({ inode, offset: sectors, size: sectors }, pointers)))
    this.load()
    this.allocator.done(places)
  }

  /** Takes free buckets away until `left` are. */
  fill(device: number, left: number): void {
    let excess = this.usage.buckets(device, DataType.free) - left
    this.commit(({ space, updates }) => {
      for (let bucket = 767; excess > 0; bucket--) {
        if (this.bucket(device, bucket).dataType !== DataType.free || this.allocator.isOpen(device, bucket)) continue
        space.mark(updates, device, bucket, DataType.journal, 512)
        excess--
      }
    })
    this.load()
  }
}

const textOf = (places: readonly Place[]): string =>
  places.map(({ device, sector, isCached }) => `${device}:${sector}${isCached ? 'c' : ''}`).join(' ')

describe('data', () => {
  test('goes one behind the other into a bucket, and then into the next', () => {
    const volume = new Volume({ members: [{}] })
    const first = volume.allocate({ sectors: 200 })
    expect([first.sectors, textOf(first.places)]).toEqual([200, '0:0'])
    expect(textOf(volume.allocate({ sectors: 200 }).places)).toBe('0:200')
    expect(volume.allocator.isOpen(0, 0)).toBe(true)
    const rest = volume.allocate({ sectors: 200 })
    expect([rest.sectors, textOf(rest.places)]).toEqual([112, '0:400'])
    expect(volume.allocator.isOpen(0, 0)).toBe(true) // three refer to it
    expect(textOf(volume.allocate({ sectors: 8 }).places)).toBe('0:512')
    volume.allocator.done(first.places)
    volume.allocator.done(rest.places)
    expect(volume.allocator.isOpen(0, 0)).toBe(true)
    volume.allocator.done([{ device: 0, sector: 200 }])
    expect(volume.allocator.isOpen(0, 0)).toBe(false)
    expect(() => volume.allocator.done(rest.places)).toThrow(RangeError)
  })

  test('of different writers goes to different buckets', () => {
    const volume = new Volume({ members: [{}] })
    const buckets = ([1, 2, 'copygc', 'rebalance', 1] as const).map((writer) =>
      Math.floor(volume.allocate({ writer }).places[0].sector / 512),
    )
    expect(buckets).toEqual([0, 1, 2, 3, 0])
    expect(textOf(volume.allocator.allocateNode(btree))).toBe('0:2048')
    expect(textOf(volume.allocator.allocateNode(btree))).toBe('0:2304')
  })

  test('has as many copies as are wanted, at least as many as are required', () => {
    const volume = new Volume({ members: [{}, {}, { durability: 2 }, { alive: false }] })
    expect(textOf(volume.allocate({ replicas: 2 }).places)).toBe('0:0 1:0')
    expect(textOf(volume.allocate({ replicas: 2, writer: 2, exclude: [0] }).places)).toBe('1:512 2:0')
    expect(textOf(volume.allocate({ replicas: 2, writer: 3, exclude: [0, 1] }).places)).toBe('2:512')
    expect(volume.allocate({ replicas: 4, writer: 4 }).places).toHaveLength(3)
    expect(volume.allocate({ replicas: 4, writer: 5, exclude: [2] }).places).toHaveLength(2)
    const before = volume.allocator.openCount
    expect(() => volume.allocate({ replicas: 4, required: 3, writer: 6, exclude: [2] })).toThrow(
      /no room for data: 3 copies/,
    )
    expect(volume.allocator.openCount).toBe(before)
    volume.readOnly.add(2)
    expect(() => volume.allocate({ exclude: [0, 1] })).toThrow(VolumeError)
    expect(volume.allocate({ writer: 3 }).places.map(({ device }) => device)).not.toContain(2)
  })

  test('keeps to its target as long as there is room', () => {
    const group = (label: string, parent?: number): DiskGroup => ({ label, parent, deleted: false, dataAllowed: 31 })
    const volume = new Volume({
      members: [{ group: 2 }, { group: 1 }, { group: 0 }, { dataAllowed: 0b01100 }],
      diskGroups: [group('ssd'), group('hdd'), group('fast', 0)],
      options: { foregroundTarget: 257 },
    })
    const devices = (request: Partial<DataRequest>): number[] =>
      volume
        .allocate(request)
        .places.map(({ device }) => device)
        .sort()
    expect(devices({ replicas: 2 })).toEqual([0, 2])
    expect(devices({ replicas: 1, target: 258, writer: 2 })).toEqual([1])
    expect(devices({ replicas: 3, writer: 3 })).toEqual([0, 1, 2])
    expect(devices({ replicas: 2, target: 2, writer: 4 })).toContain(1)
    volume.fill(0, 10)
    volume.fill(2, 10)
    volume.allocator.closeIdle()
    expect(devices({ writer: 5 })).toEqual([1])
    expect(volume.allocator.allocateNode(Watermark.reclaim)[0].device).not.toBe(1)
  })

  test('on a device that counts for nothing is cached, once and besides others', () => {
    const volume = new Volume({ members: [{ durability: 0 }, { durability: 0 }, {}, {}] })
    const { places } = volume.allocate({ replicas: 2 })
    expect(textOf(places)).toBe('0:0c 2:0 3:0')
    volume.use(places, 64)
    expect(volume.bucket(0, 0).dataType).toBe(DataType.cached)
    expect(() => volume.allocate({ exclude: [2, 3] })).toThrow(VolumeError)
    expect(volume.allocator.allocateNode(btree).every(({ isCached }) => !isCached)).toBe(true)
    // not outside the target
    expect(textOf(volume.allocate({ target: 3, replicas: 2, writer: 2 }).places)).toBe('2:1024 3:512')
  })

  test('is spread over devices by how much room they have', () => {
    const volume = new Volume({ members: [{}, {}, {}] })
    volume.fill(1, 160)
    volume.fill(2, 400)
    const counts = [0, 0, 0]
    for (let i = 0; i < 100; i++) counts[volume.allocate({ sectors: 512 }).places[0].device]++
    expect(counts[0]).toBeGreaterThan(counts[2])
    expect(counts[2]).toBeGreaterThan(counts[1])
    expect(counts[1]).toBeGreaterThan(5)
  })

  test('of many writers goes to few buckets when there is little room', () => {
    const volume = new Volume({ members: [{}] })
    for (let writer = 0; writer < 40; writer++) volume.allocate({ writer, sectors: 8 })
    expect(volume.allocator.openCount).toBeLessThan(25)
    const roomy = new Volume({ members: [{ bucketCount: 20000 }] })
    for (let writer = 0; writer < 40; writer++) roomy.allocate({ writer, sectors: 8 })
    expect(roomy.allocator.openCount).toBe(32)
  })

  test('takes what other write points leave when nothing else is free', () => {
    const volume = new Volume({ members: [{}] })
    volume.fill(0, 700)
    const open = [1, 2, 3].map((writer) => volume.allocate({ writer, sectors: 8 }))
    volume.fill(0, 40)
    for (const { places, sectors } of open) volume.use(places, sectors)
    expect(textOf(volume.allocate({ writer: 'copygc', sectors: 8, watermark: Watermark.btree }).places)).not.toBe('')
    expect(textOf(volume.allocate({ writer: 9, sectors: 8 }).places)).toMatch(/^0:(8|520|1032)$/)
  })
})

describe('watermarks', () => {
  test('hold back what is needed to make room', () => {
    const volume = new Volume({ members: [{ bucketCount: 768 }] })
    // two nodes to a bucket: 14 buckets for an update, 12 for moving
    volume.fill(0, 12 + 28)
    expect(volume.allocator.bucketsFree(0, normal)).toBe(0)
    expect(() => volume.allocate()).toThrow(expect.objectContaining({ code: 'ENOSPC' }))
    expect(volume.allocator.openCount).toBe(0)
    expect(volume.allocate({ writer: 'copygc', watermark: Watermark.copygc }).sectors).toBe(64)
    volume.fill(0, 14)
    expect(() => volume.allocator.allocateNode(btree)).toThrow(/no room for a btree node/)
    expect(volume.allocator.allocateNode(Watermark.btreeCopygc)).toHaveLength(1)
    volume.fill(0, 2) // those that are open
    expect(() => volume.allocator.allocateNode(Watermark.reclaim)).not.toThrow() // there is half a bucket
    volume.allocator.closeIdle()
    expect(() => volume.allocator.allocateNode(Watermark.reclaim)).toThrow(VolumeError)
  })

  test('count what is open', () => {
    const volume = new Volume({ members: [{}] })
    const before = volume.allocator.bucketsFree(0, normal)
    volume.allocate()
    expect(volume.allocator.bucketsFree(0, normal)).toBe(before - 1)
  })
})

describe('nodes', () => {
  test('have as many copies as the volume wants', () => {
    const volume = new Volume({ options: { metadataReplicas: 2, metadataReplicasRequired: 2 } })
    expect(textOf(volume.allocator.allocateNode(btree))).toBe('0:0 1:0')
    volume.readOnly.add(1)
    expect(() => volume.allocator.allocateNode(btree)).toThrow(VolumeError)
    volume.readOnly.clear()
    // its bucket was given up meanwhile
    expect(textOf(volume.allocator.allocateNode(btree))).toBe('0:256 1:512')
  })

  test('that were not written are used by others', () => {
    const volume = new Volume({ members: [{}] })
    const places = volume.allocator.allocateNode(btree)
    const others = volume.allocator.allocateNode(btree)
    volume.allocator.giveBack(places)
    expect(volume.allocator.isOpen(0, 0)).toBe(true)
    expect(volume.allocator.allocateNode(btree)).toEqual(places)
    volume.allocator.giveBack(places)
    volume.allocator.done(others)
    volume.allocator.closeIdle()
    expect(volume.allocator.openCount).toBe(0)
  })

  test('do not straddle buckets', () => {
    const volume = new Volume({ members: [{}], options: { btreeNodeSize: 131072 } })
    const sectors = Array.from({ length: 9 }, () => volume.allocator.allocateNode(btree)[0].sector)
    expect(sectors).toEqual([0, 256, 512, 768, 1024, 1280, 1536, 1792, 2048])
    const odd = new Volume({ members: [{}], options: { btreeNodeSize: 192 * 512 } })
    expect(Array.from({ length: 3 }, () => odd.allocator.allocateNode(btree)[0].sector)).toEqual([0, 192, 512])
  })
})

describe('free buckets are found', () => {
  test('with their generations, those that were used seldom first', () => {
    const volume = new Volume({ members: [{ bucketCount: 128 }] })
    volume.commit(({ space, updates }) => {
      for (let bucket = 0; bucket < 128; bucket++) space.change(updates, 0, bucket).new.gen = bucket === 77 ? 9 : 20
    })
    expect(volume.freeRanges).toEqual(['0:77-78', '0:1/0-77', '0:1/78-128'])
    const places = [1, 2, 3].map(() => volume.allocate({ sectors: 512 }).places[0])
    expect(places).toMatchObject([
      { sector: 77 * 512, gen: 9 },
      { sector: 0, gen: 20 },
      { sector: 512, gen: 20 },
    ])
  })

  test('once around', () => {
    const volume = new Volume({ members: [{ bucketCount: 100 }] })
    volume.commit(({ space, updates }) => {
      for (let bucket = 10; bucket < 100; bucket++) space.mark(updates, 0, bucket, DataType.journal, 512)
    })
    volume.load()
    const { allocator } = volume
    const take = (): string =>
      textOf(allocator.allocateData({ writer: 1, sectors: 512, replicas: 1, watermark: 6 }).places)
    const places = Array.from({ length: 9 }, take)
    expect(places.at(-1)).toBe('0:4096')
    allocator.done([{ device: 0, sector: 512 * 3 }])
    expect(take()).toBe('0:4608')
    expect(take()).toBe('0:1536')
    expect(take).toThrow(VolumeError)
  })

  test('where the bitmap wants them', () => {
    const volume = new Volume({ members: [{}] })
    // units of 8 buckets: the second and the fifth hold nodes
    volume.bitmaps.set(0, { bits: 0b10010n, shift: 12 })
    const nodes = Array.from({ length: 36 }, () => volume.allocator.allocateNode(Watermark.reclaim)[0].sector / 512)
    expect(nodes.map(Math.floor)).toEqual(
      [8, 9, 10, 11, 12, 13, 14, 15, 32, 33, 34, 35, 36, 37, 38, 39, 40, 41].flatMap((bucket) => [bucket, bucket]),
    )
    const data = Array.from({ length: 24 }, () => volume.allocate({ sectors: 512 }).places[0].sector / 512)
    expect(data.slice(0, 10)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 16, 17])
    expect(data.slice(-2)).toEqual([30, 31])
    expect(volume.allocate({ sectors: 512 }).places[0].sector / 512).toBe(42)
    const full = new Volume({ members: [{}] })
    full.bitmaps.set(0, { bits: (1n << 64n) - 1n, shift: 13 })
    expect(textOf(full.allocate().places)).toBe('0:0')
  })

  test('as any bitmap wants them', () => {
    fc.assert(
      fc.property(
        fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }),
        fc.integer({ min: 7, max: 14 }),
        fc.boolean(),
        (bits, shift, isNode) => {
          const volume = new Volume({ members: [{ bucketCount: 300 }] })
          volume.bitmaps.set(0, { bits, shift })
          const isMarked = (bucket: number): boolean => {
            for (let sector = bucket * 512; sector < (bucket + 1) * 512; sector += 64) {
              if (sector >> shift < 64 && ((bits >> BigInt(sector >> shift)) & 1n) === 1n) return true
            }
            return false
          }
          const { allocator } = volume
          const wanted = Array.from({ length: 300 }, (_, i) => i).filter((bucket) => isMarked(bucket) === isNode)
          const count = Math.min(wanted.length, 60)
          const taken = Array.from({ length: count }, () => {
            if (isNode) allocator.allocateNode(6)
            return isNode
              ? allocator.allocateNode(6)[0].sector >> 9
              : allocator.allocateData({ writer: 1, sectors: 512, replicas: 1, watermark: 6 }).places[0].sector >> 9
          })
          expect(taken).toEqual(wanted.slice(0, count))
        },
      ),
      { numRuns: 60 },
    )
  })

  test.each([
    [
      'the alloc key says something else',
      (volume: Volume) => volume.updates.put(BtreeId.freespace, keyOf({ type: 25, offset: 3, size: 1 })),
      /bucket 0:2: need_discard_freespace_key_bad: journal/,
    ],
    [
      'it is under other genbits',
      (volume: Volume) => volume.updates.put(BtreeId.freespace, keyOf({ type: 25, offset: (1n << 56n) + 2n, size: 1 })),
      /bucket 0:1: .*at 1/,
    ],
    [
      'there is no such bucket',
      (volume: Volume) => volume.updates.put(BtreeId.freespace, keyOf({ type: 25, offset: 1000, size: 2 })),
      /no range of buckets of device 0/,
    ],
    [
      'it is no range',
      (volume: Volume) => volume.updates.put(BtreeId.freespace, keyOf({ type: 25, offset: 5, size: 0 })),
      /no range/,
    ],
  ])('only if they are: %s', (_name, damage, message) => {
    const volume = new Volume({ members: [{}] })
    volume.commit(({ space, updates }) => {
      space.mark(updates, 0, 2, DataType.journal, 512)
      space.change(updates, 0, 1).new.writeTimeLo = 1
    })
    for (const key of volume.keys(BtreeId.freespace)) volume.updates.remove(BtreeId.freespace, bpos(0, key.offset))
    damage(volume)
    expect(() => volume.allocate()).toThrow(message)
    expect(() => volume.allocate()).toThrow(KeyError)
    expect(volume.allocator.openCount).toBe(0)
  })
})

test('whatever is allocated, used and given up, no place is handed out twice', () => {
  const step = fc.record({
    writer: fc.constantFrom<DataRequest['writer']>(1, 2, 3, 'copygc'),
    sectors: fc.integer({ min: 1, max: 64 }).map((blocks) => 8 * blocks),
    replicas: fc.integer({ min: 1, max: 3 }),
    then: fc.constantFrom('use', 'drop', 'hold'),
    closes: fc.boolean(),
  })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const volume = new Volume({ members: [{ bucketCount: 128 }, {}, { durability: 0 }] })
      const taken = new Set<string>()
      const held: (readonly Place[])[] = []
      for (const { closes, then, ...request } of steps) {
        let space
        try {
          space = volume.allocate(request)
        } catch (error) {
          if (!(error instanceof VolumeError) || error.code !== 'ENOSPC') throw error
          continue
        }
        const { places, sectors } = space
        expect(new Set(places.map(({ device }) => device)).size).toBe(places.length)
        for (const { device, sector, gen } of places) {
          expect(volume.bucket(device, sector >> 9).gen).toBe(gen)
          expect((sector & 511) + sectors).toBeLessThanOrEqual(512)
          for (let at = sector; at < sector + sectors; at += 8) {
            expect(taken.has(`${device}:${at}`)).toBe(false)
            taken.add(`${device}:${at}`)
          }
        }
        if (then === 'use') volume.use(places, sectors)
        else if (then === 'drop') volume.allocator.done(places)
        else held.push(places)
        if (then === 'drop') {
          // what nobody refers to is handed out again only when its bucket was closed
          for (const { device, sector } of places) {
            const bucket = sector >> 9
            if (volume.allocator.isOpen(device, bucket) || volume.bucket(device, bucket).dataType !== DataType.free)
              continue
            for (let at = bucket * 512; at < (bucket + 1) * 512; at += 8) taken.delete(`${device}:${at}`)
          }
        }
        if (closes) volume.allocator.closeIdle()
        for (const key of [...taken]) {
          const [device, sector] = key.split(':').map(Number)
          const isFree = volume.bucket(device, sector >> 9).dataType === DataType.free
          if (isFree && !volume.allocator.isOpen(device, sector >> 9)) taken.delete(key)
        }
      }
      for (const places of held) {
        for (const { device, sector } of places) expect(volume.allocator.isOpen(device, sector >> 9)).toBe(true)
        volume.allocator.done(places)
      }
      volume.allocator.closeIdle()
      expect(volume.allocator.openCount).toBe(0)
    }),
    { numRuns: 60 },
  )
})
