/**
 * The locks of `@cowherd/shim` under all schedules of small scenarios and random schedules of larger ones.
 *
 * All schedules with at most three preemptions (two threads) or two (three threads) are tried; of those scenarios whose
 * number of schedules allows it, all schedules whatsoever. COWHERD_SOAK=1: more, see `budget.ts`.
 */

import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { exploreFewPreemptions, isSoak, randomSchedules, seed, soakSchedules } from './budget.ts'
import { bundleScenarios, exploreAll, exploreRandomly, replay, ScheduledThreads, type Scenario } from './index.ts'
import { scenarios as locks } from './scenarios/locks.ts'
import { scenarios as rcu } from './scenarios/rcu.ts'
import { scenarios as signals } from './scenarios/signals.ts'
import { scenarios as work } from './scenarios/work.ts'

const RANDOM_SCHEDULES = randomSchedules(1000)
/** Scenarios of which all schedules are tried in CI: fewer than 10,000. */
const WHOLLY = [
  'mutex, 2 threads',
  'mutex, try',
  'mutex, async',
  'rw semaphore, r w',
  'rw semaphore, R w',
  'semaphore, 2 threads',
  'completion, one',
  'completion, all',
  'completion, async',
  'wait queue, 1 waiter',
  'wait queue, timed',
  'once, 2 threads',
  'six lock, l x',
]

const suites: readonly (readonly [file: string, scenarios: Readonly<Record<string, Scenario>>])[] = [
  ['locks', locks],
  ['signals', signals],
  ['rcu', rcu],
  ['work', work],
]

describe.each(suites)('%s', (file, scenarios) => {
  let threads: ScheduledThreads
  beforeAll(async () => {
    const text = await bundleScenarios(fileURLToPath(new URL(`./scenarios/${file}.ts`, import.meta.url)))
    threads = await ScheduledThreads.start(text, scenarios)
  })
  afterAll(() => threads.stop())

  const ofSize = (isLarge: boolean) =>
    Object.keys(scenarios).filter((name) => (scenarios[name]?.isLarge ?? false) === isLarge)
  const small = ofSize(false)
  const isWhole = (name: string) => WHOLLY.includes(name) || (isSoak && scenarios[name]?.threads.length === 2)

  test.each(small)('%s: every schedule with few preemptions', { timeout: 3600_000 }, (name) => {
    const preemptionsMax = scenarios[name]?.threads.length === 2 ? 3 : 2
    const result = exploreFewPreemptions(threads, name, { preemptionsMax })
    expect(result).toMatchObject({ complete: true })
    if (process.env['COWHERD_SCHEDULES'] === '1')
      console.log(`${name}: ${result.schedules}, ${preemptionsMax} preemptions`)
  })

  test.each(small.filter(isWhole))('%s: every schedule', { timeout: 3600_000 }, (name) => {
    const isFew = WHOLLY.includes(name)
    const result = exploreAll(threads, name, isFew ? {} : { schedulesMax: soakSchedules })
    expect(result.failure).toBeUndefined()
    if (isFew) expect(result.complete).toBe(true)
    if (process.env['COWHERD_SCHEDULES'] === '1') console.log(`${name}: ${result.schedules} + ${result.pruned}, all`)
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

  test('a schedule of another program is refused', () => {
    expect(replay(threads, small[0] ?? '', '0x1 7x1')?.message).toContain("can't go on")
  })
})
