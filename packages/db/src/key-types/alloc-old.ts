/**
 * Key types `alloc`, `alloc_v2` and `alloc_v3`: the state of a bucket on older volumes, fields of variable length. They are
 * read and converted. Format chapter 4, 4.3.3.
 */

import { decodeVarint, type U64Halves } from '@cowherd/kernel-lib'
import { KEY_BYTES, type Key } from '../key.ts'
import type { KeyType } from '../key-type.ts'
import { Bucket } from './bucket.ts'

/** Sizes in bytes of the fields of `alloc`, by their bit in its mask. */
const V1_FIELD_BYTES: readonly number[] = [2, 2, 1, 2, 2, 1, 4, 1]
const V1_FIELDS_AT = 2

export const alloc: KeyType = {
  number: 12,
  name: 'alloc',
  minValueBytes: 8,
  check: v1Fault,
  ...converted((bucket, key) => {
    loadV1(bucket, key)
    return true
  }),
}

export const allocV2: KeyType = {
  number: 20,
  name: 'alloc_v2',
  minValueBytes: 8,
  check: (key) => (loadV2(scratch, key) ? undefined : 'alloc_v2_unpack_error'),
  ...converted(loadV2),
}

export const allocV3: KeyType = {
  number: 24,
  name: 'alloc_v3',
  minValueBytes: 16,
  // The same error as of alloc_v2: so the reference counts it.
  check: (key) => (loadV3(scratch, key) ? undefined : 'alloc_v2_unpack_error'),
  ...converted(loadV3),
}

const scratch = new Bucket()
const number: U64Halves = { lo: 0, hi: 0 }

/** Reads the value of a key of one of these types. False if it is malformed, or the key of another type. */
export function loadOldAlloc(bucket: Bucket, key: Key): boolean {
  switch (key.type) {
    case alloc.number:
      if (v1Fault(key) !== undefined) return false
      loadV1(bucket, key)
      return true
    case allocV2.number:
      return loadV2(bucket, key)
    case allocV3.number:
      return loadV3(bucket, key)
    default:
      return false
  }
}

/** What is wrong with the value of a key of type `alloc`, or undefined. */
function v1Fault(key: Key): string | undefined {
  const mask = key.bytes[KEY_BYTES]
  let needed = V1_FIELDS_AT
  for (let i = 0; i < V1_FIELD_BYTES.length; i++) if ((mask & (1 << i)) !== 0) needed += V1_FIELD_BYTES[i]
  return needed > key.valueBytes ? `alloc_v1_val_size_bad: ${key.valueBytes} bytes, ${needed} needed` : undefined
}

function loadV1(bucket: Bucket, key: Key): void {
  bucket.clear()
  const mask = key.bytes[KEY_BYTES]
  bucket.gen = key.bytes[KEY_BYTES + 1]
  let at = KEY_BYTES + V1_FIELDS_AT
  for (let i = 0; i < V1_FIELD_BYTES.length; i++) {
    if ((mask & (1 << i)) === 0) continue
    const size = V1_FIELD_BYTES[i]
    let value = 0
    for (let byte = size - 1; byte >= 0; byte--) value = value * 256 + key.bytes[at + byte]
    at += size
    switch (i) {
      case 0:
        bucket.readTimeLo = value
        break
      case 1:
        bucket.writeTimeLo = value
        break
      case 2:
        bucket.dataType = value
        break
      case 3:
        bucket.dirtySectors = value
        break
      case 4:
        bucket.cachedSectors = value
        break
      case 5:
        bucket.oldestGen = value
        break
      case 6:
        bucket.stripe = value
        break
      case 7:
        bucket.stripeRedundancy = value
        break
    }
  }
}

/** False if a field runs past the value, or is too large. */
function loadV2(bucket: Bucket, key: Key): boolean {
  const { bytes } = key
  bucket.clear()
  bucket.gen = bytes[KEY_BYTES + 1]
  bucket.oldestGen = bytes[KEY_BYTES + 2]
  bucket.dataType = bytes[KEY_BYTES + 3]
  return loadVarints(bucket, key, bytes[KEY_BYTES], KEY_BYTES + 4)
}

function loadV3(bucket: Bucket, key: Key): boolean {
  const { bytes, view } = key
  bucket.clear()
  bucket.journalSeqLo = view.getUint32(KEY_BYTES, true)
  bucket.journalSeqHi = view.getUint32(KEY_BYTES + 4, true)
  bucket.needDiscard = (bytes[KEY_BYTES + 8] & 1) !== 0 // bit 1, need_inc_gen, is dropped
  bucket.gen = bytes[KEY_BYTES + 13]
  bucket.oldestGen = bytes[KEY_BYTES + 14]
  bucket.dataType = bytes[KEY_BYTES + 15]
  return loadVarints(bucket, key, bytes[KEY_BYTES + 12], KEY_BYTES + 16)
}

/** Read time, write time, dirty sectors, cached sectors, stripe, stripe redundancy; those that are missing are 0. */
function loadVarints(bucket: Bucket, key: Key, count: number, firstByte: number): boolean {
  const end = key.u64s * 8
  let at = firstByte
  for (let i = 0; i < Math.min(count, 6); i++) {
    const size = decodeVarint(number, key.bytes, at, end)
    if (size === 0) return false
    at += size
    const { lo, hi } = number
    if (i >= 2 && hi !== 0) return false
    switch (i) {
      case 0:
        bucket.readTimeLo = lo
        bucket.readTimeHi = hi
        break
      case 1:
        bucket.writeTimeLo = lo
        bucket.writeTimeHi = hi
        break
      case 2:
        bucket.dirtySectors = lo
        break
      case 3:
        bucket.cachedSectors = lo
        break
      case 4:
        bucket.stripe = lo
        break
      case 5:
        if (lo > 0xff) return false
        bucket.stripeRedundancy = lo
        break
    }
  }
  return true
}

function converted(load: (bucket: Bucket, key: Key) => boolean): Required<Pick<KeyType, 'print' | 'describe'>> {
  return {
    print(key, shape) {
      load(scratch, key)
      return scratch.text(key, shape)
    },
    describe(key) {
      load(scratch, key)
      return scratch.describe()
    },
  }
}
