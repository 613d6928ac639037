/**
 * The engine of a volume that is written: one thread, which holds all of its state. It recovers the volume when it opens it, and shuts it down when
 * the mount is gone.
 *
 * When a device fails, the volume can be read only from then on: that is said once, callers get EROFS, and reading goes on. An error of ours is
 * another matter: nothing is written any more, and the next mount recovers.
 */

import { openDatabase, type Database, type VolumeError } from '@cowherd/db'
import { fsDatabaseParts, writableFileSystem, type WritableFileSystem } from '@cowherd/fs'
import { NodeTable, Reply, type DeferredRequest, type Request } from '@cowherd/fuse'
import { fillWithRandom, nativeCodecs, ThreadRegistry } from '@cowherd/shim'
import { withWritableDevices } from './devices.ts'
import type { EngineDuties } from './engine-duties.ts'
import type { Engine } from './engine.ts'
import type { EngineCommand, EngineData, EngineMessage } from './messages.ts'
import { errnoOf, volumeMessage } from './errno.ts'
import { JournalFlusher } from './journal-flusher.ts'
import { newSession } from './new-session.ts'
import { WritingOperations } from './writing-operations.ts'

/** Bounds of how often the engine is woken for what goes on in the background. */
const WORK_MS_MIN = 50
const WORK_MS_MAX = 60_000

/**
 * Opens the volume for writing. `tell` hears what the main thread should know, `hear` gives what that one has said. Throws VolumeError and
 * DeviceError.
 */
export function openWritingEngine(
  data: EngineData,
  tell: (message: EngineMessage) => void,
  hear: () => EngineCommand | undefined,
): Engine {
  new ThreadRegistry(data.registry).enter(data.threadId)
  const note = (text: string): void => tell({ kind: 'note', text })
  const claims: Release[] = []
  const { db, flusher } = openFor(data, claims, note)
  try {
    return new WritingEngine(data, db, flusher, claims, tell, hear)
  } catch (error) {
    db.abandon()
    flusher?.end()
    throw error
  }
}

type Release = () => void

class WritingEngine implements Engine {
  readonly share: Engine['share']
  private readonly data: EngineData
  private readonly db: Database
  private readonly flusher: JournalFlusher | undefined
  private readonly fs: WritableFileSystem
  private readonly nodes: NodeTable
  private readonly claims: readonly Release[]
  private readonly tell: (message: EngineMessage) => void
  private readonly hear: () => EngineCommand | undefined
  /** The option journal_flush_delay of the mount. */
  private readonly flushMs: number | undefined
  private changedMs = 0
  private flushedMs = 0
  private workedMs = 0
  /** What follows when the kernel has written back, by numbers. */
  private readonly writingBack = new Map<number, () => void>()
  private lastWriteBack = 0
  private isFailureSaid = false
  private isClosed = false
  /** Answers requests that had to wait. */
  private reply: Reply | undefined

  constructor(
    data: EngineData,
    db: Database,
    flusher: JournalFlusher | undefined,
    claims: readonly Release[],
    tell: (message: EngineMessage) => void,
    hear: () => EngineCommand | undefined,
  ) {
    const { subvolume, journalFlushDelayMs } = data.volume
    this.data = data
    this.db = db
    this.flusher = flusher
    this.claims = claims
    this.tell = tell
    this.hear = hear
    this.flushMs = journalFlushDelayMs
    this.fs = writableFileSystem(db, { random: fillWithRandom, ...(subvolume === undefined ? {} : { subvolume }) })
    const { root } = this.fs
    this.nodes = NodeTable.create(root.subvolume, root.inodeHi, root.inodeLo)
    const workMs = Math.min(journalFlushDelayMs ?? db.superblock.options.journalFlushDelay, WORK_MS_MAX)
    this.share = { volume: undefined, nodes: this.nodes.descriptor, workMs: Math.max(workMs, WORK_MS_MIN) }
  }

  serve(fd: number): void {
    const { data, db, fs, nodes, tell } = this
    const writeBack = this.writeBack.bind(this)
    const duties: EngineDuties = {
      sync: (request) => this.sync(request),
      changed: () => (this.changedMs = Date.now()),
      work: () => this.comeBy(),
      shutDown: () => this.shutDown(),
      note: (text) => this.note(text),
      rememberFile: (node) => session.doorbell.remember(node),
      dropAttributes: (node) => void session.notifier.invalidateInode(node, -1),
      answer: (waiting, how) => void how(reply.to(waiting)),
      accessTimes: data.accessTimes,
      get writeBack() {
        return session.connection?.features.has('writebackCache') === true ? writeBack : undefined
      },
    }
    const operations = new WritingOperations(fs, nodes, data.times, duties)
    const session = newSession(fd, operations, data, {
      ...{ volume: db, tell },
      changedMs: () => this.changedMs,
      between: () => {
        db.poll()
        this.sayFailure()
      },
    })
    const reply = Reply.over(session.channel)
    this.reply = reply
    this.flusher?.serves(fd)
    session.serve()
  }

  yieldClaim(): void {
    for (const release of this.claims) release()
  }

  close(): void {
    if (this.isClosed) return
    this.isClosed = true
    try {
      this.fs.close()
    } finally {
      this.flusher?.end()
    }
  }

  abandon(): void {
    this.isClosed = true
    this.db.abandon()
    this.flusher?.end()
  }

  /**
   * Answers when everything that was done is on stable storage: at once if it is, else when the flusher has brought it there. Others are served
   * meanwhile, and those who ask for the same are answered together.
   */
  private sync(request: Request): void {
    let waiting: DeferredRequest | undefined
    let outcome: { readonly error: VolumeError | undefined } | undefined
    this.db.flushLater((error) => {
      outcome = { error }
      if (waiting !== undefined) this.answer(waiting, error)
    })
    this.db.poll() // it may be there by now
    if (outcome === undefined) waiting = request.defer()
    else if (outcome.error === undefined) request.ok()
    else throw outcome.error
  }

  private answer(waiting: DeferredRequest, error: VolumeError | undefined): void {
    if (error === undefined) this.reply?.to(waiting).ok()
    else this.reply?.to(waiting).error(errnoOf(error) ?? 'EIO')
  }

  /** Has the kernel write back, by way of the main thread: the call waits until we have answered the WRITEs. */
  private writeBack(node: number, start: number, end: number, then: () => void): void {
    const id = ++this.lastWriteBack
    this.writingBack.set(id, then)
    this.tell({ kind: 'writeBack', id, node, start, end })
  }

  /** Hears what the main thread has said, and does what goes on in the background if it is time for that. Returns whether it did. */
  private comeBy(): boolean {
    for (let command = this.hear(); command !== undefined; command = this.hear()) {
      if (command.kind !== 'writtenBack') continue
      this.writingBack.get(command.id)?.()
      this.writingBack.delete(command.id)
    }
    const now = Date.now()
    if (this.db.failure !== undefined || now - this.workedMs < (this.share.workMs ?? 0) / 2) return false
    this.workedMs = now
    this.work(now)
    return true
  }

  /** What goes on in the background: brings to stable storage what has waited long enough, and keeps order. */
  private work(now: number): void {
    const { db, flushMs } = this
    try {
      if (flushMs !== undefined && this.changedMs > this.flushedMs) {
        this.flushedMs = now
        this.fs.sync()
      }
      db.work(now)
    } catch (error) {
      this.note(volumeMessage(error))
    }
  }

  /** The kernel waits for it: whoever unmounts is told by then that the volume is in order. */
  private shutDown(): void {
    try {
      this.close()
    } catch (error) {
      const why = volumeMessage(error)
      this.note(`the volume could not be shut down, and is recovered when it is mounted next: ${why}`)
    }
  }

  private sayFailure(): void {
    const { failure } = this.db
    if (failure === undefined || this.isFailureSaid) return
    this.isFailureSaid = true
    this.note(`read only from now on: ${failure.message}`)
  }

  private note(text: string): void {
    this.tell({ kind: 'note', text })
  }
}

interface Opened {
  readonly db: Database
  readonly flusher: JournalFlusher | undefined
}

function openFor(
  { volume, yieldsClaim, memory, bell }: EngineData,
  claims: Release[],
  note: (text: string) => void,
): Opened {
  const { devices, missing = 'none', passphrase, cacheBytes } = volume
  const claimed = (release: Release): void => void claims.push(release)
  return withWritableDevices(devices, { note, ...(yieldsClaim ? { claimed } : {}) }, (open) => {
    const flusher = JournalFlusher.over(open, { doorbell: memory.doorbell, bell })
    try {
      const db = openDatabase(open, {
        ...fsDatabaseParts,
        codecs: nativeCodecs(),
        random: fillWithRandom,
        passphrase: () => passphrase,
        missing,
        ...(cacheBytes === undefined ? {} : { cacheBytes }),
        ...(flusher === undefined ? {} : { journalThread: flusher }),
        note,
      })
      return { db, flusher }
    } catch (error) {
      flusher?.end()
      throw error
    }
  })
}
