/** C programs compiled on the spot: ours, and examples that come with a library, as peers. */

import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** Compiles `c/NAME.c` with the machine's C compiler. Returns the program's path, or undefined if there is no compiler. */
export function compileC(name: string): string | undefined {
  return compile(fileURLToPath(new URL(`../c/${name}.c`, import.meta.url)), [])
}

/**
 * Compiles an example that came with a library which pkg-config knows. Returns the program's path, or undefined if there
 * is no compiler, or no such example or library.
 */
export function compileExample(source: string, library: string): string | undefined {
  if (!existsSync(source)) return undefined
  const { status, stdout } = spawnSync('pkg-config', ['--cflags', '--libs', library], { encoding: 'utf8' })
  return status === 0 ? compile(source, stdout.trim().split(/\s+/)) : undefined
}

function compile(source: string, flags: readonly string[]): string | undefined {
  const folder = mkdtempSync(join(tmpdir(), 'cowherd-bench-'))
  process.once('exit', () => rmSync(folder, { recursive: true }))
  const program = join(folder, basename(source, '.c'))
  const { status, stderr, error } = spawnSync('cc', ['-O2', '-o', program, source, ...flags], { encoding: 'utf8' })
  if (error !== undefined) return undefined
  if (status !== 0) throw new Error(`cc: ${stderr}`)
  return program
}
