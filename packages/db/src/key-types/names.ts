/** Names that values are printed with, in the reference tools' words for numbers they don't know. */

import { BTREE_NAMES } from '../btree-ids.ts'
import { CHECKSUM_TYPES } from '../checksum.ts'
import { COMPRESSION_TYPES } from '../extent-entries.ts'

/** Types of compression in options; checksum entries count differently. */
const COMPRESSION_OPTIONS: readonly string[] = ['none', 'lz4', 'gzip', 'zstd']

export const csumTypeText = (type: number): string => CHECKSUM_TYPES[type]?.name ?? `(unknown csum_type ${type})`
export const compressionTypeText = (type: number): string =>
  COMPRESSION_TYPES[type] ?? `(unknown compression_type ${type})`
export const btreeText = (id: number): string => BTREE_NAMES[id] ?? '(unknown)'

/** A compression option: type in the low four bits, level above (0: the type's own default). Types unknown count as none. */
export function compressionOptionText(option: number): string {
  const type = option & 0xf
  const level = option >>> 4
  if (type === 0 || type >= COMPRESSION_OPTIONS.length) return 'none'
  const name = COMPRESSION_OPTIONS[type]
  return level === 0 ? name : `${name}:${level}`
}
