/**
 * Would the schedules find a mistake in parking, nudging, work queues or timers? Each mutant is their own text with one mistake
 * put in; each must be found.
 */

import { fileURLToPath } from 'node:url'
import { beforeAll, expect, test } from 'vitest'
import {
  bundleScenarios,
  exploreAll,
  exploreRandomly,
  mutate,
  replay,
  ScheduledThreads,
  type Replacement,
} from './index.ts'
import { scenarios } from './scenarios/work.ts'

interface Mutant extends Replacement {
  readonly name: string
  readonly scenario: string
  /** What must be reported: an ending, or part of a message. */
  readonly found: string
}

const mutants: readonly Mutant[] = [
  {
    name: 'park: leaving is a look and a store',
    scenario: 'park, 2 parkers',
    from: 'return Atomics.compareExchange(this.words, PARK, PARKED, 0) === PARKED;',
    to: 'return Atomics.load(this.words, PARK) === PARKED && Atomics.store(this.words, PARK, 0) === 0;',
    found: 'failed',
  },
  {
    name: 'park: who asked is not woken',
    scenario: 'park, 1 parker',
    from: 'Atomics.or(this.words, PARK, PARKED);\n    this.changed.wakeAll();',
    to: 'Atomics.or(this.words, PARK, PARKED);',
    found: 'deadlock',
  },
  {
    name: 'stop: the thread is not nudged',
    scenario: 'stop, sleeping',
    from: 'Atomics.store(this.words, STOP, 1);\n    this.registry.nudge(this.id);',
    to: 'Atomics.store(this.words, STOP, 1);',
    found: 'deadlock',
  },
  {
    name: 'stop: nudged before it is asked',
    scenario: 'stop, sleeping',
    from: 'Atomics.store(this.words, STOP, 1);\n    this.registry.nudge(this.id);',
    to: 'this.registry.nudge(this.id);\n    Atomics.store(this.words, STOP, 1);',
    found: 'deadlock',
  },
  {
    name: 'nudge: wakes without a mark',
    scenario: 'stop, waiting on a queue',
    from: 'if (Atomics.compareExchange(this.words, signal, Signal.waiting, Signal.nudged) === Signal.waiting)',
    to: 'if (Atomics.load(this.words, signal) === Signal.waiting)',
    found: 'deadlock',
  },
  {
    name: 'nudge: taken for being let go',
    scenario: 'nudge, mutex',
    from: 'if (signal === Signal.nudged) {',
    to: 'if (false) {',
    found: 'failed',
  },
  {
    name: 'nudge: being let go meanwhile is overwritten',
    scenario: 'nudge, mutex',
    from: 'const seen = Atomics.compareExchange(me.words, record + SIGNAL, Signal.nudged, Signal.waiting);',
    to: 'const seen = signal; Atomics.store(me.words, record + SIGNAL, Signal.waiting);',
    found: 'deadlock',
  },
  {
    name: 'work: a server that leaves passes no wake-up on',
    scenario: 'work, a server stops',
    from: 'this.forWork.wakeOne();\n    this.forRoom.wakeAll();',
    to: 'this.forRoom.wakeAll();',
    found: 'deadlock',
  },
  {
    name: 'work: servers are not told of an item',
    scenario: 'work, 2 items',
    from: 'if (delayMs <= 0) memory.forWork.wakeOne();',
    to: 'if (delayMs <= 0) ;',
    found: 'deadlock',
  },
  {
    name: 'work: who wants room is not told of it',
    scenario: 'work, 2 clients, little room',
    from: 'if (ran >= 0) memory.forRoom.wakeOne();',
    to: '',
    found: 'deadlock',
  },
  {
    name: 'work: more at once than may be',
    scenario: 'work, 2 servers, 1 at once',
    from: 'if (slot < 0 || words[head + Head.running] >= words[head + Head.concurrency]) return -1;',
    to: 'if (slot < 0) return -1;',
    found: 'not more at once',
  },
  {
    name: 'work: a flush waits for the epoch before',
    scenario: 'work, 1 client flushes',
    from: 'this.forgetEmptyEpochs();\n    return epoch;',
    to: 'this.forgetEmptyEpochs();\n    return epoch - 1;',
    found: 'flushed means ended',
  },
  {
    name: 'work: a kept item that runs is queued at once',
    scenario: 'work, kept, never twice at once',
    from: '.again;\n    else this.append(slot);',
    to: '.again & 0;\n    this.append(slot);',
    found: 'not more at once',
  },
  {
    name: 'work: an item is forgotten that was queued while it ran',
    scenario: 'work, kept, never twice at once',
    from: '.again;\n      this.append(slot);',
    to: '.again;',
    found: 'deadlock',
  },
  {
    name: 'work: cancelled, but not waited for',
    scenario: 'work, cancelled',
    from: 'was = true;\n      return !',
    to: 'was = true;\n      return true || !',
    found: 'not cancelled means ended',
  },
  {
    name: 'work: nobody is left, says who did not look again',
    scenario: 'work, shut down at once',
    from: 'this.memory.isUnserved && (condition() || this.memory.refuseUnserved())',
    to: 'this.memory.isUnserved && this.memory.refuseUnserved()',
    found: 'no thread is left',
  },
  {
    name: 'timer: its function is not waited for',
    scenario: 'timer, cancelled',
    from: 'if (Atomics.load(this.words, RUNNING) !== slot + 1) return true;',
    to: 'return true;',
    found: 'failed',
  },
  {
    name: 'timer: who waits for its function is not told of its end',
    scenario: 'timer, cancelled',
    from: 'Atomics.store(words, RUNNING, 0);\n        this.returned.wakeAll();',
    to: 'Atomics.store(words, RUNNING, 0);',
    found: 'deadlock',
  },
]

let text = ''
beforeAll(async () => {
  text = await bundleScenarios(fileURLToPath(new URL('./scenarios/work.ts', import.meta.url)))
})

test.each(mutants)('$name', { timeout: 600_000 }, async ({ scenario: name, found, from, to }) => {
  const threads = await ScheduledThreads.start(mutate(text, { from, to }), scenarios)
  try {
    const scenario = scenarios[name]
    const result =
      scenario?.isLarge === true
        ? exploreRandomly(threads, name, scenario.threads.length, { seed: 1, schedules: 10_000, changes: 5 })
        : exploreAll(threads, name, { preemptionsMax: 2 })
    const { ending, message = '', trace = '' } = result.failure ?? {}
    expect(`${ending}: ${message}`).toContain(found)
    expect(replay(threads, name, trace)?.ending).toBe(ending)
  } finally {
    await threads.stop()
  }
})
