/** How the data of a file is to be stored: as its inode says, else as the volume's options do. Format chapter 5, 5.2.10, and 6, 6.3. */

import type { DataOptions } from '@cowherd/db'
import { Field } from '../inode-fields.ts'
import type { Inode } from '../inode.ts'

const CHECKSUMS = ['none', 'crc32c', 'crc64', 'xxhash'] as const
const COMPRESSIONS = ['none', 'lz4', 'gzip', 'zstd'] as const
const REPLICAS_MAX = 3
const NOTHING = { type: 'none', level: 0 } as const

/** `options` are the volume's. */
export function dataOptions(inode: Inode, options: DataOptions): DataOptions {
  if (!hasOwn(inode)) return options
  // Such data is to be overwritten in place some day, which what is checksummed or compressed can't be.
  const isNocow = stored(inode, Field.nocow) === 2
  return {
    dataChecksum: isNocow ? 'none' : (CHECKSUMS[stored(inode, Field.dataChecksum) - 1] ?? options.dataChecksum),
    compression: isNocow ? NOTHING : compressionOf(inode, Field.compression, options.compression),
    backgroundCompression: isNocow
      ? NOTHING
      : compressionOf(inode, Field.backgroundCompression, options.backgroundCompression),
    dataReplicas: replicasOf(inode, options.dataReplicas),
    foregroundTarget: targetOf(inode, Field.foregroundTarget, options.foregroundTarget),
    backgroundTarget: targetOf(inode, Field.backgroundTarget, options.backgroundTarget),
  }
}

/** One more than the option's value, 0 where the inode has none. */
function stored({ fields }: Inode, field: number): number {
  return fields[2 * field]
}

const OPTION_FIELDS = [
  ...[Field.dataChecksum, Field.compression, Field.backgroundCompression, Field.dataReplicas],
  ...[Field.foregroundTarget, Field.backgroundTarget, Field.nocow],
]

function hasOwn(inode: Inode): boolean {
  for (const field of OPTION_FIELDS) if (stored(inode, field) !== 0) return true
  return false
}

function compressionOf(inode: Inode, field: number, fallback: DataOptions['compression']): DataOptions['compression'] {
  const value = stored(inode, field) - 1
  const type = value < 0 ? undefined : COMPRESSIONS[value & 0xf]
  return type === undefined ? fallback : { type, level: value >>> 4 }
}

function replicasOf(inode: Inode, fallback: number): number {
  const value = stored(inode, Field.dataReplicas) - 1
  return value < 1 ? fallback : Math.min(value, REPLICAS_MAX)
}

function targetOf(inode: Inode, field: number, fallback: number): number {
  const value = stored(inode, field)
  return value === 0 ? fallback : value - 1
}
