/** Programs run to their end. One that fails, or takes too long, is an error with what it printed. */

import { spawn, spawnSync } from 'node:child_process'

const LIMIT_MS = 600_000

/**
 * Runs a program; returns what it printed, unless that is ignored. Signals are heard meanwhile, and the limit holds even if the
 * program can't be killed because it waits for a filesystem that hangs.
 */
export function run(
  command: string,
  args: readonly string[],
  output: 'pipe' | 'ignore' = 'pipe',
  limitMs = LIMIT_MS,
): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { stdio: ['ignore', output, 'pipe'] })
    let [printed, complaints] = ['', '']
    child.stdout?.setEncoding('utf8').on('data', (text: string) => (printed += text))
    child.stderr?.setEncoding('utf8').on('data', (text: string) => (complaints += text))
    const timer = setTimeout(() => {
      child.kill('SIGKILL')
      reject(failure(command, args, `took more than ${limitMs} ms`, complaints))
    }, limitMs)
    child.once('error', reject).once('close', (status, signal) => {
      clearTimeout(timer)
      if (status === 0) resolve(printed)
      else reject(failure(command, args, `ended with ${status ?? signal}`, complaints))
    })
  })
}

/** Runs a program; what it prints goes nowhere. */
export function must(command: string, args: readonly string[]): void {
  runSync(command, args, 'ignore')
}

/** Runs a program and returns what it printed. */
export function printedBy(command: string, args: readonly string[]): string {
  return runSync(command, args, 'pipe')
}

/** Whether a program is there and ends with 0. */
export function succeeds(command: string, args: readonly string[]): boolean {
  return spawnSync(command, args, { stdio: 'ignore', timeout: LIMIT_MS, killSignal: 'SIGKILL' }).status === 0
}

function runSync(command: string, args: readonly string[], output: 'pipe' | 'ignore'): string {
  const { status, signal, stdout, stderr, error } = spawnSync(command, args, {
    encoding: 'utf8',
    stdio: ['ignore', output, 'pipe'],
    timeout: LIMIT_MS,
    killSignal: 'SIGKILL',
  })
  if (error !== undefined) throw error
  if (status !== 0) throw failure(command, args, `ended with ${status ?? signal}`, stderr)
  return stdout
}

function failure(command: string, args: readonly string[], how: string, complaints: string): Error {
  return new Error(`${[command, ...args].join(' ')} ${how}: ${complaints}`)
}
