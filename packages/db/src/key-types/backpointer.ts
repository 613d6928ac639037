/**
 * Key type `backpointer`: which key points to this place of a device, at (device, (sector << 10) + offset inside the
 * compressed unit). Format chapter 4, 4.3.6.
 */

import { array, struct, u32, u8 } from '@cowherd/kernel-lib'
import { BPOS_BYTES, BPOS_WORDS, bposText, compareBpos, copyBpos, setBpos } from '../bpos.ts'
import { KEY_POS_AT, KEY_U64S, KEY_WORDS, type Key } from '../key.ts'
import type { KeyType } from '../key-type.ts'
import { dataTypeName } from '../data-types.ts'
import { btreeText } from './names.ts'

export const BackpointerValue = struct({
  btree: u8,
  level: u8, // of the node that holds the pointing key; for a pointer to a node: that node's level + 1
  dataType: u8,
  bucketOffset: array(u8, 5), // 40 bits: (sector inside the bucket << 10) + offset inside the unit
  bucketSectors: u32,
  pos: array(u8, BPOS_BYTES),
})

/** Positions are sectors scaled by 2^10, so that fragments of one compressed unit don't collide. */
const SECTOR_SCALE = 1024
const AT = BackpointerValue.offsets
const LENGTH = KEY_WORDS + AT.bucketSectors / 4
const POS = KEY_WORDS + AT.pos / 4

/** What a pointer to a place of a device says of itself. */
export interface PointingKey {
  readonly btree: number
  /** Of the node that holds the pointing key; for a pointer to a node: that node's level + 1. */
  readonly level: number
  readonly dataType: number
  /** Where the pointing key is. */
  readonly pos: Uint32Array
  /** Sectors of the device that it takes. */
  readonly sectors: number
  /** Where in the stored unit the key's own sectors start; left out: at its front. */
  readonly unitOffset?: number
}

/** Sets `pos` to that of the key for what lies at `sector` of a device. */
export function setBackpointerPos(pos: Uint32Array, device: number, sector: number, unitOffset: number): void {
  // In halves, as a sector's number has up to 44 bits.
  const low = (sector % 0x400000) * SECTOR_SCALE + unitOffset
  setBpos(pos, 0, device, Math.floor(sector / 0x400000) + Math.floor(low / 0x100000000), low >>> 0, 0)
}

/** Makes the key for what lies at `sector` of a device. */
export function makeBackpointer(
  key: Key,
  device: number,
  sector: number,
  bucketSectors: number,
  from: PointingKey,
): Key {
  const { words } = key
  const unitOffset = from.unitOffset ?? 0
  const inBucket = (sector % bucketSectors) * SECTOR_SCALE + unitOffset
  setBackpointerPos(position, device, sector, unitOffset)
  words.fill(0, 0, KEY_POS_AT)
  words[0] = (KEY_U64S + BackpointerValue.size / 8) | 0x100 | (backpointer.number << 16)
  for (let i = 0; i < BPOS_WORDS; i++) words[KEY_POS_AT + i] = position[i]
  words[KEY_WORDS] = from.btree | (from.level << 8) | (from.dataType << 16) | (inBucket << 24)
  words[KEY_WORDS + 1] = Math.floor(inBucket / 0x100)
  words[LENGTH] = from.sectors
  for (let i = 0; i < BPOS_WORDS; i++) words[POS + i] = from.pos[i]
  return key
}

/** The sector that a backpointer is of, or one shortly behind it, if it is of a part of a very large unit. */
export function sectorOf({ offsetHi, offsetLo }: Key): number {
  return offsetHi * 0x400000 + Math.floor(offsetLo / SECTOR_SCALE)
}

/** Whether a backpointer names the key of `btree` and `level` at `words[posAt]`. */
export function namesPointingKey(key: Key, btree: number, level: number, words: Uint32Array, posAt: number): boolean {
  const isOfNode = (key.words[KEY_WORDS] & 0xffff) === (btree | (level << 8))
  return key.type === backpointer.number && isOfNode && compareBpos(key.words, POS, words, posAt) === 0
}

/** Where the key is to which a backpointer leads. */
export class PointingPlace {
  btree = 0
  /** Of the node that holds the key; for a pointer to a node: that node's level + 1. */
  level = 0
  readonly pos = new Uint32Array(BPOS_WORDS)

  load({ words }: Key): void {
    this.btree = words[KEY_WORDS] & 0xff
    this.level = (words[KEY_WORDS] >>> 8) & 0xff
    copyBpos(this.pos, words, POS)
  }
}

const position = new Uint32Array(BPOS_WORDS)

export const backpointer: KeyType = {
  number: 28,
  name: 'backpointer',
  minValueBytes: BackpointerValue.size,
  check(key, _place, shape) {
    const member = key.inodeHi === 0 ? shape.member(key.inodeLo) : undefined
    if (member === undefined) return undefined
    const offset = bucketOffset(key)
    const bucket = Math.floor(Math.floor(key.offset / SECTOR_SCALE) / member.bucketSectors)
    const inBucket = Math.floor(offset / SECTOR_SCALE)
    const expected = bucket * member.bucketSectors * SECTOR_SCALE + offset
    if (inBucket < member.bucketSectors && key.offset === expected && key.snapshot === 0) return undefined
    return `backpointer_bucket_offset_wrong: offset ${offset} in bucket ${bucket}, position ${key.posText}`
  },
  print(key, shape) {
    const { words } = key
    const head = words[KEY_WORDS]
    const offset = bucketOffset(key)
    const inBucket = Math.floor(offset / SECTOR_SCALE)
    const member = key.inodeHi === 0 ? shape.member(key.inodeLo) : undefined
    let text = ''
    if (member !== undefined) {
      const bucket = Math.floor(Math.floor(key.offset / SECTOR_SCALE) / member.bucketSectors)
      // This is a position too, and printed as one.
      text = key.inodeLo === 0 && bucket === 0 ? 'bucket=POS_MIN ' : 'bucket=' + key.inodeLo + ':' + bucket + ':0 '
    }
    return (
      text +
      'btree=' +
      btreeText(head & 0xff) +
      ' l=' +
      ((head >>> 8) & 0xff) +
      ' offset=' +
      inBucket +
      ':' +
      (offset - inBucket * SECTOR_SCALE) +
      ' len=' +
      words[LENGTH] +
      ' pos=' +
      bposText(words, POS)
    )
  },
  describe(key) {
    const head = key.words[KEY_WORDS]
    return {
      btree: btreeText(head & 0xff),
      level: (head >>> 8) & 0xff,
      data_type: dataTypeName((head >>> 16) & 0xff),
      bucket_offset: bucketOffset(key),
      bucket_len: key.words[LENGTH],
      pos: bposText(key.words, POS),
    }
  },
}

function bucketOffset(key: Key): number {
  return key.words[KEY_WORDS + 1] * 0x100 + (key.words[KEY_WORDS] >>> 24)
}
