/**
 * Everything that the allocation btrees of the golden volumes say follows from their pointers: the triggers, run over all of these from
 * an empty volume, must come to what Linux wrote. Run backwards, they must come to an empty volume. Format chapter 4, 4.12.
 */

import { fixture, fixtureNames } from '@cowherd/fixtures'
import { nativeCodecs } from '@cowherd/shim'
import { openStore } from '@cowherd/store'
import { describe, expect, test } from 'vitest'
import { bpos, POS_MIN } from '../bpos.ts'
import { BtreeId } from '../btree-ids.ts'
import { DataType } from '../data-types.ts'
import { Bucket } from '../key-types/bucket.ts'
import { Key } from '../key.ts'
import { readSuperblock } from '../superblock/read.ts'
import { targetDevices } from '../superblock/targets.ts'
import { FakeUpdates } from '../testing/fake-updates.ts'
import { spaceState } from '../testing/space-state.ts'
import { openVolume, type Volume } from '../volume.ts'
import { loadBucket } from './alloc-key.ts'
import { SpaceTriggers } from './bucket-trigger.ts'
import { CounterName } from './counter-name.ts'
import { PointerTrigger } from './pointer-trigger.ts'
import { reservationTrigger } from './reservation-trigger.ts'
import { reservedBuckets } from './reserved-buckets.ts'
import { makeSet } from './set-key.ts'

const codecs = nativeCodecs()
const KEYS_PER_TRANSACTION = 50

function open(name: string): { volume: Volume; paths: readonly string[] } {
  const { devices, passphrase } = fixture(name)
  const typed = passphrase === undefined ? undefined : new TextEncoder().encode(passphrase)
  const stores = devices.map((path) => openStore(path))
  return { volume: openVolume(stores, { codecs, passphrase: () => typed }), paths: devices }
}

class Recomputation {
  readonly updates = new FakeUpdates()
  readonly space: SpaceTriggers
  readonly pointers: PointerTrigger
  allAreOpen = true
  private pending = 0
  private readonly volume: Volume
  private readonly paths: readonly string[]

  constructor(volume: Volume, paths: readonly string[]) {
    this.volume = volume
    this.paths = paths
    const { shape, superblock } = volume
    this.space = new SpaceTriggers({
      shape,
      isOpen: () => this.allAreOpen,
      clock: () => 7,
      isFreespaceInitialized: () => true,
    })
    this.pointers = new PointerTrigger(this.space, shape, {
      devices: (target) => targetDevices(target, superblock.diskGroups, superblock.members),
      accepts: (device) =>
        superblock.members[device].state === 'rw' && (superblock.members[device].dataAllowed & 16) !== 0,
    })
  }

  /** A volume with nothing on it. */
  empty(): void {
    const { updates, volume } = this
    const name = new CounterName()
    for (const { alive, index, firstBucket, bucketCount } of volume.superblock.members) {
      if (!alive) continue
      const free = bucketCount - firstBucket
      updates.put(BtreeId.freespace, makeSet(new Key(), bpos(index, bucketCount), free))
      updates.account(name.deviceDataType(index, DataType.free), free, 0, 0)
    }
  }

  /** Calls for each stored bucket that was ever used, in transactions. */
  eachBucket(visit: (device: number, bucket: number, stored: Bucket) => void): void {
    const cursor = this.volume.cursor(BtreeId.alloc)
    const stored = new Bucket()
    this.space.begin()
    for (let found = cursor.seek(POS_MIN); found; found = cursor.next()) {
      loadBucket(stored, cursor.key, this.volume.shape)
      visit(cursor.key.inode, cursor.key.offset, stored)
      this.step()
    }
    this.flush()
  }

  mark(isUsed: boolean): void {
    this.space.begin()
    for (const path of this.paths) {
      const superblock = readSuperblock(openStore(path), codecs)
      for (const { bucket, dataType, sectors } of reservedBuckets(superblock)) {
        this.space.mark(this.updates, superblock.deviceIndex, bucket, dataType, isUsed ? sectors : 0)
        this.step()
      }
    }
    this.flush()
  }

  /** Lets all keys with pointers come, or go. */
  eachPointer(isComing: boolean): void {
    const { volume, updates } = this
    this.space.begin()
    const change = (btree: number, level: number, key: Key): void => {
      const each = { btree, level, old: isComing ? undefined : key, new: isComing ? key : undefined }
      this.pointers.run(updates, each)
      reservationTrigger(updates, each)
      this.step()
    }
    for (const btree of volume.btreeIds) {
      const root = volume.rootPointer(btree)
      if (root !== undefined) change(btree, volume.rootLevel(btree) + 1, root)
      for (let level = volume.rootLevel(btree); level >= 0; level--) {
        const cursor = volume.cursor(btree, level)
        for (let found = cursor.seek(POS_MIN); found; found = cursor.next()) change(btree, level, cursor.key)
      }
    }
    this.flush()
  }

  private step(): void {
    if (++this.pending >= KEYS_PER_TRANSACTION) this.flush()
  }

  private flush(): void {
    this.space.finish(this.updates)
    this.updates.seq++
    this.space.begin()
    this.pending = 0
  }
}

describe.each(fixtureNames())('of the golden volume %s', (name) => {
  const { volume, paths } = open(name)
  const recomputation = new Recomputation(volume, paths)
  const { updates, space } = recomputation
  const { shape } = volume

  test('all allocation information follows from the pointers', () => {
    recomputation.empty()
    recomputation.eachBucket((device, bucket, stored) => {
      const { new: now } = space.change(updates, device, bucket)
      now.gen = stored.gen
      now.oldestGen = stored.oldestGen
      now.needDiscard = stored.needDiscard
      now.needIncGen = stored.needIncGen
    })
    recomputation.mark(true)
    recomputation.eachPointer(true)
    recomputation.eachBucket((device, bucket, stored) => {
      const { new: now } = space.change(updates, device, bucket)
      now.readTimeHi = stored.readTimeHi
      now.readTimeLo = stored.readTimeLo
      now.needDiscard = stored.needDiscard
      now.needIncGen = stored.needIncGen
    })
    const computed = spaceState((btree) => updates.cursor(btree), shape)
    const stored = spaceState((btree) => volume.cursor(btree), shape)
    expect(computed).toEqual(stored)
  })

  test('without the pointers everything is free', () => {
    recomputation.allAreOpen = false
    recomputation.eachPointer(false)
    recomputation.mark(false)
    const emptied = spaceState((btree) => updates.cursor(btree), shape)
    expect(emptied).toMatchObject({ lru: [], rebalanceWork: [], backpointers: [] })
    recomputation.eachBucket((device, bucket) => {
      if (space.change(updates, device, bucket).new.dataType === DataType.needDiscard)
        space.discarded(updates, device, bucket)
    })
    const { freespace, needDiscard, accounting, alloc } = spaceState((btree) => updates.cursor(btree), shape)
    const buckets = volume.superblock.members.reduce(
      (sum, { alive, bucketCount, firstBucket }) => sum + (alive ? bucketCount - firstBucket : 0),
      0,
    )
    expect(freespace).toHaveLength(buckets)
    expect(needDiscard).toEqual([])
    expect(accounting).toHaveLength(volume.superblock.members.filter(({ alive }) => alive).length)
    expect(alloc.filter((line) => !/ free gen \d+ \d+ sectors 0 0 0 stripe 0 flags 00$/.test(line))).toEqual([])
  })
})
