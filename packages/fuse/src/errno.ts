/** Numbers of errors, as the kernel takes them, and the error by which a filesystem answers a request with one. */

import { constants } from 'node:os'

export type ErrnoName = keyof typeof constants.errno

/** The number of an errno name. */
export function errnoNumber(name: ErrnoName): number {
  return constants.errno[name]
}

/** Thrown in an operation: the request is answered with this errno. */
export class FuseError extends Error {
  override readonly name = 'FuseError'
  readonly code: ErrnoName

  constructor(code: ErrnoName, message: string = code) {
    super(message)
    this.code = code
  }
}

/** The `code` of an error of Node or of a native call; EIO if it is something else. */
export function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : 'EIO'
}
