/** How the process ends: the exit codes of every command, and the errors that choose one. */

export const ExitCode = {
  ok: 0,
  incomplete: 1,
  usage: 2,
  volume: 3,
  bug: 70,
  interrupted: 130,
  closedPipe: 141,
} as const

export type ExitCode = (typeof ExitCode)[keyof typeof ExitCode]

/** The table that every `--help` ends with. */
export const EXIT_CODE_HELP = `Exit codes:
  0    done
  1    done in part, or not at all: something was not found, could not be read, or could not be kept
  2    the command line is wrong
  3    the volume can't be opened: none there, damaged, in use, a device or the passphrase is missing
  70   a bug in cowherd (set COWHERD_DEBUG=1 for the stack)
  130  interrupted (Ctrl-C)
  141  the program that reads the output has gone`

/** Ends the command with a line on standard error and an exit code. */
export class CommandError extends Error {
  override readonly name = 'CommandError'
  readonly exitCode: ExitCode

  constructor(exitCode: ExitCode, message: string, options?: { cause?: unknown }) {
    super(message, options)
    this.exitCode = exitCode
  }
}

/** The user asked to stop. `signal` is the signal's name. */
export class Interrupted extends Error {
  override readonly name = 'Interrupted'
  readonly signal: NodeJS.Signals

  constructor(signal: NodeJS.Signals) {
    super('interrupted')
    this.signal = signal
  }
}

/** Nobody reads our standard output any more. */
export class ClosedPipe extends Error {
  override readonly name = 'ClosedPipe'
}
