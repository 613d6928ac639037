/**
 * Asynchronous I/O under all schedules with few preemptions and under random ones; with a thread that dies at any of its steps; and
 * mutants, each of which must be found.
 *
 * COWHERD_SOAK=1: more, see `budget.ts`.
 */

import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { exploreFewPreemptions, randomSchedules, seed } from './budget.ts'
import {
  bundleScenarios,
  exploreAll,
  exploreRandomly,
  mutate,
  ScheduledThreads,
  type Failure,
  type Replacement,
} from './index.ts'
import { scenarios } from './scenarios/aio.ts'

const RANDOM_SCHEDULES = randomSchedules(500)
/** More than thread 0 takes in any schedule tried here. */
const STEPS_BEFORE_DEATH = 60

const deaths = Object.keys(scenarios).filter((name) => scenarios[name]?.died !== undefined)
const lives = Object.keys(scenarios).filter((name) => scenarios[name]?.died === undefined)
let text = ''
let threads: ScheduledThreads
beforeAll(async () => {
  text = await bundleScenarios(fileURLToPath(new URL('./scenarios/aio.ts', import.meta.url)))
  threads = await ScheduledThreads.start(text, scenarios)
})
afterAll(() => threads.stop())

function preemptionsFor(name: string): number {
  return scenarios[name]?.threads.length === 2 ? 2 : 1
}

function tell(name: string, schedules: number): void {
  if (process.env['COWHERD_SCHEDULES'] === '1') console.log(`${name}: ${schedules}`)
}

const small = lives.filter((name) => scenarios[name]?.isLarge !== true)

test.each(small)('%s: every schedule with few preemptions', { timeout: 3600_000 }, (name) => {
  const result = exploreFewPreemptions(threads, name, { preemptionsMax: preemptionsFor(name) })
  expect(result).toMatchObject({ complete: true })
  tell(name, result.schedules)
})

test.each(lives)(`%s: ${RANDOM_SCHEDULES} random schedules from seed ${seed}`, { timeout: 3600_000 }, (name) => {
  const count = scenarios[name]?.threads.length ?? 0
  const result = exploreRandomly(threads, name, count, { seed, schedules: RANDOM_SCHEDULES })
  expect(result.failure).toBeUndefined()
})

/** All schedules with one preemption, and a death at each step. */
function dieAnywhere(of: ScheduledThreads, name: string): { schedules: number; failure?: Failure } {
  let schedules = 0
  for (let diesAfter = 1; diesAfter <= STEPS_BEFORE_DEATH; diesAfter++) {
    const preemptionsMax = preemptionsFor(name) - 1
    const result = exploreAll(of, name, { preemptionsMax, diesAfter })
    schedules += result.schedules
    if (result.failure !== undefined) return { schedules, failure: result.failure }
  }
  return { schedules }
}

test.each(deaths)('%s, at any of its steps', { timeout: 3600_000 }, (name) => {
  const { schedules, failure } = dieAnywhere(threads, name)
  expect(failure).toBeUndefined()
  tell(name, schedules)
})

interface Mutant extends Replacement {
  readonly name: string
  readonly scenario: string
  /** What must be reported: an ending. */
  readonly found: 'failed' | 'deadlock' | 'livelock'
}

const mutants: readonly Mutant[] = [
  {
    name: 'a request is published before it is there',
    scenario: 'aio, 1 request',
    from: 'memory.submitted.push(slot);\n  }\n  refuseUnserved',
    to: '}\n  refuseUnserved',
    found: 'deadlock',
  },
  {
    name: 'a slot is taken by a look and a store',
    scenario: 'aio, 2 submitters, 2 slots',
    from: 'if (Atomics.compareExchange(words, at, state, takenBy(state, id, status)) !== state) continue;',
    to: 'if (Atomics.load(words, at) !== state) continue; else Atomics.store(words, at, takenBy(state, id, status));',
    found: 'failed',
  },
  {
    name: 'an entry is put by a store',
    scenario: 'aio, 2 submitters, 2 slots',
    from: 'Atomics.compareExchange(words, at, cell, lap << SLOT_BITS | slot) === cell',
    to: 'Atomics.store(words, at, lap << SLOT_BITS | slot) !== cell',
    found: 'failed',
  },
  {
    name: 'an old look at the head is not noticed',
    scenario: 'aio, 2 workers, 2 submitters',
    from: 'else if (Atomics.load(words, headAt) === head)',
    to: 'else',
    found: 'failed',
  },
  {
    name: 'nobody moves the tail for another',
    scenario: 'aio, 2 submitters, 2 slots',
    from: 'if (lapThere === lap) {\n        Atomics.compareExchange(words, tailAt, tail, tail + 1 | 0);',
    to: 'if (lapThere === lap) {',
    found: 'livelock',
  },
  {
    name: 'the head is moved by a store',
    scenario: 'aio, 2 workers, 2 submitters',
    from: 'Atomics.compareExchange(words, headAt, head, head + 1 | 0);\n        return slot;',
    to: 'Atomics.store(words, headAt, head + 1 | 0);\n        return slot;',
    found: 'failed',
  },
  {
    name: 'a worker sleeps without looking again',
    scenario: 'aio, 1 request',
    from: 'if (this.ring.count === 0 && !isOver()) Atomics.wait',
    to: 'Atomics.wait',
    found: 'deadlock',
  },
  {
    name: 'a worker looks before it says that it sleeps',
    scenario: 'aio, 1 request',
    from: 'Atomics.add(this.words, this.waiting, 1);\n        if (this.ring.count === 0 && !isOver())',
    to: 'if (this.ring.count === 0 && !isOver() && Atomics.add(this.words, this.waiting, 1) >= 0)',
    found: 'deadlock',
  },
  {
    name: 'a reaper sleeps without looking again',
    scenario: 'aio, 1 request',
    from: 'const sequence = this.announce(wanted);\n        if (this.ring.count >= wanted) return true;\n        return Atomics.wait(',
    to: 'const sequence = this.announce(wanted);\n        return Atomics.wait(',
    found: 'deadlock',
  },
  {
    name: 'reapers are woken before there is something',
    scenario: 'aio, 1 request',
    from: 'memory.completed[queue].push(slot);\n  memory.reapers[queue].wake();',
    to: 'memory.reapers[queue].wake();\n  memory.completed[queue].push(slot);',
    found: 'deadlock',
  },
  {
    name: 'who waits for room is forgotten',
    scenario: 'aio, 2 submitters, 1 slot',
    from: 'if (end > count) memory.space.wake();',
    to: '',
    found: 'deadlock',
  },
  {
    name: 'closing wakes nobody',
    scenario: 'aio, 1 request',
    from: 'Atomics.store(this.words, PHASE, Phase.closing);\n        this.work.wake();',
    to: 'Atomics.store(this.words, PHASE, Phase.closing);',
    found: 'deadlock',
  },
]

const deathMutants: readonly Mutant[] = [
  {
    name: 'what a dead worker was performing is left',
    scenario: 'one of two workers dies',
    from: 'if (status === Status.running) complete(memory, slot, resultOf("EIO"));',
    to: 'if (status === Status.running) ;',
    found: 'deadlock',
  },
  {
    name: 'what was not in a ring yet is not put there',
    scenario: 'a submitter dies',
    from: 'if (adopted !== void 0) reenter(memory, adopted);',
    to: '',
    found: 'failed',
  },
  {
    name: 'slots of the dead are put into rings without looking',
    scenario: 'a submitter dies',
    from: 'else (adopted ??= []).push(slot);',
    to: 'else if (status === Status.free) memory.free.push(slot);',
    found: 'failed',
  },
  {
    name: 'without workers nobody refuses',
    scenario: 'a worker dies',
    from: 'Atomics.compareExchange(memory.words, PHASE, Phase.open, Phase.failed);',
    to: '',
    found: 'deadlock',
  },
]

describe('a mutant is found', () => {
  const mutantText = ({ from, to }: Replacement): string => {
    const flat = (part: string) => part.replace(/\n\s*/g, '\n')
    return mutate(flat(text), { from: flat(from), to })
  }

  test.each(mutants)('$name', { timeout: 600_000 }, async (mutant) => {
    const threads = await ScheduledThreads.start(mutantText(mutant), scenarios)
    try {
      const { scenario } = mutant
      const count = scenarios[scenario]?.threads.length ?? 0
      const result =
        scenarios[scenario]?.isLarge === true
          ? exploreRandomly(threads, scenario, count, { seed: 1, schedules: 10_000, stepsMax: 2000 })
          : exploreAll(threads, scenario, { preemptionsMax: preemptionsFor(scenario) })
      const { failure } = result
      expect(failure?.ending).toBe(mutant.found)
    } finally {
      await threads.stop()
    }
  })

  test.each(deathMutants)('$name', { timeout: 600_000 }, async (mutant) => {
    const threads = await ScheduledThreads.start(mutantText(mutant), scenarios)
    try {
      expect(dieAnywhere(threads, mutant.scenario).failure?.ending).toBe(mutant.found)
    } finally {
      await threads.stop()
    }
  })
})
