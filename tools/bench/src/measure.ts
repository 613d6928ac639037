/**
 * Measuring: contenders for the same work take turns, round after round, so that what disturbs the machine meets all of
 * them; the median of a contender's samples is its figure. One sample is nanoseconds for one execution of the work.
 */

import { run } from './run.ts'

/** One way to do a piece of work. */
export interface Contender<Sample extends number | Spent = number | Spent> {
  readonly name: string
  /** Does the work, once or some times, and returns the nanoseconds that once takes. */
  sample(): Sample | Promise<Sample>
}

/** What doing the work once took by the clock, and of a processor's time: on a busy machine the second says more. */
export interface Spent {
  readonly ns: number
  readonly processorNs: number
}

/** What a contender took. */
export interface Figure {
  readonly name: string
  readonly medianNs: number
  readonly leastNs: number
  readonly samples: number
  /** Median of the processor's time, if that was measured. */
  readonly processorNs?: number
}

/** Samples all contenders in turn, `rounds` times after one that doesn't count. */
export async function measure(contenders: readonly Contender[], rounds: number): Promise<Figure[]> {
  const samples = contenders.map((): (number | Spent)[] => [])
  for (let round = 0; round <= rounds; round++) {
    for (const [i, contender] of contenders.entries()) {
      const sample = await contender.sample()
      if (round > 0) samples[i].push(sample)
    }
  }
  return contenders.map(({ name }, i) => figureOf(name, samples[i]))
}

/** What the samples of a contender come to. */
export function figureOf(name: string, samples: readonly (number | Spent)[]): Figure {
  const sorted = samples.map((sample) => (typeof sample === 'number' ? sample : sample.ns)).sort((a, b) => a - b)
  const ofProcessor = samples.flatMap((sample) => (typeof sample === 'number' ? [] : [sample.processorNs]))
  const figure = { name, medianNs: sorted[sorted.length >> 1], leastNs: sorted[0], samples: sorted.length }
  if (ofProcessor.length === 0) return figure
  return { ...figure, processorNs: ofProcessor.sort((a, b) => a - b)[ofProcessor.length >> 1] }
}

/** A function of this process. It is called as often as fits `sampleMs`, after so many calls that it is compiled. */
export function ofCalls(name: string, work: () => void, sampleMs = 10): Contender<number> {
  let calls = 0
  return {
    name,
    sample() {
      if (calls === 0) calls = warmUp(work, sampleMs)
      const before = process.hrtime.bigint()
      for (let i = 0; i < calls; i++) work()
      return Number(process.hrtime.bigint() - before) / calls
    },
  }
}

/** Returns how many calls fit `sampleMs`. */
function warmUp(work: () => void, sampleMs: number): number {
  const warmMs = 20 * sampleMs
  const end = performance.now() + warmMs
  let calls = 0
  for (; performance.now() < end; calls++) work()
  return Math.max(1, Math.round((calls * sampleMs) / warmMs))
}

/** Puts things back as they were before a sample, unmeasured. */
type Before = () => void | Promise<void>

/** A program that measures itself and prints its nanoseconds. */
export function ofPrinted(name: string, command: string, args: readonly string[], before?: Before): Contender<number> {
  return {
    name,
    async sample() {
      await before?.()
      return Number(await run(command, args))
    },
  }
}

/** A whole process, from its start to its end; what it prints goes nowhere. */
export function ofProcess(name: string, command: string, args: readonly string[], before?: Before): Contender<number> {
  return {
    name,
    async sample() {
      await before?.()
      const start = process.hrtime.bigint()
      await run(command, args, 'ignore')
      return Number(process.hrtime.bigint() - start)
    },
  }
}

/** The same for a peer that crashes now and then: a sample that fails is taken again, twice at most. */
export function forgiven(contender: Contender<number>): Contender<number> {
  return {
    name: contender.name,
    async sample() {
      for (let tries = 2; ; tries--) {
        try {
          return await contender.sample()
        } catch (error) {
          if (tries === 0) throw error
        }
      }
    },
  }
}
