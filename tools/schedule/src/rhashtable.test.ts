/** The hashtable under all schedules with few preemptions of small scenarios, and random ones of larger. COWHERD_SOAK=1: more. */

import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { exploreFewPreemptions, randomSchedules, seed } from './budget.ts'
import { exploreRandomly, ScheduledThreads } from './index.ts'
import { bundleHashtable } from './rhashtable-text.ts'
import { scenarios } from './scenarios/rhashtable.ts'

const RANDOM_SCHEDULES = randomSchedules(1000)
/** Scenarios of which schedules with three preemptions are tried in CI: fewer than 5000. */
const QUICK = [
  'lookup, insert',
  'lookup, remove',
  'lookup, remove the first and the last',
  'lookup, replace',
  'lookup, free',
  'lookup, reuse',
  'insert, insert',
  'insert, insert another',
  'remove, remove',
  'remove, remove a neighbour',
  'maintainer, stopped',
]

let threads: ScheduledThreads
beforeAll(async () => {
  threads = await ScheduledThreads.start(await bundleHashtable('rhashtable'), scenarios)
})
afterAll(() => threads.stop())

const ofSize = (isLarge: boolean) =>
  Object.keys(scenarios).filter((name) => (scenarios[name]?.isLarge ?? false) === isLarge)

describe('schedules', () => {
  test.each(ofSize(false))('%s: every schedule with few preemptions', { timeout: 3600_000 }, (name) => {
    const isThree = scenarios[name]?.threads.length === 3
    const preemptionsMax = isThree ? 1 : QUICK.includes(name) ? 3 : 2
    const result = exploreFewPreemptions(threads, name, { preemptionsMax, stepsMax: 4000 })
    expect(result).toEqual({ ...result, failure: undefined, complete: true })
    if (process.env['COWHERD_SCHEDULES'] === '1')
      console.log(`${name}: ${result.schedules}, ${preemptionsMax} preemptions`)
  })

  test.each(ofSize(true))(
    `%s: ${RANDOM_SCHEDULES} random schedules from seed ${seed}`,
    { timeout: 3600_000 },
    (name) => {
      const count = scenarios[name]?.threads.length ?? 0
      const result = exploreRandomly(threads, name, count, { seed, schedules: RANDOM_SCHEDULES })
      expect(result.failure).toBeUndefined()
    },
  )
})
