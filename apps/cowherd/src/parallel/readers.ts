/**
 * The threads that read beside the main thread: started, given batches, asked for what came of them, ended. Each has a view of its own of
 * the volume, over the same node cache.
 * A reader that fails or dies makes `take` throw: nobody waits for it.
 */

import { startThread, type Thread } from '@cowherd/shim'
import { MessageChannel, receiveMessageOnPort, type MessagePort } from 'node:worker_threads'
import { ExitCode } from '../cli/exit-code.ts'
import { batchWord, itemWord, Word, wordsFor } from './messages.ts'
import type { OrderMessage, Outcome, ReaderMessage, ReaderStart, SharedReading } from './messages.ts'
import type { TaskChoice } from './task.ts'
import { thrownHere } from './thrown.ts'

/** What came of a batch. */
export interface Done<Result> {
  readonly batch: number
  /** Number of the reader. */
  readonly reader: number
  readonly outcome: Outcome<Result>
}

/** A batch as it is handed out. */
export interface Batch<Item> {
  readonly number: number
  readonly items: readonly Item[]
  readonly costBytes: number
}

/** Those who do batches. Everything but `wait`, `stop` and `end` returns at once. */
export interface Crew<Item, Result> {
  /** Hands the batch to the one that has least to do. False: all have enough, or are not there yet. */
  give(batch: Batch<Item>): boolean
  /** What came of a batch, if anything came. Throws if one of them has failed. */
  take(): Done<Result> | undefined
  /** Waits until `take` may have something, or throws; or for a little while, so that who waits can look around. */
  wait(): Promise<void>
  /** Has all give up what they are at. Returns the items that one of them is still at after a while. */
  stop(): Promise<Item[]>
  /** Ends them, whatever they are at. */
  end(): Promise<void>
}

export interface ReadersOptions {
  readonly count: number
  readonly reading: SharedReading
  readonly task: TaskChoice
  /** Where the code of a reader is, if not beside this file. */
  readonly url?: URL
}

/** A reader is given more as long as what it has costs less than this: so that it need not wait for the next batch. */
const AHEAD_BYTES = 2 << 20
const WAIT_MS = 100
/** How long readers may take to give up what they are at: they notice between two reads. */
const STOP_MS = 1000
/** How long they may take to end; starting takes a tenth of a second. */
const END_MS = 5000
/** A thread without limits lets its garbage grow. */
const LIMITS = { maxYoungGenerationSizeMb: 2, maxOldGenerationSizeMb: 64 }

interface Reader<Item> {
  readonly thread: Thread
  readonly port: MessagePort
  isReady: boolean
  /** Batches that it has and did not give back, oldest first. */
  readonly batches: Batch<Item>[]
  costBytes: number
}

export class Readers<Item, Result> implements Crew<Item, Result> {
  private readonly words: Int32Array
  private readonly readers: Reader<Item>[]
  /** Messages that came through the event loop. */
  private readonly inbox: { reader: number; message: ReaderMessage<Result> }[] = []
  private taken = 0
  private failure: Error | undefined
  private awaken: (() => void) | undefined

  /** Starts the threads. The calling thread has entered a `ThreadRegistry`. */
  constructor(options: ReadersOptions) {
    const { count } = options
    this.words = wordsFor(count)
    this.readers = Array.from({ length: count }, (_, number) => this.startReader(number, options))
  }

  give(batch: Batch<Item>): boolean {
    let least: Reader<Item> | undefined
    for (const reader of this.readers) {
      if (reader.isReady && reader.costBytes < (least?.costBytes ?? AHEAD_BYTES)) least = reader
    }
    if (least === undefined) return false
    least.batches.push(batch)
    least.costBytes += batch.costBytes
    least.port.postMessage({ batch: batch.number, items: batch.items } satisfies OrderMessage<Item>)
    return true
  }

  take(): Done<Result> | undefined {
    if (this.failure !== undefined) throw this.failure
    while (this.taken !== Atomics.load(this.words, Word.posted)) {
      const next = this.inbox.shift() ?? this.receive()
      if (next === undefined) return undefined // counted, and about to arrive
      this.taken++
      const done = this.hear(next.reader, next.message)
      if (done !== undefined) return done
    }
    return undefined
  }

  async wait(): Promise<void> {
    if (this.failure !== undefined || this.inbox.length > 0) return
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, WAIT_MS)
      this.awaken = () => {
        clearTimeout(timer)
        resolve()
      }
    })
  }

  async stop(): Promise<Item[]> {
    Atomics.store(this.words, Word.stop, 1)
    const deadline = performance.now() + STOP_MS
    while (this.itemsInWork.length > 0 && performance.now() < deadline) {
      await new Promise((resolve) => setTimeout(resolve, 1))
    }
    return this.itemsInWork
  }

  async end(): Promise<void> {
    this.failure ??= new RangeError('the readers were ended')
    Atomics.store(this.words, Word.stop, 1)
    // a thread that is terminated while it loads native code may take the process with it: they end by themselves if they can
    for (const { port } of this.readers) port.postMessage('end' satisfies OrderMessage<Item>)
    const gone = this.readers.map(async ({ thread }) => {
      const timer = setTimeout(() => void thread.terminate(), END_MS)
      await thread.joinAsync().catch(() => undefined) // its failure was told, or is of no interest any more
      clearTimeout(timer)
    })
    await Promise.all(gone)
    for (const { port } of this.readers) port.close()
  }

  private get itemsInWork(): Item[] {
    return this.readers.flatMap(({ batches }, i) => {
      const at = Atomics.load(this.words, itemWord(i)) - 1
      const number = Atomics.load(this.words, batchWord(i))
      return at < 0
        ? []
        : batches.filter((batch) => batch.number === number).flatMap(({ items }) => items.slice(at, at + 1))
    })
  }

  private startReader(number: number, options: ReadersOptions): Reader<Item> {
    const { port1, port2 } = new MessageChannel()
    const start: ReaderStart = {
      number,
      reading: options.reading,
      task: options.task,
      port: port2,
      words: this.words,
    }
    const thread = startThread(options.url ?? new URL('./reader.worker.js', import.meta.url), {
      name: `reader ${number + 1}`,
      data: start,
      worker: { transferList: [port2], resourceLimits: LIMITS, execArgv: [] },
    })
    port1.on('message', (message: ReaderMessage<Result>) => {
      this.inbox.push({ reader: number, message })
      this.wake()
    })
    thread.joinAsync().then(
      () => this.fail(new RangeError(`reader ${number + 1} has ended by itself`)),
      (error: unknown) => this.fail(error instanceof Error ? error : new Error(String(error))),
    )
    return { thread, port: port1, isReady: false, batches: [], costBytes: 0 }
  }

  private receive(): { reader: number; message: ReaderMessage<Result> } | undefined {
    for (const [reader, { port }] of this.readers.entries()) {
      const received = receiveMessageOnPort(port) as { message: ReaderMessage<Result> } | undefined // what readers post
      if (received !== undefined) return { reader, message: received.message }
    }
    return undefined
  }

  private hear(number: number, message: ReaderMessage<Result>): Done<Result> | undefined {
    const reader = this.readers[number]
    switch (message.kind) {
      case 'ready':
        reader.isReady = true
        return undefined
      case 'refused':
        this.failure = thrownHere(message.error, ExitCode.volume)
        throw this.failure
      case 'done': {
        const { batch, outcome } = message
        reader.costBytes -= reader.batches.shift()?.costBytes ?? 0
        return { batch, reader: number, outcome }
      }
    }
  }

  private fail(error: Error): void {
    this.failure ??= error
    this.wake()
  }

  private wake(): void {
    this.awaken?.()
    this.awaken = undefined
  }
}
