/**
 * A mounted volume, as the main thread of its process sees it: looks into the running mount, wakes the engine, unmounts. The main thread never
 * touches the mount itself, and stays free for signals and timers.
 *
 * However it ends, nobody is left waiting: when the engine fails, the mount is taken away and the connection to the kernel closed, so that
 * callers get errors.
 */

import { findMount, MountError, NodeTable, RequestTable, Statistics, unmount } from '@cowherd/fuse'
import type { Connection, MountEntry, OpenRequest, OperationStatistics } from '@cowherd/fuse'
import type { CacheState } from '@cowherd/db'
import { closeSync } from 'node:fs'
import type { EngineThreads } from './engine-threads.ts'
import { EngineFigures, type OpenHandles } from './figures.ts'
import type { EngineShare } from './messages.ts'

/** What the engine is at. */
export interface EngineState {
  /** Files that the kernel knows, the root included, and how often they were looked up. */
  readonly nodes: { readonly count: number; readonly lookups: number; readonly bytes: number }
  readonly openHandles: OpenHandles
  readonly nodeCache: CacheState
  readonly threads: readonly EngineThreadState[]
}

/** One of its threads. */
export interface EngineThreadState {
  /** Requests that it has answered. */
  readonly answered: number
  readonly openHandles: OpenHandles
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
  readonly engine: EngineState
  readonly operations: readonly OperationStatistics[]
  readonly memoryBytes: { readonly resident: number; readonly heap: number; readonly shared: number }
}

/** How often the doorbell is rung again for those who didn't come, and after what time. */
const RINGS_MAX = 20
const RING_MS = 10
/** For how long after the last change the engine is woken again and again: by then all is written out that is going to be. */
const RESTLESS_MS = 60_000

/** What a mount consists of. */
export interface MountParts {
  readonly directory: string
  readonly source: string
  /** The mounted device; closed at the end. */
  readonly fd: number
  readonly engine: EngineThreads
  readonly share: EngineShare
  readonly ready: Promise<Connection | undefined>
  /** Sends the kernel's request for statfs(2) to the mount. */
  readonly ask: () => void
}

export class MountedVolume {
  readonly directory: string
  /** Resolves when the mount is gone and the volume closed; rejects (EngineError) when the engine failed, and the mount is taken away. */
  readonly ended: Promise<EngineState>
  /** Whether it can be written. */
  readonly isWritable: boolean
  private readonly source: string
  private readonly fd: number
  private readonly engine: EngineThreads
  private readonly figures: EngineFigures
  private readonly nodes: NodeTable
  private readonly ask: () => void
  private readonly startedMs = Date.now()
  /** As mounted: tells our mount from others on the same directory. */
  private readonly ours: MountEntry | undefined
  private connection: Connection | undefined
  private isServed = true
  private isRinging = false

  /** @internal */
  constructor({ directory, source, fd, engine, share, ready, ask }: MountParts) {
    this.directory = directory
    this.source = source
    this.ours = findMount(directory)
    this.fd = fd
    this.engine = engine
    this.figures = new EngineFigures(engine.memory.figures)
    this.nodes = new NodeTable(share.nodes)
    this.ask = ask
    this.isWritable = share.workMs !== undefined
    if (share.workMs !== undefined) this.haveWork(share.workMs)
    this.ended = this.untilEnd()
    this.ended.catch(() => undefined) // whoever cares awaits it
    ready.then(
      (connection) => (this.connection = connection),
      () => undefined, // `ended` tells
    )
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
   * Wakes the engine's threads, all that sleep, so that they come by what a debugger wants of them; as often as you like, also while they
   * do not answer. Returns at once: it may take some tenths of a second until all have come by.
   */
  wake(): void {
    if (!this.isServed || this.isRinging) return
    this.isRinging = true
    if (!this.engine.doorbell.ring(this.fd)) this.ask()
    this.ringAgain(RINGS_MAX)
  }

  /** Has the engine come by its work in the background, every so many milliseconds, as long as there may be some. */
  private haveWork(workMs: number): void {
    const timer = setInterval(() => {
      if (!this.isServed) clearInterval(timer)
      else if (Date.now() - this.figures.changedMs < RESTLESS_MS) this.wake()
    }, workMs)
    timer.unref()
  }

  private ringAgain(rings: number): void {
    const { doorbell } = this.engine
    if (!this.isServed || rings === 0 || doorbell.absent === 0) {
      this.isRinging = false
      return
    }
    setTimeout(() => {
      // the kernel may know no file of ours to ask for
      if (this.isServed && doorbell.absent > 0 && !doorbell.ringAgain(this.fd)) this.ask()
      this.ringAgain(rings - 1)
    }, RING_MS).unref()
  }

  /** What the mount is doing. Never waits, whatever the engine is at, and tells the last state when all is over. */
  inspect(): Inspection {
    const { memory } = this.engine
    const now = Date.now()
    const { rss, heapUsed, arrayBuffers } = process.memoryUsage()
    return {
      directory: this.directory,
      source: this.source,
      pid: process.pid,
      upSeconds: (now - this.startedMs) / 1000,
      protocol: { minor: this.connection?.minor ?? 0, features: [...(this.connection?.features ?? [])] },
      openRequests: new RequestTable(memory.requests)
        .list()
        .map((request) => ({ ...request, openMs: Math.max(0, now - request.startedMs) })),
      engine: this.engineState(),
      operations: new Statistics(memory.statistics).list(),
      memoryBytes: { resident: rss, heap: heapUsed, shared: arrayBuffers },
    }
  }

  private engineState(): EngineState {
    const { nodes, figures } = this
    const statistics = new Statistics(this.engine.memory.statistics)
    const threads = Array.from({ length: figures.threads }, (_, seat) => ({
      answered: statistics.answeredBy(seat),
      openHandles: figures.handlesOf(seat),
    }))
    return {
      nodes: { count: nodes.size, lookups: nodes.lookups, bytes: nodes.bytes },
      openHandles: {
        files: threads.reduce((sum, { openHandles }) => sum + openHandles.files, 0),
        directories: threads.reduce((sum, { openHandles }) => sum + openHandles.directories, 0),
      },
      nodeCache: figures.cache,
      threads,
    }
  }

  private async untilEnd(): Promise<EngineState> {
    try {
      await this.engine.end
      return this.engineState()
    } catch (error) {
      await this.unmount({ lazy: true }).catch(() => undefined) // it may be gone
      throw error
    } finally {
      this.isServed = false
      closeSync(this.fd) // what still waits for an answer gets an error
    }
  }
}
