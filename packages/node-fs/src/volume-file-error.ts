/** Errors as those of `node:fs`: what reads their `code` there can read it here. */

import { constants } from 'node:os'
import { getSystemErrorMap } from 'node:util'
import type { Path } from './messages.ts'

/** A call failed. Fields as in errors of `node:fs`; the cause tells more, where the volume had more to say. */
export class VolumeFileError extends Error implements NodeJS.ErrnoException {
  readonly code: string
  /** Negative, as Node has it; 0 for a code that the system has no number for. */
  readonly errno: number
  readonly syscall: string
  readonly path?: string
  readonly dest?: string

  constructor(code: string, { syscall, path, dest }: CallPlace, options: { readonly cause?: unknown } = {}) {
    const errno = -(NUMBERS[code] ?? 0)
    const meaning = getSystemErrorMap().get(errno)?.[1] ?? 'unknown error'
    const where = [path, dest].filter((each) => each !== undefined).map((each) => `'${textOf(each)}'`)
    super(`${code}: ${meaning}, ${syscall}${where.length === 0 ? '' : ` ${where.join(' -> ')}`}`, options)
    this.code = code
    this.errno = errno
    this.syscall = syscall
    if (path !== undefined) this.path = textOf(path)
    if (dest !== undefined) this.dest = textOf(dest)
  }
}

const NUMBERS: Readonly<Record<string, number>> = constants.errno

/** What an error says of the call. */
export interface CallPlace {
  readonly syscall: string
  readonly path?: Path | undefined
  readonly dest?: Path | undefined
}

function textOf(path: Path): string {
  return typeof path === 'string' ? path : new TextDecoder().decode(path)
}
