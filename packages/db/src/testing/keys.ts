/** Keys and volume shapes made by hand, for tests of key types. */

import { BPOS_WORDS, bpos } from '../bpos.ts'
import { Key, KEY_BYTES, KEY_POS_AT, KEY_SIZE_AT, KEY_U64S } from '../key.ts'
import type { DeviceShape, VolumeShape } from '../key-type.ts'

/** The fields of a key; `value` as hexadecimal digits (blanks are skipped), padded with zeros to whole words. */
export interface KeyFields {
  type: number
  inode?: number | bigint
  offset?: number | bigint
  snapshot?: number
  size?: number
  versionLo?: number | bigint
  versionHi?: number
  value?: string | Uint8Array
}

export function keyOf(fields: KeyFields): Key {
  const key = new Key()
  const value = typeof fields.value === 'string' ? bytesOfHex(fields.value) : (fields.value ?? new Uint8Array(0))
  const version = BigInt(fields.versionLo ?? 0)
  key.words[0] = (KEY_U64S + Math.ceil(value.length / 8)) | 0x100 | (fields.type << 16)
  key.words[1] = Number(version & 0xffffffffn)
  key.words[2] = Number(version >> 32n)
  key.words[3] = fields.versionHi ?? 0
  key.words[KEY_SIZE_AT] = fields.size ?? 0
  const pos = bpos(fields.inode ?? 0, fields.offset ?? 0, fields.snapshot ?? 0)
  for (let i = 0; i < BPOS_WORDS; i++) key.words[KEY_POS_AT + i] = pos[i]
  key.bytes.set(value, KEY_BYTES)
  return key
}

export function bytesOfHex(text: string): Uint8Array {
  const digits = text.replaceAll(/\s/g, '')
  return Uint8Array.from({ length: digits.length / 2 }, (_, i) => Number.parseInt(digits.slice(2 * i, 2 * i + 2), 16))
}

/** A volume of `devices` equal devices. */
export function shapeOf(
  options: { devices?: number; bucketSectors?: number; bucketCount?: number; encrypted?: boolean } = {},
): VolumeShape {
  const device: DeviceShape = {
    firstBucket: 0,
    bucketCount: options.bucketCount ?? 512,
    bucketSectors: options.bucketSectors ?? 256,
    durability: 1,
  }
  return {
    member: (index) => (index < (options.devices ?? 1) ? device : undefined),
    btreeNodeSectors: 256,
    blockSectors: 8,
    encodedExtentMaxSectors: 128,
    encrypted: options.encrypted ?? false,
    groupPath: () => undefined,
  }
}
