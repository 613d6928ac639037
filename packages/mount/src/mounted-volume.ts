/**
 * A mounted volume, as the main thread of its process sees it: has the engine open the volume, mounts, looks into the running mount, unmounts.
 * The main thread never touches the mount itself, and stays free for signals and timers.
 *
 * However it ends, nobody is left waiting: when the engine fails, the mount is taken away and the connection to the kernel closed, so that
 * callers get errors.
 */

import { findMount, MountError, mountFuse, NodeTable, RequestTable, Statistics, unmount } from '@cowherd/fuse'
import type { Connection, MountEntry, OpenRequest, OperationStatistics } from '@cowherd/fuse'
import type { CacheState } from '@cowherd/db'
import { closeSync, statfs } from 'node:fs'
import { READ_ONLY_TIMES, type CacheTimes } from './caching.ts'
import { EngineThreads } from './engine-threads.ts'
import { EngineFigures, type OpenHandles } from './figures.ts'
import type { EngineShare, VolumeToMount } from './messages.ts'
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
  /** How many threads serve it, 1 to 64; 1 if left out. */
  readonly threads?: number
  /** Called when the volume is open and about to be mounted: from here on the process should not end without unmounting. */
  readonly mounting?: () => void
  /** Told of what is worth knowing, before and while the volume is mounted. One sentence each. */
  readonly note?: (text: string) => void
}

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

const SUBTYPE = 'cowherd'
const READ_AHEAD_BYTES = 1 << 20
const THREADS_MAX = 64
/** How often the doorbell is rung again for those who didn't come, and after what time. */
const RINGS_MAX = 20
const RING_MS = 10

/**
 * Mounts a volume. Resolves when the mount answers.
 * @throws EngineError if the volume can't be opened, MountError if it can't be mounted, RangeError for a wrong number of threads
 */
export async function mountVolume(options: MountVolumeOptions): Promise<MountedVolume> {
  const { threads = 1, directory } = options
  if (!(Number.isInteger(threads) && threads >= 1 && threads <= THREADS_MAX)) {
    throw new RangeError(`${threads} threads where 1 to ${THREADS_MAX} are possible`)
  }
  const kernelOptions = [...new Set(['ro', ...(options.kernelOptions ?? [])])]
  const engine = new EngineThreads({
    threads,
    volume: options.volume,
    times: { ...READ_ONLY_TIMES, ...options.times },
    checksPermissions: kernelOptions.includes('default_permissions'),
    note: options.note ?? (() => undefined),
    ask: asking(directory),
  })
  const share = await engine.open()
  options.mounting?.()
  let fd: number
  try {
    fd = mountFuse(directory, { source: options.source, subtype: SUBTYPE, options: kernelOptions })
  } catch (error) {
    await engine.terminate()
    throw error
  }
  const ready = engine.serve(fd)
  const mounted = new MountedVolume(options, fd, engine, share, ready)
  await ready
  raiseReadAhead(directory, READ_AHEAD_BYTES)
  return mounted
}

/** What sends the kernel's request for statfs(2) to the mount on `directory`, one at a time. Any request wakes one of its threads. */
function asking(directory: string): () => void {
  let isAsking = false
  return () => {
    if (isAsking) return
    isAsking = true
    statfs(directory, () => (isAsking = false))
  }
}

export class MountedVolume {
  readonly directory: string
  /** Resolves when the mount is gone and the volume closed; rejects (EngineError) when the engine failed, and the mount is taken away. */
  readonly ended: Promise<EngineState>
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
  constructor(
    options: MountVolumeOptions,
    fd: number,
    engine: EngineThreads,
    share: EngineShare,
    ready: Promise<Connection | undefined>,
  ) {
    this.directory = options.directory
    this.source = options.source
    this.ours = findMount(options.directory)
    this.fd = fd
    this.engine = engine
    this.figures = new EngineFigures(engine.memory.figures)
    this.nodes = new NodeTable(share.nodes)
    this.ask = asking(options.directory)
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
