/** Positions as the command line takes them: `inode[:offset[:snapshot]]`, and the names of the extremes. */

import { bpos, SPOS_MAX, type Bpos } from '@cowherd/db'
import { CommandError, ExitCode } from '../cli/exit-code.ts'

const U64_MAX = 0xffffffffffffffffn
const U32_MAX = 0xffffffffn

/** Parts left out are the least possible for a start, the greatest for an end. Throws CommandError for anything else. */
export function parsePosition(text: string, bound: 'start' | 'end'): Bpos {
  switch (text) {
    case 'POS_MIN':
      return bpos(0n, 0n, 0)
    case 'POS_MAX':
      return bpos(U64_MAX, U64_MAX, 0)
    case 'SPOS_MAX':
      return SPOS_MAX.slice()
  }
  const parts = text.split(':')
  const numbers = parts.map(parseNumber)
  const [inode, offset = missing(bound, U64_MAX), snapshot = missing(bound, U32_MAX)] = numbers
  if (inode === undefined || numbers.includes(undefined) || parts.length > 3 || snapshot > U32_MAX) {
    throw new CommandError(
      ExitCode.usage,
      `'${text}' is no position: inode:offset:snapshot, POS_MIN, POS_MAX or SPOS_MAX`,
    )
  }
  return bpos(inode, offset, Number(snapshot))
}

function parseNumber(text: string): bigint | undefined {
  if (text === 'U64_MAX') return U64_MAX
  if (text === 'U32_MAX') return U32_MAX
  const isNumber = /^(\d{1,20}|0x[\da-f]{1,16})$/i.test(text)
  const value = isNumber ? BigInt(text) : undefined
  return value !== undefined && value <= U64_MAX ? value : undefined
}

function missing(bound: 'start' | 'end', greatest: bigint): bigint {
  return bound === 'start' ? 0n : greatest
}
