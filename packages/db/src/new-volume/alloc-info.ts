/**
 * The keys that follow from where everything lies: buckets, free space, partly filled buckets, back pointers and counters, of a volume
 * that is being built. Format chapter 4, 4.3, 4.8 and 4.12.
 */

import { bpos } from '../bpos.ts'
import { BtreeId } from '../btree-ids.ts'
import { DataType } from '../data-types.ts'
import { accounting, accountingPos, AccountingType } from '../key-types/accounting.ts'
import { makeAllocV4 } from '../key-types/alloc-v4.ts'
import { makeBackpointer } from '../key-types/backpointer.ts'
import { Bucket } from '../key-types/bucket.ts'
import { Key } from '../key.ts'
import { CounterName } from '../space/counter-name.ts'
import type { DeviceSpace } from './device-space.ts'
import { KeyHeap } from './key-heap.ts'
import type { TreeShape } from './tree-shape.ts'

const KEY_TYPE_SET = 25
const NO_VALUE = new Uint8Array(0)
/** Runs of free buckets are no longer than this: the size of a key. */
const RUN_MAX = 0xffffffff
/** Inode of the keys of partly filled buckets: in front of how full they are. */
const FRAGMENTATION_LRU = 0xffffn << 48n
const FULL = 2 ** 31
/** The clock of a volume on which nothing was read or written yet. */
const CLOCK_FIRST = 1

export function allocKeys(spaces: readonly DeviceSpace[], journalSeq: number): KeyHeap {
  const heap = new KeyHeap()
  const key = new Key()
  const bucket = new Bucket()
  for (const space of spaces) {
    for (const [number, { type, sectors }] of space.used) {
      bucket.clear()
      bucket.journalSeqLo = journalSeq
      bucket.needDiscard = bucket.needIncGen = true
      bucket.dataType = type
      bucket.dirtySectors = sectors
      bucket.readTimeLo = bucket.writeTimeLo = CLOCK_FIRST
      heap.add(makeAllocV4(key, bpos(space.of.index, number), bucket))
    }
  }
  return heap
}

export function freespaceKeys(spaces: readonly DeviceSpace[]): KeyHeap {
  const heap = new KeyHeap()
  const key = new Key()
  for (const space of spaces) {
    for (const [start, end] of space.freeRuns()) {
      for (let at = start; at < end;) {
        const size = Math.min(end - at, RUN_MAX)
        at += size
        heap.add(key.make(KEY_TYPE_SET, bpos(space.of.index, at), NO_VALUE, size))
      }
    }
  }
  return heap
}

export function lruKeys(spaces: readonly DeviceSpace[]): KeyHeap {
  const heap = new KeyHeap()
  const key = new Key()
  for (const { of, used } of spaces) {
    for (const [number, { type, sectors }] of used) {
      if ((type !== DataType.btree && type !== DataType.user) || sectors >= of.bucketSectors) continue
      const fill = BigInt(Math.floor((sectors * FULL) / of.bucketSectors))
      const bucket = (BigInt(of.index) << 48n) | BigInt(number)
      heap.add(key.make(KEY_TYPE_SET, bpos(FRAGMENTATION_LRU | fill, bucket), NO_VALUE))
    }
  }
  return heap
}

/** Makes a key for each copy of each node, one after another the same object. */
export function* nodeBackpointers(
  spaces: readonly DeviceSpace[],
  trees: Iterable<TreeShape>,
  nodeSectors: number,
): Generator<Key, void> {
  const key = new Key()
  for (const { btree, levels } of trees) {
    for (const [level, nodes] of levels.entries()) {
      for (const { places, maxKey } of nodes) {
        for (const { device, sector } of places) {
          const { bucketSectors } = spaces[device].of
          const from = { btree, level: level + 1, dataType: DataType.btree, pos: maxKey, sectors: nodeSectors }
          yield makeBackpointer(key, device, sector, bucketSectors, from)
        }
      }
    }
  }
}

/** Counters by their position, to be added to. */
export class Counters {
  private readonly counts = new Map<string, { readonly pos: Uint32Array; readonly values: number[] }>()
  /** Of each inode with extents: its number in halves, how many extents, their sectors, and those of the devices. */
  private readonly inodes: number[] = []

  add(type: number, name: readonly number[], ...values: number[]): void {
    const pos = accountingPos(type, name)
    const id = pos.join()
    const present = this.counts.get(id)
    if (present === undefined) this.counts.set(id, { pos, values })
    else values.forEach((value, i) => (present.values[i] += value))
  }

  /** Counts an extent of an inode. Those of one inode come one after another. */
  addExtent(inodeHi: number, inodeLo: number, sectors: number, stored: number): void {
    const { inodes } = this
    const at = inodes.length - INODE_ROW
    if (at < 0 || inodes[at] !== inodeHi || inodes[at + 1] !== inodeLo) {
      inodes.push(inodeHi, inodeLo, 1, sectors, stored)
      return
    }
    inodes[at + 2]++
    inodes[at + 3] += sectors
    inodes[at + 4] += stored
  }

  /** How many there are. */
  get size(): number {
    return this.counts.size + this.inodes.length / INODE_ROW
  }

  /** Their keys; `journalSeq`: the entry as of which they hold. */
  keys(journalSeq: number): KeyHeap {
    const heap = new KeyHeap()
    const key = new Key()
    const bytes = new Uint8Array(8 * COUNTERS_MAX)
    const words = new Uint32Array(bytes.buffer)
    const add = (pos: Uint32Array, values: readonly number[]): void => {
      if (values.every((value) => value === 0)) return
      values.forEach((value, i) => {
        words[2 * i] = value
        words[2 * i + 1] = Math.floor(value / 0x100000000)
      })
      key.make(accounting.number, pos, bytes.subarray(0, 8 * values.length))
      key.words[1] = heap.count
      key.words[2] = journalSeq
      heap.add(key)
    }
    for (const { pos, values } of this.counts.values()) add(pos, values)
    const name = new CounterName()
    const { inodes } = this
    for (let at = 0; at < inodes.length; at += INODE_ROW) {
      add(name.inum(inodes[at], inodes[at + 1]), inodes.slice(at + 2, at + INODE_ROW))
    }
    return heap
  }
}

const INODE_ROW = 5
const COUNTERS_MAX = 3

/** Counts the buckets and sectors of each device by what they hold. */
export function countDevices(counters: Counters, spaces: readonly DeviceSpace[]): void {
  for (const space of spaces) {
    const { index, bucketSectors } = space.of
    counters.add(AccountingType.deviceDataType, [index, DataType.free], space.freeBuckets, 0, 0)
    for (const { type, sectors } of space.used.values()) {
      counters.add(AccountingType.deviceDataType, [index, type], 1, sectors, bucketSectors - sectors)
    }
  }
}

/** Counts the sectors of a btree's nodes, all copies. */
export function countTree(counters: Counters, { btree, levels }: TreeShape, nodeSectors: number): void {
  for (const { places } of levels.flat()) {
    const sectors = nodeSectors * places.length
    const devices = places.map(({ device }) => device).sort((a, b) => a - b)
    counters.add(AccountingType.btree, [btree, 0, 0, 0], sectors)
    counters.add(AccountingType.replicas, [DataType.btree, devices.length, 1, ...devices], sectors)
  }
}

/** The btrees that say where everything lies. */
export const ALLOC_INFO_BTREES = [
  BtreeId.alloc,
  BtreeId.lru,
  BtreeId.freespace,
  BtreeId.backpointers,
  BtreeId.accounting,
] as const
