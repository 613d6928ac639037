/** Errors between threads: as numbers of the system. */

import { constants } from 'node:os'

const numbers: Readonly<Record<string, number>> = constants.errno

/** The number of what was thrown: negative. */
export function numberOf(error: unknown): number {
  const code = error instanceof Error && 'code' in error ? String(error.code) : ''
  return -(numbers[code] ?? constants.errno.EIO)
}

/** The name of such a number. */
export function nameOf(number: number): string {
  return Object.keys(numbers).find((name) => numbers[name] === -number) ?? 'EIO'
}
