/** What the driver prints: a line of JSON about where it runs, and one for each case. Described in c/harness/driver.c. */

import { PosixError } from './driver.ts'

/** Where the cases ran. */
export interface Place {
  /** As the table of mounts has it: `ext4`, `tmpfs`, `fuse.cowherd`, ... */
  readonly filesystem: string
  /** The kernel's release. */
  readonly kernel: string
  /** Whether it was root, with all that root may do. */
  readonly root: boolean
}

interface JudgedCase {
  /** `rename/over_directory`: the source file, and the case in it. */
  readonly name: string
  /** What must hold. */
  readonly title: string
  readonly elapsedMs: number
}

export interface PassedCase extends JudgedCase {
  readonly outcome: 'ok'
}

export interface FailedCase extends JudgedCase {
  readonly outcome: 'failed'
  /** File and line of the check that didn't hold, below src/c. */
  readonly at: string
  readonly expected: string
  readonly seen: string
}

export interface SkippedCase extends JudgedCase {
  readonly outcome: 'skipped'
  readonly reason: string
}

export type CaseResult = PassedCase | FailedCase | SkippedCase

/** All that a run has shown. */
export interface PosixRun extends Place {
  readonly results: readonly CaseResult[]
}

/** @throws PosixError if the line isn't what a driver prints first */
export function parsePlace(line: string): Place {
  const { filesystem, kernel, root } = fieldsOf(line)
  return { filesystem: text(filesystem), kernel: text(kernel), root: root === true }
}

/** @throws PosixError if the line isn't a case's result */
export function parseResult(line: string): CaseResult {
  const { name, title, ms, outcome, at, expected, seen, reason } = fieldsOf(line)
  const judged = { name: text(name), title: text(title), elapsedMs: Number(ms) }
  switch (outcome) {
    case 'ok':
      return { ...judged, outcome }
    case 'failed':
      return { ...judged, outcome, at: text(at), expected: text(expected), seen: text(seen) }
    case 'skipped':
      return { ...judged, outcome, reason: text(reason) }
    default:
      throw new PosixError(`the driver printed an outcome that nobody knows: ${line}`)
  }
}

function fieldsOf(line: string): Readonly<Record<string, unknown>> {
  let value: unknown
  try {
    value = JSON.parse(line)
  } catch (cause) {
    throw new PosixError(`the driver printed what isn't JSON: ${line}`, { cause })
  }
  if (typeof value !== 'object' || value === null) throw new PosixError(`the driver printed no fields: ${line}`)
  return Object.fromEntries(Object.entries(value))
}

function text(field: unknown): string {
  if (typeof field !== 'string') throw new PosixError('the driver left out a text')
  return field
}
