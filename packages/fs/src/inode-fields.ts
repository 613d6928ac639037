/**
 * The variable-length part of an inode: which fields follow one another in which version, how wide they are, and how they
 * are packed. Format chapter 5, 5.2.3, 5.2.4 and 5.2.13.
 *
 * A decoded field is two unsigned 32-bit halves, low first, at `2 * field` of an array of `FIELD_COUNT * 2` words.
 */

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
    const bits = FIELD_BITS[field]
    at = unpackVarint(bytes, at, end, fields, field * 2)
    if (at < 0) return false
    if (bits === TIME_BITS) {
      // Second half of the 96 bits: one byte, zero.
      if (at === end || bytes[at] !== 0) return false
      at++
    } else if (bits < 64 && !fits(fields, field * 2, bits)) {
      return false
    }
  }
  return true
}

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
    const field = order[i]
    const bits = FIELD_BITS[field]
    at = unpackOldVarint(bytes, at, end, fields, field * 2)
    if (at < 0) return false
    if (bits < 64 && !fits(fields, field * 2, bits)) return false
  }
  return true
}

function fits(fields: Uint32Array, at: number, bits: number): boolean {
  if (fields[at + 1] !== 0) return false
  return bits === 32 || fields[at] < 2 ** bits
}

/**
 * Reads one fast varint to `out[index]` (low half) and `out[index + 1]`. Returns the position behind it, or -1 when it
 * runs past `end`. The number of bytes is one more than the number of one bits below the lowest zero bit of the first byte.
 */
function unpackVarint(bytes: Uint8Array, at: number, end: number, out: Uint32Array, index: number): number {
  if (at >= end) return -1
  const first = bytes[at]
  if ((first & 1) === 0) {
    out[index] = first >>> 1
    out[index + 1] = 0
    return at + 1
  }
  const length = first === 0xff ? 9 : 32 - Math.clz32(~first & (first + 1))
  if (at + length > end) return -1
  if (length <= 4) {
    let word = first | (bytes[at + 1] << 8)
    if (length > 2) word |= bytes[at + 2] << 16
    if (length > 3) word |= bytes[at + 3] << 24
    out[index] = word >>> length
    out[index + 1] = 0
    return at + length
  }
  const from = length === 9 ? at + 1 : at
  const lo = littleEndian(bytes, from)
  let hi = 0
  for (let i = at + length - 1; i >= from + 4; i--) hi = (hi << 8) | bytes[i]
  if (length === 9) {
    out[index] = lo
    out[index + 1] = hi
  } else {
    out[index] = (lo >>> length) | (hi << (32 - length))
    out[index + 1] = hi >>> length
  }
  return at + length
}

const OLD_LENGTHS = [1, 2, 3, 4, 6, 8, 10, 13]

function unpackOldVarint(bytes: Uint8Array, at: number, end: number, out: Uint32Array, index: number): number {
  if (at >= end || bytes[at] === 0) return -1
  const first = bytes[at]
  const zeros = Math.clz32(first) - 24
  const length = OLD_LENGTHS[zeros] ?? 0
  if (at + length > end) return -1
  let lo = first & (0x7f >>> zeros)
  let hi = 0
  for (let i = at + 1; i < at + length; i++) {
    if (hi > 0xffffff) return -1 // more than 64 bits
    hi = ((hi << 8) | (lo >>> 24)) >>> 0
    lo = ((lo << 8) | bytes[i]) >>> 0
  }
  out[index] = lo
  out[index + 1] = hi
  return at + length
}

function littleEndian(bytes: Uint8Array, at: number): number {
  return bytes[at] | (bytes[at + 1] << 8) | (bytes[at + 2] << 16) | (bytes[at + 3] << 24)
}
