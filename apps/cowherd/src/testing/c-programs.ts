/** The programs in `c/`, compiled once in a process: what tests have done to a mount by calls that Node does not have. */

import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

export const SOURCES = fileURLToPath(new URL('c', import.meta.url))
export const hasCompiler = spawnSync('cc', ['--version']).status === 0

const compiled = new Map<string, string>()
let folder: string | undefined

type ProgramName = 'change-tree' | 'random-operations' | 'synced-files' | 'synced-rounds' | 'verified-blocks'

/** Linked statically, as they run in the guest of the referee too. */
const STATIC: ReadonlySet<string> = new Set(['change-tree'])

/** Path of the program that `c/NAME.c` is the source of. Throws if it can't be compiled. */
export function cProgram(name: ProgramName): string {
  const path = compiled.get(name) ?? compile(name)
  compiled.set(name, path)
  return path
}

function compile(name: string): string {
  folder ??= newFolder()
  const path = join(folder, name)
  const flags = ['-O2', '-Wall', ...(STATIC.has(name) ? ['-static'] : [])]
  const { status, stderr } = spawnSync('cc', [...flags, '-o', path, join(SOURCES, `${name}.c`)])
  if (status !== 0) throw new Error(`${name}.c could not be compiled:\n${stderr.toString()}`)
  return path
}

function newFolder(): string {
  const made = mkdtempSync(join(tmpdir(), 'cowherd-c-'))
  process.once('exit', () => rmSync(made, { recursive: true, force: true }))
  return made
}
