/**
 * The passphrase of an encrypted volume: from a file, from the environment, or asked for on the terminal without echo.
 * It is bytes: what was typed or stored, without the line's end.
 */

import { openSync, readFileSync, writeSync } from 'node:fs'
import { ReadStream } from 'node:tty'
import { CommandError, ExitCode, Interrupted } from './exit-code.ts'

const STDIN_FD = 0

/** Where a passphrase may come from besides the terminal. */
export interface PassphraseSources {
  /** A path, or `-` for standard input. */
  readonly file?: string | undefined
  readonly environment?: string | undefined
}

/** The passphrase, asked for with `question` if no source has it. Throws CommandError when there is nobody to ask. */
export async function findPassphrase(sources: PassphraseSources, question: string): Promise<Uint8Array> {
  const given = givenPassphrase(sources)
  if (given !== undefined) return given
  let terminal: number
  try {
    terminal = openSync(TERMINAL, 'r+')
  } catch {
    const ways = 'use --passphrase-file FILE or set COWHERD_PASSPHRASE'
    throw new CommandError(ExitCode.volume, `the volume is encrypted, and there is no terminal to ask on: ${ways}`)
  }
  return ask(terminal, question)
}

/** A passphrase for later: typed twice where somebody types it. Throws CommandError if the two differ, or there is none. */
export async function findNewPassphrase(sources: PassphraseSources): Promise<Uint8Array> {
  const given = givenPassphrase(sources)
  const first = given ?? (await findPassphrase(sources, 'New passphrase'))
  const second = given ?? (await findPassphrase(sources, 'The same again'))
  if (Buffer.compare(first, second) !== 0) throw new CommandError(ExitCode.usage, 'the passphrases differ')
  if (first.length === 0) throw new CommandError(ExitCode.usage, 'an empty passphrase')
  return first
}

/** The passphrase from the file or the environment, undefined if neither is given. */
export function givenPassphrase(sources: PassphraseSources): Uint8Array | undefined {
  if (sources.file !== undefined) {
    try {
      return withoutLineEnd(readFileSync(sources.file === '-' ? STDIN_FD : sources.file))
    } catch (error) {
      const reason = error instanceof Error && 'code' in error ? `${String(error.code)}` : 'unreadable'
      throw new CommandError(ExitCode.usage, `${sources.file}: the passphrase can't be read (${reason})`, {
        cause: error,
      })
    }
  }
  return sources.environment === undefined ? undefined : new TextEncoder().encode(sources.environment)
}

const TERMINAL = process.platform === 'win32' ? 'CON' : '/dev/tty'

function withoutLineEnd(bytes: Uint8Array): Uint8Array {
  let end = bytes.length
  if (bytes[end - 1] === 10) end--
  if (bytes[end - 1] === 13) end--
  return bytes.subarray(0, end)
}

async function ask(terminal: number, question: string): Promise<Uint8Array> {
  const input = new ReadStream(terminal)
  try {
    input.setRawMode(true)
    writeSync(terminal, `${question}: `)
    const line = new LineEditor()
    return await new Promise<Uint8Array>((resolve, reject) => {
      input.on('data', (chunk: Buffer) => {
        for (const byte of chunk) {
          const result = line.type(byte)
          if (result === 'done') resolve(line.bytes)
          if (result === 'interrupted') reject(new Interrupted('SIGINT'))
        }
      })
      input.on('error', reject)
      input.on('end', () => resolve(line.bytes))
    })
  } finally {
    input.setRawMode(false)
    writeSync(terminal, '\n')
    input.destroy()
  }
}

/** One line typed on a terminal in raw mode. */
export class LineEditor {
  #bytes: number[] = []

  get bytes(): Uint8Array {
    return Uint8Array.from(this.#bytes)
  }

  /** Takes one byte from the keyboard. */
  type(byte: number): 'more' | 'done' | 'interrupted' {
    switch (byte) {
      case 3: // Ctrl-C
        return 'interrupted'
      case 4: // Ctrl-D
      case 10:
      case 13:
        return 'done'
      case 8:
      case 127: // backspace: a whole UTF-8 character
        while (this.#bytes.length > 0 && ((this.#bytes.pop() ?? 0) & 0xc0) === 0x80);
        return 'more'
      case 21: // Ctrl-U
        this.#bytes = []
        return 'more'
      default:
        this.#bytes.push(byte)
        return 'more'
    }
  }
}
