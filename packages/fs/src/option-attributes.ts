/**
 * Options of an inode as the attributes that Linux makes of them: `bcachefs.NAME` for those set on the inode itself,
 * `bcachefs_effective.NAME` for all that are in force. Format chapter 5, 5.2.10 and 5.6.3.
 */

import type { VolumeShape } from '@cowherd/db'
import { Field } from './inode-fields.ts'
import type { Inode } from './inode.ts'

interface InodeOption {
  readonly name: string
  /** Its field; the stored value is one more than the option's, 0 where it is not set. */
  readonly field: number
  /** The option's value as text. */
  readonly text: (value: number, shape: VolumeShape) => string
}

const CHECKSUMS = ['none', 'crc32c', 'crc64', 'xxhash']
const COMPRESSIONS = ['none', 'lz4', 'gzip', 'zstd']
/** Targets: 0 is none, then devices, then groups. */
const TARGET_FIRST_DEVICE = 1
const TARGET_FIRST_GROUP = 257

/** In the order of their bits in bi_fields_set. */
const OPTIONS: readonly InodeOption[] = [
  { name: 'data_checksum', field: Field.dataChecksum, text: (value) => CHECKSUMS[value] ?? `${value}` },
  { name: 'compression', field: Field.compression, text: compressionText },
  { name: 'project', field: Field.project, text: decimal },
  { name: 'background_compression', field: Field.backgroundCompression, text: compressionText },
  { name: 'data_replicas', field: Field.dataReplicas, text: decimal },
  { name: 'promote_target', field: Field.promoteTarget, text: targetText },
  { name: 'foreground_target', field: Field.foregroundTarget, text: targetText },
  { name: 'background_target', field: Field.backgroundTarget, text: targetText },
  { name: 'erasure_code', field: Field.erasureCode, text: decimal },
  { name: 'nocow', field: Field.nocow, text: decimal },
]

/** Calls `visit` for each option attribute of `inode`, in the order in which Linux lists them. */
export function forEachOptionAttribute(
  inode: Inode,
  shape: VolumeShape,
  visit: (name: string, value: string) => void,
): void {
  for (const isEffective of [false, true]) {
    OPTIONS.forEach(({ name, field, text }, bit) => {
      const stored = inode.fields[2 * field]
      const isSet = ((inode.fieldsSet >>> bit) & 1) === 1
      if (stored === 0 || !(isEffective || isSet)) return
      visit((isEffective ? 'bcachefs_effective.' : 'bcachefs.') + name, text(stored - 1, shape))
    })
  }
}

function decimal(value: number): string {
  return `${value}`
}

function compressionText(value: number): string {
  const level = value >>> 4
  return (COMPRESSIONS[value & 0xf] ?? `${value & 0xf}`) + (level === 0 ? '' : `:${level}`)
}

function targetText(value: number, shape: VolumeShape): string {
  if (value < TARGET_FIRST_DEVICE) return 'none'
  if (value < TARGET_FIRST_GROUP) {
    const device = value - TARGET_FIRST_DEVICE
    return shape.deviceName?.(device) ?? `device ${device}`
  }
  return shape.groupPath(value - TARGET_FIRST_GROUP) ?? `group ${value - TARGET_FIRST_GROUP}`
}
