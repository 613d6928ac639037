/**
 * The state of all threads of a running process, taken by any one of them while the others do what they do, or are blocked:
 * who waits for what, since when, and who has it. Nobody is stopped or waited for, so the parts are of slightly different moments;
 * nothing that is read is believed, and every loop is bounded.
 *
 * Which locks a thread holds is known completely for shared modes. An exclusive owner is known from those who wait for him, as they
 * last saw him, which may be a tenth of a second ago; and, where the lock-order checker is on, completely. So locks pay nothing.
 */

import { Mode, PrimitiveKind } from '../sync/queue-lock.ts'
import { Header, HELD_MAX, LABEL_WORDS, msSince, Note, RECORD_WORDS, RECORDS_MAX } from '../sync/registry-layout.ts'
import {
  COUNT,
  KIND_SHIFT,
  LABEL,
  LOCK,
  MODE,
  SEEN,
  Signal,
  SIGNAL,
  SINCE,
  type ThreadRegistry,
} from '../sync/threads.ts'

export interface ThreadReference {
  readonly id: number
  /** Empty if it has none. */
  readonly name: string
  readonly isAlive: boolean
}

export interface LockReference {
  readonly number: number
  readonly kind: string
  /** Empty if it has none. */
  readonly name: string
}

export interface WaitState {
  readonly for: LockReference
  /** How it wants the lock; undefined for what is not held but happens. */
  readonly mode: string | undefined
  readonly sinceMs: number
  /** Who was last seen owning it alone. */
  readonly owner: ThreadReference | undefined
}

export interface HoldState {
  readonly lock: LockReference
  readonly mode: 'shared' | 'owner'
  /** How often a shared one is held. */
  readonly count: number
  /** How that is known: by the thread's own record, by one that waits, or by the lock-order checker. */
  readonly knownBy: 'record' | 'waiter' | 'checker'
}

export interface ThreadState extends ThreadReference {
  /** How long it has been there. */
  readonly ageMs: number
  /** More than one if its tasks wait by `await`. */
  readonly waits: readonly WaitState[]
  readonly holds: readonly HoldState[]
}

/** Plain data, which can be made JSON. */
export interface StateDump {
  /** Time of day, in ISO form. */
  readonly at: string
  /** The living, and those of the dead who hold something or waited. */
  readonly threads: readonly ThreadState[]
  /** Threads that wait for each other in a circle: a deadlock, unless a task of one of them goes on. */
  readonly circles: readonly (readonly ThreadReference[])[]
  /** What `reportState` added, by name. */
  readonly reports: Readonly<Record<string, unknown>>
}

const reporters = new Map<string, () => unknown>()

/**
 * Adds to the dumps that this thread takes what `report` returns: plain data, found without waiting for anybody. Returns how to end that.
 * A report that throws is replaced by its error.
 */
export function reportState(name: string, report: () => unknown): () => void {
  reporters.set(name, report)
  return () => {
    if (reporters.get(name) === report) reporters.delete(name)
  }
}

interface Watched {
  readonly kind: string
  /** How its state is found; undefined if it isn't there any more. */
  readonly read: () => (() => unknown) | undefined
}

function readWeakly<T extends object>(view: WeakRef<T>, stateOf: (object: T) => unknown): (() => unknown) | undefined {
  const object = view.deref()
  return object === undefined ? undefined : () => stateOf(object)
}

/** What this thread has views of: work queues, timers, asynchronous I/O, domains of RCU. They are not kept alive. */
let watched: Watched[] = []

/** @internal From now on the dumps that this thread takes have the object's state, as `kind` and a number. */
export function watchState<T extends object>(kind: string, object: T, stateOf: (object: T) => unknown): void {
  const view = new WeakRef(object)
  watched.push({ kind, read: () => readWeakly(view, stateOf) })
  if (watched.length < forgetAt) return
  watched = watched.filter((each) => each.read() !== undefined)
  forgetAt = Math.max(FORGET_AT_MIN, watched.length * 2)
}

const FORGET_AT_MIN = 64
/** The gone are left out when there are so many: twice as many as were left the last time, so that each is looked at a few times. */
let forgetAt = FORGET_AT_MIN

/** The state of all threads of the registry, and of what reports to this thread. */
export function dumpState(registry: ThreadRegistry): StateDump {
  const threads = new RegistryReader(registry).threads()
  return { at: new Date().toISOString(), threads, circles: circlesIn(threads), reports: reports() }
}

function reports(): Record<string, unknown> {
  const numbers = new Map<string, number>()
  const seen = watched.flatMap(({ kind, read }): [string, () => unknown][] => {
    const report = read()
    if (report === undefined) return []
    const number = (numbers.get(kind) ?? 0) + 1
    numbers.set(kind, number)
    return [[`${kind} ${number}`, report]]
  })
  return Object.fromEntries(
    [...seen, ...reporters].map(([name, report]) => {
      try {
        return [name, report()]
      } catch (error) {
        return [name, { error: String(error) }]
      }
    }),
  )
}

/** What one record of a thread said when it was looked at. */
interface ReadRecord {
  readonly owner: number
  readonly lock: number
  readonly mode: number
  readonly signal: number
  readonly count: number
  readonly seen: number
  readonly since: number
}

class RegistryReader {
  private readonly registry: ThreadRegistry
  private readonly words: Int32Array
  private readonly records: readonly ReadRecord[]
  /** Names of locks by their numbers. */
  private readonly names = new Map<number, string>()

  constructor(registry: ThreadRegistry) {
    this.registry = registry
    this.words = registry.words
    this.readLabels()
    this.records = Array.from({ length: registry.seats }, (_, seat) => this.recordsOf(seat + 1)).flat()
  }

  threads(): ThreadState[] {
    const ids = Array.from({ length: this.registry.seats }, (_, seat) => this.idAt(seat + 1))
    return ids
      .filter((id) => id !== 0)
      .map((id) => this.threadOf(id))
      .filter(({ isAlive, waits, holds }) => isAlive || waits.length > 0 || holds.length > 0)
  }

  private threadOf(id: number): ThreadState {
    const records = this.records.filter((record) => record.owner === id)
    const since = Atomics.load(this.words, this.registry.noteOf(id) + Note.since)
    return {
      ...this.referTo(id),
      ageMs: since === 0 ? 0 : msSince(since),
      waits: records.filter(isWaiting).map((record) => this.waitOf(record)),
      holds: this.holdsOf(id, records),
    }
  }

  private waitOf({ lock, mode, since, seen }: ReadRecord): WaitState {
    const owner = seen === 0 ? undefined : this.referTo(seen)
    return { for: this.lockOf(lock), mode: modeName(lock, mode), sinceMs: msSince(since), owner }
  }

  private holdsOf(id: number, records: readonly ReadRecord[]): HoldState[] {
    const holds: HoldState[] = records
      .filter(({ signal }) => signal === Signal.held || signal === Signal.granted)
      .filter(({ lock, mode }) => mode === Mode.shared && modeName(lock, mode) !== undefined)
      .map(({ lock, count }) => ({ lock: this.lockOf(lock), mode: 'shared', count, knownBy: 'record' }))
    const add = (lock: number, knownBy: HoldState['knownBy']): void => {
      if (holds.some((hold) => hold.lock.number === lock)) return
      holds.push({ lock: this.lockOf(lock), mode: 'owner', count: 1, knownBy })
    }
    for (const lock of this.notedHeld(id)) add(lock, 'checker')
    for (const { seen, lock, signal } of this.records) if (seen === id && isWaiting({ signal })) add(lock, 'waiter')
    return holds
  }

  private notedHeld(id: number): number[] {
    const note = this.registry.noteOf(id)
    const count = Math.min(Math.max(0, Atomics.load(this.words, note + Note.heldCount)), HELD_MAX)
    return Array.from({ length: count }, (_, i) => Atomics.load(this.words, note + Note.held + i))
  }

  private referTo(id: number): ThreadReference {
    const sits = id !== 0 && this.idAt(id & 0xff) === id // else the name there is another one's
    return { id, name: sits ? this.registry.nameOf(id) : '', isAlive: sits && this.registry.isAlive(id) }
  }

  /** Id of who sits or sat on a seat; 0: nobody, or nonsense. */
  private idAt(seat: number): number {
    const id = seat >= 1 && seat <= this.registry.seats ? this.registry.idOf(seat) : 0
    return (id & 0xff) === seat ? id : 0
  }

  private lockOf(number: number): LockReference {
    return { number, kind: kindName(number), name: this.names.get(number) ?? '' }
  }

  private recordsOf(seat: number): ReadRecord[] {
    const owner = this.idAt(seat)
    if (owner === 0) return []
    const read: ReadRecord[] = []
    for (let i = 0; i < RECORDS_MAX; i++) {
      const at = this.registry.recordsOf(seat) + i * RECORD_WORDS
      const signal = Atomics.load(this.words, at + SIGNAL)
      if (signal === Signal.free) continue
      const [lock, mode, count, seen, since, label] = [LOCK, MODE, COUNT, SEEN, SINCE, LABEL].map((word) =>
        Atomics.load(this.words, at + word),
      )
      read.push({ owner, lock, mode, signal, count, seen, since })
      const name = isWaiting({ signal }) ? this.registry.labelText(label) : ''
      if (name !== '') this.names.set(lock, name)
    }
    return read
  }

  /** The first lock of each name is known by number. */
  private readLabels(): void {
    const { labels, labelsMax } = this.registry.layout
    const count = Math.min(Math.max(0, Atomics.load(this.words, Header.labels)), labelsMax)
    for (let label = 1; label <= count; label++) {
      const lock = Atomics.load(this.words, labels + (label - 1) * LABEL_WORDS)
      this.names.set(lock, this.registry.labelText(label))
    }
  }
}

function isWaiting({ signal }: { readonly signal: number }): boolean {
  return signal === Signal.waiting || signal === Signal.nudged
}

const KIND_NAMES: Readonly<Record<number, string>> = {
  [PrimitiveKind.mutex]: 'mutex',
  [PrimitiveKind.rwSemaphore]: 'reader/writer semaphore',
  [PrimitiveKind.semaphore]: 'semaphore',
  [PrimitiveKind.condition]: 'condition',
  [PrimitiveKind.completion]: 'completion',
  [PrimitiveKind.waitQueue]: 'wait queue',
  [PrimitiveKind.sequenceLock]: 'sequence lock',
  [PrimitiveKind.once]: 'once',
  [PrimitiveKind.sixLock]: 'six lock',
}

/** Kinds that are held, by somebody. */
const OWNED: readonly number[] = [
  PrimitiveKind.mutex,
  PrimitiveKind.rwSemaphore,
  PrimitiveKind.sequenceLock,
  PrimitiveKind.once,
  PrimitiveKind.sixLock,
]

function kindName(lock: number): string {
  return KIND_NAMES[lock >>> KIND_SHIFT] ?? 'lock'
}

function modeName(lock: number, mode: number): string | undefined {
  if (!OWNED.includes(lock >>> KIND_SHIFT)) return undefined
  return Object.entries(Mode).find(([, value]) => value === mode)?.[0] ?? '?'
}

/** Circles of threads each of which waits for something that the next one holds. */
function circlesIn(threads: readonly ThreadState[]): ThreadReference[][] {
  const circles: ThreadReference[][] = []
  const done = new Set<number>()
  const visit = (thread: ThreadState, path: readonly ThreadState[]): void => {
    const start = path.findIndex(({ id }) => id === thread.id)
    if (start >= 0) circles.push(path.slice(start).map(({ id, name, isAlive }) => ({ id, name, isAlive })))
    if (done.has(thread.id)) return
    done.add(thread.id)
    for (const next of threads) if (waitsFor(thread, next)) visit(next, [...path, thread])
  }
  for (const thread of threads) visit(thread, [])
  return circles
}

function waitsFor(thread: ThreadState, other: ThreadState): boolean {
  return thread.waits.some((wait) => {
    if (wait.mode === undefined) return false
    if (wait.owner?.id === other.id) return true
    return wait.owner === undefined && other.holds.some(({ lock }) => lock.number === wait.for.number)
  })
}
