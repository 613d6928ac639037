/** Standard input, read as it comes. Whoever waits for it can be interrupted. */

import { fstatSync, readSync } from 'node:fs'
import { Socket, type OnReadOpts, type SocketConstructorOpts } from 'node:net'
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
  if (stat.isFile()) return { size: stat.size, [Symbol.asyncIterator]: () => new FilePieces(STDIN_FD) }
  if (stat.isDirectory()) throw new CommandError(ExitCode.usage, 'standard input is a directory')
  if (stat.isFIFO() || stat.isSocket()) return { [Symbol.asyncIterator]: () => new PipePieces(STDIN_FD) }
  return process.stdin
}

/** The content of a file, which need not be waited for, in memory that is used again. */
class FilePieces implements AsyncIterator<Uint8Array> {
  private readonly fd: number
  private readonly buffer = new Uint8Array(PIECE_BYTES)

  constructor(fd: number) {
    this.fd = fd
  }

  next(): Promise<IteratorResult<Uint8Array, undefined>> {
    return new Promise((resolve) => {
      const length = readSync(this.fd, this.buffer)
      resolve(length === 0 ? END : { done: false, value: this.buffer.subarray(0, length) })
    })
  }
}

/** What comes through a pipe, in memory that is used again: a stream makes a buffer for each piece, which takes half as much time again. */
class PipePieces implements AsyncIterator<Uint8Array> {
  private readonly socket: Socket
  private take: ((result: IteratorResult<Uint8Array, undefined>) => void) | undefined
  private refuse: ((error: Error) => void) | undefined
  private failure: Error | undefined
  private isEnded = false

  constructor(fd: number) {
    const callback = (length: number, buffer: Uint8Array): boolean => {
      this.take?.({ done: false, value: buffer.subarray(0, length) })
      return false // no more until that is used
    }
    const onread = { buffer: new Uint8Array(PIECE_BYTES), callback }
    const options: SocketConstructorOpts & { onread: OnReadOpts } = { fd, readable: true, writable: false, onread }
    this.socket = new Socket(options)
    this.socket.pause()
    this.socket.once('end', () => this.end())
    this.socket.once('close', () => this.end())
    this.socket.once('error', (error: Error) => {
      this.failure = error
      this.refuse?.(error)
    })
  }

  next(): Promise<IteratorResult<Uint8Array, undefined>> {
    return new Promise((resolve, reject) => {
      if (this.failure !== undefined) reject(this.failure)
      else if (this.isEnded) resolve(END)
      this.take = resolve
      this.refuse = reject
      this.socket.resume()
    })
  }

  return(): Promise<IteratorResult<Uint8Array, undefined>> {
    this.socket.destroy()
    return Promise.resolve(END)
  }

  private end(): void {
    this.isEnded = true
    this.take?.(END)
  }
}

const END = { done: true, value: undefined } as const
const STDIN_FD = 0
const PIECE_BYTES = 1 << 20
const NOTHING = new Uint8Array(0)

export class Input {
  readonly size: number | undefined
  private readonly source: AsyncIterator<Uint8Array>
  private readonly interruption: Pick<Interruption, 'until' | 'due' | 'rest'>

  constructor(source: InputSource, interruption: Pick<Interruption, 'until' | 'due' | 'rest'>) {
    this.size = source.size
    this.source = source[Symbol.asyncIterator]()
    this.interruption = interruption
  }

  /** The next bytes, valid until more are read; none at the end. Throws Interrupted, and CommandError if there is nothing to be read. */
  async read(): Promise<Uint8Array> {
    const { interruption } = this
    if (interruption.due()) await interruption.rest()
    for (;;) {
      const { done, value } = await interruption.until(this.next())
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
