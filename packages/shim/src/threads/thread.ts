/**
 * Threads that are started, joined and stopped. `startThread` gives the new thread a seat in the registry; whichever way it
 * ends, its seat is marked dead, so that nobody waits for its locks, and its joiner gets its value or an error, also while the
 * joiner blocks and its event loop stands still:
 *
 * - its main function returns or throws: the thread posts that, and ends;
 * - an error that nobody catches (also while its module is loaded) is posted by the monitor that the first lines of the worker
 *   install, before anything else runs in it;
 * - `process.exit`: noticed by an exit hook, in the thread;
 * - terminated, or out of memory, no code of it runs any more: whoever waits looks, a few times a second, whether the operating
 *   system still has the thread (Linux). Elsewhere that is noticed by the starter's event loop, as soon as it runs.
 */

import { MessageChannel, receiveMessageOnPort, Worker, type MessagePort, type WorkerOptions } from 'node:worker_threads'
import type { SharedPlace } from '../sync/place.ts'
import { self } from '../sync/threads.ts'
import { reapDeadThreads, taskWordsOf } from './reaper.ts'
import { newThreadControl, ThreadControl, type ThreadDescriptor } from './thread-control.ts'
import { ThreadDiedError, ThreadFailedError, type ErrorDescription } from './thread-error.ts'

export interface ThreadOptions {
  /** For people: the state dump, error messages. */
  readonly name: string
  /** What the thread gets as `context.data`: what can be posted. */
  readonly data?: unknown
  /** For the Worker: resource limits, what is transferred, environment, ... */
  readonly worker?: Omit<WorkerOptions, 'eval' | 'workerData' | 'name'>
}

/** What a worker is started with. @internal */
export interface ThreadStart {
  readonly url: string
  readonly port: MessagePort
  readonly descriptor: ThreadDescriptor
  /** Where it says which thread of the operating system it is. */
  readonly task: { readonly buffer: SharedPlace['buffer']; readonly word: number; readonly ofWord: number }
  readonly data: unknown
}

/** What a thread posts before it ends. @internal */
export type LastWords = { readonly value: unknown } | { readonly error: ErrorDescription }

type Outcome = { readonly value: unknown } | { readonly failure: Error }

/**
 * What runs first in each worker, before any module that could fail to load. An error's description is that of thread-error.ts.
 * TASK comes before the id that makes it valid.
 */
const BOOT = `
const { workerData: { url, port, task, descriptor } } = require('node:worker_threads')
process.on('uncaughtExceptionMonitor', (error) => {
  const { name = 'Error', message = String(error), stack, code } = error ?? {}
  port.postMessage({ error: { name, message, stack, code: typeof code === 'string' ? code : undefined } })
})
const words = new Int32Array(task.buffer)
try {
  Atomics.store(words, task.word, Number(require('node:fs').readlinkSync('/proc/thread-self').split('/').at(-1)))
  Atomics.store(words, task.ofWord, descriptor.id)
} catch {} // not Linux: see the opening comment of thread.ts
import(url)
`

/**
 * Starts a thread that runs the module at `url`, which calls `threadMain`. It gets a seat in the registry of the calling thread.
 * Throws RangeError if no seat is free, and what `new Worker` throws.
 */
export function startThread<Value = unknown>(url: URL | string, options: ThreadOptions): Thread<Value> {
  const { registry } = self()
  const id = registry.reserve()
  try {
    return new Thread<Value>(url, newThreadControl(registry, id, options.name), options)
  } catch (error) {
    registry.markDead(id)
    throw error
  }
}

/** A thread that this one has started. */
export class Thread<Value = unknown> extends ThreadControl {
  /** For what isn't offered here: messages, unref, heap snapshots, ... */
  readonly worker: Worker
  private readonly port: MessagePort
  private readonly exited: Promise<void>
  private workerError: unknown
  private outcome: Outcome | undefined

  /** @internal */
  constructor(url: URL | string, descriptor: ThreadDescriptor, options: ThreadOptions) {
    super(descriptor)
    reapDeadThreads(this.registry)
    const { port1, port2 } = new MessageChannel()
    this.port = port1
    const task = taskWordsOf(this.registry, this.id)
    const start: ThreadStart = { url: String(url), port: port2, descriptor, task, data: options.data }
    this.worker = new Worker(BOOT, {
      ...options.worker,
      eval: true,
      name: options.name,
      workerData: start,
      transferList: [port2, ...(options.worker?.transferList ?? [])],
    })
    this.worker.once('error', (error) => (this.workerError = error))
    this.exited = new Promise((resolve) => {
      this.worker.once('exit', (code) => {
        this.isLeaving(code)
        this.conclude()
        resolve()
      })
    })
  }

  /**
   * Blocks until the thread is gone, and returns what its main function returned; again and again, if asked.
   * Throws ThreadFailedError if it ended by an error, ThreadDiedError if it left without a word. What the thread prints, and
   * its messages, need the event loop of its starter, which stands still meanwhile.
   */
  join(): Value {
    this.waitUntilGone()
    return this.result()
  }

  /** Blocks until the thread is gone, at most `timeoutMs`. Returns whether it is: then `join` does not wait. */
  joinWithin(timeoutMs: number): boolean {
    return this.waitUntilGone(timeoutMs)
  }

  /** `join` without blocking. */
  async joinAsync(): Promise<Value> {
    await this.exited
    return this.result()
  }

  /** Ends the thread, whatever it does, as soon as it runs JavaScript or waits. Its locks stay held, by a dead owner. */
  async terminate(): Promise<void> {
    await this.worker.terminate()
    await this.exited
  }

  private result(): Value {
    const outcome = this.conclude()
    if ('failure' in outcome) throw outcome.failure
    return outcome.value as Value // the starter says what the thread's module returns
  }

  /** The thread is gone: what it has left. */
  private conclude(): Outcome {
    if (this.outcome !== undefined) return this.outcome
    const received = receiveMessageOnPort(this.port) as { message: LastWords } | undefined // posted by threadMain or BOOT
    this.port.close()
    if (received === undefined)
      this.outcome = { failure: new ThreadDiedError(this.name, this.exitCode, this.workerError) }
    else if ('value' in received.message) this.outcome = received.message
    else this.outcome = { failure: new ThreadFailedError(this.name, received.message.error) }
    return this.outcome
  }
}
