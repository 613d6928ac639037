/**
 * Real threads, not scheduled, on one hashtable that grows and shrinks all the time: what they did to the keys they fought over
 * could have been done one after the other, and nothing is lost. Short in CI, minutes with COWHERD_SOAK=1.
 */

import { HashTable, SharedMap } from '@cowherd/rhashtable'
import { Arena, Rcu, ThreadRegistry } from '@cowherd/shim'
import { fileURLToPath } from 'node:url'
import { Worker } from 'node:worker_threads'
import { beforeAll, describe, expect, test } from 'vitest'
import { isSoak, seed } from './budget.ts'
import { bundle } from './index.ts'
import { linearize, type Happening } from './linearizability.ts'
import { COUNTERS, type MapStressData } from './scenarios/shared-map-stress.ts'
import { HOT_KEYS, KEY, Note, Operation, type StressData } from './scenarios/rhashtable-stress.ts'

const ROUNDS = 4000
const REPEATS = isSoak ? 30 : 1
const THREADS = 3

const registry = ThreadRegistry.create()
registry.enter()

let table = ''
let map = ''
beforeAll(async () => {
  const textOf = (source: URL) => bundle(fileURLToPath(source), 'source.run()')
  table = await textOf(new URL('./scenarios/rhashtable-stress.ts', import.meta.url))
  map = await textOf(new URL('./scenarios/shared-map-stress.ts', import.meta.url))
})

/** Starts a thread. Resolves to its message when it has ended. */
function start(text: string, data: Omit<StressData, 'id' | 'registry'> | Omit<MapStressData, 'id'>): Promise<unknown> {
  const id = registry.reserve()
  const worker = new Worker(text, { eval: true, workerData: { ...data, id, registry: registry.place } })
  registry.watch(worker, id)
  return new Promise((resolve, reject) => {
    let message: unknown
    worker.once('message', (value: unknown) => (message = value))
    worker.once('error', reject)
    worker.once('exit', () => resolve(message))
  })
}

/** The operations on one key, by thread. */
function historyOf(key: number, notes: readonly Int32Array[]): Happening[][] {
  return notes.map((words) => {
    const history: Happening[] = []
    for (let at = 0; at < words.length; at += Note.words) {
      if (words[at + Note.key] === key) history.push(happeningAt(words.slice(at, at + Note.words)))
    }
    return history
  })
}

function happeningAt(note: Int32Array): Happening {
  const result = note[Note.result]
  const wanted = note[Note.wanted]
  const apply = (state: number): number | undefined => {
    switch (note[Note.operation]) {
      case Operation.lookup:
        return result === state ? state : undefined
      case Operation.remove:
        return result === state ? 0 : undefined
      case Operation.insert:
        if (result !== state) return undefined
        return state === 0 ? wanted : state
      default:
        if (result === 0) return state
        return result === state ? wanted : undefined
    }
  }
  return { start: note[Note.start], end: note[Note.end], apply }
}

async function stress(repeat: number, hasMaintainer: boolean): Promise<void> {
  const arena = Arena.create(1 << 24, { unitBytes: 16 })
  const rcu = Rcu.create(registry)
  const hashtable = HashTable.create(arena, { keyAt: KEY, keyWords: 2, rcu })
  const clock = new SharedArrayBuffer(8)
  const common = { table: hashtable.describe(arena), clock, rounds: ROUNDS }
  const maintaining = hasMaintainer ? start(table, { ...common, role: 'maintain', seed: 0 }) : undefined
  const working = Array.from({ length: THREADS }, (_, i) =>
    start(table, { ...common, role: 'work', seed: seed + repeat * THREADS + i }),
  )
  const notes = (await Promise.all(working)) as Int32Array[]
  Atomics.store(new Int32Array(clock), 1, 1)
  hashtable.maintenance.wake()
  await maintaining

  expect(hashtable.state().resizes).toBeGreaterThan(0)
  for (let key = 0; key < HOT_KEYS; key++) {
    const history = historyOf(key, notes)
    const total = history.flat().length
    expect({ seed, repeat, key, done: linearize(history, 0) }).toEqual({ seed, repeat, key, done: total })
  }
  rcu.online()
  expect([...hashtable.walk()].length).toBe(hashtable.size)
  expect(hashtable.size).toBeLessThanOrEqual(HOT_KEYS)
  rcu.offline()
}

describe('real threads', () => {
  test.each([
    ['writers resize', false],
    ['a maintainer resizes', true],
  ])('%s', { timeout: 3600_000 }, async (_, hasMaintainer) => {
    for (let repeat = 0; repeat < REPEATS; repeat++) await stress(repeat, hasMaintainer)
  })
})

test('real threads count in a SharedMap, and nothing is lost, nor any memory', { timeout: 3600_000 }, async () => {
  const shared = SharedMap.create<string>({ bytes: 1 << 19 })
  const before = shared.freeBytes
  const rounds = isSoak ? 100_000 : 3000
  await Promise.all(Array.from({ length: THREADS }, () => start(map, { map: shared.descriptor, rounds })))
  const counts = Array.from({ length: COUNTERS }, (_, i) => Number(shared.get(`counter ${i}`)))
  expect(counts.reduce((sum, count) => sum + count, 0)).toBe(THREADS * rounds)
  expect(shared.size).toBe(COUNTERS)
  shared.clear()
  for (let i = 0; i < 1000 && shared.freeBytes < before; i++) shared.set('x', i).delete('x') // which looks after what waits
  expect(before - shared.freeBytes).toBeLessThan(1024)
})

describe('linearize', () => {
  const write = (value: number, start: number, end: number): Happening => ({ start, end, apply: () => value })
  const read = (value: number, start: number, end: number): Happening => ({
    start,
    end,
    apply: (state) => (state === value ? state : undefined),
  })

  test('finds an order where there is one, and none where there is none', () => {
    expect(linearize([[write(1, 0, 9)], [read(0, 1, 2), read(1, 3, 4)]], 0)).toBe(3)
    expect(linearize([[write(1, 0, 9)], [read(1, 1, 2), read(0, 3, 4)]], 0)).toBe(2)
    expect(linearize([[write(1, 0, 1)], [read(0, 2, 3)]], 0)).toBe(1)
  })
})
