/**
 * The journal entry that is being filled: a row of records in memory, in the form in which they are written. Format chapter 3, 3.3. The same
 * memory serves one entry after another, and is never given back; nothing is allocated per record.
 */

import { BTREE_ID_MAX } from '../btree-ids.ts'
import type { IntegritySeal } from '../integrity-seal.ts'
import { KEY_U64S, type Key } from '../key.ts'
import { Jset, JsetEntry, JsetEntryType } from './jset-layout.ts'
import { sealEntry, type EntryDescription } from './record-write.ts'

/** What a key takes in an entry beyond its own bytes. */
export const RECORD_HEADER_BYTES = JsetEntry.size
/** What the name of a transaction takes in an entry. */
export const LOG_RECORD_BYTES = JsetEntry.size + 32
const LOG_WORDS = 8
const RECORD_HEADER_WORDS = JsetEntry.size / 4
const INITIAL_BYTES = 1 << 16
/** Of the first word of a key: without `needs_whiteout` and padding. */
const KEY_HEAD_MASK = 0x00ff7fff

export class OpenEntry {
  /** The records. A new view after `makeRoom`. */
  payload: Uint32Array
  private readonly maxBytes: number
  private buffer: ArrayBuffer
  /** Words of `payload` that are records, and up to where there may be some. */
  private used = 0
  private limit = 0
  private readonly rootsRecorded = new Uint8Array(BTREE_ID_MAX)
  private isWithRoots = false

  /** `maxBytes`: whole blocks. */
  constructor(maxBytes: number) {
    this.maxBytes = maxBytes
    this.buffer = new ArrayBuffer(Math.min(INITIAL_BYTES, maxBytes))
    this.payload = new Uint32Array(this.buffer, Jset.size)
  }

  get isEmpty(): boolean {
    return this.used === 0
  }

  /** Bytes of the records. */
  get bytes(): number {
    return this.used * 4
  }

  /** Makes room for records of `bytes` behind those that are there. */
  makeRoom(bytes: number): void {
    this.grow(Jset.size + this.bytes + bytes)
    this.limit = this.used + bytes / 4
  }

  /** Adds the unpacked key at `words[at]`. Returns its index in the records, in u64s. */
  key(btree: number, level: number, words: Uint32Array, at: number): number {
    return this.keyRecord(JsetEntryType.btreeKeys, btree, level, words, at)
  }

  /** Adds the name of the transaction whose records follow; what is beyond 32 bytes of ASCII is lost. */
  log(text: string): void {
    const to = this.begin(JsetEntryType.log, 0, 0, LOG_WORDS / 2)
    this.payload.fill(0, to, to + LOG_WORDS)
    const length = Math.min(text.length, 4 * LOG_WORDS)
    for (let i = 0; i < length; i++) {
      const code = text.charCodeAt(i)
      this.payload[to + (i >> 2)] |= (code < 0x80 ? code : 0x3f) << ((i & 3) * 8)
    }
  }

  /** Adds the pointer to a btree's root, which is at `level`. */
  root(btree: number, level: number, pointer: Key): void {
    this.keyRecord(JsetEntryType.btreeRoot, btree, level, pointer.words, 0)
    this.rootsRecorded[btree] = 1
    this.isWithRoots = true
  }

  /** Whether there is the root of any btree. */
  get hasRoots(): boolean {
    return this.isWithRoots
  }

  hasRoot(btree: number): boolean {
    return this.rootsRecorded[btree] === 1
  }

  /** Adds a row of records, whatever room there is. */
  append(records: Uint8Array): void {
    this.grow(Jset.size + this.bytes + records.length)
    new Uint8Array(this.buffer).set(records, Jset.size + this.bytes)
    this.used += records.length / 4
  }

  /** The entry as it is written, in whole blocks. Valid until the next record. */
  seal(description: EntryDescription, seal: IntegritySeal, blockBytes: number): Uint8Array {
    const length = Math.ceil((Jset.size + this.bytes) / blockBytes) * blockBytes
    this.grow(length)
    const entry = new Uint8Array(this.buffer, 0, length)
    sealEntry(description, entry, this.bytes, seal)
    return entry
  }

  reset(): void {
    this.used = 0
    this.limit = 0
    if (this.isWithRoots) this.rootsRecorded.fill(0)
    this.isWithRoots = false
  }

  private keyRecord(type: number, btree: number, level: number, words: Uint32Array, at: number): number {
    const head = words[at]
    const u64s = head & 0xff
    if (u64s < KEY_U64S || (head & 0x7f00) !== 0x100) throw new RangeError('not an unpacked key')
    const to = this.begin(type, btree, level, u64s)
    const { payload } = this
    payload[to] = head & KEY_HEAD_MASK
    for (let i = 1; i < 2 * u64s; i++) payload[to + i] = words[at + i]
    return to / 2
  }

  /** Writes the header of a record. Returns the word at which its data start. */
  private begin(type: number, btree: number, level: number, u64s: number): number {
    const at = this.used
    const data = at + RECORD_HEADER_WORDS
    if (data + 2 * u64s > this.limit) throw new RangeError('more is recorded than was reserved')
    this.payload[at] = u64s | (btree << 16) | (level << 24)
    this.payload[at + 1] = type
    this.used = data + 2 * u64s
    return data
  }

  private grow(bytes: number): void {
    if (bytes <= this.buffer.byteLength) return
    if (bytes > this.maxBytes) throw new RangeError(`a journal entry of ${bytes} bytes, ${this.maxBytes} at most`)
    const larger = new ArrayBuffer(Math.min(Math.max(2 * this.buffer.byteLength, bytes), this.maxBytes))
    new Uint8Array(larger).set(new Uint8Array(this.buffer, 0, Jset.size + this.bytes))
    this.buffer = larger
    this.payload = new Uint32Array(larger, Jset.size)
  }
}
