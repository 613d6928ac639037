/**
 * The variable-length part of an inode: which fields follow one another in which version, how wide they are, and how they
 * are packed. Format chapter 5, 5.2.3, 5.2.4 and 5.2.13.
 *
 * A decoded field is two unsigned 32-bit halves, low first, at `2 * field` of an array of `FIELD_COUNT * 2` words.
 */

import { decodeOldVarint, decodeVarint, encodeVarint } from '@cowherd/kernel-lib'
import type { U64Halves } from '@cowherd/kernel-lib'

/** Fields by number, in the order of inode_v3; size and sectors, packed in the older versions only, come last. */
export const Field = {
  atime: 0,
  ctime: 1,
  mtime: 2,
  otime: 3,
  uid: 4,
  gid: 5,
  nlink: 6,
  generation: 7,
  dev: 8,
  dataChecksum: 9,
  compression: 10,
  project: 11,
  backgroundCompression: 12,
  dataReplicas: 13,
  promoteTarget: 14,
  foregroundTarget: 15,
  backgroundTarget: 16,
  erasureCode: 17,
  fieldsSet: 18,
  dir: 19,
  dirOffset: 20,
  subvol: 21,
  parentSubvol: 22,
  nocow: 23,
  size: 24,
  sectors: 25,
} as const

export const FIELD_COUNT = 26

/** On-disk names of the fields of inode_v3, by number. */
export const FIELD_NAMES: readonly string[] = [
  'bi_atime',
  'bi_ctime',
  'bi_mtime',
  'bi_otime',
  'bi_uid',
  'bi_gid',
  'bi_nlink',
  'bi_generation',
  'bi_dev',
  'bi_data_checksum',
  'bi_compression',
  'bi_project',
  'bi_background_compression',
  'bi_data_replicas',
  'bi_promote_target',
  'bi_foreground_target',
  'bi_background_target',
  'bi_erasure_code',
  'bi_fields_set',
  'bi_dir',
  'bi_dir_offset',
  'bi_subvol',
  'bi_parent_subvol',
  'bi_nocow',
]

/** Times take 96 bits on paper: a second integer, always zero, follows them in the fast encoding. */
const TIME_BITS = 96

const FIELD_BITS = Uint8Array.from([
  ...[TIME_BITS, TIME_BITS, TIME_BITS, TIME_BITS], // atime, ctime, mtime, otime
  ...[32, 32, 32, 32, 32], // uid, gid, nlink, generation, dev
  ...[8, 8, 32, 8, 8], // data_checksum, compression, project, background_compression, data_replicas
  ...[16, 16, 16, 16, 16], // promote, foreground and background target, erasure_code, fields_set
  ...[64, 64, 32, 32, 8], // dir, dir_offset, subvol, parent_subvol, nocow
  ...[64, 64], // size, sectors
])

/** Fields of inode_v3 in the order in which they are packed. */
export const FIELDS_V3 = Uint8Array.from({ length: 24 }, (_, field) => field)

/** Fields of inode and inode_v2 in the order in which they are packed. */
export const FIELDS_V2 = Uint8Array.from([
  ...[Field.atime, Field.ctime, Field.mtime, Field.otime, Field.size, Field.sectors],
  ...Array.from({ length: 19 }, (_, i) => Field.uid + i),
])

/** One for all calls. */
const value: U64Halves = { lo: 0, hi: 0 }

/**
 * Unpacks `count` fields in `order` from `bytes[at, end)`; fields behind those known are left alone.
 * False if the bytes are damaged: an integer runs past the end or does not fit its field.
 */
export function unpackFields(
  bytes: Uint8Array,
  at: number,
  end: number,
  count: number,
  order: Uint8Array,
  fields: Uint32Array,
): boolean {
  const known = count < order.length ? count : order.length
  for (let i = 0; i < known; i++) {
    const field = order[i]
    const size = decodeVarint(value, bytes, at, end)
    if (size === 0) return false
    at += size
    if (FIELD_BITS[field] === TIME_BITS) {
      // Second half of the 96 bits: one byte, zero.
      if (at === end || bytes[at] !== 0) return false
      at++
    }
    if (!store(fields, field)) return false
  }
  return true
}

/**
 * Packs the fields of inode_v3 to `bytes[at]`, where 10 are free for each of them, up to the last that isn't 0. Returns the end; how many they
 * are is in `packedFields.count`.
 */
export function packFields(bytes: Uint8Array, at: number, fields: Uint32Array): number {
  let count = FIELDS_V3.length
  while (count > 0 && fields[2 * (count - 1)] === 0 && fields[2 * (count - 1) + 1] === 0) count--
  for (let field = 0; field < count; field++) {
    at += encodeVarint(bytes, at, fields[2 * field], fields[2 * field + 1])
    if (FIELD_BITS[field] === TIME_BITS) bytes[at++] = 0
  }
  packedFields.count = count
  return at
}

/** What `packFields` found last. */
export const packedFields = { count: 0 }

/** The same for the oldest packing: one big-endian integer for each field. */
export function unpackOldFields(
  bytes: Uint8Array,
  at: number,
  end: number,
  count: number,
  order: Uint8Array,
  fields: Uint32Array,
): boolean {
  const known = count < order.length ? count : order.length
  for (let i = 0; i < known; i++) {
    const size = decodeOldVarint(value, bytes, at, end)
    if (size === 0 || !store(fields, order[i])) return false
    at += size
  }
  return true
}

/** False if the value does not fit its field. */
function store(fields: Uint32Array, field: number): boolean {
  const { lo, hi } = value
  const bits = FIELD_BITS[field]
  fields[2 * field] = lo
  fields[2 * field + 1] = hi
  return bits >= 64 || (hi === 0 && (bits === 32 || lo >>> bits === 0))
}
