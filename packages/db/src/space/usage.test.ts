import { fixture } from '@cowherd/fixtures'
import { nativeCodecs } from '@cowherd/shim'
import { openStore } from '@cowherd/store'
import { describe, expect, test } from 'vitest'
import { BtreeId } from '../btree-ids.ts'
import { DataType } from '../data-types.ts'
import { Key, KEY_POS_AT } from '../key.ts'
import { accountingPos, AccountingType } from '../key-types/accounting.ts'
import { FakeUpdates } from '../testing/fake-updates.ts'
import { memberOf, optionsOf } from '../testing/members.ts'
import { openVolume } from '../volume.ts'
import { Capacity } from './capacity.ts'
import { CounterName } from './counter-name.ts'
import { heldBackBuckets, Watermark } from './reserves.ts'
import { Usage } from './usage.ts'

const name = new CounterName()
const codecs = nativeCodecs()

describe('counters in memory', () => {
  test('are those of the btree, and follow', () => {
    const usage = new Usage()
    const updates = new FakeUpdates()
    updates.account(name.deviceDataType(1, DataType.user), 5, 1000, 1560)
    updates.account(name.replicas(DataType.user, 1, Uint8Array.of(0, 1), 2), 100)
    updates.account(name.replicas(DataType.user, 1, Uint8Array.of(1), 1), 11)
    updates.account(name.cached(1), 7)
    updates.account(name.persistentReserved(1), 64)
    updates.account(name.persistentReserved(3), 8)
    updates.account(accountingPos(AccountingType.inodes), 12)
    updates.account(name.inum(0, 5), 1, 2, 3)
    updates.account(name.deviceDataType(200, DataType.user), 1, 1, 1)
    usage.load(updates.cursor(BtreeId.accounting))
    usage.load(updates.cursor(BtreeId.accounting))
    expect([usage.buckets(1, DataType.user), usage.sectors(1, DataType.user)]).toEqual([5, 1000])
    expect(usage.fragmentedSectors(1, DataType.user)).toBe(1560)
    expect([usage.copiesSectors(DataType.user), usage.copiesSectors(DataType.cached)]).toEqual([111, 7])
    expect([usage.promisedSectors, usage.inodes]).toEqual([64 + 24, 12])

    usage.apply(name.deviceDataType(1, DataType.user), 0, [-1, -10, 20])
    usage.apply(name.persistentReserved(3), 0, Float64Array.of(-8))
    const key = new Key()
    updates.account(name.replicas(DataType.user, 1, Uint8Array.of(0, 1), 2), -130)
    updates.get(BtreeId.accounting, name.replicas(DataType.user, 1, Uint8Array.of(0, 1), 2), key)
    usage.applyKey(key.words, 0) // -30
    expect(usage.buckets(1, DataType.user)).toBe(4)
    expect([usage.promisedSectors, usage.copiesSectors(DataType.user)]).toEqual([64, 81])
    expect(key.words[KEY_POS_AT] & 0xff).toBe(AccountingType.replicas)
    usage.apply(name.deviceDataType(1, DataType.cached), 0, [3, 0, 0])
    usage.apply(name.deviceDataType(1, DataType.free), 0, [30, 0, 0])
    expect(usage.reclaimableBuckets(1)).toBe(33)
  })
})

describe('buckets that are held back (format chapter 4, 4.9.3)', () => {
  test.each([
    [768, [80, 68, 56, 28, 0, 0, 0]],
    [640, [76, 66, 56, 28, 0, 0, 0]],
  ])('of %i', (bucketCount, expected) => {
    const device = { ...memberOf(0), bucketCount }
    expect(Object.values(Watermark).map((each) => heldBackBuckets(device, 512, each))).toEqual(expected)
  })

  test('where a bucket holds several nodes', () => {
    expect(heldBackBuckets({ ...memberOf(0), bucketSectors: 2048 }, 512, Watermark.btree)).toBe(7)
    expect(heldBackBuckets({ ...memberOf(0), bucketSectors: 1536 }, 512, Watermark.btree)).toBe(10)
  })
})

describe('capacity (format chapter 4, 4.10.4)', () => {
  const capacityOf = (counts: readonly number[], bucketSectors: number, hidden: readonly number[]): Capacity => {
    const usage = new Usage()
    hidden.forEach((buckets, i) => usage.apply(name.deviceDataType(i, DataType.sb), 0, [buckets, 0, 0]))
    const members = counts.map((bucketCount, i) => memberOf(i, { bucketCount, bucketSectors }))
    return new Capacity({ members, options: optionsOf({ btreeNodeSize: bucketSectors * 512 }) }, usage, () => true)
  }

  test.each([
    [[768, 768], 512, 641024],
    [[384, 640, 640], 512, 644096],
    [[384], 256, 65024],
  ])('of %j buckets of %i sectors', (counts, bucketSectors, expected) => {
    expect(capacityOf(counts, bucketSectors, []).capacitySectors).toBe(expected)
  })

  test('is less by superblocks and journals, and by what is used', () => {
    const capacity = capacityOf([768, 768], 512, [21, 21])
    expect(capacity.totalSectors).toBe(619520)
    expect(capacity.freeSectors).toBe(619520)
    expect(capacity.availableSectors).toBe(Math.floor((619520 * 64) / 65))
  })

  test('counts data, nodes and promises, not what is cached', () => {
    const usage = new Usage()
    const members = [memberOf(0), memberOf(1), memberOf(2, { alive: false }), memberOf(3, { state: 'ro' })]
    const capacity = new Capacity({ members, options: optionsOf() }, usage, (device) => device !== 3)
    const total = capacity.totalSectors
    expect(total).toBe(641024)
    usage.apply(name.replicas(DataType.user, 1, Uint8Array.of(0, 1), 2), 0, [1000])
    usage.apply(name.replicas(DataType.parity, 1, Uint8Array.of(0, 1), 2), 0, [100])
    usage.apply(name.replicas(DataType.btree, 1, Uint8Array.of(0, 1), 2), 0, [512])
    usage.apply(name.cached(0), 0, [5000])
    expect(capacity.usedSectors).toBe(1612)
    usage.apply(name.persistentReserved(2), 0, [65])
    expect(capacity.usedSectors).toBe(1612 + 130 + 3)
    capacity.grant(62)
    expect(capacity.usedSectors).toBe(1612 + 192 + 3)
    expect(() => capacity.grant(total)).toThrow(expect.objectContaining({ code: 'ENOSPC' }))
    capacity.release(62)
    expect(() => capacity.release(1)).toThrow(RangeError)
    usage.apply(name.replicas(DataType.user, 1, Uint8Array.of(0, 1), 2), 0, [1e9])
    expect([capacity.usedSectors, capacity.freeSectors, capacity.availableSectors]).toEqual([total, 0, 0])
  })

  test('obeys the options for what is held back', () => {
    const usage = new Usage()
    const members = [memberOf(0, { bucketCount: 1 << 20 })]
    const sectors = (options: Parameters<typeof optionsOf>[0]): number =>
      new Capacity({ members, options: optionsOf(options) }, usage, () => true).capacitySectors
    const raw = 512 * 2 ** 20
    expect(sectors({})).toBe(raw - Math.floor((raw * 8) / 100))
    expect(sectors({ gcReservePercent: 20 })).toBe(raw - Math.floor((raw * 20) / 100))
    expect(sectors({ gcReserveBytes: raw * 256 })).toBe(raw / 2)
    expect(sectors({ gcReserveBytes: raw * 1024 })).toBe(0)
  })

  test('of a golden volume is what is stored', () => {
    const { devices } = fixture('replicas')
    const volume = openVolume(
      devices.map((path) => openStore(path)),
      { codecs },
    )
    const usage = new Usage()
    usage.load(volume.cursor(BtreeId.accounting))
    const capacity = new Capacity(volume.superblock, usage, () => true)
    for (const { index, bucketCount } of volume.superblock.members) {
      let buckets = 0
      for (const type of Object.values(DataType)) buckets += usage.buckets(index, type)
      expect(buckets).toBe(bucketCount)
    }
    const promised = usage.promisedSectors
    const stored = usage.copiesSectors(DataType.user) + usage.copiesSectors(DataType.btree)
    expect(promised).toBeGreaterThan(0)
    expect(capacity.usedSectors).toBe(stored + promised + Math.ceil(promised / 64))
  })
})
