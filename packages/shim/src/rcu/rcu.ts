/**
 * RCU: who takes something out of a shared structure waits until nobody can be looking at it any more, and frees it then; who
 * looks takes no lock. Quiescent-state based: a thread that reads is *online*, and says now and then, between two requests, that
 * it holds no reference (`quiescent`). When all threads that were online have said so since, a grace period is over. Threads that are
 * offline, asleep in a wait of this package, ended or dead hold nobody up.
 *
 *     word 0 newest grace period | 1 newest that is known to be over | 2 how many wait | 3 seats | 4 number of the domain
 *     from 16 on, a cache line per seat: newest grace period seen (0: offline) | id of the thread | its callbacks that have not run
 *
 * Grace periods are odd numbers, compared modulo 2^32. A thread goes online by a store and a load behind it: so whoever starts a
 * grace period either finds it online, or it finds all that was taken out before gone (loads and stores by Atomics are seen in one
 * order by all). A report loads the number first and stores it then: what was taken out before that number came up is gone for it.
 */

import { newPlace, wordsAt, type SharedPlace } from '../sync/place.ts'
import { LockUseError } from '../sync/sync-error.ts'
import { watchState } from '../threads/state-dump.ts'
import { self, sliceIsOver, type ThreadRegistry, type ThreadSelf } from '../sync/threads.ts'

const NEWEST = 0
const OVER = 1
const WAITING = 2
const SEATS = 3
const NUMBER = 4
const LINE_WORDS = 16
/** Words of a seat's line. */
const SEEN = 0
const THREAD = 1
const CALLBACKS = 2

const OFFLINE = 0
const FIRST = 1
const STEP = 2

/** How long a thread sleeps before it looks whether the one it waits for still lives. */
const SLICE_MS = 100
const STALL_MS = 10_000
/** From so many callbacks on, `callRcu` itself looks whether some can run. */
const CALLBACKS_KEPT = 64

/** Who holds a grace period up. */
export interface RcuStall {
  /** Id of the thread that is online and does not report. */
  readonly thread: number
  /** Its name in the registry, may be empty. */
  readonly name: string
  readonly waitedMs: number
}

export interface RcuOptions {
  /** Called in the waiting thread for whoever holds it up, after `stallMs` and every time as long again. */
  readonly onStall?: (stall: RcuStall) => void
  readonly stallMs?: number
}

/** What a state dump shows. */
export interface RcuState {
  readonly newest: number
  readonly over: number
  readonly threads: readonly RcuThreadState[]
}

export interface RcuThreadState {
  readonly id: number
  readonly name: string
  /** Newest grace period that it has seen; undefined: it is offline. */
  readonly seen: number | undefined
  /** Callbacks that have not run yet. */
  readonly callbacks: number
}

/** The calling thread's views, by the number of their domain. */
const views = new Map<number, Rcu>()

/** A domain of RCU; most processes need one. Each thread has one view of it. */
export class Rcu {
  readonly place: SharedPlace
  private readonly words: Int32Array
  private readonly options: RcuOptions
  /** Set when the thread first goes online. */
  private me: ThreadSelf | undefined
  private line = 0
  private online_ = false
  private wasAsleep = false
  private pins = 0
  /** What this thread's word says while it is online. */
  private reported = 0
  private passed = 0
  /** Callbacks that wait for grace period `ticket`, and those that came later. */
  private due: (() => void)[] = []
  private later: (() => void)[] = []
  private ticket = 0

  /**
   * The calling thread's view of the domain at `place`; a second one can't be used (see `Rcu.of`). Throws LockUseError if nothing
   * was created there.
   */
  constructor(place: SharedPlace, options: RcuOptions = {}) {
    this.place = place
    this.options = options
    const seats = wordsAt(place, 4 * LINE_WORDS)[SEATS]
    if (seats === 0) throw new LockUseError(`nothing was created at byte ${place.offset}`)
    this.words = wordsAt(place, Rcu.bytes(seats))
    watchState('rcu', this, (rcu: Rcu) => rcu.state())
  }

  /** The calling thread's view of the domain at `place`: always the same one. */
  static of(place: SharedPlace): Rcu {
    const number = wordsAt(place, 4 * LINE_WORDS)[NUMBER]
    let view = views.get(number)
    if (view === undefined) {
      view = new Rcu(place)
      views.set(number, view)
    }
    return view
  }

  /** Bytes of a domain for a registry with `seats` seats. */
  static bytes(seats: number): number {
    return 4 * LINE_WORDS * (1 + seats)
  }

  /** Makes a domain for the threads of `registry`; `place` must be zeroed. */
  static create(
    registry: ThreadRegistry,
    place: SharedPlace = newPlace(Rcu.bytes(registry.seats)),
    options: RcuOptions = {},
  ): Rcu {
    const words = wordsAt(place, Rcu.bytes(registry.seats))
    words[NEWEST] = FIRST
    words[OVER] = FIRST
    words[SEATS] = registry.seats
    words[NUMBER] = registry.numberLock()
    const rcu = new Rcu(place, options)
    views.set(words[NUMBER], rcu)
    return rcu
  }

  /** Whether the calling thread may look at what RCU protects. */
  get isOnline(): boolean {
    return this.online_
  }

  /** The calling thread's id and registry. Throws LockUseError if it has not entered one. */
  get thread(): { readonly id: number; readonly registry: ThreadRegistry } {
    return this.me ?? this.attach()
  }

  /**
   * How often this thread was quiescent or offline so far, where it mattered: as long as it stays the same, what was
   * found before is still there.
   */
  get passages(): number {
    return this.passed
  }

  /** The thread is going to look at what RCU protects. Does nothing if it is online. */
  online(): void {
    if (this.online_) return
    if (this.me === undefined) this.attach()
    this.reported = Atomics.load(this.words, NEWEST)
    Atomics.store(this.words, this.line + SEEN, this.reported)
    Atomics.load(this.words, NEWEST) // what is read from now on is read behind the store
    this.online_ = true
  }

  /** The thread has no reference to what RCU protects, and takes none before it is online again. Throws LockUseError if it is pinned. */
  offline(): void {
    if (!this.online_) return
    if (this.pins !== 0) throw new LockUseError('offline, but pinned')
    this.leave()
  }

  /** The thread has no reference to what RCU protects. As long as nobody waits for that, it is a load. */
  quiescent(): void {
    // Plainly: an old value means that it is reported the next time.
    if (this.words[NEWEST] !== this.reported) this.report()
    if (this.due.length !== 0 || this.later.length !== 0) this.runDue()
  }

  /**
   * Online for the rest of this turn of the event loop: until its promise jobs run, which the next `await` waits for. An idle
   * event loop holds nobody up.
   */
  onlineForTurn(): void {
    if (this.online_) return
    this.online()
    queueMicrotask(() => {
      if (this.online_ && this.pins === 0) this.leave()
      this.runDue()
    })
  }

  /**
   * Until `unpin`, the thread stays online although it sleeps: for short waits whose end depends on nobody who waits for a
   * grace period.
   */
  pin(): void {
    this.pins++
  }
  unpin(): void {
    this.pins--
  }

  /**
   * Blocks until all threads that are online now have been quiescent. The calling thread must hold no reference itself: it
   * counts as quiescent. Throws LockUseError if it is pinned.
   */
  synchronizeRcu(): void {
    const wasOnline = this.goOffline()
    const ticket = this.startGracePeriod()
    this.await(ticket)
    if (wasOnline) this.online()
  }

  /** `synchronizeRcu` without blocking the thread, which must not stay online when it awaits. */
  async synchronizeRcuAsync(): Promise<void> {
    this.goOffline()
    await this.awaitAsync(this.startGracePeriod())
  }

  /** Starts a grace period, without waiting for its end. Returns its ticket. */
  startGracePeriod(): number {
    return (Atomics.add(this.words, NEWEST, STEP) + STEP) | 0
  }

  /** Whether the grace period is over. Does not block. */
  isOver(ticket: number): boolean {
    if (isAtLeast(Atomics.load(this.words, OVER), ticket)) return true
    if (this.laggard(ticket) !== 0) return false
    this.noteOver(ticket)
    return true
  }

  /**
   * Has `callback` called by this thread when all threads that are online now have been quiescent: within a `quiescent` or
   * `callRcu` of this thread. Never blocks. Call `rcuBarrier` before the thread ends.
   */
  callRcu(callback: () => void): void {
    if (this.me === undefined) this.attach()
    this.later.push(callback)
    this.countCallbacks()
    if (this.due.length === 0 || this.later.length >= CALLBACKS_KEPT) this.runDue()
  }

  /** Blocks until everything that this thread gave to `callRcu` has been called. The thread counts as quiescent. */
  rcuBarrier(): void {
    const wasOnline = this.goOffline()
    while (this.due.length + this.later.length !== 0) {
      this.runDue()
      if (this.due.length !== 0) this.await(this.ticket)
    }
    if (wasOnline) this.online()
  }

  /** `rcuBarrier` without blocking the thread. */
  async rcuBarrierAsync(): Promise<void> {
    this.goOffline()
    while (this.due.length + this.later.length !== 0) {
      this.runDue()
      if (this.due.length !== 0) await this.awaitAsync(this.ticket)
    }
  }

  /** What the domain's threads do. */
  state(): RcuState {
    const { words } = this
    const { registry } = this.thread
    const threads: RcuThreadState[] = []
    for (let line = LINE_WORDS; line < words.length; line += LINE_WORDS) {
      const id = Atomics.load(words, line + THREAD)
      if (id === 0 || !registry.isAlive(id)) continue
      const seen = Atomics.load(words, line + SEEN)
      threads.push({
        id,
        name: registry.nameOf(id),
        seen: seen === OFFLINE ? undefined : seen,
        callbacks: Atomics.load(words, line + CALLBACKS),
      })
    }
    return { newest: Atomics.load(words, NEWEST), over: Atomics.load(words, OVER), threads }
  }

  /** @internal The thread is going to sleep in a wait of this package. */
  fallsAsleep(): void {
    if (!this.online_ || this.pins !== 0) return
    this.leave()
    this.wasAsleep = true
  }

  /** @internal The sleep is over. */
  wakesUp(): void {
    if (!this.wasAsleep) return
    this.wasAsleep = false
    this.online()
  }

  private attach(): ThreadSelf {
    const me = self()
    const seat = me.id & 0xff
    const line = LINE_WORDS * seat
    if (line >= this.words.length) throw new LockUseError('the domain was made for a smaller registry')
    const number = this.words[NUMBER]
    if (me.sleepers.some((other) => other instanceof Rcu && other.words[NUMBER] === number))
      throw new LockUseError('the thread has another view of this domain of RCU: see Rcu.of')
    Atomics.store(this.words, line + SEEN, OFFLINE) // of a dead thread that had the seat
    Atomics.store(this.words, line + CALLBACKS, 0)
    Atomics.store(this.words, line + THREAD, me.id)
    me.sleepers.push(this)
    this.line = line
    this.me = me
    return me
  }

  private leave(): void {
    this.online_ = false
    this.passed++
    Atomics.store(this.words, this.line + SEEN, OFFLINE)
    this.wake()
  }

  private report(): void {
    if (!this.online_ || this.pins !== 0) return
    this.passed++
    this.reported = Atomics.load(this.words, NEWEST)
    Atomics.store(this.words, this.line + SEEN, this.reported)
    this.wake()
  }

  /** Wakes whoever waits for this thread. */
  private wake(): void {
    if (Atomics.load(this.words, WAITING) !== 0) Atomics.notify(this.words, this.line + SEEN)
  }

  private goOffline(): boolean {
    if (this.pins !== 0) throw new LockUseError('a thread that is pinned would wait for itself')
    const wasOnline = this.online_
    if (wasOnline) this.leave()
    return wasOnline
  }

  /** Line of a thread that holds the grace period up, or 0. The search begins at line `from`. */
  private laggard(ticket: number, from = LINE_WORDS): number {
    const { words } = this
    for (let line = from; line < words.length; line += LINE_WORDS) {
      const seen = Atomics.load(words, line + SEEN)
      if (seen === OFFLINE || isAtLeast(seen, ticket)) continue
      if (this.thread.registry.isAlive(Atomics.load(words, line + THREAD))) return line
    }
    return 0
  }

  private await(ticket: number): void {
    if (this.isOver(ticket)) return
    const { words } = this
    const start = performance.now()
    let stalls = 0
    Atomics.add(words, WAITING, 1)
    for (let line = this.laggard(ticket); line !== 0; line = this.laggard(ticket, line)) {
      const seen = Atomics.load(words, line + SEEN)
      if (seen === OFFLINE || isAtLeast(seen, ticket)) continue
      if (Atomics.wait(words, line + SEEN, seen, SLICE_MS) !== 'timed-out') continue
      sliceIsOver()
      stalls = this.reportStall(line, start, stalls)
    }
    Atomics.sub(words, WAITING, 1)
    this.noteOver(ticket)
  }

  private async awaitAsync(ticket: number): Promise<void> {
    if (this.isOver(ticket)) return
    const { words } = this
    const start = performance.now()
    let stalls = 0
    Atomics.add(words, WAITING, 1)
    const keepsAlive = setInterval(() => undefined, SLICE_MS) // Node ends although a waitAsync is pending
    try {
      for (let line = this.laggard(ticket); line !== 0; line = this.laggard(ticket, line)) {
        const seen = Atomics.load(words, line + SEEN)
        if (seen === OFFLINE || isAtLeast(seen, ticket)) continue
        const { value } = Atomics.waitAsync(words, line + SEEN, seen, SLICE_MS)
        if ((await value) !== 'timed-out') continue
        sliceIsOver()
        stalls = this.reportStall(line, start, stalls)
      }
    } finally {
      clearInterval(keepsAlive)
      Atomics.sub(words, WAITING, 1)
    }
    this.noteOver(ticket)
  }

  /** Says who holds us up, if it is time to. Returns how often that was said. */
  private reportStall(line: number, start: number, stalls: number): number {
    const { onStall, stallMs = STALL_MS } = this.options
    const waitedMs = performance.now() - start
    if (onStall === undefined || waitedMs < stallMs * (stalls + 1)) return stalls
    const thread = Atomics.load(this.words, line + THREAD)
    onStall({ thread, name: this.thread.registry.nameOf(thread), waitedMs })
    return stalls + 1
  }

  private noteOver(ticket: number): void {
    let over = Atomics.load(this.words, OVER)
    while (!isAtLeast(over, ticket)) {
      const seen = Atomics.compareExchange(this.words, OVER, over, ticket)
      if (seen === over) return
      over = seen
    }
  }

  /** Runs the callbacks whose grace period is over. The first error is thrown when all of them have been called. */
  private runDue(): void {
    if (this.due.length !== 0 && !this.isOver(this.ticket)) return
    const callbacks = this.due
    this.due = this.later
    this.later = []
    if (this.due.length !== 0) this.ticket = this.startGracePeriod()
    if (callbacks.length === 0) return
    let failure: { readonly error: unknown } | undefined
    for (const callback of callbacks) {
      try {
        callback()
      } catch (error) {
        failure ??= { error }
      }
    }
    this.countCallbacks()
    if (failure !== undefined) throw failure.error
  }

  private countCallbacks(): void {
    Atomics.store(this.words, this.line + CALLBACKS, this.due.length + this.later.length)
  }
}

/** The registry that the calling thread has entered; undefined: none. */
export function enteredRegistry(): ThreadRegistry | undefined {
  try {
    return self().registry
  } catch (error) {
    if (error instanceof LockUseError) return undefined
    throw error
  }
}

/** Whether grace period `a` is `b` or came after it. */
function isAtLeast(a: number, b: number): boolean {
  return ((a - b) | 0) >= 0
}
