/**
 * Would the schedules find a mistake? Each mutant is the locks' own text with one mistake put in; each must be found, and its
 * schedule, replayed, must show it again. When the text changes so that a mutant doesn't apply any more, the test fails.
 */

import { fileURLToPath } from 'node:url'
import { beforeAll, describe, expect, test } from 'vitest'
import {
  bundleScenarios,
  exploreAll,
  exploreRandomly,
  mutate,
  replay,
  ScheduledThreads,
  type Replacement,
} from './index.ts'
import { scenarios as locks } from './scenarios/locks.ts'
import { scenarios as signals } from './scenarios/signals.ts'

interface Mutant {
  readonly name: string
  readonly scenario: string
  readonly changes: readonly Replacement[]
  /** What must be reported: an ending, or part of a message. */
  readonly found: string
}

const mutants: readonly Mutant[] = [
  {
    name: 'mutex: the exchange is split in a look and a store',
    scenario: 'mutex, 2 threads',
    changes: [
      {
        from: 'Atomics.compareExchange(this.words, STATE, 0, self().id) === 0',
        to: 'Atomics.load(this.words, STATE) === 0 && Atomics.store(this.words, STATE, self().id) !== 0',
      },
    ],
    found: 'failed',
  },
  {
    name: 'mutex: unlocking overlooks who waits',
    scenario: 'mutex, 2 threads',
    changes: [
      {
        from: 'Atomics.compareExchange(this.words, STATE, id, 0) === id',
        to: 'Atomics.store(this.words, STATE, 0) === 0',
      },
    ],
    found: 'deadlock',
  },
  {
    name: 'queue: nobody looks again after having queued up',
    scenario: 'mutex, 2 threads',
    changes: [
      {
        from: 'else append(words, me, waiting);\n    this.admitQueued(me);',
        to: 'else append(words, me, waiting);',
      },
    ],
    found: 'deadlock',
  },
  {
    name: 'guard: who waits for it is not woken',
    scenario: 'mutex, 3 threads',
    changes: [{ from: 'Atomics.notify(words, GUARD, 1)', to: '{}' }],
    found: 'deadlock',
  },
  {
    name: 'signal: woken before it is set',
    scenario: 'mutex, 2 threads',
    changes: [
      {
        from: 'me.toWake.push(record);\n  Atomics.store(',
        to: 'Atomics.notify(me.words, record + SIGNAL, 1);\n  Atomics.store(',
      },
    ],
    found: 'deadlock',
  },
  {
    name: 'queue: the mark that somebody waits is taken off by a load and a store',
    scenario: 'mutex, 2 threads',
    changes: [
      {
        from: 'Atomics.and(words, STATE, STATE_MASK)',
        to: 'Atomics.store(words, STATE, Atomics.load(words, STATE) & STATE_MASK)',
      },
    ],
    found: 'free in the end',
  },
  {
    name: 'timeout: a lock that was handed over at the last moment is forgotten',
    scenario: 'mutex, timed',
    changes: [
      {
        from: 'awakening === "granted" || !this.giveUp(me, mode, waiting)',
        to: 'awakening === "granted" || (this.giveUp(me, mode, waiting), false)',
      },
    ],
    found: 'free in the end',
  },
  {
    name: 'rw semaphore: newcomers overtake',
    scenario: 'rw semaphore, in order',
    changes: [{ from: 'if ((state & WAITERS) !== 0 && !overtakes) return false;', to: '' }],
    found: 'nobody overtakes',
  },
  {
    name: 'rw semaphore: a reader within reading queues up behind a writer',
    scenario: 'rw semaphore, R w',
    changes: [
      {
        from: 'const record = me.sharing(this.number);\n    if (record === 0) return false;\n    me.counts(record);',
        to: 'const record = 0;\n    if (record === 0) return false;\n    me.counts(record);',
      },
      { from: '&& me.sharing(this.number) === 0) return', to: ') return' },
    ],
    found: 'deadlock',
  },
  {
    name: 'six lock: exclusive beside sharers',
    scenario: 'six lock, s x',
    changes: [
      {
        from: 'return (state & SHARERS_MASK) === 0 ?',
        to: 'return true ?',
      },
    ],
    found: 'no sharer sees a writer',
  },
  {
    name: 'six lock: sharers overtake a writer that waits',
    scenario: 'six lock, in order',
    changes: [
      { from: '(state & (EXCLUSIVE | EXCLUSIVE_WANTED)) === 0 ? state', to: '(state & EXCLUSIVE) === 0 ? state' },
    ],
    found: 'nobody overtakes',
  },
  {
    name: 'six lock: the sequence number changes at the end only',
    scenario: 'six lock, l x',
    changes: [
      { from: 'if (taken) Atomics.add(this.words, SEQUENCE, 1)', to: '' },
      {
        from: 'Atomics.add(this.words, SEQUENCE, 1);\n    this.release',
        to: 'Atomics.add(this.words, SEQUENCE, 2);\n    this.release',
      },
    ],
    found: 'without a lock is whole',
  },
  {
    name: 'six lock: taken again without comparing the number',
    scenario: 'six lock, q x',
    changes: [
      {
        from: '!this.tryLockShared()) return false;\n    if (this.isUnchanged(sequence)) return true;',
        to: '!this.tryLockShared()) return false;\n    return true;',
      },
    ],
    found: 'unchanged when taken again',
  },
  {
    name: 'condition: lets the mutex go before it queues up',
    scenario: 'condition, 1 taker',
    changes: [
      {
        from: 'const record = this.queue.queueUp(self());\n    mutex.unlock();',
        to: 'mutex.unlock();\n    const record = this.queue.queueUp(self());',
      },
    ],
    found: 'deadlock',
  },
  {
    name: 'wait queue: looks before it queues up only',
    scenario: 'wait queue, 1 waiter',
    changes: [
      {
        from: 'me, record)) return this.leave(me, record);\n      const awakening = sleep(me',
        to: 'me, record) && false) return this.leave(me, record);\n      const awakening = sleep(me',
      },
    ],
    found: 'deadlock',
  },
  {
    name: 'wait queue: a wake-up that was not needed is not passed on',
    scenario: 'wait queue, 2 waiters',
    changes: [{ from: 'if (!this.withdraw(me, record)) this.wakeOne();', to: 'this.withdraw(me, record);' }],
    found: 'deadlock',
  },
  {
    name: 'sequence lock: what was read is not checked',
    scenario: 'sequence lock, 1 writer, 1 reader',
    changes: [{ from: 'if (Atomics.load(this.words, EXTRA) === before) return value;', to: 'return value;' }],
    found: 'nothing torn',
  },
  {
    name: 'sequence lock: a reader goes on while a writer is there',
    scenario: 'sequence lock, 1 writer, 1 reader',
    changes: [{ from: 'if ((before & 1) !== 0) continue;', to: '' }],
    found: 'nothing torn',
  },
  {
    name: 'once: said to be done before it is',
    scenario: 'once, 2 threads',
    changes: [
      {
        from: '      action();\n      Atomics.store(this.words, EXTRA, DONE);',
        to: '      Atomics.store(this.words, EXTRA, DONE);\n      action();',
      },
    ],
    found: 'done when it returns',
  },
  {
    name: 'semaphore: a permit is given back by a load and a store',
    scenario: 'semaphore, 2 threads',
    changes: [
      {
        from: 'if (next === REFUSED) throw notHeld();\n      const seen = Atomics.compareExchange(words, STATE, state, next | state & WAITERS);',
        to: 'if (next === REFUSED) throw notHeld();\n      const seen = state;\n      Atomics.store(words, STATE, next | state & WAITERS);',
      },
    ],
    found: 'deadlock',
  },
]

/** Small enough that the mistake is also found among all schedules, with those left out that sleep sets leave out. */
const WHOLLY = ['mutex, 2 threads', 'semaphore, 2 threads', 'wait queue, 1 waiter', 'six lock, l x', 'once, 2 threads']

describe('mutants', () => {
  const texts = new Map<string, string>()
  beforeAll(async () => {
    for (const file of ['locks', 'signals']) {
      texts.set(file, await bundleScenarios(fileURLToPath(new URL(`./scenarios/${file}.ts`, import.meta.url))))
    }
  })

  test.each(mutants)('$name', async ({ scenario, changes, found }) => {
    const [file, scenarios] = scenario in locks ? (['locks', locks] as const) : (['signals', signals] as const)
    const threads = await ScheduledThreads.start(changes.reduce(mutate, texts.get(file) ?? ''), scenarios)
    try {
      const { failure, schedules } = exploreAll(threads, scenario, { preemptionsMax: 3 })
      expect(`${failure?.ending} ${failure?.message}`).toContain(found)
      const again = replay(threads, scenario, failure?.trace ?? '')
      expect(again).toMatchObject({ ending: failure?.ending, trace: failure?.trace })
      if (WHOLLY.includes(scenario)) expect(exploreAll(threads, scenario).failure).toBeDefined()
      if (process.env['COWHERD_SCHEDULES'] === '1') console.log(`${scenario}: schedule ${schedules}: ${failure?.trace}`)
    } finally {
      await threads.stop()
    }
  })

  test('random schedules find one too, and its seed finds it again', async () => {
    const [, unlocking] = mutants
    const threads = await ScheduledThreads.start(
      (unlocking?.changes ?? []).reduce(mutate, texts.get('locks') ?? ''),
      locks,
    )
    try {
      const name = 'mutex, 3 threads, many rounds'
      const { failure } = exploreRandomly(threads, name, 3, { seed: 1, schedules: 1000 })
      expect(failure?.ending).toBe('deadlock')
      const again = exploreRandomly(threads, name, 3, { seed: failure?.seed ?? 0, schedules: 1 })
      expect(again.failure).toEqual(failure)
    } finally {
      await threads.stop()
    }
  })
})
