import { describe, expect, test } from 'vitest'
import type { Key } from '../key.ts'
import { extentOf } from '../testing/extents.ts'
import { SpaceFixture } from '../testing/space-fixture.ts'
import { Copygc } from './copygc.ts'
import { Usage } from './usage.ts'
import { BtreeId } from '../btree-ids.ts'

const BUCKET = 512

class Volume extends SpaceFixture {
  readonly usage = new Usage()
  readonly readOnly = new Set<number>()
  readonly copygc: Copygc
  private extents = 0

  constructor(bucketCount = 768) {
    super({ devices: 2, bucketCount })
    this.copygc = new Copygc({
      ...{ devices: [0, 1], shape: this.shape, usage: this.usage },
      cursor: (btree) => this.updates.cursor(btree),
      isOpen: (device, bucket) => this.open.has(`${device}:${bucket}`),
      openCount: () => 0,
      isRw: (device) => !this.readOnly.has(device),
    })
  }

  /** Fills buckets up to so many sectors. */
  fill(device: number, buckets: readonly number[], sectors: number): void {
    const keys = buckets.map((bucket): Key => {
      const inode = ++this.extents
      return extentOf({ inode, offset: sectors, size: sectors }, [{ device, sector: bucket * BUCKET }])
    })
    this.commit(() => keys.forEach((key) => this.changeKey(undefined, key)))
    this.usage.load(this.updates.cursor(BtreeId.accounting))
  }

  /** What is found, one after another. */
  found(wanted: (device: number) => boolean = () => true): string[] {
    const all: string[] = []
    const { copygc } = this
    while (copygc.find(wanted)) {
      all.push(`${copygc.device}:${copygc.bucket}`)
      copygc.avoid(copygc.device, copygc.bucket)
    }
    return all
  }
}

describe('the buckets that are emptied', () => {
  test('are the emptiest, on devices that are wanted and written', () => {
    const volume = new Volume()
    volume.fill(0, [5, 6], 100)
    volume.fill(1, [7], 50)
    volume.fill(0, [8], 400)
    volume.open.add('0:6')
    expect(volume.found()).toEqual(['1:7', '0:5', '0:8'])
    const other = new Volume()
    other.fill(0, [5], 100)
    other.fill(1, [7], 50)
    expect(other.found((device) => device === 0)).toEqual(['0:5'])
    other.readOnly.add(1)
    expect(other.found()).toEqual([])
  })

  test('are none that are full, or nearly', () => {
    const volume = new Volume()
    volume.fill(0, [5], 512)
    volume.fill(0, [6], 504)
    volume.fill(0, [7], 480)
    expect(volume.found()).toEqual(['0:7'])
  })

  test('that can not be emptied are tried again when there are very many', () => {
    const volume = new Volume()
    volume.fill(0, [5], 100)
    for (let bucket = 0; bucket < 1024; bucket++) volume.copygc.avoid(1, bucket)
    volume.copygc.avoid(0, 5)
    expect(volume.copygc.find(() => true)).toBe(false)
    for (let bucket = 0; bucket < 1024; bucket++) volume.copygc.avoid(1, bucket)
    expect(volume.copygc.find(() => true)).toBe(true)
  })
})

test('it is due when as much is fragmented as half of what is free', () => {
  // 640 buckets, 76 of which are held back
  const volume = new Volume(640)
  expect(volume.copygc.isDue).toBe(false)
  const buckets = (from: number, count: number): number[] => Array.from({ length: count }, (_, i) => from + i)
  volume.fill(0, buckets(0, 100), 8)
  expect(volume.copygc.fragmentedSectors(0)).toBe(100 * 504)
  expect(volume.copygc.isDue).toBe(false)
  volume.fill(0, buckets(100, 200), 512)
  expect(volume.copygc.isDue).toBe(false)
  volume.fill(0, buckets(300, 100), 512)
  expect(volume.copygc.isDue).toBe(true)
  volume.readOnly.add(0)
  expect(volume.copygc.isDue).toBe(false)
})
