/** Keys made by hand, and inodes packed independently of the code under test. */

import { KEY_BYTES, KEY_POS_AT, KEY_SIZE_AT, KEY_U64S, Key, bpos } from '@cowherd/db'
import type { DeviceShape, VolumeShape } from '@cowherd/db'

export interface KeyFields {
  type: number
  inode?: number | bigint
  offset?: number | bigint
  snapshot?: number
  size?: number
  /** Bytes, or hexadecimal digits (blanks and bars are skipped); padded with zeros to whole u64s. */
  value?: string | Uint8Array
}

export function keyOf(fields: KeyFields, key: Key = new Key()): Key {
  const value = typeof fields.value === 'string' ? bytesOfHex(fields.value) : (fields.value ?? new Uint8Array(0))
  key.words.fill(0)
  key.words[0] = (KEY_U64S + Math.ceil(value.length / 8)) | 0x100 | (fields.type << 16)
  key.words[KEY_SIZE_AT] = fields.size ?? 0
  key.words.set(bpos(fields.inode ?? 0, fields.offset ?? 0, fields.snapshot ?? 0), KEY_POS_AT)
  key.bytes.set(value, KEY_BYTES)
  return key
}

export function bytesOfHex(text: string): Uint8Array {
  const digits = text.replaceAll(/[^0-9a-f]/g, '')
  return Uint8Array.from({ length: digits.length / 2 }, (_, i) => Number.parseInt(digits.slice(2 * i, 2 * i + 2), 16))
}

export function littleEndian(value: bigint, length: number): number[] {
  return Array.from({ length }, (_, i) => Number((value >> BigInt(8 * i)) & 0xffn))
}

/** Packs as format chapter 5, 5.2.4 words it. */
export function fastVarint(value: bigint): number[] {
  const bits = value === 0n ? 1 : value.toString(2).length
  const length = Math.ceil(bits / 7)
  if (length > 8) return [0xff, ...littleEndian(value, 8)]
  return littleEndian((value << BigInt(length)) | ((1n << BigInt(length - 1)) - 1n), length)
}

/** Packs as the oldest inodes do: a marker bit, whose place in the first byte gives the length, before a big-endian number. */
export function oldVarint(value: bigint): number[] {
  const lengths = [1, 2, 3, 4, 6, 8, 10, 13]
  const zeros = lengths.findIndex((length, z) => value < 1n << BigInt(8 * length - z - 1))
  const length = lengths[zeros]
  const bytes = littleEndian(value, length).reverse()
  bytes[0] |= 0x80 >> zeros
  return bytes
}

const NAMED_FIELDS = [
  ...['uid', 'gid', 'nlink', 'generation', 'dev', 'dataChecksum', 'compression', 'project', 'backgroundCompression'],
  ...['dataReplicas', 'promoteTarget', 'foregroundTarget', 'backgroundTarget', 'erasureCode', 'fieldsSet', 'dir'],
  ...['dirOffset', 'subvol', 'parentSubvol'],
] as const
const TIMES = ['atime', 'ctime', 'mtime', 'otime'] as const

export interface InodeFields {
  mode?: number
  flags?: number
  strHash?: number
  hashSeed?: bigint
  journalSeq?: bigint
  size?: bigint
  sectors?: bigint
  fieldCount?: number
  [field: string]: bigint | number | undefined
}

/** The value of an inode of version 1 (`packing` chooses the integers), 2 or 3. */
export function inodeValue(version: 1 | 2 | 3, inode: InodeFields, packing: 'fast' | 'old' = 'fast'): Uint8Array {
  const get = (name: string): bigint => BigInt(inode[name] ?? 0)
  const names = version === 3 ? [...TIMES, ...NAMED_FIELDS, 'nocow'] : [...TIMES, 'size', 'sectors', ...NAMED_FIELDS]
  let count = names.length
  while (count > 0 && get(names[count - 1]) === 0n) count--
  const packed = names.slice(0, count).flatMap((name) => {
    if (packing === 'old') return oldVarint(get(name))
    return (TIMES as readonly string[]).includes(name) ? [...fastVarint(get(name)), 0] : fastVarint(get(name))
  })
  const fieldCount = BigInt(inode.fieldCount ?? count)
  const flags = BigInt(inode.flags ?? 0) | (BigInt(inode.strHash ?? 3) << 20n) | (fieldCount << 24n)
  const mode = BigInt(inode.mode ?? 0o100644)
  const seed = littleEndian(inode.hashSeed ?? 0n, 8)
  const head =
    version === 3
      ? [
          ...[...littleEndian(get('journalSeq'), 8), ...seed, ...littleEndian(flags | (6n << 31n) | (mode << 36n), 8)],
          ...[...littleEndian(get('sectors'), 8), ...littleEndian(get('size'), 8), ...littleEndian(0n, 8)],
        ]
      : version === 2
        ? [...littleEndian(get('journalSeq'), 8), ...seed, ...littleEndian(flags, 8), ...littleEndian(mode, 2)]
        : [...seed, ...littleEndian(flags | (packing === 'fast' ? 1n << 31n : 0n), 4), ...littleEndian(mode, 2)]
  return padded(Uint8Array.from([...head, ...packed]))
}

/** `bytes` with zeros up to a multiple of eight. */
export function padded(bytes: Uint8Array): Uint8Array {
  const whole = new Uint8Array(Math.ceil(bytes.length / 8) * 8)
  whole.set(bytes)
  return whole
}

/** The shape of a volume with one device. */
export const SHAPE: VolumeShape = {
  member: (index): DeviceShape | undefined =>
    index === 0 ? { firstBucket: 0, bucketCount: 512, bucketSectors: 256, durability: 1 } : undefined,
  btreeNodeSectors: 256,
  blockSectors: 8,
  encodedExtentMaxSectors: 128,
  encrypted: false,
  groupPath: () => undefined,
}
