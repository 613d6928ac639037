/**
 * run.js [NAME=VALUE...] PROGRAM [ARGUMENT...]: sets the workspace up if need be, then runs a program in it, with the
 * workspace's own programs (vitest, eslint, turbo, ...) on its PATH. The scripts of the root's package.json use it, so
 * that each works in a fresh clone. Exits as the program does.
 */

import { spawnSync } from 'node:child_process'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { ensureBuilt, ensureInstalled, SetupError, sourceFolders } from './index.js'

const root = fileURLToPath(new URL('../../..', import.meta.url))

/** @param {string[]} words */
function main(words) {
  /** @type {Record<string, string | undefined>} */
  const env = { DO_NOT_TRACK: '1', TURBO_TELEMETRY_DISABLED: '1', ...process.env }
  let [program, ...args] = words
  for (
    let named = /^([A-Z_]+)=(.*)$/.exec(program ?? '');
    named !== null;
    named = /^([A-Z_]+)=(.*)$/.exec(program ?? '')
  ) {
    env[named[1] ?? ''] = named[2]
    ;[program, ...args] = args
  }
  if (program === undefined) throw new SetupError('usage: run.js [NAME=VALUE...] PROGRAM [ARGUMENT...]')
  ensureInstalled(root)
  ensureBuilt(root, '.', sourceFolders)
  env['PATH'] = [path.join(root, 'node_modules', '.bin'), env['PATH']].join(path.delimiter)
  const { status, error } = spawnSync(program === 'node' ? process.execPath : program, args, {
    cwd: root,
    env,
    stdio: 'inherit',
    shell: process.platform === 'win32' && program !== 'node',
  })
  if (error !== undefined) throw new SetupError(`can't run ${program}: ${error.message}`)
  return status ?? 1
}

try {
  process.exitCode = main(process.argv.slice(2))
} catch (error) {
  if (!(error instanceof SetupError)) throw error
  process.stderr.write(`cowherd: ${error.message}\n`)
  process.exitCode = 1
}
