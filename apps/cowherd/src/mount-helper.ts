#!/usr/bin/env node
/**
 * `mount.fuse.cowherd`, as mount(8) calls it for the type fuse.cowherd when it is found in /sbin:
 *
 *     mount.fuse.cowherd SOURCE DIRECTORY [-sfnv] [-N NAMESPACE] [-o OPTIONS] [-t TYPE]
 *
 * The same as `cowherd mount SOURCE DIRECTORY -o OPTIONS`, with words left out that mount(8) adds: `rw`, which may mean no more than that nobody
 * has said `ro`.
 */

import { fileURLToPath } from 'node:url'
import { ExitCode } from './cli/exit-code.ts'

const USAGE = 'Usage: mount.fuse.cowherd SOURCE DIRECTORY [-sfnv] [-N NAMESPACE] [-o OPTIONS] [-t TYPE]\n'

const [source = '', directory = '', ...rest] = process.argv.slice(2)
const options: string[] = []
let isTrial = false
for (let i = 0; i < rest.length; i++) {
  const word = rest[i] ?? ''
  if (word === '-o') options.push(...(rest[++i] ?? '').split(',').filter((option) => option !== 'rw'))
  else if (word === '-t' || word === '-N') i++
  else if (/^-\w*f/.test(word)) isTrial = true
}
process.argv.splice(
  1,
  Infinity,
  fileURLToPath(new URL('./main.js', import.meta.url)),
  'mount',
  ...(options.length === 0 ? [] : ['-o', options.join(',')]),
  '--',
  source,
  directory,
)
if (directory === '') {
  process.stderr.write(USAGE)
  process.exitCode = ExitCode.usage
} else if (!isTrial) {
  await import('./main.ts')
}
