/** What the system says of a mounted volume's files, as the volume itself would say it. */

import { VolumeError, type ErrorCode } from '@cowherd/db'

/** Runs `action` on the file called `where`. Throws VolumeError in place of errors of system calls. */
export function asVolume<T>(where: { toString(): string }, action: () => T): T {
  try {
    return action()
  } catch (error) {
    throw toVolumeError(where, error)
  }
}

/** The error that commands understand, if `error` is one of a system call; else the same. */
export function toVolumeError(where: { toString(): string }, error: unknown): unknown {
  if (error instanceof VolumeError || !(error instanceof Error) || !('code' in error) || !('syscall' in error))
    return error
  const code = String(error.code)
  const [as, text] = MEANINGS.get(code) ?? ['EIO', `the mount says ${code}`]
  return new VolumeError(as, where.toString(), text, { cause: error })
}

const MEANINGS: ReadonlyMap<string, readonly [code: ErrorCode, text: string]> = new Map([
  ['EPERM', ['EPERM', 'not permitted']],
  ['EACCES', ['EACCES', 'permission denied']],
  ['EINVAL', ['EINVAL', 'the mount does not take that']],
  ['EIO', ['EIO', "can't be read or written"]],
  ['ENOENT', ['ENOENT', 'there is no such name']],
  ['EEXIST', ['EEXIST', 'is there already']],
  ['ENOSPC', ['ENOSPC', 'the volume is full']],
  ['EDQUOT', ['ENOSPC', 'a quota is used up']],
  ['ENODATA', ['ENODATA', 'there is no such attribute']],
  ['ENOTDIR', ['ENOTDIR', 'is no directory']],
  ['EISDIR', ['EISDIR', 'is a directory']],
  ['ENOTEMPTY', ['ENOTEMPTY', 'is not empty']],
  ['EXDEV', ['EXDEV', 'lies in another subvolume']],
  ['EMLINK', ['EMLINK', 'has too many names']],
  ['EFBIG', ['EFBIG', 'too large']],
  ['ERANGE', ['ERANGE', 'too large']],
  ['E2BIG', ['ERANGE', 'too large']],
  ['ELOOP', ['ELOOP', 'too many symbolic links']],
  ['ENAMETOOLONG', ['ENAMETOOLONG', 'the name is too long']],
  ['EROFS', ['EROFS', 'can only be read']],
  ['EBUSY', ['EBUSY', 'in use']],
  ['EOPNOTSUPP', ['EOPNOTSUPP', 'there is no such thing here']],
  ['ENOTSUP', ['EOPNOTSUPP', 'there is no such thing here']],
  ['ENOTCONN', ['EIO', 'the process of the mount has gone']],
  ['ECONNABORTED', ['EIO', 'the process of the mount has gone']],
])
