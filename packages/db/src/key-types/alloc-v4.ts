/** Key type `alloc_v4`: the state of a bucket, at (device, bucket). Format chapter 4, 4.3.1. */

import { bits32, struct, u32, u64, u8 } from '@cowherd/kernel-lib'
import { BPOS_WORDS } from '../bpos.ts'
import { KEY_POS_AT, KEY_U64S, KEY_WORDS, type Key } from '../key.ts'
import type { KeyType } from '../key-type.ts'
import { Bucket } from './bucket.ts'
import { DataType, dataTypeName } from '../data-types.ts'

export const AllocV4Value = struct({
  journalSeq: u64,
  flags: bits32({
    needDiscard: [0, 1],
    needIncGen: [1, 2],
    backpointersStart: [2, 8], // length of the fixed part in u64s
    backpointers: [8, 14], // obsolete, embedded behind the fixed part
  }),
  gen: u8,
  oldestGen: u8,
  dataType: u8,
  stripeRedundancy: u8,
  dirtySectors: u32,
  cachedSectors: u32,
  readTime: u64,
  writeTime: u64,
  stripe: u32,
  externalBackpointers: u32, // obsolete
  fragmentationLru: u64, // obsolete
  stripeSectors: u32,
  pad: u32,
})

/** Length of the fixed part where the value doesn't say: the oldest form. */
const OLDEST_START_U64S = 6
const EMBEDDED_BACKPOINTER_U64S = 4
const AT = AllocV4Value.offsets
const FLAGS = KEY_WORDS + AT.flags / 4
const TYPES = KEY_WORDS + AT.gen / 4
const STRIPE_SECTORS = KEY_WORDS + AT.stripeSectors / 4

/** Reads the value of an alloc_v4 key. Fields that an older form lacks are 0. */
export function loadAllocV4(bucket: Bucket, key: Key): void {
  loadFields(bucket, key)
  const start = backpointersStart(key.words[FLAGS]) * 8
  if (start <= AT.stripeSectors) dropFieldsFrom(bucket, start)
}

/** Makes the key of a bucket at `pos`, as it is written. */
export function makeAllocV4(key: Key, pos: Uint32Array, bucket: Bucket): Key {
  const { words } = key
  words.fill(0, 0, KEY_WORDS + AllocV4Value.size / 4)
  words[0] = (KEY_U64S + AllocV4Value.size / 8) | 0x100 | (allocV4.number << 16)
  for (let i = 0; i < BPOS_WORDS; i++) words[KEY_POS_AT + i] = pos[i]
  words[KEY_WORDS] = bucket.journalSeqLo
  words[KEY_WORDS + 1] = bucket.journalSeqHi
  words[FLAGS] = Number(bucket.needDiscard) | (Number(bucket.needIncGen) << 1) | ((AllocV4Value.size / 8) << 2)
  words[TYPES] = bucket.gen | (bucket.oldestGen << 8) | (bucket.dataType << 16) | (bucket.stripeRedundancy << 24)
  words[KEY_WORDS + AT.dirtySectors / 4] = bucket.dirtySectors
  words[KEY_WORDS + AT.cachedSectors / 4] = bucket.cachedSectors
  words[KEY_WORDS + AT.readTime / 4] = bucket.readTimeLo
  words[KEY_WORDS + AT.readTime / 4 + 1] = bucket.readTimeHi
  words[KEY_WORDS + AT.writeTime / 4] = bucket.writeTimeLo
  words[KEY_WORDS + AT.writeTime / 4 + 1] = bucket.writeTimeHi
  words[KEY_WORDS + AT.stripe / 4] = bucket.stripe
  words[STRIPE_SECTORS] = bucket.stripeSectors
  return key
}

/** In the unpacked key at `words[at]`: where its journal sequence number is `expected`, it becomes `seq`. */
export function setJournalSeq(words: Uint32Array, at: number, expected: number, seq: number): void {
  const low = at + KEY_WORDS
  if (words[low] !== expected >>> 0 || words[low + 1] !== Math.floor(expected / 0x100000000)) return
  words[low] = seq
  words[low + 1] = Math.floor(seq / 0x100000000)
}

/** Reads all fields that the value is long enough for. */
function loadFields(bucket: Bucket, key: Key): void {
  const { words } = key
  const flags = words[FLAGS]
  const types = words[TYPES]
  bucket.journalSeqLo = words[KEY_WORDS]
  bucket.journalSeqHi = words[KEY_WORDS + 1]
  bucket.needDiscard = (flags & 1) !== 0
  bucket.needIncGen = (flags & 2) !== 0
  bucket.gen = types & 0xff
  bucket.oldestGen = (types >>> 8) & 0xff
  bucket.dataType = (types >>> 16) & 0xff
  bucket.stripeRedundancy = types >>> 24
  bucket.dirtySectors = words[KEY_WORDS + AT.dirtySectors / 4]
  bucket.cachedSectors = words[KEY_WORDS + AT.cachedSectors / 4]
  bucket.readTimeLo = words[KEY_WORDS + AT.readTime / 4]
  bucket.readTimeHi = words[KEY_WORDS + AT.readTime / 4 + 1]
  bucket.writeTimeLo = words[KEY_WORDS + AT.writeTime / 4]
  bucket.writeTimeHi = words[KEY_WORDS + AT.writeTime / 4 + 1]
  bucket.stripe = words[KEY_WORDS + AT.stripe / 4]
  bucket.stripeSectors = key.valueBytes > AT.stripeSectors ? words[STRIPE_SECTORS] : 0
}

/** What lies where the embedded backpointers of older forms begin is no field. */
function dropFieldsFrom(bucket: Bucket, start: number): void {
  bucket.stripeSectors = 0
  if (start <= AT.stripe) bucket.stripe = 0
  if (start <= AT.writeTime) bucket.writeTimeLo = bucket.writeTimeHi = 0
  if (start <= AT.readTime) bucket.readTimeLo = bucket.readTimeHi = 0
  if (start <= AT.dirtySectors) bucket.dirtySectors = bucket.cachedSectors = 0
}

const scratch = new Bucket()

export const allocV4: KeyType = {
  number: 27,
  name: 'alloc_v4',
  beginsWithSeq: true,
  minValueBytes: 48,
  check(key) {
    const flags = key.words[FLAGS]
    const embedded = (flags >>> 8) & 0x3f
    const neededBytes = 8 * (backpointersStart(flags) + embedded * EMBEDDED_BACKPOINTER_U64S)
    if (neededBytes > key.valueBytes) return `alloc_v4_val_size_bad: ${key.valueBytes} bytes, ${neededBytes} needed`
    if (embedded !== 0 && ((flags >>> 2) & 0x3f) === 0) return 'alloc_v4_backpointers_start_bad'
    loadFields(scratch, key)
    return bucketFault(scratch)
  },
  print(key, shape) {
    loadAllocV4(scratch, key)
    return scratch.text(key, shape)
  },
  describe(key) {
    loadAllocV4(scratch, key)
    return scratch.describe()
  },
}

function backpointersStart(flags: number): number {
  return (flags >>> 2) & 0x3f || OLDEST_START_U64S
}

/** What in the bucket's fields contradicts itself. */
function bucketFault(bucket: Bucket): string | undefined {
  const { dataType, dirtySectors, stripeSectors, cachedSectors, stripe } = bucket
  const derived = bucket.derivedDataType(dataType)
  if (derived !== dataType) {
    return `alloc_key_data_type_bad: ${dataTypeName(dataType)}, should be ${dataTypeName(derived)}`
  }
  if (bucket.readTimeHi > 0xffff || bucket.writeTimeHi > 0xffff) return 'alloc_key_io_time_bad: more than 48 bits'
  const dirty = dirtySectors + stripeSectors
  switch (dataType) {
    case DataType.free:
    case DataType.needGcGens:
    case DataType.needDiscard:
      if (dirty !== 0 || cachedSectors !== 0 || stripe !== 0) {
        return `alloc_key_empty_but_have_data: ${dirty}.${cachedSectors}.${stripe}`
      }
      return undefined
    case DataType.sb:
    case DataType.journal:
    case DataType.btree:
    case DataType.user:
    case DataType.parity:
      return dirty === 0 ? `alloc_key_dirty_sectors_0: ${dataTypeName(dataType)}` : undefined
    case DataType.cached:
      // That a cached bucket has a read time is for fsck to ask, once the lru entries are checked.
      if (cachedSectors === 0 || dirty !== 0 || stripe !== 0) {
        return `alloc_key_cached_inconsistency: ${dirty}.${cachedSectors}.${stripe}`
      }
      return undefined
    default:
      return undefined
  }
}
