/**
 * Writes the records of journal entries (`jset_entry`), and whole entries. Format chapter 3, 3.2, 3.3 and 3.7.3. The same records fill the
 * superblock's section `clean`.
 */

import { u64 } from '@cowherd/kernel-lib'
import { CHECKSUM_BYTES } from '../checksum.ts'
import { NonceUse } from '../encryption.ts'
import type { IntegritySeal } from '../integrity-seal.ts'
import type { Key } from '../key.ts'
import { JSET_ENCRYPTED_FROM, JSET_MAGIC, Jset, JsetEntry, JsetEntryType } from './jset-layout.ts'

/** Subtype of a `usage` record that holds the counter of versions of encrypted extents. */
const USAGE_KEY_VERSION = 2
const INITIAL_BYTES = 4096

export class RecordWriter {
  private memory = new Uint8Array(INITIAL_BYTES)
  private view = new DataView(this.memory.buffer)
  private used = 0

  /** What was written, back to back. Valid until the next record. */
  get bytes(): Uint8Array {
    return this.memory.subarray(0, this.used)
  }

  /** Bytes of what was written. */
  get length(): number {
    return this.used
  }

  /** Forgets what was written, but for the first `length` bytes. */
  clear(length = 0): void {
    this.used = length
  }

  /** One record; its data are filled up with zeros to whole u64s. */
  record(type: number, btree: number, level: number, data: Uint8Array): void {
    const size = Math.ceil(data.length / 8) * 8
    this.room(JsetEntry.size + size)
    JsetEntry.write(this.view, this.used, { u64s: size / 8, btreeId: btree, level, type, pad: undefined })
    this.memory.set(data, this.used + JsetEntry.size)
    this.used += JsetEntry.size + size
  }

  root(btree: number, level: number, pointer: Key): void {
    this.record(JsetEntryType.btreeRoot, btree, level, pointer.bytes.subarray(0, pointer.u64s * 8))
  }

  keyVersion(version: bigint): void {
    this.record(JsetEntryType.usage, USAGE_KEY_VERSION, 0, wordsOf(version))
  }

  /** Sectors read (0) or written (1) since the volume was made. */
  clock(direction: 0 | 1, sectors: bigint): void {
    this.record(JsetEntryType.clock, 0, 0, wordsOf(BigInt(direction), sectors))
  }

  datetime(seconds: bigint): void {
    this.record(JsetEntryType.datetime, 0, 0, wordsOf(seconds))
  }

  private room(bytes: number): void {
    if (this.used + bytes <= this.memory.length) return
    const larger = new Uint8Array(Math.max(2 * this.memory.length, this.used + bytes))
    larger.set(this.memory)
    this.memory = larger
    this.view = new DataView(larger.buffer)
  }
}

/** What a journal entry says of itself. */
export interface EntryDescription {
  readonly seq: bigint
  /** Oldest entry still needed. */
  readonly lastSeq: bigint
  readonly version: number
  /** First 8 bytes of the internal uuid as a little-endian number. */
  readonly uuidWord: bigint
  /** Of no account until a later entry was flushed; left out: it is a flush entry. */
  readonly isNoFlush?: boolean
}

/** The entry with `payload`, a row of records: encrypted, with its checksum, filled up with zeros to whole blocks. */
export function entryBytes(
  description: EntryDescription,
  payload: Uint8Array,
  seal: IntegritySeal,
  blockBytes: number,
): Uint8Array {
  const end = Jset.size + payload.length
  const entry = new Uint8Array(Math.ceil(end / blockBytes) * blockBytes)
  entry.set(payload, Jset.size)
  sealEntry(description, entry, payload.length, seal)
  return entry
}

/**
 * Makes `entry`, which has `payloadBytes` of records where they belong, complete: its header, encryption, checksum, and zeros behind
 * the records.
 */
export function sealEntry(
  { seq, lastSeq, version, uuidWord, isNoFlush = false }: EntryDescription,
  entry: Uint8Array,
  payloadBytes: number,
  seal: IntegritySeal,
): void {
  const end = Jset.size + payloadBytes
  Jset.write(new DataView(entry.buffer, entry.byteOffset, entry.length), 0, {
    csum: new Uint8Array(CHECKSUM_BYTES),
    magic: JSET_MAGIC ^ uuidWord,
    seq,
    version,
    flags: { csumType: seal.type, bigEndian: 0, noFlush: Number(isNoFlush) },
    u64s: payloadBytes / 8,
    readClock: 0,
    writeClock: 0,
    lastSeq: isNoFlush ? 0n : lastSeq,
  })
  entry.fill(0, end)
  const nonce = Uint32Array.of(0, Number(seq & 0xffffffffn), Number(seq >> 32n), NonceUse.journal)
  if (seal.isEncrypting) seal.encrypt(nonce, entry.subarray(JSET_ENCRYPTED_FROM, end))
  seal.sign(nonce, entry.subarray(CHECKSUM_BYTES, end), entry, 0)
}

function wordsOf(...words: bigint[]): Uint8Array {
  const bytes = new Uint8Array(words.length * u64.size)
  words.forEach((word, i) => u64.write(new DataView(bytes.buffer), i * u64.size, word))
  return bytes
}
