/**
 * The scheduled threads of one bundle, seen from outside: started once, then they run any number of schedules. A schedule is
 * a prefix of choices and a policy for the rest; its result is how it ended and the trace of all its steps.
 */

import { Worker } from 'node:worker_threads'
import {
  Changes,
  Control,
  CONTROL_WORDS,
  ErrorText,
  Kind,
  Operation,
  Outcome,
  Policy,
  Prefix,
  Priority,
  State,
  Status,
  STEPS_MAX,
  THREADS_MAX,
  Trace,
  TRACE_WORDS,
  Turn,
} from './control.ts'
import { MEMORY_BYTES, type Scenario } from './scenario.ts'

/** A thread that makes no step for so long is stuck. */
const STUCK_MS = 60_000

/** Which thread goes when. */
export interface Schedule {
  /** The first choices. */
  readonly prefix: readonly number[]
  /** Threads (bits) asleep behind the prefix. */
  readonly asleep?: number
  /** Behind the prefix the thread of the highest priority goes; at each of the steps `changes` it falls behind. */
  readonly priorities?: readonly number[]
  readonly changes?: readonly number[]
  /** Thread 0 dies at its so manyth step, instead of taking it; left out: it lives. */
  readonly diesAfter?: number
}

/** How a schedule ended. */
export type Ending = 'finished' | 'failed' | 'deadlock' | 'livelock' | 'pruned'

const ENDINGS: Readonly<Record<number, Ending>> = {
  [Outcome.finished]: 'finished',
  [Outcome.failed]: 'failed',
  [Outcome.deadlock]: 'deadlock',
  [Outcome.livelock]: 'livelock',
  [Outcome.pruned]: 'pruned',
}

/** A scenario as the explorer sees it. */
export type ScenarioShape = Pick<Scenario, 'threads' | 'timeouts'>

export class ScheduledThreads {
  /** Steps of the last run; read its trace by the other methods. */
  steps = 0
  private readonly control: Int32Array
  private readonly workers: readonly Worker[]
  private readonly names: readonly string[]
  private readonly scenarios: Readonly<Record<string, ScenarioShape>>
  private run = 0

  private constructor(
    control: Int32Array,
    workers: readonly Worker[],
    scenarios: Readonly<Record<string, ScenarioShape>>,
  ) {
    this.control = control
    this.workers = workers
    this.scenarios = scenarios
    this.names = Object.keys(scenarios).sort()
  }

  /** Starts workers that run `text`, made by `bundleScenarios` of the file that exports `scenarios`. */
  static async start(text: string, scenarios: Readonly<Record<string, ScenarioShape>>): Promise<ScheduledThreads> {
    const control = new SharedArrayBuffer(4 * CONTROL_WORDS)
    const memory = new SharedArrayBuffer(MEMORY_BYTES)
    const count = Math.max(...Object.values(scenarios).map((scenario) => scenario.threads.length))
    const workers = Array.from(
      { length: count },
      (_, index) => new Worker(text, { eval: true, workerData: { index, control, memory } }),
    )
    await Promise.all(
      workers.map(
        (worker) =>
          new Promise<void>((resolve, reject) => {
            worker.once('online', resolve)
            worker.once('error', reject)
          }),
      ),
    )
    return new ScheduledThreads(new Int32Array(control), workers, scenarios)
  }

  async stop(): Promise<void> {
    await Promise.all(this.workers.map((worker) => worker.terminate()))
  }

  /** Runs one schedule of the scenario `name`. Blocks. */
  perform(name: string, schedule: Schedule, stepsMax = STEPS_MAX): Ending {
    const { control } = this
    const scenario = this.scenarios[name]
    const threads = scenario.threads.length
    if (threads > THREADS_MAX) throw new RangeError(`${threads} threads where ${THREADS_MAX} are possible`)
    control.fill(0, Control.scenario, Prefix)
    control[Control.over] = this.run
    control[Control.scenario] = this.names.indexOf(name)
    control[Control.threads] = threads
    control[Control.policy] = schedule.priorities === undefined ? Policy.goOn : Policy.priority
    control[Control.prefixLength] = schedule.prefix.length
    control[Control.stepsMax] = stepsMax
    control[Control.timeouts] = scenario.timeouts ?? 0
    control[Control.asleep] = schedule.asleep ?? 0
    control.fill(State.runnable, Status, Status + THREADS_MAX)
    control.fill(Kind.none << 24, Operation, Operation + THREADS_MAX)
    control.fill(0, Turn, Turn + THREADS_MAX)
    control.set(schedule.prefix, Prefix)
    control.set(schedule.priorities ?? [], Priority)
    control.set(schedule.changes ?? [], Changes)
    control[Control.diesAfter] = schedule.diesAfter ?? 0
    control[Control.changes] = schedule.changes?.length ?? 0
    const last = this.run
    this.run = ((last >> 4) + 1) * 16 + threads
    Atomics.store(control, Control.run, this.run)
    Atomics.notify(control, Control.run)
    while (Atomics.load(control, Control.over) !== this.run) {
      const outcome = Atomics.wait(control, Control.over, last, STUCK_MS)
      if (outcome === 'timed-out') throw new Error(`${name}: a thread is stuck between two steps`)
    }
    const ending = ENDINGS[control[Control.outcome]]
    this.steps = control[Control.step]
    return ending
  }

  /** The thread that took step `step` of the last run. */
  chosenAt(step: number): number {
    return this.control[Trace + step * TRACE_WORDS] & 0xff
  }
  /** The threads (bits) that could have taken it. */
  enabledAt(step: number): number {
    return (this.control[Trace + step * TRACE_WORDS] >> 8) & 0xff
  }
  /** The thread that took the step before. */
  beforeAt(step: number): number {
    return (this.control[Trace + step * TRACE_WORDS] >> 16) & 0xf
  }
  asleepAt(step: number): number {
    return (this.control[Trace + step * TRACE_WORDS] >> 20) & 0xff
  }
  operationAt(step: number, thread: number): number {
    return this.control[Trace + step * TRACE_WORDS + 1 + thread]
  }

  /** All choices of the last run. */
  trace(): number[] {
    return Array.from({ length: this.steps }, (_, step) => this.chosenAt(step))
  }

  /** What went wrong in the last run, if it failed. */
  get message(): string {
    const bytes = new Uint8Array(this.control.buffer, 4 * ErrorText, this.control[Control.errorBytes])
    return new TextDecoder().decode(bytes.slice())
  }
}
