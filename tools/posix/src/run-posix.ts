/** Runs the cases on a directory. */

import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { compileDriver, PosixError, suiteSources } from './driver.ts'
import { parsePlace, parseResult, type CaseResult, type Place, type PosixRun } from './results.ts'

export interface PosixOptions {
  /** Names of cases, or patterns of the shell's kind: `rename/*`. All by default. */
  readonly cases?: readonly string[]
  /** How long a case may take before it is killed and has failed; 60 s by default. Whole seconds count. */
  readonly timeoutMs?: number
  /** Root runs the cases as this user, who needs no account; `directory` is the user's. */
  readonly user?: number
  /** Called as each case ends. */
  readonly onResult?: (result: CaseResult) => void
  /** Stops after the case at hand. */
  readonly signal?: AbortSignal
}

/**
 * Runs the cases in a new directory in `directory`, which is removed in the end.
 *
 * As root, all cases run; users 60001 to 60003 are used, who need no account. As another user, those are skipped that
 * need root. The calling thread isn't blocked, so it may serve the very mount that is tried.
 *
 * @throws PosixError if they can't be run, or if that was stopped
 */
export function runPosix(directory: string, options: PosixOptions = {}): Promise<PosixRun> {
  return runDriver(compileDriver(suiteSources()), directory, options)
}

/** Runs the cases of a driver. */
export async function runDriver(program: string, directory: string, options: PosixOptions): Promise<PosixRun> {
  const seconds = Math.max(1, Math.ceil((options.timeoutMs ?? 60_000) / 1000))
  const args = ['--timeout', String(seconds), directory, ...(options.cases ?? [])]
  const { user } = options
  const identity = user === undefined ? {} : { uid: user, gid: user }
  const driver = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'], ...identity })
  const ended = new Promise<number | null>((resolve, reject) => {
    driver.on('error', reject)
    driver.on('close', resolve)
  })
  ended.catch(() => undefined) // it is awaited below, when all has been read
  const stop = () => driver.kill('SIGTERM')
  options.signal?.addEventListener('abort', stop)
  let complaint = ''
  driver.stderr.setEncoding('utf8').on('data', (text: string) => (complaint += text))
  try {
    let place: Place | undefined
    const results: CaseResult[] = []
    for await (const line of createInterface(driver.stdout)) {
      if (place === undefined) {
        place = parsePlace(line)
        continue
      }
      const result = parseResult(line)
      results.push(result)
      options.onResult?.(result)
    }
    const status = await ended
    if (options.signal?.aborted === true) throw new PosixError('the POSIX suite was stopped')
    if (status !== 0 || place === undefined) throw new PosixError(complaint.trim() || `the driver ended with ${status}`)
    if (results.length === 0) throw new PosixError(`no case is called ${(options.cases ?? []).join(' or ')}`)
    return { ...place, results }
  } finally {
    options.signal?.removeEventListener('abort', stop)
    stop() // where it was left early; of no effect on one that has ended
  }
}
