#!/usr/bin/env node
/** The program: one command line, run with this process' descriptors and environment. */

import { Interrupted } from './cli/exit-code.ts'
import { outputTo } from './cli/output.ts'
import { run } from './cli/program.ts'
import { isatty } from 'node:tty'
import { setFlagsFromString } from 'node:v8'

// By itself V8 lets three times as much garbage lie as there is memory in use, 40 MB here; half as much costs no time to speak of.
setFlagsFromString('--heap-growing-percent=50')

try {
  process.exitCode = await run(process.argv.slice(2), {
    out: outputTo(1),
    err: outputTo(2),
    outIsTerminal: isatty(1),
    terminal: isatty(2) ? process.stderr : { write: () => false },
    env: process.env,
  })
} catch (error) {
  if (!(error instanceof Interrupted)) throw error
  // end by the signal itself, so that a shell's loop around us ends too; it calls that 130
  process.kill(process.pid, error.signal)
}
