/** A thread dies at any of its steps while it changes a hashtable: the other gets everything done, and nothing is lost. */

import { afterAll, beforeAll, expect, test } from 'vitest'
import { isSoak, soakSchedules } from './budget.ts'
import { exploreAll, ScheduledThreads } from './index.ts'
import { bundleHashtable } from './rhashtable-text.ts'
import { scenarios } from './scenarios/rhashtable-deaths.ts'

/** Scenarios of which so few steps are the one's who dies are tried with a preemption more; of others, each fifth death. */
const SHORT = 60

let threads: ScheduledThreads
beforeAll(async () => {
  threads = await ScheduledThreads.start(await bundleHashtable('rhashtable-deaths'), scenarios)
})
afterAll(() => threads.stop())

test.each(Object.keys(scenarios))('%s', { timeout: 3600_000 }, (name) => {
  threads.perform(name, { prefix: [] })
  const steps = threads.trace().filter((thread) => thread === 0).length
  let schedules = 0
  for (let diesAfter = 1; diesAfter <= steps; diesAfter++) {
    const preemptionsMax = isSoak || steps < SHORT || diesAfter % 5 === 0 ? 1 : 0
    const schedulesMax = isSoak ? soakSchedules : Infinity
    const result = exploreAll(threads, name, { preemptionsMax, diesAfter, schedulesMax, stepsMax: 4000 })
    expect({ diesAfter, failure: result.failure }).toEqual({ diesAfter, failure: undefined })
    schedules += result.schedules
  }
  if (process.env['COWHERD_SCHEDULES'] === '1') console.log(`${name}: ${steps} steps, ${schedules} schedules`)
})
