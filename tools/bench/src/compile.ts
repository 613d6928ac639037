/** C programs of ours, compiled on the spot as peers. */

import { spawnSync } from 'node:child_process'
import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** Compiles `c/NAME.c` with the machine's C compiler. Returns the program's path, or undefined if there is no compiler. */
export function compileC(name: string): string | undefined {
  const program = join(mkdtempSync(join(tmpdir(), 'cowherd-bench-')), name)
  const source = fileURLToPath(new URL(`../c/${name}.c`, import.meta.url))
  const { status, stderr, error } = spawnSync('cc', ['-O2', '-o', program, source], { encoding: 'utf8' })
  if (error !== undefined) return undefined
  if (status !== 0) throw new Error(`cc: ${stderr}`)
  return program
}
