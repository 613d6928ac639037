/** How a file is opened: the words of `node:fs`, or its numbers. */

import { constants } from 'node:fs'
import type { OpenFlags } from './messages.ts'

/** As `node:fs` has them: `r`, `r+`, `w`, `wx`, `w+`, `wx+`, `a`, `ax`, `a+`, `ax+`, with an `s` too, which changes nothing; or O_RDONLY and its like. */
export type OpenMode = string | number

const WORDS: ReadonlyMap<string, OpenFlags> = new Map(
  (['r', 'r+', 'w', 'w+', 'wx', 'wx+', 'a', 'a+', 'ax', 'ax+'] as const).map((word) => [
    word,
    {
      reads: word.startsWith('r') || word.endsWith('+'),
      writes: word !== 'r',
      appends: word.startsWith('a'),
      creates: !word.startsWith('r'),
      isNew: word.includes('x'),
      truncates: word.startsWith('w'),
    },
  ]),
)

/** Throws TypeError for words that `node:fs` doesn't know either. */
export function openFlags(mode: OpenMode): OpenFlags {
  if (typeof mode === 'number') return flagsOfNumber(mode)
  const sorted = mode
    .replace('s', '')
    .replace(/^(.)\+x$/, '$1x+')
    .replace(/^x(.)/, '$1x')
  const flags = WORDS.get(sorted)
  if (flags === undefined) throw new TypeError(`the flags '${mode}' are none of those of node:fs`)
  return flags
}

function flagsOfNumber(mode: number): OpenFlags {
  const access = mode & (constants.O_RDONLY | constants.O_WRONLY | constants.O_RDWR)
  const has = (flag: number): boolean => (mode & flag) !== 0
  return {
    reads: access !== constants.O_WRONLY,
    writes: access !== constants.O_RDONLY,
    appends: has(constants.O_APPEND),
    creates: has(constants.O_CREAT),
    isNew: has(constants.O_CREAT) && has(constants.O_EXCL),
    truncates: has(constants.O_TRUNC),
  }
}
