/**
 * The threads of the engine, as the main thread sees them: starts them, has them open the volume and serve, and hears how they end. The
 * engine is over when all have ended. If one fails, the others are sent home first, so that nobody is left who serves a mount that is
 * being taken away.
 */

import { Doorbell, invalidation, newSessionMemory, type Connection } from '@cowherd/fuse'
import { ThreadRegistry } from '@cowherd/shim'
import { randomUUID } from 'node:crypto'
import { write } from 'node:fs'
import { BroadcastChannel, Worker } from 'node:worker_threads'
import type { AccessTimesKept } from './access-times.ts'
import type { CacheTimes, MountManner } from './caching.ts'
import { EngineFigures } from './figures.ts'
import type {
  EngineCommand,
  EngineData,
  EngineMemory,
  EngineMessage,
  EngineShare,
  ErrorText,
  VolumeToMount,
} from './messages.ts'

/** The volume could not be mounted, or its engine failed. `code` is an errno name, or empty for an error of ours. */
export class EngineError extends Error {
  override readonly name = 'EngineError'
  readonly code: string
  /** The class of the error in the engine's thread: VolumeError, DeviceError, TypeError ... */
  readonly kind: string
  /** Threads that could not be brought to an end, because they wait for something else than the kernel: only a signal ends the process. */
  readonly stuckThreads: number

  constructor({ name, code, message, stack }: ErrorText, stuckThreads = 0) {
    super(message)
    this.kind = name
    this.code = code
    this.stack = stack
    this.stuckThreads = stuckThreads
  }
}

export interface EngineOptions {
  /** How many: one, if the volume is written. */
  readonly threads: number
  readonly volume: VolumeToMount
  readonly times: CacheTimes
  readonly manner: MountManner
  readonly yieldsClaim: boolean
  readonly accessTimes: AccessTimesKept
  readonly note: (text: string) => void
  /** Has the kernel send a request to one of the threads, where the doorbell can't. */
  readonly ask: () => void
}

/** How long threads have for what they are at when another has failed. */
const HOME_MS = 10_000
const RING_MS = 10

export class EngineThreads {
  readonly memory: EngineMemory
  readonly doorbell: Doorbell
  /** Resolves when all threads have ended; rejects with EngineError when one has failed and the others have ended. */
  readonly end: Promise<void>
  private readonly threads: readonly EngineThread[]
  private readonly ask: () => void
  private fd = -1
  /** How often the kernel is writing back at our request. */
  private writingBack = 0

  /** Starts the threads. They open nothing before `open`, except for the first. */
  constructor(options: EngineOptions) {
    const { threads, volume, times, manner, yieldsClaim, accessTimes } = options
    this.memory = { ...newSessionMemory(threads), figures: EngineFigures.memoryFor(threads) }
    this.doorbell = new Doorbell(this.memory.doorbell)
    this.ask = options.ask
    const bell = this.listen()
    const registry = ThreadRegistry.create(threads)
    const { passphrase: _, ...withoutPassphrase } = volume // the key is enough for the others
    this.threads = Array.from({ length: threads }, (_, seat) => {
      const data: EngineData = {
        seat,
        threads,
        volume: seat === 0 ? volume : withoutPassphrase,
        times,
        manner,
        yieldsClaim,
        accessTimes,
        memory: this.memory,
        bell,
        registry: registry.place,
        threadId: registry.reserve(),
      }
      const thread: EngineThread = new EngineThread(data, registry, options.note, (asked) =>
        this.writeBack(thread, asked),
      )
      return thread
    })
    this.end = this.untilEnd()
    this.end.catch(() => undefined) // whoever opens, serves or waits for the end hears of it
  }

  /** Resolves when all threads can serve. Throws EngineError, when all threads have ended. */
  async open(): Promise<EngineShare> {
    const [first, ...others] = this.threads
    const { share } = await this.unlessFailed(first.hear('opened'))
    const opened = others.map((thread) => thread.hear('opened'))
    for (const thread of others) thread.tell({ kind: 'open', share })
    await this.unlessFailed(Promise.all(opened))
    return share
  }

  /**
   * Has them serve the mounted device. Resolves when the mount answers; to undefined if it is gone before. Throws EngineError, when all
   * threads have ended.
   */
  async serve(fd: number): Promise<Connection | undefined> {
    this.fd = fd
    const [first, ...others] = this.threads
    const ready = first.hear('ready')
    first.serve(fd)
    const gone = new Promise<undefined>((resolve) => void first.end.then(() => resolve(undefined), nothing))
    const connection = (await this.unlessFailed(Promise.race([ready, gone])))?.connection
    for (const thread of others) thread.serve(fd, connection)
    return connection
  }

  /** Has the first thread give up the claim on the block device. Throws EngineError. */
  async yieldClaim(): Promise<void> {
    const [first] = this.threads
    const yielded = first.hear('yielded')
    first.tell({ kind: 'yield' })
    await this.unlessFailed(yielded)
  }

  /** Closes the volume of a mount that came to nothing: the threads wait for messages. Throws EngineError. */
  async close(): Promise<void> {
    for (const thread of this.threads) thread.tell({ kind: 'close' })
    await this.end
  }

  /** Ends the threads of a mount that came to nothing as they are; nothing is written any more. */
  async terminate(): Promise<void> {
    await Promise.all(this.threads.map((thread) => thread.terminate()))
  }

  /**
   * Has the kernel write back what it keeps of a file, and tells the thread that asked. The call waits until that thread has answered the
   * WRITEs: so it is one of a thread of its own.
   */
  private writeBack(thread: EngineThread, { id, node, start, end }: Message<'writeBack'>): void {
    this.writingBack++
    write(this.fd, invalidation(node, start, end === Infinity ? 0 : end - start), () => {
      // whatever has come of it: an error says that there is nothing (any more)
      this.writingBack--
      thread.tell({ kind: 'writtenBack', id })
      if (!thread.hasEnded && !this.doorbell.ring(this.fd)) this.ask()
    })
  }

  /** Opens a channel by which whoever could not wake the threads by the doorbell has it done here. Returns its name. */
  private listen(): string {
    const name = `cowherd-bell-${randomUUID()}`
    const channel = new BroadcastChannel(name)
    channel.onmessage = () => {
      if (this.threads.some(({ hasEnded }) => !hasEnded) && !this.doorbell.ringAgain(this.fd)) this.ask()
    }
    channel.unref()
    return name
  }

  private async unlessFailed<T>(work: Promise<T>): Promise<T> {
    const failed = new Promise<never>((_, reject) => void this.end.catch(reject))
    return Promise.race([work, failed])
  }

  private async untilEnd(): Promise<void> {
    const ends = this.threads.map(({ end }) => end)
    try {
      await Promise.all(ends)
    } catch (error) {
      const stuck = await this.sendHome()
      throw stuck > 0 && error instanceof EngineError ? new EngineError(errorTextOf(error), stuck) : error
    }
  }

  /** Has all threads end, with what they are at. Returns how many have not. */
  private async sendHome(): Promise<number> {
    if (this.fd < 0) {
      await this.terminate()
      return 0
    }
    this.doorbell.dismiss()
    for (const thread of this.threads) thread.serve(this.fd) // those that wait for that word end at once
    const left = (): number => this.threads.filter(({ hasEnded }) => !hasEnded).length + this.writingBack
    for (const deadline = Date.now() + HOME_MS; left() > 0 && Date.now() < deadline;) {
      if (!this.doorbell.ringAgain(this.fd)) this.ask()
      await new Promise((resolve) => setTimeout(resolve, RING_MS))
    }
    return left()
  }
}

function nothing(): void {
  // told elsewhere
}

function errorTextOf({ kind, code, message, stack }: EngineError): ErrorText {
  return { name: kind, code, message, stack: stack ?? '' }
}

type Message<Kind extends EngineMessage['kind']> = Extract<EngineMessage, { kind: Kind }>

/** One of them. */
class EngineThread {
  /** Resolves when it has served to the end; rejects if it fails. */
  readonly end: Promise<void>
  hasEnded = false
  private serves = false
  private readonly worker: Worker
  private readonly waiting = new Map<string, (message: EngineMessage) => void>()

  constructor(
    data: EngineData,
    registry: ThreadRegistry,
    note: (text: string) => void,
    writeBack: (asked: Message<'writeBack'>) => void,
  ) {
    const worker = new Worker(new URL('./engine.worker.js', import.meta.url), {
      workerData: data,
      name: `engine ${data.seat}`,
    })
    registry.watch(worker, data.threadId)
    this.worker = worker
    this.end = new Promise<void>((resolve, reject) => {
      worker.on('message', (message: EngineMessage) => {
        if (message.kind === 'ended') resolve()
        else if (message.kind === 'failed') reject(new EngineError(message.error))
        else if (message.kind === 'note') note(message.text)
        else if (message.kind === 'writeBack') writeBack(message)
        else this.waiting.get(message.kind)?.(message)
      })
      worker.once('error', (error: unknown) => reject(error instanceof Error ? error : new Error(String(error))))
      worker.once('exit', (code) => reject(new Error(`a thread of the engine ended with ${code}`)))
    })
    const ended = (): void => {
      this.hasEnded = true
    }
    this.end.then(ended, ended)
  }

  tell(command: EngineCommand): void {
    this.worker.postMessage(command)
  }

  /** Has it serve, if it doesn't already. */
  serve(fd: number, agreed?: Connection): void {
    if (this.serves) return
    this.serves = true
    this.tell({ kind: 'serve', fd, ...(agreed === undefined ? {} : { agreed }) })
  }

  /** Resolves at the next message of that kind. */
  hear<Kind extends EngineMessage['kind']>(kind: Kind): Promise<Message<Kind>> {
    return new Promise((resolve) => {
      this.waiting.set(kind, (message) => {
        if (message.kind === kind) resolve(message as Message<Kind>)
      })
    })
  }

  async terminate(): Promise<void> {
    await this.worker.terminate()
  }
}
