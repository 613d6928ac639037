/** What the destination of a copy says to what it is asked: errors of system calls, in words. */

import { NativeError } from '@cowherd/shim'
import { CommandError, ExitCode } from '../cli/exit-code.ts'
import { printable } from '../cli/text.ts'

/** Errors after which nothing more can be copied. */
const HOPELESS: ReadonlySet<string> = new Set(['ENOSPC', 'EDQUOT', 'EROFS', 'EIO', 'ENODEV'])

/**
 * What the destination said of `target`, for a message. Throws CommandError if nothing more can be copied, and the error itself if it is
 * none of the destination.
 */
export function targetFailure(target: Uint8Array, error: unknown): string {
  const code = codeOf(error)
  if (code === '') throw error
  const text = `${printable(target)}: ${MESSAGES[code] ?? `can't be written (${code})`}`
  if (HOPELESS.has(code)) throw new CommandError(ExitCode.incomplete, text, { cause: error })
  return text
}

const MESSAGES: Readonly<Record<string, string>> = {
  EEXIST: 'exists already (--force replaces it)',
  EISDIR: 'is a directory',
  ENOTDIR: 'not a directory',
  ENOENT: 'no such directory',
  EACCES: 'permission denied',
  EPERM: 'not permitted',
  ENOSPC: 'no space left',
  EDQUOT: 'quota exceeded',
  EROFS: 'read-only file system',
  ENAMETOOLONG: 'the name is too long for the destination',
  EFBIG: 'too large for the destination',
  EILSEQ: 'a name that the destination does not take',
}

/** errno name of a failed system call, empty for other errors. */
export function codeOf(error: unknown): string {
  const isSystemError = error instanceof NativeError || (error instanceof Error && 'syscall' in error)
  return isSystemError && 'code' in error && typeof error.code === 'string' ? error.code : ''
}
