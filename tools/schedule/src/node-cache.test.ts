/**
 * The reader protocol of the node cache: under all schedules with few preemptions of small scenarios, and random ones of larger. And
 * would a mistake be found? Each mutant is the cache's own text with one mistake put in. COWHERD_SOAK=1: more schedules.
 */

import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { exploreFewPreemptions, randomSchedules, seed } from './budget.ts'
import { exploreAll, exploreRandomly, mutate, replay, ScheduledThreads, type Replacement } from './index.ts'
import { bundleHashtable } from './rhashtable-text.ts'
import { scenarios } from './scenarios/node-cache.ts'

const RANDOM_SCHEDULES = randomSchedules(300)
const STEPS_MAX = 4000

/** A cache of two slots, in the scenario's memory. */
const small: readonly Replacement[] = [
  {
    from: 'Arena.create(Math.max(heldBytes, bytes, BYTES_MIN), { unitBytes: UNIT_BYTES2, shared })',
    to: 'Arena.create(2 * 64, { unitBytes: 64, shared, place: globalThis.imagesPlace })',
  },
  {
    from: 'const rows = Math.floor((heldBytes > bytes ? Math.max(bytes, BYTES_MIN) : images.bytes) / UNIT_BYTES2);',
    to: 'const rows = 2;',
  },
  {
    from: 'Arena.create(2 * rows * (ROW_WORDS * 4 + INDEX_BYTES) + TABLE_SPARE_BYTES, { shared })',
    to: 'Arena.create(16 * 1024, { shared, place: globalThis.tablePlace })',
  },
  { from: 'if (words > this.images.largest / IMAGES_MIN) return -1;', to: '' },
  {
    from: 'const rcu = shared ? domainOf(ThreadRegistry.entered) : void 0;',
    to: 'const rcu = Rcu.create(ThreadRegistry.entered, table.place(newPiece(table, Rcu.bytes(4) / 4)));',
  },
  // each run begins anew
  { from: 'var views = /* @__PURE__ */ new Map();', to: 'var views = globalThis.rcuViews = new Map();' },
]

const mutants: readonly { name: string; scenario: string; changes: readonly Replacement[] }[] = [
  {
    name: 'what was read is believed without a look at the sequence number',
    scenario: 'a reader, and one who takes its node away',
    changes: [{ from: 'return Atomics.load(this.ints, slot + SEQUENCE2) === sequence;', to: 'return true;' }],
  },
  {
    name: 'a slot that is being changed is read',
    scenario: 'a reader, and one who takes its node away',
    changes: [{ from: '(sequence & 1) !== 0', to: 'false' }],
  },
  {
    name: 'a slot that was given up is believed to have its last node',
    scenario: 'a reader, and one who takes its node away',
    changes: [{ from: 'if (table[slot + STATE2] !== RowState.filled) return false;', to: '' }],
  },
  {
    name: 'a node that was just read is not pinned',
    scenario: 'one misses a node, the other two: what was just read stays',
    changes: [{ from: 'lock.downgrade();\n    this.pinned = slot;', to: 'lock.unlockIntent();' }],
  },
  {
    name: 'a node is claimed although another thread has it',
    scenario: 'two miss one node: it is read once',
    changes: [{ from: 'if (present - LINK2 !== instead || !this.isUnchanged(instead, sequence)) return -1;', to: '' }],
  },
  {
    name: 'a node is given up without its lock',
    scenario: 'a reader, and one who takes its node away',
    changes: [
      {
        from: 'else if (this.tryExclusive(slot)) {\n        this.vacate(slot);',
        to: 'else {\n        this.index.remove(slot + LINK2); this.images.deallocate(table[slot + IMAGE_AT]); table[slot + STATE2] = 0; table[slot + IMAGE_AT] = table[head + VACANT]; table[head + VACANT] = slot;',
      },
    ],
  },
  {
    name: 'the cache is changed without its mutex',
    scenario: 'two miss one node: it is read once',
    changes: [
      { from: 'this.unpin();\n    this.mutex?.lock();\n    try {', to: 'this.unpin();\n    try {' },
      { from: 'return slot;\n    } finally {\n      this.mutex?.unlock();', to: 'return slot;\n    } finally {' },
    ],
  },
]

let text = ''
beforeAll(async () => {
  text = small.reduce(mutate, await bundleHashtable('node-cache'))
})

const ofSize = (isLarge: boolean) =>
  Object.keys(scenarios).filter((name) => (scenarios[name]?.isLarge ?? false) === isLarge)

describe('schedules', () => {
  let threads: ScheduledThreads
  beforeAll(async () => {
    threads = await ScheduledThreads.start(text, scenarios)
  })
  afterAll(() => threads.stop())

  test.each(ofSize(false))('%s: every schedule with few preemptions', { timeout: 3600_000 }, (name) => {
    const result = exploreFewPreemptions(threads, name, { preemptionsMax: 2, stepsMax: STEPS_MAX })
    expect(result).toEqual({ ...result, failure: undefined, complete: true })
    if (process.env['COWHERD_SCHEDULES'] === '1') console.log(`${name}: ${result.schedules}`)
  })

  test.each(Object.keys(scenarios))(
    `%s: ${RANDOM_SCHEDULES} random schedules from seed ${seed}`,
    { timeout: 3600_000 },
    (name) => {
      const count = scenarios[name]?.threads.length ?? 0
      const result = exploreRandomly(threads, name, count, { seed, schedules: RANDOM_SCHEDULES })
      expect(result.failure).toBeUndefined()
    },
  )
})

describe('mutants', () => {
  test.each(mutants)('$name', { timeout: 600_000 }, async ({ scenario, changes }) => {
    const threads = await ScheduledThreads.start(changes.reduce(mutate, text), scenarios)
    try {
      const { failure } = exploreAll(threads, scenario, { preemptionsMax: 2, stepsMax: STEPS_MAX })
      expect(failure).toBeDefined()
      if (failure !== undefined)
        expect(replay(threads, scenario, failure.trace)).toMatchObject({ ending: failure.ending })
    } finally {
      await threads.stop()
    }
  })
})
