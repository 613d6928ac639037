/**
 * Chooses the key format of a new node from the keys that it is going to hold: as few bits for each field as they need, what is left of
 * the last word spent on later keys. Format chapter 2, 2.2.6: as the reference does it, bit for bit.
 */

import { KEY_POS_AT } from '../key.ts'
import { bitLength, FIELD_BITS, FIELD_WORD, FIELDS, HEADER_BITS, SIZE_FIELD, type KeyFormat } from './key-format.ts'

/** Bits that the field size gets more than it needs: extents grow by merging. */
const SIZE_SPARE_BITS = 4

export class FormatChoice {
  private readonly minHi = new Uint32Array(FIELDS)
  private readonly minLo = new Uint32Array(FIELDS)
  private readonly maxHi = new Uint32Array(FIELDS)
  private readonly maxLo = new Uint32Array(FIELDS)

  /** Begins with a node that covers [minKey, maxKey]. */
  reset(minKey: Uint32Array, maxKey: Uint32Array): void {
    this.minHi.fill(0xffffffff)
    this.minLo.fill(0xffffffff)
    this.maxHi.fill(0)
    this.maxLo.fill(0)
    this.minHi[SIZE_FIELD] = this.minLo[SIZE_FIELD] = 0
    for (const pos of [minKey, maxKey]) {
      for (let i = 0; i < SIZE_FIELD; i++) this.widenField(i, pos, FIELD_WORD[i] - KEY_POS_AT)
    }
  }

  /** Takes the unpacked key at `words[at]` into account. */
  widen(words: Uint32Array, at: number): void {
    for (let i = 0; i < FIELDS; i++) this.widenField(i, words, at + FIELD_WORD[i])
  }

  /** Makes `format` the one that was found. */
  choose(format: KeyFormat): void {
    for (let i = 0; i < FIELDS; i++) {
      if (this.isAbove(i)) {
        this.minHi[i] = this.maxHi[i]
        this.minLo[i] = this.maxLo[i]
      }
      const borrow = this.maxLo[i] < this.minLo[i] ? 1 : 0
      const bits = bitLength((this.maxHi[i] - this.minHi[i] - borrow) >>> 0, (this.maxLo[i] - this.minLo[i]) >>> 0)
      setField(format, i, bits, this.minHi[i], this.minLo[i])
    }
    const size = format.bits[SIZE_FIELD]
    if (size > 0) widenBy(format, SIZE_FIELD, Math.min(SIZE_SPARE_BITS, FIELD_BITS[SIZE_FIELD] - size))

    let total = HEADER_BITS
    for (let i = 0; i < FIELDS; i++) total += format.bits[i]
    format.keyU64s = Math.ceil(total / 64)
    let spare = format.keyU64s * 64 - total
    for (let i = 0; i < FIELDS; i++) {
      const more = (8 - (format.bits[i] & 7)) & 7
      if (more > spare) continue
      widenBy(format, i, more)
      spare -= more
    }
    format.placeFields()
  }

  private widenField(i: number, words: Uint32Array, word: number): void {
    const lo = words[word]
    const hi = FIELD_BITS[i] === 64 ? words[word + 1] : 0
    if (hi < this.minHi[i] || (hi === this.minHi[i] && lo < this.minLo[i])) {
      this.minHi[i] = hi
      this.minLo[i] = lo
    }
    if (hi > this.maxHi[i] || (hi === this.maxHi[i] && lo > this.maxLo[i])) {
      this.maxHi[i] = hi
      this.maxLo[i] = lo
    }
  }

  /** Nothing was added to the field. */
  private isAbove(i: number): boolean {
    return this.minHi[i] > this.maxHi[i] || (this.minHi[i] === this.maxHi[i] && this.minLo[i] > this.maxLo[i])
  }
}

function widenBy(format: KeyFormat, i: number, bits: number): void {
  setField(format, i, format.bits[i] + bits, format.offsetHi[i], format.offsetLo[i])
}

/** The offset is lowered so far that no packed value can exceed the field. */
function setField(format: KeyFormat, i: number, wanted: number, offsetHi: number, offsetLo: number): void {
  const width = FIELD_BITS[i]
  const bits = Math.min(wanted, width)
  const isWhole = bits === width
  // the greatest offset: all ones but for the lowest `bits`
  const mostHi = width === 32 ? 0 : bits >= 32 ? (0xffffffff << (bits - 32)) >>> 0 : 0xffffffff
  const mostLo = bits >= 32 ? 0 : (0xffffffff << bits) >>> 0
  const isMore = offsetHi > mostHi || (offsetHi === mostHi && offsetLo > mostLo)
  format.bits[i] = bits
  format.offsetHi[i] = isWhole ? 0 : isMore ? mostHi : offsetHi
  format.offsetLo[i] = isWhole ? 0 : isMore ? mostLo : offsetLo
}
