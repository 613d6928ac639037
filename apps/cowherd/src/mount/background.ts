/**
 * Mounting in the background: a process of its own, started anew because Node can't fork. Its starter waits until the mount stands, passes
 * on what is said until then, and ends as it says. They talk through a pipe: lines of JSON.
 */

import { spawn } from 'node:child_process'
import { closeSync, openSync, writeSync } from 'node:fs'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import { CommandError, ExitCode } from '../cli/exit-code.ts'

/** What the process in the background says to its starter. */
type Report =
  | { readonly kind: 'note'; readonly text: string }
  | { readonly kind: 'ready'; readonly pid: number }
  | { readonly kind: 'failed'; readonly text: string; readonly exitCode: ExitCode }

/** The descriptor of the pipe in the process in the background. */
export const REPORT_FD = 3

export interface BackgroundOptions {
  /** The words of the command line, without node and script; what they name must not depend on the working directory. */
  readonly argv: readonly string[]
  /** Given to the process on its standard input. */
  readonly passphrase: Uint8Array | undefined
  /** A file that its messages go to, in place of the system's log. */
  readonly log: string | undefined
  readonly note: (text: string) => void
}

/** Starts this program again in the background. Resolves when it reports that the mount stands; throws CommandError if it fails. */
export async function startInBackground({ argv, passphrase, log, note }: BackgroundOptions): Promise<void> {
  const output = log === undefined ? 'ignore' : openLog(log)
  const script = process.argv[1] ?? ''
  const child = spawn(process.execPath, [...process.execArgv, script, ...argv], {
    cwd: '/',
    detached: true,
    stdio: [passphrase === undefined ? 'ignore' : 'pipe', output, output, 'pipe'],
  })
  if (typeof output === 'number') closeSync(output)
  child.stdin?.on('error', () => undefined) // it ended early: its report tells
  child.stdin?.end(passphrase)
  const ended = new Promise<number | null>((resolve) => child.once('exit', resolve))
  for await (const line of createInterface({ input: child.stdio[REPORT_FD] as Readable })) {
    const report = JSON.parse(line) as Report
    if (report.kind === 'note') note(report.text)
    else if (report.kind === 'failed') throw new CommandError(report.exitCode, report.text)
    else {
      child.unref()
      return
    }
  }
  throw new CommandError(ExitCode.bug, `the process in the background ended without a word (${await ended})`)
}

function openLog(path: string): number {
  try {
    return openSync(path, 'a')
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error)
    throw new CommandError(ExitCode.usage, `--log: ${why}`, { cause: error })
  }
}

/** The other end: how the process in the background reports. After `ready` or `failed` nobody listens. */
export function reportTo(fd: number): (report: Report) => void {
  let open = true
  return (report) => {
    if (!open) return
    try {
      writeSync(fd, `${JSON.stringify(report)}\n`)
    } catch {
      open = false // the starter has gone
    }
    if (report.kind === 'note') return
    open = false
    closeSync(fd)
  }
}
