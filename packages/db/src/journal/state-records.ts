/**
 * The records that say where the btrees begin and how far the counters have come. Every journal entry ends with them, so that the newest
 * one is enough; the superblock's section `clean` consists of them. Format chapter 3, 3.7.3 and 3.8.2.
 */

import type { Key } from '../key.ts'
import { JsetEntry } from './jset-layout.ts'
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

/** Adds the end of an entry. `isRecorded`: btrees whose roots are in the entry already. */
export function addTail(
  records: RecordWriter,
  state: LiveState,
  nowSeconds: bigint,
  isRecorded: (btree: number) => boolean,
): void {
  for (const { btree, level, pointer } of state.roots()) {
    if (!isRecorded(btree)) records.root(btree, level, pointer)
  }
  records.datetime(nowSeconds)
  addCounters(records, state)
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
