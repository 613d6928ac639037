/**
 * The judge: says what is wrong with a volume, as a real check would and in more places, in some milliseconds and without writing. It
 * computes from the pointers alone what a volume has to say of its space, and compares. Nothing of the code that writes volumes is used.
 * Format chapter 4, 4.11 and 4.12; 2, 2.7, 2.8 and 2.14; 3, 3.4 and 3.8.
 *
 * Volumes that were not shut down cleanly are judged as recovery would find them, with the journal laid over the btrees.
 */

import {
  BtreeId,
  btreeName,
  isExtentsBtree,
  Key,
  openVolume,
  POS_MIN,
  VolumeError,
  type KeyType,
  type Superblock,
  type Volume,
} from '@cowherd/db'
import { DeviceError, type BlockDevice, type Codecs } from '@cowherd/shim'
import { Backpointers } from './backpointers.ts'
import { Buckets } from './buckets.ts'
import { Counters, named } from './counters.ts'
import { btreesOf } from './dump.ts'
import { Faults } from './faults.ts'
import { Indexes } from './indexes.ts'
import { JournalCheck } from './journal.ts'
import { KeyRules } from './key-rules.ts'
import { NodeCheck } from './nodes.ts'
import { Pointers } from './pointers.ts'
import { RebalanceWork } from './rebalance.ts'
import { checkSuperblocks } from './superblocks.ts'
import { VisibleExtents, type Ancestry } from './visible-extents.ts'

export interface VerifyOptions {
  readonly codecs: Codecs
  /** Key types beyond those of the database itself: their checks are made too. */
  readonly keyTypes?: readonly KeyType[]
  readonly passphrase?: () => Uint8Array | undefined
  /** The power was cut: copies of the superblock may be torn or old, even if the newest says that the volume was shut down cleanly. */
  readonly isAfterCut?: boolean
}

/** Everything is read once, in order. */
const CACHE_BYTES = 4 << 20

/** Says what is wrong with the volume on `devices`, all that it has: a line each. None if it is sound. */
export function verifyVolume(devices: readonly BlockDevice[], options: VerifyOptions): string[] {
  const faults = new Faults()
  try {
    const { codecs, isAfterCut = false } = options
    const volume = openVolume(devices, { ...options, cacheBytes: CACHE_BYTES })
    const mayBeTorn = isAfterCut || !volume.superblock.clean
    const superblocks = checkSuperblocks(volume, codecs, mayBeTorn, faults)
    if (volume.superblock.initialized) new Examination(volume, superblocks, faults).run()
  } catch (error) {
    if (!isOfVolume(error)) throw error
    faults.add('volume', error.message)
  }
  return faults.list
}

/** Btrees that say what follows from others: looked at when all that they follow from is known. */
const INDEX_BTREES: readonly number[] = [
  BtreeId.lru,
  BtreeId.freespace,
  BtreeId.needDiscard,
  BtreeId.backpointers,
  BtreeId.bucketGens,
  BtreeId.rebalanceWork,
  BtreeId.accounting,
]

class Examination {
  private readonly volume: Volume
  private readonly faults: Faults
  private readonly nodes: NodeCheck
  private readonly buckets: Buckets
  private readonly backpointers: Backpointers
  private readonly counters: Counters
  private readonly rebalance: RebalanceWork
  private readonly pointers: Pointers
  private readonly ancestry: Ancestry

  constructor(volume: Volume, superblocks: readonly (Superblock | undefined)[], faults: Faults) {
    const { superblock, shape, keyTypes } = volume
    this.volume = volume
    this.faults = faults
    const rules = new KeyRules(keyTypes, shape, faults)
    const newestSeq = new JournalCheck(volume, superblocks, rules, faults).check()
    const marked = superblock.replicas.map(({ dataType, required, devices }) =>
      named.replicas(dataType, required, devices),
    )
    this.nodes = new NodeCheck(volume, rules, faults, newestSeq)
    this.buckets = new Buckets(superblock.members, faults, newestSeq)
    this.backpointers = new Backpointers(faults, superblock.members.length)
    this.counters = new Counters(faults, newestSeq, new Set(marked))
    this.rebalance = new RebalanceWork(superblock, faults, this.counters)
    const { buckets, backpointers, counters, rebalance } = this
    this.pointers = new Pointers({ faults, buckets, backpointers, counters, rebalance }, shape, new Key())
    this.ancestry = this.readAncestry()
    this.forEachKey(BtreeId.alloc, (key) => buckets.load(key))
    superblocks.forEach((own, index) => buckets.reserve(index, own))
  }

  run(): void {
    const { buckets, backpointers, counters, rebalance, pointers } = this
    const btrees = btreesOf(this.volume)
    for (const btree of btrees) this.takeNodes(btree)
    for (const btree of btrees) if (!INDEX_BTREES.includes(btree) && btree !== BtreeId.alloc) this.takeLeaves(btree)
    pointers.finish()
    buckets.settle(counters)
    const indexes = new Indexes(buckets, this.faults)
    this.forEachKey(BtreeId.freespace, (key) => indexes.freespace(key))
    this.forEachKey(BtreeId.needDiscard, (key) => indexes.needDiscard(key))
    this.forEachKey(BtreeId.lru, (key) => indexes.lru(key))
    this.forEachKey(BtreeId.bucketGens, (key) => indexes.bucketGens(key))
    indexes.finish()
    this.forEachKey(BtreeId.backpointers, (key) => backpointers.check(key))
    backpointers.finish()
    this.forEachKey(BtreeId.rebalanceWork, (key) => rebalance.check(key))
    rebalance.finish()
    this.forEachKey(BtreeId.accounting, (key) => counters.check(key))
    counters.finish()
  }

  /** All nodes of a btree, from the root down, and what points to them. */
  private takeNodes(btree: number): void {
    const { volume, nodes, pointers } = this
    const root = volume.rootPointer(btree)
    if (root === undefined) {
      if (volume.btreeIds.includes(btree)) this.faults.add(btreeName(btree), 'the root is lost')
      return
    }
    const top = volume.rootLevel(btree)
    nodes.check(root, btree, top)
    pointers.take(root, btree, top + 1)
    for (let level = top; level > 0; level--) {
      this.guarded(`${btreeName(btree)} level ${level}`, () => {
        const cursor = volume.cursor(btree, level)
        const { key } = cursor
        nodes.beginLevel()
        for (let found = cursor.seek(POS_MIN); found; found = cursor.next()) {
          nodes.follow(key, btree, level - 1)
          nodes.check(key, btree, level - 1)
          pointers.take(key, btree, level)
        }
        nodes.endLevel(btree, level - 1)
      })
    }
  }

  private takeLeaves(btree: number): void {
    const { pointers, ancestry, faults } = this
    const extents = isExtentsBtree(btree)
      ? new VisibleExtents(btree, btree === BtreeId.extents ? ancestry : NO_SNAPSHOTS, faults)
      : undefined
    this.forEachKey(btree, (key) => {
      pointers.take(key, btree, 0)
      extents?.take(key)
    })
    extents?.finish()
  }

  /** Each live key of a btree's leaves. That it obeys the rules for all keys was seen where it lies: in its node, or in the journal. */
  private forEachKey(btree: number, visit: (key: Key) => void): void {
    this.guarded(btreeName(btree), () => {
      const cursor = this.volume.cursor(btree)
      const { key } = cursor
      for (let found = cursor.seek(POS_MIN); found; found = cursor.next()) visit(key)
    })
  }

  private readAncestry(): Ancestry {
    let ancestry = NO_SNAPSHOTS
    this.guarded('snapshots', () => {
      const tree = this.volume.snapshots
      const ids: number[] = []
      const cursor = this.volume.cursor(BtreeId.snapshots)
      for (let found = cursor.seek(POS_MIN); found; found = cursor.next()) ids.push(cursor.key.offset)
      ancestry = { ids, ancestorsOf: (id) => tree.ancestorsOf(id) }
    })
    return ancestry
  }

  /** Goes on behind what can't be read. */
  private guarded(place: string, look: () => void): void {
    try {
      look()
    } catch (error) {
      if (!isOfVolume(error)) throw error
      this.faults.add(place, error.message)
    }
  }
}

const NO_SNAPSHOTS: Ancestry = { ids: [], ancestorsOf: (id) => new Set([id]) }

function isOfVolume(error: unknown): error is Error {
  return error instanceof VolumeError || error instanceof DeviceError
}
