/**
 * Where the messages of a mount go: to standard error while a terminal or a starter listens; to a file, or to the system's log, when it
 * runs in the background. The last ones are kept, for whoever looks into the running mount.
 */

import { spawn, type ChildProcess } from 'node:child_process'

const KEPT = 100

export interface KeptMessage {
  readonly time: string
  readonly text: string
}

export class MountMessages {
  readonly #kept: KeptMessage[] = []
  #write: (text: string) => void

  constructor(write: (text: string) => void) {
    this.#write = write
  }

  get kept(): readonly KeptMessage[] {
    return this.#kept
  }

  /** From now on messages go there. */
  redirect(write: (text: string) => void): void {
    this.#write = write
  }

  /** The same, unless it is among those kept: a damaged place is read again and again. */
  noteOnce(text: string): void {
    if (!this.#kept.some((message) => message.text === text)) this.note(text)
  }

  note(text: string): void {
    if (this.#kept.length === KEPT) this.#kept.shift()
    this.#kept.push({ time: new Date().toISOString(), text })
    try {
      this.#write(text)
    } catch {
      // a full disk, a reader that has gone: no reason to end the mount, and the message is kept
    }
  }
}

/** Writes to the system's log by logger(1), which is started with the first message; without it messages are only kept. */
export function systemLog(): (text: string) => void {
  let logger: ChildProcess | undefined
  return (text) => {
    if (logger === undefined) {
      logger = spawn('logger', ['-t', `cowherd[${process.pid}]`], { stdio: ['pipe', 'ignore', 'ignore'] })
      logger.on('error', () => undefined)
      logger.stdin?.on('error', () => undefined)
      logger.unref()
    }
    logger.stdin?.write(`${text}\n`)
  }
}
