/** The manifest program: built once per version of its source, for the guest and for this machine alike. */

import { createHash } from 'node:crypto'
import fs from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { placeFolder } from './place.ts'
import { must } from './run.ts'

const SOURCE = fileURLToPath(new URL('../guest/manifest.c', import.meta.url))

/** Path of the program, static, built if need be. Needs a C compiler then. */
export async function manifestProgram(): Promise<string> {
  const version = createHash('sha256').update(fs.readFileSync(SOURCE)).digest('hex').slice(0, 12)
  const program = path.join(placeFolder(), `manifest-${version}`)
  if (fs.existsSync(program)) return program
  fs.mkdirSync(placeFolder(), { recursive: true })
  const draft = `${program}.${process.pid}`
  await must('gcc', ['-O2', '-Wall', '-static', '-o', draft, SOURCE])
  fs.renameSync(draft, program)
  return program
}

/**
 * What the tree at `directory` looks like, a line for each object: the columns are described in guest/manifest.c.
 * Throws RefereeError if a part of it can't be read.
 */
export async function manifest(directory: string): Promise<string> {
  return (await must(await manifestProgram(), [directory])).toString()
}
