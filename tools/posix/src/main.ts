#!/usr/bin/env node
/**
 * cowherd-posix: whether a directory behaves as POSIX and Linux say.
 *
 *     npm run posix -- /mnt
 *     npm run posix -- /mnt 'rename/*' acl/stored
 *
 * Exits with 1 if a case failed that isn't known to, with 125 if they can't be run.
 */

import { parseArgs } from 'node:util'
import { faultsOf, PosixError, runPosix, tableOf, type CaseResult } from './index.ts'

const HELP = `usage: npm run posix -- [--timeout SECONDS] [--json] DIRECTORY [CASE]...

Runs a suite of POSIX conformance in a new directory in DIRECTORY, which is removed in the end.
A CASE is a name or a pattern: rename/over_file, 'rename/*'. As root, all cases run.

  --timeout SECONDS  how long a case may take (default 60)
  --json             prints results as they come, a line of JSON each, instead of a table
`
const CANNOT_JUDGE = 125

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      timeout: { type: 'string', default: '60' },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', short: 'h', default: false },
    },
  })
  const [directory, ...cases] = positionals
  if (values.help || directory === undefined) {
    process.stdout.write(HELP)
    return values.help ? 0 : CANNOT_JUDGE
  }
  const seconds = Number(values.timeout)
  if (!(seconds > 0)) throw new PosixError(`--timeout takes seconds, not '${values.timeout}'`)
  const stopped = new AbortController()
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => stopped.abort())
  const run = await runPosix(directory, {
    cases,
    timeoutMs: seconds * 1000,
    signal: stopped.signal,
    ...(values.json ? { onResult: printLine } : {}),
  })
  if (!values.json) process.stdout.write(`${tableOf(run)}\n`)
  return faultsOf(run).length === 0 ? 0 : 1
}

function printLine(result: CaseResult): void {
  process.stdout.write(`${JSON.stringify(result)}\n`)
}

try {
  process.exitCode = await main()
} catch (error) {
  if (!(error instanceof PosixError)) throw error
  process.stderr.write(`posix: ${error.message}\n`)
  process.exitCode = CANNOT_JUDGE
}
