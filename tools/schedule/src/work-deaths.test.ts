/**
 * A thread that others ask, or that serves, dies at any of its steps (of which CI tries some), under all
 * schedules with at most one preemption: nobody waits for ever.
 */

import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { bundleScenarios, exploreAll, ScheduledThreads } from './index.ts'
import { scenarios } from './scenarios/work-deaths.ts'

let threads: ScheduledThreads
beforeAll(async () => {
  const text = await bundleScenarios(fileURLToPath(new URL('./scenarios/work-deaths.ts', import.meta.url)))
  threads = await ScheduledThreads.start(text, scenarios)
})
afterAll(() => threads.stop())

/** More than thread 0 takes in nearly all schedules tried here. */
const STEPS = 110
/** Every so manyth step is tried: all with COWHERD_SOAK=1. */
const STRIDE = process.env['COWHERD_SOAK'] === '1' ? 1 : 4

test.each(Object.keys(scenarios))('%s', { timeout: 600_000 }, (name) => {
  let schedules = 0
  for (let diesAfter = 1; diesAfter <= STEPS; diesAfter += STRIDE) {
    const { failure, schedules: tried } = exploreAll(threads, name, { preemptionsMax: 1, diesAfter })
    schedules += tried
    expect({ diesAfter, failure }).toEqual({ diesAfter, failure: undefined })
  }
  if (process.env['COWHERD_SCHEDULES'] === '1') console.log(`${name}, deaths: ${schedules}`)
})
