/**
 * How much of the volume is used for what: the counters of the accounting btree that the allocator and `df` need, in memory. They are
 * loaded once, and follow each transaction as it is committed. Format chapter 4, 4.8 and 4.10.
 */

import { POS_MIN } from '../bpos.ts'
import type { KeyCursor } from '../btree/cursor.ts'
import { DataType } from '../data-types.ts'
import { accounting, AccountingType } from '../key-types/accounting.ts'
import { KEY_POS_AT, KEY_U64S, KEY_WORDS } from '../key.ts'
import { MEMBERS_MAX } from '../superblock/sections/members.ts'

/** Data types that counters of devices have: those of buckets, and `unstriped`. */
const TYPES = 11
const BYTE_VALUES = 256
/** Counters of a device and data type: buckets, sectors, fragmented sectors. */
const BUCKETS = 0
const SECTORS = 1
const FRAGMENTED = 2
const COUNTERS = 3

export class Usage {
  /** Inodes of all snapshots. */
  inodes = 0
  /** By device, data type and counter. */
  private readonly devices = new Float64Array(MEMBERS_MAX * TYPES * COUNTERS)
  /** Sectors of copies, by data type. */
  private readonly copies = new Float64Array(BYTE_VALUES)
  /** Sectors of promises, by the number of copies that they are for. */
  private readonly promises = new Float64Array(BYTE_VALUES)
  private readonly deltas = [0, 0, 0]

  /** Takes all counters from the accounting btree. Throws BtreeError. */
  load(cursor: KeyCursor): void {
    this.inodes = 0
    this.devices.fill(0)
    this.copies.fill(0)
    this.promises.fill(0)
    const { key } = cursor
    for (let found = cursor.seek(POS_MIN); found; found = cursor.next()) {
      if (key.type === accounting.number) this.applyKey(key.words, 0)
    }
  }

  /** Adds to the counters whose name is at `words[at]`. Those that nobody asks for are left out. */
  apply(words: Uint32Array, at: number, deltas: ArrayLike<number>): void {
    const name = words[at]
    const first = (name >>> 8) & 0xff
    const second = (name >>> 16) & 0xff
    switch (name & 0xff) {
      case AccountingType.inodes:
        this.inodes += deltas[0]
        break
      case AccountingType.persistentReserved:
        this.promises[first] += deltas[0]
        break
      case AccountingType.replicas:
        this.copies[first] += deltas[0]
        break
      case AccountingType.deviceDataType: {
        if (first >= MEMBERS_MAX || second >= TYPES) break
        const row = (first * TYPES + second) * COUNTERS
        for (let i = 0; i < COUNTERS && i < deltas.length; i++) this.devices[row + i] += deltas[i]
        break
      }
    }
  }

  /** The same with an unpacked accounting key at `words[at]`, whose counters are differences. */
  applyKey(words: Uint32Array, at: number): void {
    const { deltas } = this
    const counters = Math.min((words[at] & 0xff) - KEY_U64S, COUNTERS)
    deltas.fill(0)
    for (let i = 0; i < counters; i++) {
      const word = at + KEY_WORDS + 2 * i
      deltas[i] = (words[word + 1] | 0) * 0x100000000 + words[word]
    }
    this.apply(words, at + KEY_POS_AT, deltas)
  }

  buckets(device: number, dataType: number): number {
    return this.devices[(device * TYPES + dataType) * COUNTERS + BUCKETS]
  }
  sectors(device: number, dataType: number): number {
    return this.devices[(device * TYPES + dataType) * COUNTERS + SECTORS]
  }
  fragmentedSectors(device: number, dataType: number): number {
    return this.devices[(device * TYPES + dataType) * COUNTERS + FRAGMENTED]
  }

  /** Buckets of the device that are free, or will be without anything being moved. */
  reclaimableBuckets(device: number): number {
    const { free, cached, needGcGens, needDiscard } = DataType
    const buckets = (dataType: number): number => this.buckets(device, dataType)
    return buckets(free) + buckets(cached) + buckets(needGcGens) + buckets(needDiscard)
  }

  /** Sectors of all copies of a type of data. */
  copiesSectors(dataType: number): number {
    return this.copies[dataType]
  }

  /** Sectors of all copies of what files were promised. */
  get promisedSectors(): number {
    return this.promises.reduce((sum: number, sectors: number, copies: number) => sum + sectors * copies, 0)
  }
}
