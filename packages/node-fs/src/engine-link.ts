/**
 * The way to the engine's thread, and back. Calls are done in the order in which they were made, whoever made them. So many of them, and so many bytes, are
 * underway at a time; the others wait here, with what they are about still in their caller's hands.
 *
 * If the thread dies, everything that waits is rejected, and so is what comes later. As long as something is underway, the process lives.
 */

import { Worker } from 'node:worker_threads'
import type { CallMessage, CallName, Calls, EngineData, EngineMessage, ErrorRecord } from './messages.ts'
import { VolumeFileError, type CallPlace } from './volume-file-error.ts'

const CALLS_MAX = 64
const BYTES_MAX = 16 << 20

/** A call that was made. */
interface Waiting {
  readonly message: () => { readonly call: CallMessage; readonly transfer: ArrayBuffer[] }
  readonly bytes: number
  readonly place: CallPlace
  resolve(answer: unknown): void
  reject(error: Error): void
}

/** What a call carries besides its words. */
export interface Freight {
  /** Copied when the call is sent, and given away: the caller's stays his. */
  readonly data?: Uint8Array
  /** How many bytes come back at most. */
  readonly answerBytes?: number
}

type Words<Name extends CallName> = Parameters<Calls[Name]>
type AnswerOf<Name extends CallName> = ReturnType<Calls[Name]>

export class EngineLink {
  private readonly worker: Worker
  private readonly note: (text: string) => void
  /** In the order of their answers. */
  private readonly underway: Waiting[] = []
  private bytesUnderway = 0
  private readonly queue: Waiting[] = []
  private failure: Error | undefined
  private opened: { resolve(): void; reject(error: Error): void } | undefined
  private readonly exited: Promise<void>

  constructor(data: EngineData, note: (text: string) => void) {
    this.note = note
    this.worker = new Worker(new URL('./engine.worker.js', import.meta.url), { workerData: data, name: 'volume' })
    this.worker.on('message', (message: EngineMessage) => this.hear(message))
    this.worker.on('error', (error: unknown) => this.fail(error))
    this.exited = new Promise((resolve) => {
      this.worker.once('exit', () => {
        this.fail(undefined)
        resolve()
      })
    })
  }

  /** Resolves when the volume is open. Throws VolumeFileError. */
  async untilOpen(): Promise<void> {
    await new Promise<void>((resolve, reject) => (this.opened = { resolve, reject }))
    this.worker.unref()
  }

  /** Has a call done. `words` with `null` in place of the data that is freight. Throws VolumeFileError. */
  call<Name extends CallName>(
    name: Name,
    words: (data: Uint8Array) => Words<Name>,
    place: CallPlace,
    { data, answerBytes = 0 }: Freight = {},
  ): Promise<AnswerOf<Name>> {
    return new Promise<AnswerOf<Name>>((resolve, reject) => {
      const waiting: Waiting = {
        message: () => {
          const sent = data === undefined ? NOTHING : packed(data)
          const transfer = sent.buffer instanceof ArrayBuffer && data !== undefined ? [sent.buffer] : []
          return { call: { name, words: words(sent) }, transfer }
        },
        bytes: (data?.length ?? 0) + answerBytes,
        place,
        resolve: (answer) => resolve(answer as AnswerOf<Name>), // what the engine answers to this call
        reject,
      }
      if (this.failure !== undefined) return reject(this.gone(place))
      this.queue.push(waiting)
      this.send()
    })
  }

  /** Resolves when the thread has ended. */
  async end(): Promise<void> {
    this.worker.ref()
    await this.exited
  }

  /** Ends the thread as it is. */
  async terminate(): Promise<void> {
    await this.worker.terminate()
  }

  private send(): void {
    const { underway, queue, worker } = this
    for (let next = queue[0]; next !== undefined && this.hasRoom(next); next = queue[0]) {
      queue.shift()
      const { call, transfer } = next.message()
      if (underway.length === 0) worker.ref()
      underway.push(next)
      this.bytesUnderway += next.bytes
      worker.postMessage(call, transfer)
    }
  }

  private hasRoom({ bytes }: Waiting): boolean {
    const { underway } = this
    return underway.length === 0 || (underway.length < CALLS_MAX && this.bytesUnderway + bytes <= BYTES_MAX)
  }

  private hear(message: EngineMessage): void {
    switch (message.kind) {
      case 'note':
        return this.note(message.text)
      case 'opened':
        return this.opened?.resolve()
      case 'refused':
        return this.opened?.reject(errorOf(message.error, { syscall: 'open' }))
      default:
        return this.settle(message)
    }
  }

  private settle(message: Extract<EngineMessage, { kind: 'answer' | 'error' }>): void {
    const done = this.underway.shift()
    if (done === undefined) return
    this.bytesUnderway -= done.bytes
    if (this.underway.length === 0) this.worker.unref()
    if (message.kind === 'answer') done.resolve(message.answer)
    else done.reject(errorOf(message.error, done.place))
    this.send()
  }

  /** The thread has ended, by an error if there is one. */
  private fail(error: unknown): void {
    this.failure ??= error instanceof Error ? error : new Error('the thread of the volume has ended')
    this.opened?.reject(this.gone({ syscall: 'open' }))
    for (const waiting of [...this.underway.splice(0), ...this.queue.splice(0)]) {
      waiting.reject(this.gone(waiting.place))
    }
  }

  private gone(place: CallPlace): VolumeFileError {
    return new VolumeFileError('EIO', place, { cause: this.failure })
  }
}

const NOTHING = new Uint8Array(0)

/** Data in memory that can be given away. What is shared with other threads goes as it is. */
function packed(data: Uint8Array): Uint8Array {
  return data.buffer instanceof ArrayBuffer ? new Uint8Array(data) : data
}

function errorOf({ code, message, stack }: ErrorRecord, place: CallPlace): VolumeFileError {
  const cause = new Error(message)
  cause.stack = stack
  return new VolumeFileError(code === '' ? 'EIO' : code, place, { cause })
}
