/** C programs compiled on the spot: ours, and examples that come with a library, as peers. */

import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { fileURLToPath } from 'node:url'

/**
 * Compiles `c/NAME.c` with the machine's C compiler, and libraries which pkg-config knows. Returns the program's path, or
 * undefined if there is no compiler, or no such library.
 */
export function compileC(name: string, ...libraries: readonly string[]): string | undefined {
  return compile(fileURLToPath(new URL(`../c/${name}.c`, import.meta.url)), libraries)
}

/**
 * Compiles an example that came with a library which pkg-config knows. Returns the program's path, or undefined if there
 * is no compiler, or no such example or library.
 */
export function compileExample(source: string, library: string): string | undefined {
  return existsSync(source) ? compile(source, [library]) : undefined
}

/** What the compiler is to be told for some libraries; undefined if there is one that pkg-config doesn't know. */
function flagsOf(libraries: readonly string[]): string[] | undefined {
  if (libraries.length === 0) return []
  const { status, stdout } = spawnSync('pkg-config', ['--cflags', '--libs', ...libraries], { encoding: 'utf8' })
  return status === 0 ? stdout.trim().split(/\s+/) : undefined
}

function compile(source: string, libraries: readonly string[]): string | undefined {
  const flags = flagsOf(libraries)
  if (flags === undefined) return undefined
  const folder = mkdtempSync(join(tmpdir(), 'cowherd-bench-'))
  process.once('exit', () => rmSync(folder, { recursive: true }))
  const program = join(folder, basename(source, '.c'))
  const { status, stderr, error } = spawnSync('cc', ['-O2', '-o', program, source, ...flags], { encoding: 'utf8' })
  if (error !== undefined) return undefined
  if (status !== 0) throw new Error(`cc: ${stderr}`)
  return program
}
