/** What a volume says to what it is asked to change: errors in words, and those after which nothing more can be done. */

import { VolumeError } from '@cowherd/db'
import type { WritableFileSystem } from '@cowherd/fs'
import { CommandError, ExitCode } from '../cli/exit-code.ts'
import { pathText } from '../cli/volume-path.ts'
import type { Place } from './place.ts'

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
  fs: WritableFileSystem,
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
