import { describe, expect, test } from 'vitest'
import { bpos } from '../bpos.ts'
import { BtreeId } from '../btree-ids.ts'
import { DataType } from '../data-types.ts'
import { Key } from '../key.ts'
import { extentOf } from '../testing/extents.ts'
import { SpaceFixture } from '../testing/space-fixture.ts'
import { OldestGens } from './oldest-gens.ts'

const BUCKET = 512

class Volume extends SpaceFixture {
  readonly oldest: OldestGens

  constructor() {
    super({ devices: 1, bucketCount: 600 })
    this.oldest = new OldestGens({ shape: this.shape, cursor: (btree) => this.updates.cursor(btree) })
  }

  /** Changes a key of a btree, as a transaction does. */
  change(old: Key | undefined, now: Key | undefined, btree: number = BtreeId.extents): void {
    this.commit(() => {
      this.changeKey(old, now, btree)
      this.oldest.trigger(this.updates, { btree, level: 0, old, new: now })
      if (old !== undefined) this.updates.remove(btree, posOf(old))
      if (now !== undefined) this.updates.put(btree, now)
    })
  }

  /** Uses a bucket so often, and leaves it empty. */
  use(bucket: number, times: number): void {
    for (let i = 0; i < times; i++) {
      const key = extentOf({ inode: 9, offset: 8, size: 8 }, [
        { device: 0, sector: bucket * BUCKET, gen: this.bucket(0, bucket).gen },
      ])
      this.change(undefined, key)
      this.change(key, undefined)
      this.discardAll()
    }
  }

  /** Puts an extent with a cached copy in a bucket, which is given up then. */
  cache(bucket: number, inode: number): Key {
    const { gen } = this.bucket(0, bucket)
    const key = extentOf({ inode, offset: 8, size: 8 }, [
      { device: 0, sector: bucket * BUCKET, gen, cached: true },
      { device: 0, sector: 599 * BUCKET + 8 * inode },
    ])
    // two pointers to one device: it is for the test only
    this.updates.put(BtreeId.extents, key)
    return key
  }

  step(): boolean {
    let isMore = false
    this.commit(({ updates, space }) => {
      isMore = this.oldest.step(updates, space, 128)
    })
    return isMore
  }

  run(): void {
    this.oldest.begin()
    while (this.step());
  }

  ahead(bucket: number): number {
    return this.bucket(0, bucket).generationsAhead
  }
}

function posOf(key: Key): Uint32Array {
  return bpos(key.inode, key.offset, key.snapshot)
}

describe('generations', () => {
  test('start anew when nothing points to a bucket any more', () => {
    const volume = new Volume()
    volume.use(3, 96)
    volume.use(300, 20)
    expect(volume.bucket(0, 3).dataType).toBe(DataType.needGcGens)
    expect(volume.freeRanges).toEqual(['0:0-3', '0:4-300', '0:301-600', '0:1/300-301'])
    volume.run()
    expect(volume.oldest.isRunning).toBe(false)
    expect(volume.bucket(0, 3)).toMatchObject({ dataType: DataType.free, gen: 96, oldestGen: 96 })
    expect(volume.freeRanges).toEqual(['0:0-600'])
    volume.use(3, 200)
    volume.run()
    expect(volume.bucket(0, 3)).toMatchObject({ gen: 40, oldestGen: 40, dataType: DataType.free })
  })

  test('stay behind for old copies, if these are not too old', () => {
    const volume = new Volume()
    volume.use(3, 5)
    volume.cache(3, 1)
    volume.use(3, 16)
    volume.run()
    expect(volume.ahead(3)).toBe(16)
    expect(volume.bucket(0, 3).oldestGen).toBe(5)
    expect(volume.keys(BtreeId.extents)).toMatchObject([{ u64s: 7 }])
  })

  test('do not wait for copies that are too old: these are dropped', () => {
    const volume = new Volume()
    volume.cache(3, 1)
    volume.cache(4, 2)
    volume.use(3, 17)
    volume.use(4, 3)
    volume.run()
    expect(volume.ahead(3)).toBe(0)
    expect(volume.ahead(4)).toBe(3)
    expect(volume.keys(BtreeId.extents)).toMatchObject([
      { inode: 1, u64s: 6 },
      { inode: 2, u64s: 7 },
    ])
  })

  test('take notice of a key that moves to where was looked already', () => {
    const volume = new Volume()
    const key = volume.cache(3, 5)
    volume.use(3, 7)
    volume.oldest.begin()
    volume.step() // extents
    const moved = new Key()
    moved.set(key.words, 0)
    moved.make(6, bpos(1, 8, 0xffffffff), key.value, 8)
    volume.oldest.trigger(volume.updates, { btree: BtreeId.extents, level: 0, old: undefined, new: moved })
    while (volume.step());
    expect(volume.ahead(3)).toBe(7)
  })

  test('are looked for step by step', () => {
    const volume = new Volume()
    for (let inode = 1; inode <= 3000; inode++) {
      const key = extentOf({ inode, offset: 8, size: 8 }, [{ device: 0, sector: 590 * BUCKET, gen: 0 }])
      volume.updates.put(BtreeId.extents, key)
    }
    for (let bucket = 0; bucket < 300; bucket++) volume.use(bucket, 1)
    volume.oldest.begin()
    let steps = 0
    do steps++
    while (volume.step())
    expect(steps).toBe(3 + 1 + 3)
    for (let bucket = 0; bucket < 300; bucket++) expect(volume.ahead(bucket)).toBe(0)
  })
})
