/**
 * The driver, a C program: compiled on the spot, once for each version of its sources, and kept in a folder of the user's own
 * among the temporary files.
 */

import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'

/** The cases can't be run: no compiler, no such directory, a driver that ends before its time. */
export class PosixError extends Error {
  override readonly name = 'PosixError'
}

const SOURCES = fileURLToPath(new URL('../src/c', import.meta.url))
const HARNESS = 'harness'
const FLAGS = ['-std=gnu17', '-O1', '-g', '-Wall', '-D_GNU_SOURCE', '-D_FILE_OFFSET_BITS=64', '-I', HARNESS]

/** The C files of the suite, relative to its sources. */
export function suiteSources(): string[] {
  return cFiles().filter((file) => !file.startsWith('testing/'))
}

/** The C files of the harness alone: cases of one's own can be added. */
export function harnessSources(): string[] {
  return cFiles().filter((file) => file.startsWith(`${HARNESS}/`))
}

function cFiles(): string[] {
  return fs
    .readdirSync(SOURCES, { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.c'))
    .sort()
}

/**
 * Why the suite can't be run here, or undefined if it can: for `test.skipIf(...)`, and for the message that goes with it.
 */
export function posixAvailable(): string | undefined {
  if (process.platform !== 'linux') return 'the POSIX suite runs on Linux'
  if (spawnSync('cc', ['--version']).status !== 0) return 'the POSIX suite needs a C compiler, cc'
  return undefined
}

/**
 * Path of a driver made of these sources, built if need be.
 * @throws PosixError if there is no compiler, or if it fails
 */
export function compileDriver(sources: readonly string[]): string {
  const folder = ownFolder()
  const program = path.join(folder, `driver-${versionOf(sources)}`)
  if (fs.existsSync(program)) return program
  const unavailable = posixAvailable()
  if (unavailable !== undefined) throw new PosixError(unavailable)
  // Two who come at once each build their own; the last one put into place stays.
  const draft = `${program}.${process.pid}`
  const { status, stderr, error } = spawnSync('cc', [...FLAGS, '-o', draft, ...sources], {
    cwd: SOURCES,
    encoding: 'utf8',
  })
  if (error !== undefined || status !== 0) {
    throw new PosixError(`cc can't compile the POSIX suite:\n${error?.message ?? stderr}`)
  }
  fs.renameSync(draft, program)
  return program
}

/** What a program is made of: flags, and the text of all sources and headers. */
function versionOf(sources: readonly string[]): string {
  const hash = createHash('sha256').update(FLAGS.join(' '))
  for (const file of [`${HARNESS}/harness.h`, ...sources]) {
    hash.update(`\n${file}\n`).update(fs.readFileSync(path.join(SOURCES, file)))
  }
  return hash.digest('hex').slice(0, 16)
}

/** A folder that nobody else can put a program into. */
function ownFolder(): string {
  const uid = process.getuid?.() ?? 0
  const folder = path.join(os.tmpdir(), `cowherd-posix-${uid}`)
  fs.mkdirSync(folder, { recursive: true, mode: 0o711 })
  const status = fs.lstatSync(folder)
  if (!status.isDirectory() || status.uid !== uid || (status.mode & 0o022) !== 0) {
    throw new PosixError(`${folder} isn't a directory of this user's own`)
  }
  fs.chmodSync(folder, 0o711) // others may run what lies in it
  return folder
}
