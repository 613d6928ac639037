/**
 * What points where: the back pointers that there should be, and the sectors that each pointer claims for itself. No two may claim the
 * same. Format chapter 4, 4.3.6, 4.5.2 and 4.11.6 to 4.11.7.
 */

import { bposText, btreeName, KEY_POS_AT, KEY_WORDS, type Key } from '@cowherd/db'
import { equalWords } from './equal.ts'
import type { Faults } from './faults.ts'

/** Positions are sectors times this, plus the offset inside the compressed unit. */
const SCALE = 1024
const VALUE_WORDS = 8
const POS_AT = 3
const FIRST_ROWS = 256

/** A pointer that is not a cached one. */
export interface Pointing {
  btree: number
  /** Of the node that holds the key; of a root's pointer: the root's level + 1. */
  level: number
  dataType: number
  key: Key
}

/** A row of sectors that belongs to a pointer: `row` is the back pointer's. */
interface Claim {
  readonly start: number
  readonly end: number
  /** Pieces of one compressed unit share all of it. */
  readonly isCompressed: boolean
  readonly row: number
}

export class Backpointers {
  private readonly faults: Faults
  /** By device: row of the position. */
  private readonly rowAt: Map<number, number>[] = []
  private readonly claims: Claim[][] = []
  /** Values that should be, 8 words each. */
  private values = new Uint32Array(FIRST_ROWS * VALUE_WORDS)
  private rows = 0

  constructor(faults: Faults, deviceCount: number) {
    this.faults = faults
    for (let device = 0; device < deviceCount; device++) {
      this.rowAt.push(new Map())
      this.claims.push([])
    }
  }

  /**
   * Takes a pointer: to `sector` of a device, of which it uses `sectors` sectors as far as accounting goes; `crcOffset` is where its data
   * starts in the unit that is stored there.
   */
  expect(
    { btree, level, dataType, key }: Pointing,
    device: number,
    bucketSectors: number,
    sector: number,
    crcOffset: number,
    sectors: number,
  ): number {
    const row = this.rows++
    if ((row + 1) * VALUE_WORDS > this.values.length) {
      const larger = new Uint32Array(2 * this.values.length)
      larger.set(this.values)
      this.values = larger
    }
    const { values } = this
    const at = row * VALUE_WORDS
    const offset = (sector % bucketSectors) * SCALE + crcOffset
    values[at] = btree | (level << 8) | (dataType << 16) | (offset << 24)
    values[at + 1] = Math.floor(offset / 0x100)
    values[at + 2] = sectors
    for (let i = 0; i < 5; i++) values[at + POS_AT + i] = key.words[KEY_POS_AT + i]
    const position = sector * SCALE + crcOffset
    const other = this.rowAt[device].get(position)
    if (other !== undefined) {
      this.faults.add(this.textOf(row), `points to device ${device} sector ${sector}, as ${this.textOf(other)} does`)
    }
    this.rowAt[device].set(position, row)
    return row
  }

  /** Says that the pointer of `row` needs sectors [start, end) for itself. */
  claim(device: number, start: number, end: number, isCompressed: boolean, row: number): void {
    this.claims[device].push({ start, end, isCompressed, row })
  }

  /** Compares a key of the btree with the pointer that it should be of. */
  check(key: Key): void {
    const place = `backpointers ${key.posText}`
    const device = key.inode
    if (device >= this.rowAt.length) {
      this.faults.add(place, 'backpointer_to_missing_device')
      return
    }
    const row = this.rowAt[device].get(key.offset)
    if (row === undefined) {
      this.faults.add(place, `backpointer_to_missing_ptr: ${valueText(key.words, KEY_WORDS)}`)
      return
    }
    this.rowAt[device].delete(key.offset)
    const isEqual =
      key.valueBytes === 4 * VALUE_WORDS &&
      equalWords(key.words, KEY_WORDS, this.values, row * VALUE_WORDS, VALUE_WORDS)
    if (isEqual) return
    const expected = valueText(this.values, row * VALUE_WORDS)
    this.faults.add(place, `backpointer_to_missing_ptr: ${valueText(key.words, KEY_WORDS)}, should be ${expected}`)
  }

  /** When all keys have been seen. */
  finish(): void {
    this.rowAt.forEach((rows, device) => {
      for (const [position, row] of rows) {
        this.faults.add(this.textOf(row), `ptr_to_missing_backpointer: device ${device} sector ${position / SCALE}`)
      }
    })
    this.claims.forEach((claims, device) => this.checkClaims(claims, device))
  }

  private checkClaims(claims: Claim[], device: number): void {
    claims.sort((a, b) => a.start - b.start || a.end - b.end)
    for (let i = 1, last = claims[0]; i < claims.length; i++) {
      const each = claims[i]
      const isSameUnit = each.isCompressed && last.isCompressed && each.start === last.start && each.end === last.end
      if (each.start < last.end && !isSameUnit) {
        const both = `${this.textOf(last.row)} (to ${last.end}) and ${this.textOf(each.row)}`
        this.faults.add(`device ${device} sector ${each.start}`, `used twice, by ${both}`)
      }
      if (each.end > last.end) last = each
    }
  }

  /** The key that points: `extents level 0 4098:8:U32_MAX`. */
  private textOf(row: number): string {
    const at = row * VALUE_WORDS
    const value = this.values[at]
    return `${btreeName(value & 0xff)} level ${(value >>> 8) & 0xff} ${bposText(this.values, at + POS_AT)}`
  }
}

function valueText(words: Uint32Array, at: number): string {
  const head = words[at]
  const offset = words[at + 1] * 0x100 + (head >>> 24)
  return (
    `btree=${head & 0xff} level=${(head >>> 8) & 0xff} type=${(head >>> 16) & 0xff} ` +
    `offset=${offset / SCALE} len=${words[at + 2]} pos=${bposText(words, at + POS_AT)}`
  )
}
