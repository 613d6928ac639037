/**
 * Looks for a schedule that goes wrong.
 *
 * `exploreAll`: depth first through all schedules. Orders of steps that don't touch the same word lead to the same; sleep sets
 * leave out all but one of them, and lose nothing. With a bound on preemptions (a thread is interrupted though it could go on)
 * only the schedules with so few are tried, all of those. Plain accesses are not steps: what matters is accessed by Atomics.
 *
 * `exploreRandomly`: PCT (Burckhardt and others, "A randomized scheduler with probabilistic guarantees of finding bugs", 2010): random priorities,
 * which change at a few random steps; a bug that needs d such changes is found with a probability that can be told.
 */

import { isIndependent, STEPS_MAX } from './control.ts'
import type { Ending, ScheduledThreads, Schedule } from './threads.ts'

/** A schedule that went wrong. */
export interface Failure {
  readonly ending: Ending
  readonly message: string
  /** Which thread took each step: `replay` takes it. */
  readonly trace: string
  /** Of a random schedule: `exploreRandomly` with it and one schedule gives the same. */
  readonly seed?: number
}

export interface Exploration {
  /** Schedules that ran to their end. */
  schedules: number
  /** Schedules that were given up because others cover them. */
  pruned: number
  /** Whether all schedules (within the bound) were tried. */
  complete: boolean
  failure?: Failure
}

interface Node {
  chosen: number
  readonly enabled: number
  readonly asleep: number
  tried: number
  readonly before: number
  readonly preemptions: number
  readonly operations: readonly number[]
}

export interface ExhaustiveOptions {
  /** At most so many preemptions; left out: any number. */
  readonly preemptionsMax?: number
  /** Stop, incomplete, after so many schedules. */
  readonly schedulesMax?: number
  readonly stepsMax?: number
  /** Thread 0 dies at its so manyth step. */
  readonly diesAfter?: number
}

/** Tries all schedules of the scenario `name`, until one goes wrong. */
export function exploreAll(threads: ScheduledThreads, name: string, options: ExhaustiveOptions = {}): Exploration {
  const { preemptionsMax = Infinity, schedulesMax = Infinity, stepsMax = 2000, diesAfter = 0 } = options
  const sleeps = preemptionsMax === Infinity
  const result: Exploration = { schedules: 0, pruned: 0, complete: false }
  const path: Node[] = []
  let asleep = 0
  for (;;) {
    const prefix = path.map((node) => node.chosen)
    const ending = threads.perform(name, { prefix, asleep, diesAfter }, stepsMax)
    if (ending === 'pruned') result.pruned++
    else result.schedules++
    if (ending !== 'finished' && ending !== 'pruned') return { ...result, failure: failureOf(threads, ending) }
    if (result.schedules + result.pruned >= schedulesMax) return result
    extend(path, threads)
    const next = backtrack(path, preemptionsMax, sleeps)
    if (next === undefined) return { ...result, complete: true }
    asleep = next
  }
}

/** Adds the steps of the last run behind the prefix. */
function extend(path: Node[], threads: ScheduledThreads): void {
  for (let step = path.length; step < threads.steps; step++) {
    const last = path.at(-1)
    const chosen = threads.chosenAt(step)
    path.push({
      chosen,
      enabled: threads.enabledAt(step),
      asleep: threads.asleepAt(step),
      tried: 1 << chosen,
      before: threads.beforeAt(step),
      preemptions: last === undefined ? 0 : last.preemptions + costOf(last, last.chosen),
      operations: Array.from({ length: 8 }, (_, thread) => threads.operationAt(step, thread)),
    })
  }
}

/** Goes back to the last step with another choice, and takes it. Returns who is asleep behind it. */
function backtrack(path: Node[], preemptionsMax: number, sleeps: boolean): number | undefined {
  for (let node = path.at(-1); node !== undefined; path.pop(), node = path.at(-1)) {
    let others = node.enabled & ~node.tried & ~(sleeps ? node.asleep : 0)
    for (; others !== 0; others &= others - 1) {
      const thread = 31 - Math.clz32(others & -others)
      if (node.preemptions + costOf(node, thread) > preemptionsMax) continue
      const covered = node.asleep | node.tried
      node.chosen = thread
      node.tried |= 1 << thread
      return sleeps ? stillAsleep(node, covered, thread) : 0
    }
  }
  return undefined
}

function costOf(node: Node, thread: number): number {
  return thread !== node.before && (node.enabled & (1 << node.before)) !== 0 ? 1 : 0
}

function stillAsleep(node: Node, covered: number, chosen: number): number {
  let asleep = 0
  for (let thread = 0; thread < 8; thread++) {
    const isAsleep = (covered & (1 << thread)) !== 0 && thread !== chosen
    if (isAsleep && isIndependent(node.operations[thread], node.operations[chosen])) asleep |= 1 << thread
  }
  return asleep
}

export interface RandomOptions {
  /** The first schedule's; the next ones count up. */
  readonly seed: number
  readonly schedules: number
  /** Changes of priority in each. */
  readonly changes?: number
  readonly stepsMax?: number
}

/** Tries random schedules of the scenario `name` with `count` threads, until one goes wrong. */
export function exploreRandomly(
  threads: ScheduledThreads,
  name: string,
  count: number,
  options: RandomOptions,
): Exploration {
  const { seed, schedules, changes = 3, stepsMax = STEPS_MAX } = options
  const result: Exploration = { schedules: 0, pruned: 0, complete: false }
  threads.perform(name, { prefix: [], priorities: Array.from({ length: count }, (_, i) => count - i) }, stepsMax)
  const length = Math.max(threads.steps, 1) // fixed by the scenario: a seed means the same schedule in every run
  for (let i = 0; i < schedules; i++) {
    const ending = threads.perform(name, randomSchedule(seed + i, count, changes, length), stepsMax)
    result.schedules++
    if (ending !== 'finished') return { ...result, failure: { ...failureOf(threads, ending), seed: seed + i } }
  }
  return result
}

function randomSchedule(seed: number, count: number, changes: number, length: number): Schedule {
  const random = randomOf(seed)
  const priorities = Array.from({ length: count }, (_, i) => i + 1)
  for (let i = count - 1; i > 0; i--) {
    const other = Math.floor(random() * (i + 1))
    const swapped = priorities[i]
    priorities[i] = priorities[other]
    priorities[other] = swapped
  }
  return { prefix: [], priorities, changes: Array.from({ length: changes }, () => Math.floor(random() * length)) }
}

/** Repeats the schedule of a failure. */
export function replay(threads: ScheduledThreads, name: string, trace: string): Failure | undefined {
  const ending = threads.perform(name, { prefix: choicesOf(trace) })
  return ending === 'finished' ? undefined : failureOf(threads, ending)
}

function failureOf(threads: ScheduledThreads, ending: Ending): Failure {
  return { ending, message: threads.message, trace: traceText(threads.trace()) }
}

/** Choices as text: `0x3 1x2` is thread 0 three times, then thread 1 twice. */
function traceText(choices: readonly number[]): string {
  const runs: [thread: number, times: number][] = []
  for (const thread of choices) {
    const last = runs.at(-1)
    if (last?.[0] === thread) last[1]++
    else runs.push([thread, 1])
  }
  return runs.map(([thread, times]) => `${thread}x${times}`).join(' ')
}

function choicesOf(trace: string): number[] {
  return trace.split(' ').flatMap((run) => {
    const [thread, times] = run.split('x').map(Number)
    return Array.from({ length: times }, () => thread)
  })
}

/** Mulberry32. */
function randomOf(seed: number): () => number {
  let state = seed | 0
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}
