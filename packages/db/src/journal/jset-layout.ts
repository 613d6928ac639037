/**
 * The layout of journal entries (`jset`) and of the records inside them (`jset_entry`), format chapter 3, 3.2 and 3.3. The same
 * records fill the superblock's section `clean`.
 */

import { bits32, bytes, pad, struct, u16, u32, u64, u8 } from '@cowherd/kernel-lib'

/** Header of a journal entry, 56 bytes; the payload follows. Encryption starts at byte 44. */
export const Jset = struct({
  csum: bytes(16),
  magic: u64,
  seq: u64,
  version: u32,
  flags: bits32({ csumType: [0, 4], bigEndian: [4, 5], noFlush: [5, 6] }),
  u64s: u32,
  readClock: u16,
  writeClock: u16,
  lastSeq: u64,
})

/** Header of a record, 8 bytes; `u64s` words of data follow. */
export const JsetEntry = struct({ u64s: u16, btreeId: u8, level: u8, type: u8, pad: pad(3) })

/** XORed with the first 8 bytes of the volume's internal uuid. */
export const JSET_MAGIC = 0x245235c1a3625032n
export const JSET_ENCRYPTED_FROM = Jset.offsets.readClock
/** Subtype of a `usage` record that holds the counter of versions of encrypted extents. */
export const USAGE_KEY_VERSION = 2
export const JOURNAL_ENTRY_MAX_BYTES = 4 << 20

export const JsetEntryType = {
  btreeKeys: 0,
  btreeRoot: 1,
  prioPtrs: 2,
  blacklist: 3,
  blacklistV2: 4,
  usage: 5,
  dataUsage: 6,
  clock: 7,
  devUsage: 8,
  log: 9,
  overwrite: 10,
  writeBufferKeys: 11,
  datetime: 12,
} as const

/** Names as the reference tools print them, by number. */
export const JSET_ENTRY_NAMES: readonly string[] = [
  'btree_keys',
  'btree_root',
  'prio_ptrs',
  'blacklist',
  'blacklist_v2',
  'usage',
  'data_usage',
  'clock',
  'dev_usage',
  'log',
  'overwrite',
  'write_buffer_keys',
  'datetime',
]

/** A record inside a payload. One object is reused while walking. */
export interface JsetRecord {
  type: number
  btree: number
  level: number
  /** Byte at which the record's data starts, and the byte behind it. */
  start: number
  end: number
}

/**
 * Calls `visit` for each record in bytes [from, to) of `view`. Returns what is wrong with the row of records, or undefined; the
 * records before the fault have been visited.
 */
export function walkRecords(
  view: DataView,
  from: number,
  to: number,
  visit: (record: JsetRecord) => void,
): string | undefined {
  const record: JsetRecord = { type: 0, btree: 0, level: 0, start: 0, end: 0 }
  const { offsets } = JsetEntry
  let at = from
  while (at < to) {
    if (at + JsetEntry.size > to) return `a record at byte ${at} is cut off`
    record.type = view.getUint8(at + offsets.type)
    record.btree = view.getUint8(at + offsets.btreeId)
    record.level = view.getUint8(at + offsets.level)
    record.start = at + JsetEntry.size
    record.end = record.start + view.getUint16(at + offsets.u64s, true) * 8
    if (record.end > to) return `the record at byte ${at} ends at ${record.end}, behind the payload's ${to}`
    visit(record)
    at = record.end
  }
  return undefined
}

/**
 * Calls `visit` with the byte offset of each unpacked key in bytes [from, to) of `view`. Returns what is wrong with the row of keys, or
 * undefined; keys before the fault have been visited.
 */
export function walkKeys(view: DataView, from: number, to: number, visit: (at: number) => void): string | undefined {
  let at = from
  while (at < to) {
    const u64s = view.getUint8(at)
    if (u64s < 5) return `a key of ${u64s} words at byte ${at}`
    if (at + u64s * 8 > to) return `the key at byte ${at} ends behind its record`
    if ((view.getUint8(at + 1) & 0x7f) !== 1) return `a key of unknown format at byte ${at}`
    visit(at)
    at += u64s * 8
  }
  return undefined
}
