/** Would the schedules find a mistake in RCU or the hashtable? Each mutant has one put in, and must be found. See mutants.test.ts. */

import { fileURLToPath } from 'node:url'
import { beforeAll, describe, expect, test } from 'vitest'
import {
  bundleScenarios,
  exploreAll,
  mutate,
  replay,
  ScheduledThreads,
  type Replacement,
  type Scenario,
} from './index.ts'
import { bundleHashtable } from './rhashtable-text.ts'
import { scenarios as deaths } from './scenarios/rhashtable-deaths.ts'
import { scenarios as rcu } from './scenarios/rcu.ts'
import { scenarios as rhashtable } from './scenarios/rhashtable.ts'

interface Mutant extends Replacement {
  readonly name: string
  readonly scenario: string
  /** What must be reported: an ending, or part of a message. */
  readonly found: string
}

const ofRcu: readonly Mutant[] = [
  {
    name: 'no grace period is started',
    scenario: 'rcu, update, reader',
    from: 'return Atomics.add(this.words, NEWEST, STEP) + STEP | 0;',
    to: 'return Atomics.load(this.words, NEWEST);',
    found: 'is read',
  },
  {
    name: 'a grace period is not waited for',
    scenario: 'rcu, update, reader online',
    from: 'this.await(ticket);',
    to: '',
    found: 'is read',
  },
  {
    name: 'a thread is online before it says so',
    scenario: 'rcu, update, reader',
    from: 'Atomics.store(this.words, this.line + SEEN2, this.reported);\n    Atomics.load(this.words, NEWEST);',
    to: '',
    found: 'is read',
  },
  {
    name: 'a thread reports a grace period that it has not seen',
    scenario: 'rcu, updates, reader online',
    from: 'this.passed++;\n    this.reported = Atomics.load(this.words, NEWEST);',
    to: 'this.passed++;\n    this.reported = Atomics.load(this.words, NEWEST) + STEP;',
    found: 'is read',
  },
  {
    name: 'who waits for a report is not woken',
    scenario: 'rcu, update, reader online',
    from: 'if (Atomics.load(this.words, WAITING) !== 0) Atomics.notify(this.words, this.line + SEEN2);',
    to: '',
    found: 'deadlock',
  },
  {
    name: 'whether somebody waits is looked at too early',
    scenario: 'rcu, update, reader online',
    from: 'this.online_ = false;\n    this.passed++;\n    Atomics.store(this.words, this.line + SEEN2, OFFLINE);\n    this.wake();',
    to: 'this.online_ = false;\n    this.passed++;\n    this.wake();\n    Atomics.store(this.words, this.line + SEEN2, OFFLINE);',
    found: 'deadlock',
  },
  {
    name: 'a thread that sleeps holds others up',
    scenario: 'rcu, a reader waits for the updater',
    from: 'for (const sleeper of me.sleepers) sleeper.fallsAsleep();',
    to: '',
    found: 'deadlock',
  },
  {
    name: 'callbacks run a grace period early',
    scenario: 'rcu, callbacks, reader',
    from: 'if (this.due.length !== 0 && !this.isOver(this.ticket)) return;',
    to: '',
    found: 'is read',
  },
  {
    name: 'what is retired does not wait for its grace period',
    scenario: 'rcu, retire, reader',
    from: 'if (Atomics.load(list, TICKET) === 0 || this.rcu.isOver(Atomics.load(list, TICKET))) this.turn();',
    to: 'this.turn();',
    found: 'is read',
  },
]

const ofTable: readonly Mutant[] = [
  {
    name: 'an object is published before its link is set',
    scenario: 'lookup, insert',
    from: 'ints[object + LINK] = first;\n      core.store(bucket + HEAD2, object);',
    to: 'core.store(bucket + HEAD2, object);\n      core.load(bucket + HEAD2);\n      ints[object + LINK] = first;',
    found: 'is not read',
  },
  {
    name: 'a lookup does not go on in the next table',
    scenario: 'lookup, resize',
    from: 'if ((link & END_MASK) === peek(ints, table + FUTURE)) table = link & END_MASK;\n    }\n    return this.lookupLocked(Int32Array.of',
    to: 'if ((link & END_MASK) === peek(ints, table + FUTURE)) return 0;\n    }\n    return this.lookupLocked(Int32Array.of',
    found: 'is found',
  },
  {
    name: 'a lookup takes any end for its own',
    scenario: 'lookup, reuse',
    from: 'if (link === (END | bucket)) return 0;\n      if ((link & END_MASK) === peek(ints, table + FUTURE)) table = link & END_MASK;\n    }\n    return this.lookupLocked(Int32Array.of',
    to: 'if ((link & END_MASK) === peek(ints, table + FUTURE)) table = link & END_MASK;\n      else return 0;\n    }\n    return this.lookupLocked(Int32Array.of',
    found: 'is found',
  },
  {
    name: "a bucket's lock is taken by a look and a store",
    scenario: 'insert, insert',
    from: 'if (Atomics.compareExchange(this.ints, bucket + LOCK2, 0, self2) !== 0)',
    to: 'if (Atomics.load(this.ints, bucket + LOCK2) === 0) Atomics.store(this.ints, bucket + LOCK2, self2);\n    else',
    found: 'failed',
  },
  {
    name: 'a lock is given back before the object is put in',
    scenario: 'insert, insert another',
    from: 'core.store(bucket + HEAD2, object);\n    }\n    core.unlock(bucket);',
    to: 'core.unlock(bucket);\n      core.store(bucket + HEAD2, object);\n    } else core.unlock(bucket);',
    found: 'in the end',
  },
  {
    name: "who waits for a bucket's lock is not woken",
    scenario: 'insert, insert',
    from: 'if ((before & CONTENDED2) !== 0) Atomics.notify(this.ints, bucket + LOCK2, 1);',
    to: '',
    found: 'deadlock',
  },
  {
    name: 'an object is taken out of the old table before it is in the new one',
    scenario: 'lookup, resize',
    from: 'core.store(to + HEAD2, object);\n    core.unlock(to);\n    core.relink(bucket, before, END | future);',
    to: 'core.relink(bucket, before, END | future);\n    core.store(to + HEAD2, object);\n    core.unlock(to);',
    found: 'is found',
  },
  {
    name: 'objects are moved from the head',
    scenario: 'lookup, resize',
    from: 'before = last;\n        last = at;',
    to: 'last = at;\n        break;',
    found: 'failed',
  },
  {
    name: 'a bucket is moved without its lock',
    scenario: 'insert, resize',
    from: 'core.lock(bucket);\n    this.moveAll(table, bucket);\n    core.unlock(bucket);',
    to: 'this.moveAll(table, bucket);',
    found: 'failed',
  },
  {
    name: 'a writer does not see that the bucket has been moved',
    scenario: 'insert, resize',
    from: 'if ((head & END) === 0) return bucket;',
    to: 'return bucket;',
    found: 'failed',
  },
  {
    name: 'a table is replaced when all is claimed, not moved',
    scenario: 'resize, resize',
    from: 'return this.lookOver(table, size, buckets * LOOKED_AT);',
    to: 'return core.load(table + CLAIMED) >= size;',
    found: 'failed',
  },
  {
    name: 'an old table is freed at once',
    scenario: 'lookup, resize',
    from: 'if (ticket === 0 || !core.rcu.isOver(ticket)) return;',
    to: '',
    found: 'what was freed is not read',
  },
  {
    name: 'a walk ends with the first table',
    scenario: 'walk, resize',
    from: 'if (future === 0) return false;',
    to: 'return false;',
    found: 'a walk sees',
  },
  {
    name: 'nobody tells the maintainer that there is work',
    scenario: 'maintainer, insert that grows',
    from: 'Atomics.add(core.ints, core.at + WORK, 1);\n    Atomics.notify(core.ints, core.at + WORK);',
    to: '',
    found: 'deadlock',
  },
  {
    name: 'a maintainer looks for news behind what it waits for',
    scenario: 'maintainer, stopped',
    from: 'const seen = Atomics.load(ints, at + WORK);\n        if (until()) return;',
    to: 'if (until()) return;\n        const seen = Atomics.load(ints, at + WORK);',
    found: 'deadlock',
  },
]

const ofDeaths: readonly Mutant[] = [
  {
    name: 'what a dead thread was moving is left as it is',
    scenario: 'dies resizing',
    from: 'this.inherited(bucket);',
    to: '',
    found: '',
  },
  {
    name: 'it is thought to be in the new table always',
    scenario: 'dies resizing',
    from: 'if (inNew === object) core.relink(bucket, before, end);',
    to: 'core.relink(bucket, before, end);\n    if (true) return;',
    found: 'failed',
  },
  {
    name: 'a bucket that a dead thread claimed is never moved',
    scenario: 'dies resizing',
    from: 'if (core.load(table + CLAIMED) < size) break;',
    to: 'break;',
    found: 'failed',
  },
  {
    name: 'the guard of a dead thread is respected for ever',
    scenario: 'dies resizing',
    from: 'core.change(core.at + GUARD2, 0, core.self) || this.relieve()',
    to: 'core.change(core.at + GUARD2, 0, core.self)',
    found: 'failed',
  },
  {
    name: 'the dead are waited for',
    scenario: 'dies inserting',
    from: 'if (this.isAlive(seen & ~CONTENDED2)) continue;',
    to: 'continue;',
    found: 'deadlock',
  },
]

let texts: Readonly<Record<string, string>> = {}
beforeAll(async () => {
  texts = {
    rcu: await bundleScenarios(fileURLToPath(new URL('./scenarios/rcu.ts', import.meta.url))),
    table: await bundleHashtable('rhashtable'),
    deaths: await bundleHashtable('rhashtable-deaths'),
  }
})

async function withMutant(
  text: string,
  mutant: Mutant,
  scenarios: Readonly<Record<string, Scenario>>,
  look: (threads: ScheduledThreads) => void,
): Promise<void> {
  const threads = await ScheduledThreads.start(mutate(text, mutant), scenarios)
  try {
    look(threads)
  } finally {
    await threads.stop()
  }
}

function mustBeFound(threads: ScheduledThreads, { scenario, found }: Mutant): void {
  const preemptionsMax = scenario.includes('resize') ? 2 : 3
  const { failure, schedules } = exploreAll(threads, scenario, { preemptionsMax, stepsMax: 4000 })
  expect(`${failure?.ending} ${failure?.message}`).toContain(found)
  const again = replay(threads, scenario, failure?.trace ?? '')
  expect(again).toMatchObject({ ending: failure?.ending, trace: failure?.trace })
  if (process.env['COWHERD_SCHEDULES'] === '1') console.log(`${scenario}: schedule ${schedules}: ${failure?.trace}`)
}

describe('mutants of RCU', () => {
  test.each(ofRcu)('$name', async (mutant) => {
    await withMutant(texts['rcu'] ?? '', mutant, rcu, (threads) => mustBeFound(threads, mutant))
  })
})

describe('mutants of the hashtable', () => {
  test.each(ofTable)('$name', async (mutant) => {
    await withMutant(texts['table'] ?? '', mutant, rhashtable, (threads) => mustBeFound(threads, mutant))
  })
})

describe('mutants that a death brings to light', () => {
  test.each(ofDeaths)('$name', async (mutant) => {
    await withMutant(texts['deaths'] ?? '', mutant, deaths, (threads) => {
      for (let diesAfter = 1; diesAfter < 200; diesAfter++) {
        const { failure } = exploreAll(threads, mutant.scenario, { preemptionsMax: 0, diesAfter, stepsMax: 4000 })
        if (failure === undefined) continue
        return expect(`${failure.ending} ${failure.message}`).toContain(mutant.found)
      }
      expect.fail('not found')
    })
  })
})
