/** Standard input, read as it comes. Whoever waits for it can be interrupted. */

import { fstatSync } from 'node:fs'
import { CommandError, ExitCode } from './exit-code.ts'
import type { Interruption } from './interruption.ts'

/** Where input comes from: the process' own, or a test's. */
export interface InputSource extends AsyncIterable<Uint8Array> {
  /** How much there is in all, where that is known. */
  readonly size?: number | undefined
}

/** The standard input of this process. */
export function standardInput(): InputSource {
  const stat = fstatSync(STDIN_FD)
  return {
    size: stat.isFile() ? stat.size : undefined,
    [Symbol.asyncIterator]: () => process.stdin[Symbol.asyncIterator]() as AsyncIterator<Uint8Array>,
  }
}

const STDIN_FD = 0
const NOTHING = new Uint8Array(0)

export class Input {
  readonly size: number | undefined
  private readonly source: AsyncIterator<Uint8Array>
  private readonly interruption: Pick<Interruption, 'until'>

  constructor(source: InputSource, interruption: Pick<Interruption, 'until'>) {
    this.size = source.size
    this.source = source[Symbol.asyncIterator]()
    this.interruption = interruption
  }

  /** The next bytes, the caller's own; none at the end. Throws Interrupted, and CommandError if there is nothing to be read. */
  async read(): Promise<Uint8Array> {
    for (;;) {
      const { done, value } = await this.interruption.until(this.next())
      if (done === true) return NOTHING
      if (value.length > 0) return value
    }
  }

  /** No more is wanted: who writes is told. */
  close(): void {
    void this.source.return?.()
  }

  private async next(): Promise<IteratorResult<Uint8Array, unknown>> {
    try {
      return await this.source.next()
    } catch (error) {
      const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown error'
      const message = `standard input can't be read (${code})`
      throw new CommandError(ExitCode.incomplete, message, { cause: error })
    }
  }
}
