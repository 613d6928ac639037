/** Which errno a caller on the mount gets for an error of the volume: the one table of it. */

import { VolumeError, type ErrorCode } from '@cowherd/db'
import type { ErrnoName } from '@cowherd/fuse'
import { CodecError } from '@cowherd/kernel-lib'
import { DeviceError } from '@cowherd/shim'

const ERRNO: Readonly<Record<ErrorCode, ErrnoName>> = {
  EPERM: 'EPERM',
  EACCES: 'EACCES',
  EINVAL: 'EINVAL',
  EIO: 'EIO',
  ENOENT: 'ENOENT',
  EEXIST: 'EEXIST',
  ENOSPC: 'ENOSPC',
  ENODATA: 'ENODATA',
  ENOTDIR: 'ENOTDIR',
  EISDIR: 'EISDIR',
  ENOTEMPTY: 'ENOTEMPTY',
  EXDEV: 'EXDEV',
  EMLINK: 'EMLINK',
  EFBIG: 'EFBIG',
  ERANGE: 'ERANGE',
  ELOOP: 'ELOOP',
  ENAMETOOLONG: 'ENAMETOOLONG',
  EROFS: 'EROFS',
  EBUSY: 'EBUSY',
  ENODEV: 'EIO', // a member device is missing: to the caller the data can't be read
  EOPNOTSUPP: 'EOPNOTSUPP',
}

/** The errno for what an operation threw; undefined for an error that is none of the volume's but ours. */
export function errnoOf(error: unknown): ErrnoName | undefined {
  if (error instanceof VolumeError) return ERRNO[error.code]
  if (error instanceof DeviceError || error instanceof CodecError) return 'EIO'
  return undefined
}

/** What the volume's error says; throws it again if it is one of ours. */
export function volumeMessage(error: unknown): string {
  if (error instanceof Error && errnoOf(error) !== undefined) return error.message
  throw error
}
