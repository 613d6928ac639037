/**
 * A mounted volume, as the main thread of its process sees it: starts the engine's thread, mounts, looks into the running mount, unmounts.
 * The main thread never touches the mount itself, and stays free for signals and timers.
 *
 * However it ends, nobody is left waiting: when the engine fails, the mount is taken away and the connection to the kernel closed, so that
 * callers get errors.
 */

import {
  Doorbell,
  findMount,
  MountError,
  mountFuse,
  newSessionMemory,
  RequestTable,
  Statistics,
  unmount,
} from '@cowherd/fuse'
import type { MountEntry, OpenRequest, OperationStatistics, SessionMemory } from '@cowherd/fuse'
import { closeSync, statfs } from 'node:fs'
import { MessageChannel, Worker, type MessagePort } from 'node:worker_threads'
import { READ_ONLY_TIMES, type CacheTimes } from './caching.ts'
import type { EngineData, EngineMessage, EngineState, ErrorText, ServeMessage, VolumeToMount } from './messages.ts'
import { raiseReadAhead } from './read-ahead.ts'

export interface MountVolumeOptions {
  readonly volume: VolumeToMount
  /** Where to mount it. */
  readonly directory: string
  /** How /proc/mounts names the volume. */
  readonly source: string
  /** Options for the kernel: `ro`, `noatime`, `allow_other`, `default_permissions`, ... Reading only for now: `ro` is always set. */
  readonly kernelOptions?: readonly string[]
  readonly times?: Partial<CacheTimes>
  /** Called when the volume is open and about to be mounted: from here on the process should not end without unmounting. */
  readonly mounting?: () => void
  /** Told of what is worth knowing, before and while the volume is mounted. One sentence each. */
  readonly note?: (text: string) => void
}

/** The volume could not be mounted, or its engine failed. `code` is an errno name, or empty for an error of ours. */
export class EngineError extends Error {
  override readonly name = 'EngineError'
  readonly code: string
  /** The class of the error in the engine's thread: VolumeError, DeviceError, TypeError ... */
  readonly kind: string

  constructor({ name, code, message, stack }: ErrorText) {
    super(message)
    this.kind = name
    this.code = code
    this.stack = stack
  }
}

/** What a running mount is doing. */
export interface Inspection {
  readonly directory: string
  readonly source: string
  readonly pid: number
  readonly upSeconds: number
  readonly protocol: { readonly minor: number; readonly features: readonly string[] }
  /** Requests that are being served or wait for an answer, longest first. */
  readonly openRequests: readonly (OpenRequest & { readonly openMs: number })[]
  /** Undefined if the engine is busy with a request and doesn't tell. */
  readonly engine: EngineState | undefined
  readonly operations: readonly OperationStatistics[]
  readonly memoryBytes: { readonly resident: number; readonly heap: number; readonly shared: number }
}

/** How long the engine has for telling its state. */
const STATE_TIMEOUT_MS = 1000
const SUBTYPE = 'cowherd'
const READ_AHEAD_BYTES = 1 << 20

/**
 * Mounts a volume. Resolves when the mount answers.
 * @throws EngineError if the volume can't be opened, MountError if it can't be mounted
 */
export async function mountVolume(options: MountVolumeOptions): Promise<MountedVolume> {
  const memory = newSessionMemory()
  const { port1, port2 } = new MessageChannel()
  const kernelOptions = [...new Set(['ro', ...(options.kernelOptions ?? [])])]
  const data: EngineData = {
    volume: options.volume,
    times: { ...READ_ONLY_TIMES, ...options.times },
    checksPermissions: kernelOptions.includes('default_permissions'),
    memory,
    port: port2,
  }
  const worker = new Worker(new URL('./engine.worker.js', import.meta.url), { workerData: data, transferList: [port2] })
  port1.unref()
  const engine = new EngineThread(worker, options.note ?? (() => undefined))
  await engine.expect('opened')
  options.mounting?.()
  let fd: number
  try {
    fd = mountFuse(options.directory, { source: options.source, subtype: SUBTYPE, options: kernelOptions })
  } catch (error) {
    await worker.terminate() // it waits for messages: nothing is in its way
    throw error
  }
  worker.postMessage({ kind: 'serve', fd } satisfies ServeMessage)
  const mounted = new MountedVolume(options, fd, memory, port1, engine)
  await engine.expect('ready')
  raiseReadAhead(options.directory, READ_AHEAD_BYTES)
  return mounted
}

export class MountedVolume {
  readonly directory: string
  /** Resolves when the mount is gone and the volume closed; rejects (EngineError) when the engine failed, and the mount is taken away. */
  readonly ended: Promise<EngineState>
  private readonly source: string
  private readonly fd: number
  private readonly memory: SessionMemory
  private readonly port: MessagePort
  private readonly engine: EngineThread
  private readonly startedMs = Date.now()
  private readonly doorbell: Doorbell
  /** As mounted: tells our mount from others on the same directory. */
  private readonly ours: MountEntry | undefined
  private isServed = true
  private hasRung = false
  private isAsking = false
  private nextId = 1

  constructor(options: MountVolumeOptions, fd: number, memory: SessionMemory, port: MessagePort, engine: EngineThread) {
    this.directory = options.directory
    this.source = options.source
    this.ours = findMount(options.directory)
    this.doorbell = new Doorbell(memory.doorbell)
    this.fd = fd
    this.memory = memory
    this.port = port
    this.engine = engine
    this.ended = this.untilEnd()
    this.ended.catch(() => undefined) // whoever cares awaits it
  }

  /** The mount in the table of mounts; undefined if it is not there any more, or another lies over it. */
  get entry(): MountEntry | undefined {
    const { ours } = this
    const present = findMount(this.directory)
    return present?.major === ours?.major && present?.minor === ours?.minor ? present : undefined
  }

  /**
   * Unmounts, and leaves waiting for `ended` to the caller.
   * @throws MountError EBUSY if it is in use: it is served on then. `lazy` takes it out of sight, and it ends with its last user.
   * EINVAL if it isn't there any more; a mount of somebody else on the directory is left alone.
   */
  async unmount(options: { readonly lazy?: boolean } = {}): Promise<void> {
    if (this.entry === undefined) throw new MountError('EINVAL', this.directory, 'not mounted any more')
    await unmount(this.directory, options)
  }

  /**
   * Wakes the engine if it sleeps, so that it comes by its messages and by what a debugger wants of it; as often as you like, also
   * while it does not answer.
   */
  wake(): void {
    if (!this.isServed || (this.hasRung && this.doorbell.isRung)) return
    this.hasRung = this.doorbell.ring(this.fd)
    if (this.hasRung || this.isAsking) return
    // the kernel knows no file of ours to ask for: any request wakes the engine
    this.isAsking = true
    statfs(this.directory, () => (this.isAsking = false))
  }

  /** What the mount is doing. Never waits for long, whatever the engine is at. */
  async inspect(): Promise<Inspection> {
    const engine = await this.engineState()
    const now = Date.now()
    const { rss, heapUsed, arrayBuffers } = process.memoryUsage()
    return {
      directory: this.directory,
      source: this.source,
      pid: process.pid,
      upSeconds: (now - this.startedMs) / 1000,
      protocol: this.engine.protocol,
      openRequests: new RequestTable(this.memory.requests)
        .list()
        .map((request) => ({ ...request, openMs: Math.max(0, now - request.startedMs) })),
      engine,
      operations: new Statistics(this.memory.statistics).list(),
      memoryBytes: { resident: rss, heap: heapUsed, shared: arrayBuffers },
    }
  }

  private async engineState(): Promise<EngineState | undefined> {
    const id = this.nextId++
    const answer = this.engine.stateOf(id, STATE_TIMEOUT_MS)
    this.port.postMessage({ kind: 'inspect', id })
    this.wake()
    return answer
  }

  private async untilEnd(): Promise<EngineState> {
    try {
      return await this.engine.end
    } catch (error) {
      await this.unmount({ lazy: true }).catch(() => undefined) // it may be gone
      throw error
    } finally {
      this.isServed = false
      closeSync(this.fd) // what still waits for an answer gets an error
      this.port.close()
    }
  }
}

/** The main thread's view of the engine's thread. */
class EngineThread {
  /** Resolves when it has served to the end. */
  readonly end: Promise<EngineState>
  protocol: { minor: number; features: readonly string[] } = { minor: 0, features: [] }
  private readonly waiting = new Map<string, () => void>()
  private readonly states = new Map<number, (state: EngineState) => void>()
  private readonly note: (text: string) => void

  constructor(worker: Worker, note: (text: string) => void) {
    this.note = note
    this.end = new Promise((resolve, reject) => {
      worker.on('message', (message: EngineMessage) => {
        if (message.kind === 'ended') resolve(message.state)
        else if (message.kind === 'failed') reject(new EngineError(message.error))
        else this.hear(message)
      })
      worker.once('error', (error: unknown) => reject(error instanceof Error ? error : new Error(String(error))))
      worker.once('exit', (code) => reject(new Error(`the engine's thread ended with ${code}`)))
    })
    this.end.catch(() => undefined) // `expect` and `MountedVolume.ended` tell of it
  }

  /** Resolves at a message of that kind. Throws if the engine fails before. */
  async expect(kind: 'opened' | 'ready'): Promise<void> {
    const heard = new Promise<void>((resolve) => this.waiting.set(kind, resolve))
    await Promise.race([heard, this.end])
  }

  /** The engine's answer to the inspection `id`, or undefined if it takes too long. */
  stateOf(id: number, timeoutMs: number): Promise<EngineState | undefined> {
    return new Promise((resolve) => {
      const timer = setTimeout(() => done(undefined), timeoutMs)
      const done = (state: EngineState | undefined): void => {
        clearTimeout(timer)
        this.states.delete(id)
        resolve(state)
      }
      this.states.set(id, done)
    })
  }

  private hear(message: EngineMessage): void {
    if (message.kind === 'note') this.note(message.text)
    else if (message.kind === 'state') this.states.get(message.id)?.(message.state)
    else if (message.kind === 'ready') this.protocol = { minor: message.minor, features: message.features }
    this.waiting.get(message.kind)?.()
  }
}
