/** What a volume says to what it is asked to change, and the local filesystem to what is read of it: errors in words, and those after which nothing more can be done. */

import { VolumeError } from '@cowherd/db'
import { CommandError, ExitCode } from '../cli/exit-code.ts'
import { printable } from '../cli/text.ts'
import { pathText } from '../cli/volume-path.ts'
import { codeOf } from '../copy/destination.ts'
import type { Place } from './place.ts'
import type { WritableFiles } from './writable-files.ts'

/** Everything else would fail too. */
const HOPELESS: ReadonlySet<string> = new Set(['ENOSPC', 'EROFS'])

/**
 * What the volume said of the file at `path`, for a message. Throws CommandError if nothing more can be changed, and the error itself if it is
 * none of the volume.
 */
export function changeFailure(path: Uint8Array, error: unknown): string {
  if (!(error instanceof VolumeError)) throw error
  const text = `${pathText(path)}: ${reasonOf(error)}`
  if (HOPELESS.has(error.code)) throw new CommandError(ExitCode.incomplete, text, { cause: error })
  return text
}

/** The message without the place that it begins with. */
function reasonOf({ code, message, where }: VolumeError): string {
  const reason = where !== '' && message.startsWith(`${where}: `) ? message.slice(where.length + 2) : message
  return code === 'ENOSPC' ? `no space left on the volume (${reason})` : reason
}

/** Removes a file that is not whole. If that fails too, it is told. */
export function removeUnfinished(
  fs: WritableFiles,
  { directory, name, path }: Place,
  note: (text: string) => void,
): void {
  try {
    fs.unlink(directory, name)
  } catch (error) {
    if (!(error instanceof VolumeError)) throw error
    note(`${pathText(path)}: not whole, and can't be removed: ${reasonOf(error)}`)
  }
}

/** What the local filesystem said of a file. Throws what is none of its errors. */
export function sourceFailure(path: Uint8Array, error: unknown): string {
  const code = codeOf(error)
  if (code === '') throw error
  return sourceText(path, code)
}

/** The same, by the name of the error. */
export function sourceText(path: Uint8Array, code: string): string {
  return `${printable(path)}: ${SOURCE_MESSAGES[code] ?? `can't be read (${code})`}`
}

const SOURCE_MESSAGES: Readonly<Record<string, string>> = {
  ENOENT: 'no such file or directory',
  ENOTDIR: 'not a directory',
  EACCES: 'permission denied',
  EPERM: 'not permitted',
  ENAMETOOLONG: 'the path is too long',
}
