/**
 * Output to a descriptor: buffered, synchronous, complete. Nothing is queued in memory behind a slow reader, and a reader
 * that goes away (`| head`) ends the command by ClosedPipe instead of an error message.
 */

import { writeSync } from 'node:fs'
import { ClosedPipe, CommandError, ExitCode } from './exit-code.ts'

/** Takes some of `bytes` and returns how many. May throw EAGAIN when it can't take any now. */
export type Sink = (bytes: Uint8Array) => number

const BUFFER_BYTES = 64 * 1024
/** Text is encoded in pieces of about this many characters: one call for each line takes twice the time. */
const PIECE_CHARACTERS = 16 * 1024

export class Output {
  readonly #sink: Sink
  readonly #buffer = new Uint8Array(BUFFER_BYTES)
  readonly #encoder = new TextEncoder()
  #filled = 0
  /** Text that is not yet encoded; it comes behind what is in the buffer. */
  #text = ''

  constructor(sink: Sink) {
    this.#sink = sink
  }

  /** Writes text as UTF-8, or bytes as they are. */
  write(content: string | Uint8Array): void {
    if (typeof content !== 'string') {
      this.#encode()
      this.#writeBytes(content)
      return
    }
    this.#text += content
    if (this.#text.length >= PIECE_CHARACTERS) this.#encode()
  }

  /** Writes text and ends the line. */
  line(text: string): void {
    this.write(`${text}\n`)
  }

  /** Hands on all that was written. */
  flush(): void {
    this.#encode()
    this.#empty()
  }

  /** Moves the text to the buffer. */
  #encode(): void {
    let rest = this.#text
    this.#text = ''
    while (rest !== '') {
      const { read, written } = this.#encoder.encodeInto(rest, this.#buffer.subarray(this.#filled))
      this.#filled += written
      rest = rest.slice(read)
      if (rest !== '') this.#empty()
    }
  }

  #writeBytes(bytes: Uint8Array): void {
    if (bytes.length > BUFFER_BYTES - this.#filled) this.#empty()
    if (bytes.length >= BUFFER_BYTES) {
      this.#drain(bytes)
      return
    }
    this.#buffer.set(bytes, this.#filled)
    this.#filled += bytes.length
  }

  /** Hands on what is in the buffer. */
  #empty(): void {
    const filled = this.#filled
    this.#filled = 0
    this.#drain(this.#buffer.subarray(0, filled))
  }

  #drain(bytes: Uint8Array): void {
    let done = 0
    while (done < bytes.length) {
      try {
        done += this.#sink(bytes.subarray(done))
      } catch (error) {
        const code = error instanceof Error && 'code' in error ? error.code : ''
        if (code === 'EPIPE') throw new ClosedPipe('the output was closed', { cause: error })
        if (code !== 'EAGAIN' && code !== 'EINTR') {
          const message = `the output can't be written (${typeof code === 'string' ? code : 'unknown error'})`
          throw new CommandError(ExitCode.incomplete, message, { cause: error })
        }
        Atomics.wait(SLEEP, 0, 0, 2)
      }
    }
  }
}

const SLEEP = new Int32Array(new SharedArrayBuffer(4))

/** Output to an open descriptor of this process. */
export function outputTo(fd: number): Output {
  return new Output((bytes) => writeSync(fd, bytes))
}
