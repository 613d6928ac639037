/**
 * One key with its value, in memory of its own, in the unpacked form of format chapter 2, 2.2.2.
 *
 * A cursor copies the key it stands on into its `Key`, so what a caller looks at can't be evicted or rewritten under it.
 * One `Key` serves a cursor for its whole life: no object is made per key. 64-bit fields are two unsigned halves.
 *
 *     byte  0 u64s | 1 format | 2 type | 3 pad | 4 bversion (lo 8, hi 4) | 16 size | 20 bpos | 40 value ...
 */

import { bposText, copyBpos, u64 } from './bpos.ts'

/** Header words (40 bytes) and the index of the words inside it. */
export const KEY_WORDS = 10
export const KEY_BYTES = 40
export const KEY_U64S = 5
export const KEY_SIZE_AT = 4
export const KEY_POS_AT = 5
/** Greatest size of a key with its value, in bytes and 32-bit words: u64s is one byte. */
export const KEY_MAX_BYTES = 255 * 8
export const KEY_MAX_WORDS = 510

/** Without what a node in memory notes in a key's pad byte (`node-editor.ts`). */
const HEADER_MASK = 0x00ffffff

export class Key {
  readonly words = new Uint32Array(KEY_MAX_WORDS)
  readonly bytes = new Uint8Array(this.words.buffer)
  readonly view = new DataView(this.words.buffer)

  /** Size of key and value in u64s; 0 when the cursor stands on nothing. */
  get u64s(): number {
    return this.words[0] & 0xff
  }
  get type(): number {
    return (this.words[0] >>> 16) & 0xff
  }
  get versionLo(): number {
    return this.words[1]
  }
  get versionMid(): number {
    return this.words[2]
  }
  get versionHi(): number {
    return this.words[3]
  }
  /** Length in sectors of an extent, 0 for other keys. */
  get size(): number {
    return this.words[KEY_SIZE_AT]
  }
  get snapshot(): number {
    return this.words[KEY_POS_AT]
  }
  get offsetLo(): number {
    return this.words[KEY_POS_AT + 1]
  }
  get offsetHi(): number {
    return this.words[KEY_POS_AT + 2]
  }
  get inodeLo(): number {
    return this.words[KEY_POS_AT + 3]
  }
  get inodeHi(): number {
    return this.words[KEY_POS_AT + 4]
  }
  /** Offset as a number: exact up to 2^53, as sectors and bucket numbers are. */
  get offset(): number {
    return this.words[KEY_POS_AT + 2] * 0x100000000 + this.words[KEY_POS_AT + 1]
  }
  /** Inode as a number: exact up to 2^53. */
  get inode(): number {
    return this.words[KEY_POS_AT + 4] * 0x100000000 + this.words[KEY_POS_AT + 3]
  }
  /** First sector of an extent: its position is its end. */
  get start(): number {
    return this.offset - this.size
  }
  /** Size of the value in bytes, a multiple of 8. The value starts at byte KEY_BYTES. */
  get valueBytes(): number {
    return (this.u64s - KEY_U64S) * 8
  }
  /** The value's bytes: a view, valid until the key changes. */
  get value(): Uint8Array {
    return this.bytes.subarray(KEY_BYTES, this.u64s * 8)
  }

  /** Copies the unpacked key at `from[at]`. The caller has checked that it lies inside `from`. */
  set(from: Uint32Array, at: number): void {
    const words = (from[at] & 0xff) * 2
    for (let i = 0; i < words; i++) this.words[i] = from[at + i]
    this.words[0] &= HEADER_MASK
  }

  /**
   * Makes it a key of `type` at `pos`, with a value that is filled up with zeros to whole u64s; version and size are 0. Throws RangeError if
   * the value is too long.
   */
  make(type: number, pos: Uint32Array, value: Uint8Array, size = 0): this {
    const u64s = KEY_U64S + Math.ceil(value.length / 8)
    if (u64s * 8 > KEY_MAX_BYTES) throw new RangeError(`a value of ${value.length} bytes`)
    this.words.fill(0, 0, u64s * 2)
    this.words[0] = u64s | 0x100 | (type << 16)
    this.words[KEY_SIZE_AT] = size
    copyBpos(this.words.subarray(KEY_POS_AT), pos)
    this.bytes.set(value, KEY_BYTES)
    return this
  }

  /** Version (96 bits) as one number, for printing. */
  get version(): bigint {
    return (BigInt(this.versionHi) << 64n) | u64(this.versionMid, this.versionLo)
  }

  /** Position as the reference tools print it. */
  get posText(): string {
    return bposText(this.words, KEY_POS_AT)
  }
}
