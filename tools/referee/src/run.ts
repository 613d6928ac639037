/** Runs a program to its end and keeps what it says. */

import { spawn } from 'node:child_process'
import { watchProgress } from './progress.ts'

export interface Ended {
  /** Exit status; 137 if a signal ended it. */
  readonly code: number
  readonly signal: NodeJS.Signals | null
  readonly stdout: Buffer
  readonly stderr: Buffer
  /** It was killed because it did nothing any more. */
  readonly hung: boolean
}

export interface RunOptions {
  /** What the program reads on its standard input; nothing by default. */
  readonly input?: string | Uint8Array
  readonly cwd?: string
  readonly env?: Readonly<Record<string, string>>
  /** The program is killed when it takes longer. */
  readonly timeoutMs?: number
  /** The program is killed when it has used next to no processor time for so long. Linux. */
  readonly idleMs?: number
  /** What the program says is passed on to this process's standard error instead of being kept. */
  readonly show?: boolean
}

/** Rejects only if the program can't be started. */
export function run(program: string, args: readonly string[], options: RunOptions = {}): Promise<Ended> {
  return new Promise((resolve, reject) => {
    const kept = options.show === true ? 2 : 'pipe'
    const child = spawn(program, args, {
      cwd: options.cwd,
      env: { ...process.env, ...options.env },
      stdio: ['pipe', kept, kept],
      timeout: options.timeoutMs,
      killSignal: 'SIGKILL',
    })
    const stdout: Buffer[] = []
    const stderr: Buffer[] = []
    child.stdout?.on('data', (chunk: Buffer) => stdout.push(chunk))
    child.stderr?.on('data', (chunk: Buffer) => stderr.push(chunk))
    // A program that ends without having read its input is no error here.
    child.stdin?.on('error', () => undefined)
    child.stdin?.end(options.input ?? '')
    let hung = false
    const stopWatching = watchProgress(child.pid, options.idleMs, () => (hung = child.kill('SIGKILL')))
    child.on('error', reject)
    child.on('exit', stopWatching)
    child.on('close', (code, signal) => {
      resolve({ code: code ?? 137, signal, hung, stdout: Buffer.concat(stdout), stderr: Buffer.concat(stderr) })
    })
  })
}

/** What must work or nothing does. Throws RefereeError with the program's own words. */
export async function must(program: string, args: readonly string[], options: RunOptions = {}): Promise<Buffer> {
  let ended: Ended
  try {
    ended = await run(program, args, options)
  } catch (cause) {
    throw new RefereeError(`can't run ${program}`, { cause })
  }
  if (ended.code !== 0) {
    const words = ended.stderr.toString().trim()
    throw new RefereeError(
      `${program} ${args.join(' ')} failed (${ended.signal ?? ended.code})${words && `: ${words}`}`,
    )
  }
  return ended.stdout
}

/** The referee itself failed: not installed, not installable, or the virtual machine didn't come up. */
export class RefereeError extends Error {
  override readonly name = 'RefereeError'
}
