/**
 * The error of mounting and unmounting, and how the messages of mount(8), umount(8) and fusermount3 become one.
 */

import { codeOf } from './errno.ts'

/** Mounting or unmounting failed. `code` is the errno name; the message is one line that begins with the directory. */
export class MountError extends Error {
  override readonly name = 'MountError'
  readonly code: string
  /** The directory as the user gave it. */
  readonly directory: string

  constructor(code: string, directory: string, message: string, options?: { cause?: unknown }) {
    super(`${directory}: ${message}`, options)
    this.code = code
    this.directory = directory
  }
}

/** The error for a program that couldn't be started, or was stopped because it took too long. */
export function programProblem(program: string, directory: string, error: unknown): MountError {
  const code = codeOf(error)
  const texts: Readonly<Record<string, string>> = {
    ENOENT: `is missing (Debian: package ${PACKAGES[program]})`,
    ETIMEDOUT: "doesn't come to an end",
  }
  const text = texts[code] ?? `can't be started (${code})`
  return new MountError(code, directory, `the program ${program} ${text}`, { cause: error })
}

const PACKAGES: Readonly<Record<string, string>> = { mount: 'mount', umount: 'mount', fusermount3: 'fuse3' }

/** For the programs that we start: their messages are told apart by words, so they must be English. */
export function plainEnvironment(): NodeJS.ProcessEnv {
  return { ...process.env, LC_ALL: 'C', LANGUAGE: 'C' }
}

/** What a program that failed printed: its first line, without the program's name and the directory before it. */
export function complaint(program: string, directory: string, output: string): string {
  let line = output.trim().split('\n')[0] ?? ''
  for (const prefix of [`${program}: `, `${directory}: `]) {
    if (line.startsWith(prefix)) line = line.slice(prefix.length)
  }
  return line === '' ? `${program} failed without a message` : line
}

/** The errno name that a message of mount(8), umount(8) or fusermount3 stands for. */
export function codeOfComplaint(text: string): string {
  return CODES.find(([words]) => words.test(text))?.[1] ?? 'EIO'
}

const CODES: readonly (readonly [RegExp, string])[] = [
  [/\bbusy\b/i, 'EBUSY'],
  [/not permitted|permission|superuser|forbidden|no write access|not owned by|only allowed if|access denied/i, 'EPERM'],
  [/not mounted|no mount point|not found in|invalid argument|bad option|bad usage|unknown parameter/i, 'EINVAL'],
  [/unknown filesystem type|no such device/i, 'ENODEV'],
  [/does not exist|no such file/i, 'ENOENT'],
]
