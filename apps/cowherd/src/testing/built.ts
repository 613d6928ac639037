/** The program as a process of its own, for what can't be seen inside a test: signals, pipes, terminals. */

import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'

const APP = fileURLToPath(new URL('../..', import.meta.url))

let built: string | undefined

/** Path of the built program; builds it first where it is not up to date (a second where it is, once in a process). */
export function builtProgram(): string {
  built ??= build()
  return built
}

function build(): string {
  const compiler = createRequire(import.meta.url).resolve('typescript/bin/tsc')
  const { stdout } = spawnSync(process.execPath, [compiler, '-b', APP])
  const program = `${APP}dist/main.js`
  if (!existsSync(program)) throw new Error(`the program could not be built:\n${stdout.toString()}`)
  return program
}
