/** A thread dies at any of its steps, under all schedules with at most two preemptions: the other never waits for ever. */

import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { bundleScenarios, exploreAll, mutate, ScheduledThreads } from './index.ts'
import { scenarios } from './scenarios/deaths.ts'

/** More than thread 0 takes in any schedule tried here. */
const STEPS = 40

let text = ''
let threads: ScheduledThreads
beforeAll(async () => {
  text = await bundleScenarios(fileURLToPath(new URL('./scenarios/deaths.ts', import.meta.url)))
  threads = await ScheduledThreads.start(text, scenarios)
})
afterAll(() => threads.stop())

/** All schedules with a death at each step. Returns the first failure's ending, if there is one, and their number. */
function dieAnywhere(of: ScheduledThreads, name: string) {
  let schedules = 0
  for (let diesAfter = 1; diesAfter <= STEPS; diesAfter++) {
    const result = exploreAll(of, name, { preemptionsMax: 2, diesAfter })
    schedules += result.schedules
    if (result.failure !== undefined) return { schedules, diesAfter, failure: result.failure }
  }
  return { schedules, failure: undefined }
}

test.each(Object.keys(scenarios))('%s', { timeout: 600_000 }, (name) => {
  const { schedules, ...found } = dieAnywhere(threads, name)
  expect(found).toEqual({ failure: undefined })
  if (process.env['COWHERD_SCHEDULES'] === '1') console.log(`${name}, deaths: ${schedules}`)
})

test.each([
  {
    name: 'nobody helps out who died before handing over',
    from: 'this.handOver(me);\n    return this.deadOwner',
    to: 'return this.deadOwner',
  },
  {
    name: 'a dead owner of the guard is waited for',
    from: 'if (!me.registry.isAlive(owner) && Atomics.load(words, GUARD) === contended)',
    to: 'if (false)',
  },
  {
    name: 'a dead sharer is overlooked',
    from: 'return me.registry.deadSharer(this.number)',
    to: 'return 0',
    scenario: 'rw semaphore, a reader dies',
  },
  {
    name: 'who let go and died then is taken for the owner',
    from: 'if (isDead && this.ownerOf(Atomics.load(this.words, STATE) & STATE_MASK) === owner) return owner',
    to: 'if (isDead) return owner',
    ending: 'failed',
  },
])('a mutant is found: $name', { timeout: 600_000 }, async ({ from, to, scenario = 'mutex', ending = 'deadlock' }) => {
  const mutant = await ScheduledThreads.start(mutate(text, { from, to }), scenarios)
  try {
    expect(dieAnywhere(mutant, scenario).failure?.ending).toBe(ending)
  } finally {
    await mutant.stop()
  }
})
