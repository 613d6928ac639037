/**
 * The records that say where the btrees begin and how far the counters have come. Every journal entry ends with them, so that the newest
 * one is enough; the superblock's section `clean` consists of them. Format chapter 3, 3.7.3 and 3.8.2.
 */

import type { Key } from '../key.ts'
import { JsetEntry } from './jset-layout.ts'
import type { OpenEntry } from './open-entry.ts'
import { RecordWriter } from './record-write.ts'

/** The root of a btree, as it was journalled last. */
export interface LiveRoot {
  readonly btree: number
  /** Level of the root node itself. */
  readonly level: number
  readonly pointer: Key
}

/** Sectors read and written since the volume was made. */
interface IoClocks {
  readonly read: number
  readonly written: number
}

/** What the records are made of. */
export interface LiveState {
  readonly clocks: IoClocks
  /** All btrees that have a root, ascending by id; those of newer versions too. */
  roots(): Iterable<LiveRoot>
  /** Counter of the versions of encrypted extents. */
  keyVersion(): bigint
}

/** Time, key version and two clocks: their records, headers included. */
const COUNTERS_BYTES = 16 + 16 + 24 + 24

/** Bytes of the records at an entry's end at most. */
export function tailBytes(state: LiveState): number {
  let bytes = COUNTERS_BYTES
  for (const { pointer } of state.roots()) bytes += JsetEntry.size + pointer.u64s * 8
  return bytes
}

/**
 * The records at an entry's end. Roots rarely change: their records are kept from one entry to the next, which takes a quarter off the time
 * of a small entry.
 */
export class EntryTail {
  private readonly records = new RecordWriter()
  private readonly state: LiveState
  /** Bytes of the roots' records, if those are of all of them; else -1. */
  private rootBytes = -1

  constructor(state: LiveState) {
    this.state = state
  }

  /** Roots have changed. */
  forgetRoots(): void {
    this.rootBytes = -1
  }

  /** What belongs at the end of `entry`, without the roots that it has already. Valid until the next call. */
  of(entry: OpenEntry, nowSeconds: bigint): Uint8Array {
    const { records, state } = this
    if (entry.hasRoots || this.rootBytes < 0) {
      records.clear()
      for (const { btree, level, pointer } of state.roots()) {
        if (!entry.hasRoot(btree)) records.root(btree, level, pointer)
      }
      this.rootBytes = entry.hasRoots ? -1 : records.length
    } else records.clear(this.rootBytes)
    records.datetime(nowSeconds)
    addCounters(records, state)
    return records.bytes
  }
}

/** The records of the section `clean`. */
export function cleanRecords(state: LiveState): Uint8Array {
  const records = new RecordWriter()
  addCounters(records, state)
  for (const { btree, level, pointer } of state.roots()) records.root(btree, level, pointer)
  return records.bytes
}

function addCounters(records: RecordWriter, state: LiveState): void {
  records.keyVersion(state.keyVersion())
  records.clock(0, BigInt(state.clocks.read))
  records.clock(1, BigInt(state.clocks.written))
}
