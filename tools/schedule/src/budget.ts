/**
 * How much the tests here try. In CI: what is over in a minute. COWHERD_SOAK=1: besides, with one preemption more, and at random from
 * a new seed, up to COWHERD_SOAK_SCHEDULES schedules of each scenario (20,000; give millions for a night).
 */

import { exploreAll, type Exploration, type ExhaustiveOptions } from './explore.ts'
import type { ScheduledThreads } from './threads.ts'

export const isSoak = process.env['COWHERD_SOAK'] === '1'
export const soakSchedules = Number(process.env['COWHERD_SOAK_SCHEDULES'] ?? 20_000)

/** Of random schedules: always the same in CI; printed with each test's name. */
export const seed = isSoak ? Date.now() % 2 ** 31 : 1

/** How many random schedules are tried; `inCI` of them there. */
export function randomSchedules(inCI: number): number {
  return isSoak ? Math.max(inCI, soakSchedules) : inCI
}

/** All schedules within a number of preemptions; in the soak, then as many with one more as the budget allows. */
export function exploreFewPreemptions(
  threads: ScheduledThreads,
  name: string,
  options: ExhaustiveOptions & { readonly preemptionsMax: number },
): Exploration {
  const all = exploreAll(threads, name, options)
  if (!isSoak || all.failure !== undefined) return all
  const preemptionsMax = options.preemptionsMax + 1
  const more = exploreAll(threads, name, { ...options, preemptionsMax, schedulesMax: soakSchedules })
  return {
    ...all,
    ...(more.failure === undefined ? {} : { failure: more.failure }),
    schedules: all.schedules + more.schedules,
  }
}
