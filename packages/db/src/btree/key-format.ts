/**
 * The format of packed keys (`bkey_format`), format chapter 2, 2.2.3 to 2.2.5.
 *
 * Keys in a node are packed: each of the six header fields is stored in as few bits as the node's keys need, minus an
 * offset. A packed key is one little-endian number whose lowest 24 bits are the common header; the fields fill it from
 * the top bit downwards. Nodes are unpacked as a whole when they are loaded (see `node-image.ts`), so nothing else knows
 * of packing.
 */

import { array, struct, u64, u8 } from '@cowherd/kernel-lib'
import { KEY_BYTES, KEY_U64S } from '../key.ts'

/** Field order everywhere: inode, offset, snapshot, size, version hi, version lo. */
const FIELD_BITS = [64, 64, 32, 32, 32, 64]
const FIELDS = FIELD_BITS.length
const HEADER_BITS = 24
/** Word of the unpacked key (low half) in which each field lies. */
const FIELD_WORD = [8, 6, 5, 4, 3, 1]

/** bkey_format, 56 bytes. */
export const KeyFormatLayout = struct({
  keyU64s: u8,
  fieldCount: u8,
  bitsPerField: array(u8, FIELDS),
  fieldOffset: array(u64, FIELDS),
})

/** A node's key format, prepared for unpacking. One object is reused for all nodes. */
export class KeyFormat {
  keyU64s = 0
  readonly bits = new Uint8Array(FIELDS)
  readonly offsetLo = new Uint32Array(FIELDS)
  readonly offsetHi = new Uint32Array(FIELDS)
  /** Lowest bit of each field within the packed key. */
  private readonly lowBit = new Uint16Array(FIELDS)

  /** Takes the format at byte `at` of `view`. Says what is wrong with it, or returns undefined. */
  load(view: DataView, at: number): string | undefined {
    const layout = KeyFormatLayout.offsets
    this.keyU64s = view.getUint8(at + layout.keyU64s)
    const fieldCount = view.getUint8(at + layout.fieldCount)
    if (fieldCount !== FIELDS) return `${fieldCount} fields instead of ${FIELDS}`
    let total = HEADER_BITS
    for (let i = 0; i < FIELDS; i++) {
      const bits = view.getUint8(at + layout.bitsPerField + i)
      if (bits > FIELD_BITS[i]) return `field ${i} has ${bits} bits`
      total += bits
      this.bits[i] = bits
      this.offsetLo[i] = view.getUint32(at + layout.fieldOffset + 8 * i, true)
      this.offsetHi[i] = view.getUint32(at + layout.fieldOffset + 8 * i + 4, true)
      if (overflows(bits, this.offsetLo[i], this.offsetHi[i], FIELD_BITS[i])) return `field ${i} can overflow`
    }
    if (this.keyU64s !== Math.ceil(total / 64)) return `${this.keyU64s} words for ${total} bits`
    let low = this.keyU64s * 64
    for (let i = 0; i < FIELDS; i++) {
      low -= this.bits[i]
      this.lowBit[i] = low
    }
    return undefined
  }

  /**
   * Unpacks the key at `from[at]`, its value included, to `to[toAt]`. The caller has checked that the packed key's u64s is at
   * least `keyU64s` and lies inside `from`, and that the unpacked one fits `to` and 255 u64s. Returns its words.
   */
  unpack(to: Uint32Array, toAt: number, from: Uint32Array, at: number): number {
    const header = from[at]
    const valueWords = ((header & 0xff) - this.keyU64s) * 2
    to[toAt] = ((header & 0xff) - this.keyU64s + KEY_U64S) | 0x100 | (header & 0xff0000)
    for (let i = 0; i < FIELDS; i++) {
      let lo = 0
      let hi = 0
      const bits = this.bits[i]
      if (bits !== 0) {
        const low = this.lowBit[i]
        lo = extract(from, at, low, bits < 32 ? bits : 32)
        if (bits > 32) hi = extract(from, at, low + 32, bits - 32)
      }
      const word = toAt + FIELD_WORD[i]
      const sum = lo + this.offsetLo[i]
      to[word] = sum
      if (FIELD_BITS[i] === 64) to[word + 1] = hi + this.offsetHi[i] + (sum > 0xffffffff ? 1 : 0)
    }
    const value = at + this.keyU64s * 2
    const target = toAt + KEY_BYTES / 4
    for (let i = 0; i < valueWords; i++) to[target + i] = from[value + i]
    return KEY_BYTES / 4 + valueWords
  }
}

/** `count` (1 to 32) bits of the number that starts at `words[at]`, from bit `low` on. */
function extract(words: Uint32Array, at: number, low: number, count: number): number {
  const index = at + (low >>> 5)
  const shift = low & 31
  let value = words[index] >>> shift
  if (shift + count > 32) value |= words[index + 1] << (32 - shift)
  return (count === 32 ? value : value & ((1 << count) - 1)) >>> 0
}

/** True if offset + (2^bits - 1) exceeds the field's width, or an offset stands beside a field of full width. */
function overflows(bits: number, offsetLo: number, offsetHi: number, width: number): boolean {
  if (bits === width) return offsetLo !== 0 || offsetHi !== 0
  const greatest = (BigInt(offsetHi) << 32n) + BigInt(offsetLo) + (1n << BigInt(bits)) - 1n
  return greatest >= 1n << BigInt(width)
}
