/** Triggers over made-up devices, for tests. */

import { bpos, u64 } from '../bpos.ts'
import { BtreeId } from '../btree-ids.ts'
import { DataType } from '../data-types.ts'
import { Bucket } from '../key-types/bucket.ts'
import type { DeviceShape, VolumeShape } from '../key-type.ts'
import { Key, KEY_BYTES } from '../key.ts'
import { loadBucket } from '../space/alloc-key.ts'
import { SpaceTriggers } from '../space/bucket-trigger.ts'
import { CounterName } from '../space/counter-name.ts'
import { startOf } from '../space/freespace.ts'
import { PointerTrigger } from '../space/pointer-trigger.ts'
import { reservationTrigger } from '../space/reservation-trigger.ts'
import { makeSet } from '../space/set-key.ts'
import { FakeUpdates } from './fake-updates.ts'
import { shapeOf } from './keys.ts'
import { spaceState } from './space-state.ts'

export interface FixtureOptions {
  readonly devices?: number
  readonly bucketSectors?: number
  readonly bucketCount?: number
  readonly isFreespaceInitialized?: boolean
}

export class SpaceFixture {
  readonly updates: FakeUpdates
  readonly shape: VolumeShape
  readonly open = new Set<string>()
  readonly space: SpaceTriggers
  readonly pointers: PointerTrigger
  /** Devices by target, and those that accept file data. */
  readonly targets = new Map<number, ReadonlySet<number>>()
  readonly accepting = new Set<number>()
  clock = 100

  /** Devices of which all buckets are free. */
  constructor(options: FixtureOptions = {}) {
    this.updates = new FakeUpdates()
    this.shape = shapeOf({ devices: 2, bucketSectors: 512, bucketCount: 768, ...options })
    this.space = new SpaceTriggers({
      shape: this.shape,
      isOpen: (device, bucket) => this.open.has(`${device}:${bucket}`),
      clock: (of) => this.clock + (of === 'writes' ? 1000 : 0),
      isFreespaceInitialized: () => options.isFreespaceInitialized ?? true,
    })
    this.pointers = new PointerTrigger(this.space, this.shape, {
      devices: (target) => this.targets.get(target) ?? new Set(),
      accepts: (device) => this.accepting.has(device),
    })
    const name = new CounterName()
    for (let device = 0; this.shape.member(device) !== undefined; device++) {
      const { bucketCount } = this.shape.member(device) as DeviceShape
      this.updates.put(BtreeId.freespace, makeSet(new Key(), bpos(device, bucketCount), bucketCount))
      this.updates.account(name.deviceDataType(device, DataType.free), bucketCount, 0, 0)
    }
  }

  /** A transaction. */
  commit(change: (fixture: this) => void): void {
    this.updates.seq++
    this.space.begin()
    change(this)
    this.space.finish(this.updates)
  }

  /** Runs the triggers for a changed key. */
  changeKey(old: Key | undefined, now: Key | undefined, btree: number = BtreeId.extents, level = 0): void {
    const change = { btree, level, old, new: now }
    this.pointers.run(this.updates, change)
    reservationTrigger(this.updates, change)
  }

  /** The bucket as it is committed. */
  bucket(device: number, bucket: number): Bucket {
    const result = new Bucket()
    const key = new Key()
    if (this.updates.get(BtreeId.alloc, bpos(device, bucket), key)) loadBucket(result, key, this.shape)
    return result
  }

  /** Turns all buckets free that wait for it and are not open. */
  discardAll(): void {
    this.commit(({ space, updates }) => {
      for (const { inode, offset } of this.keys(BtreeId.needDiscard)) {
        if (!this.open.has(`${inode}:${offset}`)) space.discarded(updates, inode, offset)
      }
    })
  }

  keys(btree: number): Key[] {
    return this.updates.keys(btree).map((words) => {
      const key = new Key()
      key.set(words, 0)
      return key
    })
  }

  /** Where the keys of a btree are: `inode:offset:snapshot`. */
  positions(btree: number): string[] {
    return this.keys(btree).map(({ inodeHi, inodeLo, offsetHi, offsetLo, snapshot }) =>
      [u64(inodeHi, inodeLo), u64(offsetHi, offsetLo), snapshot].join(':'),
    )
  }

  /** The ranges of freespace: `device:first-end`, genbits in front of `first` if there are any. */
  get freeRanges(): string[] {
    return this.keys(BtreeId.freespace).map((key) => {
      const genbits = key.offsetHi === 0 ? '' : `${key.offsetHi >>> 24}/`
      return `${key.inode}:${genbits}${startOf(key)}-${key.offsetLo}`
    })
  }

  get state(): Record<string, string[]> {
    return spaceState((btree) => this.updates.cursor(btree), this.shape)
  }

  counters(pos: Uint32Array): number[] {
    const key = new Key()
    if (!this.updates.get(BtreeId.accounting, pos, key)) return []
    return Array.from({ length: key.valueBytes / 8 }, (_, i) => Number(key.view.getBigInt64(KEY_BYTES + 8 * i, true)))
  }
}
