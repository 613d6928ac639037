/**
 * A database at work beside its model: transactions, readings, shutdowns and crashes of the process. Disks are images in memory. Every
 * transaction is remembered, so that of whatever is found it can be said whether it may be there.
 */

import {
  BtreeId,
  Key,
  makeVolume,
  openDatabase,
  openVolume,
  POS_MIN,
  SnapshotTreeValue,
  SnapshotValue,
  bpos,
  type Database,
  type NewVolumeOptions,
  type WriteOptions,
  type VolumeBuilder,
} from '@cowherd/db'
import { addFirstKeys, fsKeyTypes } from '@cowherd/fs'
import { fuzzCodecs as codecs, Random } from '@cowherd/fuzz'
import type { BlockDevice, WritableBlockDevice } from '@cowherd/shim'
import { dumpKeys, verifyVolume } from '@cowherd/verify'
import { Image } from './image.ts'
import { KeyModel, rowOf, type Change, type Row } from './key-model.ts'
import { lastTransaction, SNAPSHOTS } from './random-changes.ts'

/** The volume of a run. */
export interface RunShape {
  readonly devices: number
  readonly sizeBytes: number
  readonly nodeBytes: number
  readonly blockBytes: number
  /** Copies of metadata, and of data; left out: one. */
  readonly copies: number
  readonly dataCopies?: number
  readonly isEncrypted?: boolean
  readonly options?: NewVolumeOptions['options']
}

/** What chance is for: what comes of it must not come again. */
const FORMATTING = 1
const OPENING = 2
const INODE_TYPES = new Set([8, 23, 29])
const SNAPSHOT_TYPE = 22
const SNAPSHOT_TREE_TYPE = 31
/** One model in so many is kept, others are made from it again. */
const KEPT_EVERY = 16
/** A small cache, so that nodes are given up and read again. */
const CACHE_BYTES = 1 << 20

/** New disks with a volume on them. With `snapshots` it has a tree of three, and no files; else it is as a first start makes it. */
export function newDisks(shape: RunShape, seed: number, snapshots: boolean): Image[] {
  const images = Array.from({ length: shape.devices }, () => Image.empty(shape.sizeBytes))
  const random = randomOf(seed, FORMATTING)
  makeVolume(
    images.map((image, disk) => ({
      ...{ device: image.device(`disk ${disk}`), blockBytes: shape.blockBytes, bucketBytes: 2 * shape.nodeBytes },
    })),
    {
      ...{ codecs, random, nowNs: 1_800_000_000_000_000_000n, btreeNodeBytes: shape.nodeBytes },
      blockBytes: shape.blockBytes,
      options: { ...shape.options, metadataReplicas: shape.copies, dataReplicas: shape.dataCopies ?? 1 },
      ...(shape.isEncrypted === true ? { encryption: { passphrase: undefined } } : {}),
      fill: (builder) =>
        snapshots ? addSnapshots(builder) : addFirstKeys(builder, { codecs, random, strHash: 'siphash' }),
    },
  )
  return images
}

export function devicesOf(images: readonly Image[]): WritableBlockDevice[] {
  return images.map((image, disk) => image.device(`disk ${disk}`))
}

/** Opens the database on `devices`; `seed`: of what it makes by chance, never the same twice on the same disks. */
export function openRun(devices: readonly WritableBlockDevice[], ...seed: readonly number[]): Database {
  return openDatabase(devices, {
    ...{ codecs, keyTypes: fsKeyTypes, random: randomOf(...seed, OPENING), cacheBytes: CACHE_BYTES },
    nowSeconds: () => 1_800_000_000n,
  })
}

/** All keys of `btrees` on the disks as recovery would find them. */
export function keysOn(devices: readonly BlockDevice[], btrees?: readonly number[]): Map<string, string> {
  return dumpKeys(openVolume(devices, { codecs, keyTypes: fsKeyTypes, cacheBytes: CACHE_BYTES }), btrees)
}

export function faultsOn(devices: readonly BlockDevice[], isAfterCut = false): string[] {
  return verifyVolume(devices, { codecs, keyTypes: fsKeyTypes, isAfterCut })
}

/** Commits a transaction. Inodes are counted, as those would do who make files. */
export function commit(db: Database, changes: readonly Change[], options: WriteOptions = {}): number {
  const old = new Key()
  return db.write((tx) => {
    for (const { btree, pos, key } of changes) {
      if (btree === BtreeId.inodes) {
        const before = tx.get(btree, pos, old) && INODE_TYPES.has(old.type) ? 1 : 0
        const after = key !== undefined && INODE_TYPES.has(key.type) ? 1 : 0
        if (before !== after) tx.account(POS_MIN, after - before)
      }
      if (key === undefined) tx.remove(btree, pos)
      else tx.put(btree, key)
    }
  }, options)
}

/** All transactions of a run, and what the keys are after any of them. */
export class TransactionLog {
  private readonly transactions: (readonly Change[])[] = []
  private readonly kept: KeyModel[]
  private now: KeyModel

  /** `btrees`: those that are looked at. */
  constructor(devices: readonly BlockDevice[], btrees: readonly number[]) {
    const volume = openVolume(devices, { codecs, keyTypes: fsKeyTypes })
    const rows = new Map<number, Row[]>()
    for (const btree of btrees) {
      const cursor = volume.cursor(btree)
      const all: Row[] = []
      for (let found = cursor.seek(POS_MIN); found; found = cursor.next()) all.push(rowOf(cursor.key))
      rows.set(btree, all)
    }
    this.now = new KeyModel(rows)
    this.kept = [this.now.copy()]
  }

  get count(): number {
    return this.transactions.length
  }

  /** What the keys are after all of them. */
  get model(): KeyModel {
    return this.now
  }

  add(changes: readonly Change[]): void {
    this.transactions.push(changes)
    this.now.apply(changes)
    if (this.count % KEPT_EVERY === 0) this.kept.push(this.now.copy())
  }

  /** What the keys are after the first `count`. */
  after(count: number): KeyModel {
    const kept = Math.floor(count / KEPT_EVERY)
    const model = this.kept[kept].copy()
    for (const changes of this.transactions.slice(kept * KEPT_EVERY, count)) model.apply(changes)
    return model
  }

  /** Forgets all but the first `count`: the others were lost. */
  cutTo(count: number): void {
    this.now = this.after(count)
    this.transactions.length = count
    this.kept.length = Math.floor(count / KEPT_EVERY) + 1
  }

  /**
   * Holds what was found against what may be: the first so many transactions whole, no fewer than `least`, no more than `most`, and
   * nothing of any other. Returns how many. Throws what differs.
   */
  recognize(keys: ReadonlyMap<string, string>, btrees: readonly number[], least: number, most = this.count): number {
    const count = lastTransaction(keys)
    if (count < least || count > most)
      throw new Error(`transaction ${count} is the last, where ${least} to ${most} may be`)
    const difference = differenceOf(keys, this.after(count).dump(btrees))
    if (difference !== undefined) throw new Error(`after transaction ${count}: ${difference}`)
    return count
  }
}

/** Where two dumps differ; undefined if they don't. */
export function differenceOf(
  found: ReadonlyMap<string, string>,
  expected: ReadonlyMap<string, string>,
): string | undefined {
  for (const [pos, text] of expected) {
    const other = found.get(pos)
    if (other !== text) return `${pos} is ${other ?? 'missing'}, should be ${text}`
  }
  for (const [pos, text] of found) if (!expected.has(pos)) return `${pos} is ${text}, should not be there`
  const order = [...found.keys()]
  const at = [...expected.keys()].findIndex((pos, i) => order[i] !== pos)
  return at < 0 ? undefined : `${order[at]} is out of order`
}

function addSnapshots(builder: VolumeBuilder): void {
  const key = new Key()
  const { root, leaves } = SNAPSHOTS
  const value = (parent: number, children: [number, number], subvolume: number, depth: number): Uint8Array =>
    SnapshotValue.bytes({
      flags: { deleted: 0, subvolume: subvolume === 0 ? 0 : 1 },
      ...{ parent, children, subvolume, tree: 1, depth, skip: [parent, parent, parent], createdLo: 0n, createdHi: 0n },
    })
  builder.add(BtreeId.snapshots, key.make(SNAPSHOT_TYPE, bpos(0, root), value(0, [leaves[0], leaves[1]], 0, 0)))
  leaves.forEach((id, i) => {
    builder.add(BtreeId.snapshots, key.make(SNAPSHOT_TYPE, bpos(0, id), value(root, [0, 0], i + 1, 1)))
  })
  const tree = SnapshotTreeValue.bytes({ masterSubvolume: 1, rootSnapshot: root })
  builder.add(BtreeId.snapshotTrees, key.make(SNAPSHOT_TREE_TYPE, bpos(0, 1), tree))
}

function randomOf(...seed: readonly number[]): (target: Uint8Array) => void {
  const random = new Random(...seed)
  return (target) => void random.fill(target)
}
