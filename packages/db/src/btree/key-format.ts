/**
 * The format of packed keys (`bkey_format`), format chapter 2, 2.2.3 to 2.2.5.
 *
 * Keys in a node are packed: each of the six header fields is stored in as few bits as the node's keys need, minus an
 * offset. A packed key is one little-endian number whose lowest 24 bits are the common header; the fields fill it from
 * the top bit downwards. Nodes are unpacked as a whole when they are loaded (`node-image.ts`) and packed when they are written
 * (`node-write.ts`), so nothing else knows of packing. How a node's format is chosen stands in `format-choice.ts`.
 */

import { array, struct, u64, u8 } from '@cowherd/kernel-lib'
import { KEY_BYTES, KEY_U64S } from '../key.ts'

/** Field order everywhere: inode, offset, snapshot, size, version hi, version lo. */
export const FIELD_BITS = [64, 64, 32, 32, 32, 64]
export const FIELDS = FIELD_BITS.length
/** Fields of the position: those before. */
export const SIZE_FIELD = 3
export const HEADER_BITS = 24
/** Word of the unpacked key (low half) in which each field lies. */
export const FIELD_WORD = [8, 6, 5, 4, 3, 1]

/** bkey_format, 56 bytes. */
export const KeyFormatLayout = struct({
  keyU64s: u8,
  fieldCount: u8,
  bitsPerField: array(u8, FIELDS),
  fieldOffset: array(u64, FIELDS),
})

/** A node's key format, prepared for packing and unpacking. One object is reused for all nodes. */
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
    this.placeFields()
    return undefined
  }

  /** Writes the format to byte `at` of `view`. */
  store(view: DataView, at: number): void {
    const layout = KeyFormatLayout.offsets
    view.setUint8(at + layout.keyU64s, this.keyU64s)
    view.setUint8(at + layout.fieldCount, FIELDS)
    for (let i = 0; i < FIELDS; i++) {
      view.setUint8(at + layout.bitsPerField + i, this.bits[i])
      view.setUint32(at + layout.fieldOffset + 8 * i, this.offsetLo[i], true)
      view.setUint32(at + layout.fieldOffset + 8 * i + 4, this.offsetHi[i], true)
    }
  }

  /** Where each field lies: from the top bit downwards. After `bits` or `keyU64s` were changed. */
  placeFields(): void {
    let low = this.keyU64s * 64
    for (let i = 0; i < FIELDS; i++) {
      low -= this.bits[i]
      this.lowBit[i] = low
    }
  }

  /** True if the header of the unpacked key at `words[at]` can be packed. */
  fits(words: Uint32Array, at: number): boolean {
    for (let i = 0; i < FIELDS; i++) {
      const word = at + FIELD_WORD[i]
      const hi = FIELD_BITS[i] === 64 ? words[word + 1] : 0
      const lo = words[word]
      const offsetHi = this.offsetHi[i]
      const offsetLo = this.offsetLo[i]
      if (hi < offsetHi || (hi === offsetHi && lo < offsetLo)) return false
      const restHi = (hi - offsetHi - (lo < offsetLo ? 1 : 0)) >>> 0
      if (bitLength(restHi, (lo - offsetLo) >>> 0) > this.bits[i]) return false
    }
    return true
  }

  /** Packs the unpacked key at `from[at]`, which fits, with its value, to `to[toAt]`. Returns its words. */
  pack(to: Uint32Array, toAt: number, from: Uint32Array, at: number): number {
    const keyWords = this.keyU64s * 2
    const valueWords = ((from[at] & 0xff) - KEY_U64S) * 2
    for (let i = 0; i < keyWords; i++) to[toAt + i] = 0
    to[toAt] = (this.keyU64s + valueWords / 2) | (from[at] & 0xff0000)
    for (let i = 0; i < FIELDS; i++) {
      const bits = this.bits[i]
      if (bits === 0) continue
      const word = at + FIELD_WORD[i]
      const lo = from[word]
      const low = this.lowBit[i]
      insert(to, toAt, low, bits < 32 ? bits : 32, (lo - this.offsetLo[i]) >>> 0)
      if (bits <= 32) continue
      insert(to, toAt, low + 32, bits - 32, (from[word + 1] - this.offsetHi[i] - (lo < this.offsetLo[i] ? 1 : 0)) >>> 0)
    }
    for (let i = 0; i < valueWords; i++) to[toAt + keyWords + i] = from[at + KEY_BYTES / 4 + i]
    return keyWords + valueWords
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

/** Number of bits of a 64-bit number without its leading zeros. */
export function bitLength(hi: number, lo: number): number {
  return hi !== 0 ? 64 - Math.clz32(hi) : 32 - Math.clz32(lo)
}

/** Puts the `count` (1 to 32) bits of `value` into the number at `words[at]`, from bit `low` on, where zeros are. */
function insert(words: Uint32Array, at: number, low: number, count: number, value: number): void {
  const index = at + (low >>> 5)
  const shift = low & 31
  words[index] |= value << shift
  if (shift + count > 32) words[index + 1] |= value >>> (32 - shift)
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
