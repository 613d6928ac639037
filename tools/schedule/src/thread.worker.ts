/**
 * A scheduled thread: what runs in each worker. It replaces the methods of `Atomics` by ones that ask, before each access to
 * the scenario's memory, whose turn it is. There is no scheduling thread: whoever has the turn chooses the next, and as long
 * as it chooses itself, a step costs a function call. Exactly one thread runs at a time.
 *
 * Sleeping is modelled: a thread in `Atomics.wait` is not chosen until it is notified, or until a timeout is chosen for it, as
 * far as the scenario allows timeouts. `performance.now` moves by timeouts only. `Atomics.waitAsync` sleeps like `wait`: a
 * thread has one task here.
 */

import { setImmediate } from 'node:timers/promises'
import { workerData } from 'node:worker_threads'
import {
  Changes,
  Control,
  ERROR_BYTES_MAX,
  ErrorText,
  isIndependent,
  Kind,
  Operation,
  Outcome,
  Policy,
  Prefix,
  Priority,
  State,
  Status,
  threadsOf,
  Trace,
  TRACE_WORDS,
  Turn,
  WaitOrder,
  WaitTimeout,
  Woken,
} from './control.ts'
import type { Body, Scenario } from './scenario.ts'

/** What the worker is started with. */
export interface ThreadData {
  readonly index: number
  readonly control: SharedArrayBuffer
  readonly memory: SharedArrayBuffer
}

/** Ends a body whose schedule is given up. */
class Aborted extends Error {}

/** Ends a body that dies: nothing is cleaned up. */
class Died extends Error {}

const real = { ...methodsOf(Atomics) }

function methodsOf(atomics: typeof Atomics) {
  const { load, store, add, sub, and, or, xor, exchange, compareExchange, wait, waitAsync, notify } = atomics
  return { load, store, add, sub, and, or, xor, exchange, compareExchange, wait, waitAsync, notify }
}

/** Runs the schedules that the explorer asks for, for ever. */
export async function runSchedules(scenarios: Readonly<Record<string, Scenario>>): Promise<void> {
  const data = workerData as ThreadData
  const thread = new ScheduledThread(data)
  thread.replaceAtomics()
  const names = Object.keys(scenarios).sort()
  for (let run = 0, runs = 0; ;) {
    // What weak references were made to is only let go when the engine gets its turn.
    if (++runs % RUNS_PER_TURN === 0) await setImmediate()
    run = thread.awaitRun(run)
    const scenario = scenarios[names[thread.scenario]]
    await thread.perform(scenario, run)
  }
}

const RUNS_PER_TURN = 64

class ScheduledThread {
  private readonly index: number
  private readonly control: Int32Array
  private readonly memory: SharedArrayBuffer
  private isScheduled = false
  private isDead = false

  constructor(data: ThreadData) {
    this.index = data.index
    this.control = new Int32Array(data.control)
    this.memory = data.memory
  }

  get scenario(): number {
    return this.control[Control.scenario]
  }

  awaitRun(last: number): number {
    const word = this.index === 0 ? Control.run : Control.prepared
    for (;;) {
      const run = real.load(this.control, word)
      if (run !== last && this.index < threadsOf(run)) return run
      real.wait(this.control, word, run)
    }
  }

  async perform(scenario: Scenario, run: number): Promise<void> {
    const { control, index } = this
    let body: Body | undefined
    try {
      if (index === 0) {
        new Uint8Array(this.memory).fill(0)
        scenario.prepare(this.memory)
      }
      body = scenario.threads[index]?.(this.memory)
    } catch (error) {
      this.fail(error)
    }
    if (index === 0) {
      real.store(control, Control.prepared, run)
      real.notify(control, Control.prepared)
    }
    const isLastReady = real.add(control, Control.ready, 1) === control[Control.threads] - 1
    if (isLastReady) this.handTo(this.choose())
    this.awaitTurn()
    if (body !== undefined && control[Control.aborted] === 0) await this.perhapsFailing(body, scenario)
    if (control[Control.aborted] === 0) {
      control[Status + index] = State.ended
      this.handTo(this.choose())
    }
    if (real.add(control, Control.exited, 1) === control[Control.threads] - 1) this.conclude(scenario, run)
  }

  private async perhapsFailing(body: Body, scenario: Scenario): Promise<void> {
    this.isScheduled = true
    this.isDead = false
    try {
      const result = body()
      if (result !== undefined) await result
    } catch (error) {
      if (!this.isDead && !(error instanceof Aborted)) this.fail(error)
    } finally {
      this.isScheduled = false
    }
    if (!this.isDead) return
    scenario.died?.(this.memory)
    this.control[Control.timeouts] += scenario.timeouts ?? 0 // who waits for the dead needs some, however many were used up before
  }

  private conclude(scenario: Scenario, run: number): void {
    const { control } = this
    if (control[Control.aborted] === 0) {
      try {
        scenario.check?.(this.memory)
      } catch (error) {
        this.fail(error)
      }
    }
    real.store(control, Control.over, run)
    real.notify(control, Control.over)
  }

  private fail(error: unknown): void {
    const { control } = this
    if (control[Control.aborted] !== 0) return // what a given-up body makes of it means nothing
    const text = new TextEncoder().encode(error instanceof Error ? (error.stack ?? error.message) : String(error))
    const kept = text.subarray(0, ERROR_BYTES_MAX)
    new Uint8Array(control.buffer, 4 * ErrorText).set(kept)
    control[Control.errorBytes] = kept.length
    this.abort(Outcome.failed)
  }

  /** Gives the schedule up: all threads leave their bodies. */
  private abort(outcome: number): void {
    const { control } = this
    control[Control.outcome] = outcome
    control[Control.aborted] = 1
    for (let thread = 0; thread < control[Control.threads]; thread++) {
      real.store(control, Turn + thread, 1)
      real.notify(control, Turn + thread)
    }
  }

  private handTo(next: number): void {
    if (next < 0 || this.control[Control.aborted] !== 0) return
    real.store(this.control, Turn + next, 1)
    if (next !== this.index) real.notify(this.control, Turn + next)
  }

  private awaitTurn(): void {
    const word = Turn + this.index
    while (real.load(this.control, word) === 0) real.wait(this.control, word, 0)
    real.store(this.control, word, 0)
  }

  /** Lets the scheduler choose; returns when this thread is chosen. */
  private yield(): void {
    const { control } = this
    if (this.isDead) throw new Died() // in a `finally`, which who dies never comes to
    if (control[Control.aborted] !== 0) throw new Aborted() // in a `finally` of what was given up
    const next = this.choose()
    if (next !== this.index) {
      this.handTo(next)
      this.awaitTurn()
    }
    if (control[Control.aborted] !== 0) throw new Aborted()
    if (this.index !== 0 || control[Control.diesAfter] === 0 || --control[Control.diesAfter] > 0) return
    this.isDead = true
    throw new Died()
  }

  /** The thread that takes the next step, -1 if all have ended. Gives the schedule up if there is none. */
  private choose(): number {
    const { control } = this
    if (control[Control.aborted] !== 0) return -1
    const threads = control[Control.threads]
    let enabled = 0
    let timeouts = 0
    let ended = 0
    for (let thread = 0; thread < threads; thread++) {
      const status = control[Status + thread]
      if (status === State.ended) ended++
      else if (status === State.runnable) enabled |= 1 << thread
      else if (control[Control.timeouts] > 0 && control[WaitTimeout + thread] >= 0) timeouts |= 1 << thread
    }
    if (ended === threads) return -1
    const step = control[Control.step]++
    if (step === control[Control.stepsMax]) return this.giveUp(Outcome.livelock)
    if ((enabled | timeouts) === 0) return this.giveUp(Outcome.deadlock)
    const isBehindPrefix = step >= control[Control.prefixLength]
    const asleep = isBehindPrefix ? control[Control.asleep] : 0
    if (((enabled | timeouts) & ~asleep) === 0) return this.giveUp(Outcome.pruned)
    const chosen = isBehindPrefix ? this.prefer(enabled & ~asleep, timeouts & ~asleep, step) : control[Prefix + step]
    if (((enabled | timeouts) & (1 << chosen)) === 0) {
      control[Control.step]--
      this.fail(new Error(`step ${step}: thread ${chosen} can't go on; the schedule is of another program`))
      return -1
    }
    this.record(step, chosen, enabled | timeouts, asleep)
    control[Control.current] = chosen
    if (isBehindPrefix) {
      let awake = 0
      for (let thread = 0; thread < threads; thread++) {
        if (!isIndependent(control[Operation + thread], control[Operation + chosen])) awake |= 1 << thread
      }
      control[Control.asleep] = asleep & ~awake & ~(1 << chosen)
    }
    if ((timeouts & (1 << chosen)) !== 0) this.timeOut(chosen)
    return chosen
  }

  private giveUp(outcome: number): number {
    this.control[Control.step]-- // which nobody takes
    this.abort(outcome)
    return -1
  }

  private prefer(enabled: number, timeouts: number, step: number): number {
    const { control } = this
    const current = control[Control.current]
    if (control[Control.policy] === Policy.goOn) {
      if ((enabled & (1 << current)) !== 0) return current
      return 31 - Math.clz32(enabled !== 0 ? enabled & -enabled : timeouts & -timeouts)
    }
    let best = this.ofHighestPriority(enabled | timeouts)
    for (let i = 0; i < control[Control.changes]; i++) {
      if (control[Changes + i] !== step) continue
      control[Priority + best] = -1 - i
      best = this.ofHighestPriority(enabled | timeouts)
    }
    return best
  }

  private ofHighestPriority(candidates: number): number {
    let best = -1
    for (let thread = 0; thread < this.control[Control.threads]; thread++) {
      if ((candidates & (1 << thread)) === 0) continue
      if (best < 0 || this.control[Priority + thread] > this.control[Priority + best]) best = thread
    }
    return best
  }

  private record(step: number, chosen: number, enabled: number, asleep: number): void {
    const { control } = this
    const at = Trace + step * TRACE_WORDS
    control[at] = chosen | (enabled << 8) | (control[Control.current] << 16) | (asleep << 20)
    for (let thread = 0; thread < control[Control.threads]; thread++) {
      control[at + 1 + thread] = control[Operation + thread]
    }
  }

  private timeOut(thread: number): void {
    const { control } = this
    control[Control.timeouts]--
    control[Control.clockMs] += control[WaitTimeout + thread]
    control[Status + thread] = State.runnable
    control[Woken + thread] = 0
  }

  private isStep(array: { buffer: ArrayBufferLike }): boolean {
    return this.isScheduled && array.buffer === this.memory
  }

  private step(kind: number, array: { byteOffset: number; BYTES_PER_ELEMENT: number }, index: number): void {
    const word = (array.byteOffset + index * array.BYTES_PER_ELEMENT) >> 2
    this.control[Operation + this.index] = (kind << 24) | word
    this.yield()
  }

  /** Puts the replacements in place. */
  replaceAtomics(): void {
    const names = ['load', 'store', 'add', 'sub', 'and', 'or', 'xor', 'exchange', 'compareExchange'] as const
    for (const name of names) {
      const method = real[name] as (array: Int32Array, index: number, ...values: number[]) => number
      const kind = name === 'load' ? Kind.load : Kind.change
      this.replace(name, (array: Int32Array, index: number, ...values: number[]) => {
        if (this.isStep(array)) this.step(kind, array, index)
        return method(array, index, ...values)
      })
    }
    this.replace('wait', (array: Int32Array, index: number, value: number, timeoutMs?: number) =>
      this.isStep(array) ? this.wait(array, index, value, timeoutMs) : real.wait(array, index, value, timeoutMs),
    )
    this.replace('waitAsync', (array: Int32Array, index: number, value: number, timeoutMs?: number) => {
      if (!this.isStep(array)) return real.waitAsync(array, index, value, timeoutMs)
      const outcome = this.wait(array, index, value, timeoutMs)
      return outcome === 'not-equal'
        ? { async: false, value: outcome }
        : { async: true, value: Promise.resolve(outcome) }
    })
    this.replace('notify', (array: Int32Array, index: number, count?: number) =>
      this.isStep(array) ? this.notify(array, index, count) : real.notify(array, index, count),
    )
    const now = performance.now.bind(performance)
    performance.now = () => (this.isScheduled ? this.control[Control.clockMs] : now())
  }

  private replace(name: string, method: unknown): void {
    Object.defineProperty(Atomics, name, { value: method, configurable: true, writable: true })
  }

  private wait(
    array: Int32Array,
    index: number,
    value: number,
    timeoutMs = Infinity,
  ): 'ok' | 'not-equal' | 'timed-out' {
    const { control } = this
    this.step(Kind.wait, array, index)
    if (real.load(array, index) !== value) return 'not-equal'
    const operation = control[Operation + this.index] & 0xffffff
    control[Status + this.index] = State.waiting
    control[WaitOrder + this.index] = control[Control.waits]++
    control[WaitTimeout + this.index] = Number.isFinite(timeoutMs) ? Math.ceil(timeoutMs) : -1
    control[Operation + this.index] = (Kind.timeout << 24) | operation
    this.yield()
    return control[Woken + this.index] === 1 ? 'ok' : 'timed-out'
  }

  private notify(array: Int32Array, index: number, count = Infinity): number {
    const { control } = this
    this.step(Kind.notify, array, index)
    const word = control[Operation + this.index] & 0xffffff
    let woken = 0
    for (; woken < count; woken++) {
      let first = -1
      for (let thread = 0; thread < control[Control.threads]; thread++) {
        const waitsHere =
          control[Status + thread] === State.waiting && (control[Operation + thread] & 0xffffff) === word
        if (waitsHere && (first < 0 || control[WaitOrder + thread] < control[WaitOrder + first])) first = thread
      }
      if (first < 0) break
      control[Status + first] = State.runnable
      control[Operation + first] = Kind.none
      control[Woken + first] = 1
    }
    return woken
  }
}
