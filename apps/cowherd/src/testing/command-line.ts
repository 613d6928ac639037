/** Runs command lines inside the test's process, with output and messages kept. */

import { Output } from '../cli/output.ts'
import { run } from '../cli/program.ts'
import type { ReadingTuning } from '../cli/reading.ts'

export interface Ran {
  readonly code: number
  readonly out: string
  readonly err: string
  readonly bytes: Uint8Array
}

export interface RunOptions {
  readonly env?: Readonly<Record<string, string>>
  /** Pretend that the output is a terminal. */
  readonly terminal?: boolean
  /** Commands that read trees use one thread unless this or `--threads` says otherwise: the code of other threads must be built first. */
  readonly tuning?: ReadingTuning
  /** Standard input, as it comes. */
  readonly input?: Iterable<Uint8Array> | AsyncIterable<Uint8Array>
}

/** `cowherd ARGV...` */
export async function cowherd(
  argv: readonly string[],
  { env = {}, terminal = false, tuning, input = [] }: RunOptions = {},
): Promise<Ran> {
  const out = collect()
  const err = collect()
  const code = await run(argv, {
    out: out.output,
    err: err.output,
    outIsTerminal: terminal,
    terminal: { write: () => true },
    env,
    tuning: { threads: 1, ...tuning },
    input: {
      async *[Symbol.asyncIterator]() {
        yield* input
      },
    },
  })
  err.output.flush()
  const bytes = out.bytes()
  return { code, out: new TextDecoder().decode(bytes), err: new TextDecoder().decode(err.bytes()), bytes }
}

/** An output that keeps what is written to it. */
export function collect(): { output: Output; bytes: () => Uint8Array } {
  const chunks: Uint8Array[] = []
  const output = new Output((bytes) => {
    chunks.push(bytes.slice())
    return bytes.length
  })
  return {
    output,
    bytes: () => {
      output.flush()
      return Buffer.concat(chunks)
    },
  }
}
