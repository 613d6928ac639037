/** Programs run to their end. */

import { spawnSync } from 'node:child_process'

const LIMIT_MS = 120_000

/** Runs a program in a folder; returns what it printed. Throws Error with all of that if it fails or takes too long. */
export function run(program: string, args: readonly string[], folder: string): string {
  const { status, stdout, stderr, error } = spawnSync(program, args, {
    cwd: folder,
    encoding: 'utf8',
    timeout: LIMIT_MS,
    maxBuffer: 1 << 26,
  })
  if (error !== undefined) throw error
  if (status !== 0) throw new Error(`${[program, ...args].join(' ')} ended with ${status}:\n${stdout}${stderr}`)
  return stdout
}
