/** Results of requests: what a call would return, or an errno as a negative number; Linux' way, on every system. */

import { constants } from 'node:os'

const numbers: Readonly<Record<string, number>> = constants.errno

/** The result that stands for an errno name; EIO for a name unknown here. */
export function resultOf(code: string): number {
  return -(numbers[code] ?? constants.errno.EIO)
}

/** The result that stands for what was thrown: by its `code`; EINVAL for a wrong use, EIO for anything else. */
export function resultOfError(error: unknown): number {
  if (error instanceof Error && 'code' in error && typeof error.code === 'string' && error.code in numbers) {
    return resultOf(error.code)
  }
  return resultOf(error instanceof RangeError || error instanceof TypeError ? 'EINVAL' : 'EIO')
}

/** The errno name of a negative result. */
export function errnoName(result: number): string {
  if (-result === numbers['EOPNOTSUPP']) return 'EOPNOTSUPP' // which Linux calls ENOTSUP as well
  return Object.keys(numbers).find((name) => numbers[name] === -result) ?? `errno ${-result}`
}
