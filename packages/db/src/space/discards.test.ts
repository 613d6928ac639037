import { DeviceError, type WritableBlockDevice } from '@cowherd/shim'
import { describe, expect, test } from 'vitest'
import { bpos } from '../bpos.ts'
import { BtreeId } from '../btree-ids.ts'
import { DataType } from '../data-types.ts'
import type { Key } from '../key.ts'
import { extentOf } from '../testing/extents.ts'
import { keyOf } from '../testing/keys.ts'
import { memberOf } from '../testing/members.ts'
import { SpaceFixture } from '../testing/space-fixture.ts'
import { Discards, type DiscardProgress } from './discards.ts'
import { Invalidation } from './invalidation.ts'
import { Usage } from './usage.ts'

const extent = (bucket: number, cached = false, gen = 0): Key =>
  extentOf({ inode: 1 + bucket, offset: 16, size: 16 }, [{ device: 0, sector: bucket * 512, cached, gen }])

/** A device that notes what is discarded. */
function deviceOf(discarded: [number, number][], fails = false): WritableBlockDevice {
  return {
    ...{ name: 'disk', size: 768 * 512 * 512, alignment: 1, canDiscard: true },
    read: () => undefined,
    close: () => undefined,
    write: () => undefined,
    writeThrough: () => undefined,
    flush: () => undefined,
    discard: (offset, length) => {
      if (fails) throw new DeviceError('EIO', 'disk', 'broken')
      discarded.push([offset, length])
    },
  }
}

class Volume extends SpaceFixture {
  readonly discarded: [number, number][] = []
  readonly notes: string[] = []
  readonly discards: Discards
  readonly readOnly = new Set<number>()
  flushedSeq = Infinity

  constructor(discard = true, fails = false) {
    super({ devices: 1 })
    this.discards = new Discards({
      shape: this.shape,
      members: [memberOf(0, { discard })],
      devices: [deviceOf(this.discarded, fails)],
      cursor: (btree) => this.updates.cursor(btree),
      isOpen: (device, bucket) => this.open.has(`${device}:${bucket}`),
      isRw: (device) => !this.readOnly.has(device),
      flushedSeq: () => this.flushedSeq,
      note: (message) => this.notes.push(message),
    })
  }

  /** Buckets that were used and emptied. */
  empty(...buckets: number[]): void {
    this.commit(() => buckets.forEach((bucket) => this.changeKey(undefined, extent(bucket))))
    this.commit(() => buckets.forEach((bucket) => this.changeKey(extent(bucket), undefined)))
  }

  step(most = 100): DiscardProgress {
    let progress: DiscardProgress = { freed: 0, waiting: 0, held: 0 }
    this.commit(({ updates, space }) => {
      progress = this.discards.step(updates, space, most)
    })
    return progress
  }
}

describe('emptied buckets', () => {
  test('become free, some at a time', () => {
    const volume = new Volume()
    volume.empty(3, 4, 5, 9)
    expect(volume.step(3)).toMatchObject({ freed: 3, waiting: 0 })
    expect(volume.positions(BtreeId.needDiscard)).toEqual(['0:9:0'])
    expect(volume.discarded).toEqual([3, 4, 5].map((bucket) => [bucket * 512 * 512, 512 * 512]))
    expect(volume.step(3)).toMatchObject({ freed: 1, waiting: 0 })
    expect(volume.freeRanges).toEqual(['0:0-768'])
    expect(volume.step()).toMatchObject({ freed: 0, waiting: 0 })
  })

  test('wait for the journal entry that emptied them, and for who holds them', () => {
    const volume = new Volume(false)
    volume.empty(3)
    volume.flushedSeq = volume.updates.seq
    volume.empty(4, 5)
    volume.open.add('0:5')
    expect(volume.step()).toMatchObject({ freed: 1, waiting: 1 })
    expect(volume.positions(BtreeId.needDiscard)).toEqual(['0:4:0', '0:5:0'])
    volume.flushedSeq = Infinity
    expect(volume.step()).toMatchObject({ freed: 1, waiting: 0 })
    expect(volume.positions(BtreeId.needDiscard)).toEqual(['0:5:0'])
    volume.open.clear()
    volume.readOnly.add(0)
    expect(volume.step()).toMatchObject({ freed: 0, waiting: 0 })
    volume.readOnly.clear()
    expect(volume.step()).toMatchObject({ freed: 1, waiting: 0 })
    expect(volume.discarded).toEqual([])
  })

  test('become free even if the device can not discard', () => {
    const volume = new Volume(true, true)
    volume.empty(3, 4)
    expect(volume.step()).toMatchObject({ freed: 2, waiting: 0 })
    expect(volume.notes).toEqual(['device 0: nothing is discarded any more: disk: broken'])
  })

  test('are refused if they are not empty', () => {
    const volume = new Volume()
    volume.updates.put(BtreeId.needDiscard, keyOf({ type: 25, inode: 0, offset: 7 }))
    expect(() => volume.step()).toThrow(/need_discard key 0:7:0: .*the bucket is free/)
    volume.commit(() => volume.changeKey(undefined, extent(7)))
    expect(() => volume.step()).toThrow(/the bucket is user/)
    expect(volume.discarded).toEqual([])
  })
})

describe('cached data', () => {
  class Cached extends Volume {
    readonly usage = new Usage()
    readonly invalidation = new Invalidation({
      shape: this.shape,
      usage: this.usage,
      cursor: (btree) => this.updates.cursor(btree),
      isOpen: (device, bucket) => this.open.has(`${device}:${bucket}`),
      clock: () => this.clock,
    })

    /** A bucket of cached data that was read at a time. */
    cache(bucket: number, time: number): void {
      this.clock = time
      this.commit(() => this.changeKey(undefined, extent(bucket, true)))
    }

    giveUp(most: number): number {
      let count = 0
      this.commit(({ updates, space }) => {
        count = this.invalidation.step(updates, space, 0, most)
      })
      return count
    }

    cachedBuckets(): number[] {
      return this.keys(BtreeId.alloc)
        .map(({ offset }) => offset)
        .filter((bucket) => this.bucket(0, bucket).dataType === DataType.cached)
    }
  }

  test('is given up where it was read longest ago', () => {
    const volume = new Cached()
    volume.cache(10, 500)
    volume.cache(11, 300)
    volume.cache(12, 400)
    volume.cache(13, 2 ** 48 - 5) // before the clock wrapped
    volume.clock = 600
    volume.open.add('0:11')
    expect(volume.giveUp(1)).toBe(1)
    expect(volume.cachedBuckets()).toEqual([10, 11, 12])
    expect(volume.giveUp(1)).toBe(1)
    expect(volume.cachedBuckets()).toEqual([10, 11])
    expect(volume.giveUp(5)).toBe(1)
    expect(volume.cachedBuckets()).toEqual([11])
    expect(volume.positions(BtreeId.needDiscard)).toEqual(['0:10:0', '0:12:0', '0:13:0'])
    volume.commit(() => volume.changeKey(extent(10, true), undefined))
    expect(volume.bucket(0, 10).gen).toBe(1)
  })

  test('is given up when little is free', () => {
    const volume = new Cached()
    const { invalidation, usage } = volume
    const load = (): void => usage.load(volume.updates.cursor(BtreeId.accounting))
    volume.cache(10, 500)
    volume.cache(11, 501)
    load()
    expect(invalidation.wanted(0)).toBe(0)
    expect(invalidation.wanted(9)).toBe(0)
    // nodes of half a bucket: 14 buckets for an update, 52 in all are held back; 6 are wanted besides
    volume.commit(({ space, updates }) => {
      for (let bucket = 100; bucket < 100 + 766 - 57; bucket++)
        space.mark(updates, 0, bucket % 768 < 100 ? (bucket % 768) + 12 : bucket, DataType.journal, 512)
    })
    load()
    expect(usage.buckets(0, DataType.free)).toBe(57)
    expect(invalidation.wanted(0)).toBe(1)
    volume.commit(({ space, updates }) => space.mark(updates, 0, 0, DataType.sb, 512))
    volume.commit(({ space, updates }) => space.mark(updates, 0, 1, DataType.sb, 512))
    volume.commit(({ space, updates }) => space.mark(updates, 0, 2, DataType.sb, 512))
    load()
    expect(invalidation.wanted(0)).toBe(2) // there are no more
  })

  test('is refused where the list is wrong', () => {
    const volume = new Cached()
    volume.cache(10, 500)
    volume.clock = 600
    volume.updates.put(BtreeId.lru, keyOf({ type: 25, inode: 400, offset: 10 }))
    volume.updates.remove(BtreeId.lru, bpos(500, 10))
    volume.updates.put(BtreeId.lru, keyOf({ type: 25, inode: 401, offset: 12 }))
    expect(() => volume.giveUp(5)).toThrow(/0:12: can't be invalidated: free/)
    volume.updates.put(BtreeId.lru, keyOf({ type: 25, inode: 1, offset: (1n << 48n) + 10n }))
    expect(() => volume.giveUp(5)).toThrow(/lru_entry_bad/)
  })
})
