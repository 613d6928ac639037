/**
 * Real threads, not scheduled, on all primitives at once; and threads that die holding a lock. Short in CI, minutes with
 * COWHERD_SOAK=1.
 */

import { Mutex, OwnerDeadError, RwSemaphore, SequenceLock, ThreadRegistry } from '@cowherd/shim'
import { fileURLToPath } from 'node:url'
import { Worker } from 'node:worker_threads'
import { beforeAll, describe, expect, test } from 'vitest'
import { bundle } from './index.ts'
import { newArena, Word, type Arena, type StressData } from './scenarios/stress.ts'

const isSoak = process.env['COWHERD_SOAK'] === '1'
const ROUNDS = isSoak ? 1_000_000 : 5000

const registry = ThreadRegistry.create()
registry.enter()

let text = ''
beforeAll(async () => {
  text = await bundle(fileURLToPath(new URL('./scenarios/stress.ts', import.meta.url)), 'void source.run()')
})

function startThread(arena: Arena, role: StressData['role'], rounds = 0): Worker {
  const id = registry.reserve()
  const worker = new Worker(text, { eval: true, workerData: { arena, id, role, rounds } satisfies StressData })
  registry.watch(worker, id)
  return worker
}

/** The first message of a worker, or its error. */
function answerOf(worker: Worker): Promise<unknown> {
  return new Promise((resolve, reject) => {
    worker.once('message', resolve)
    worker.once('error', reject)
  })
}

describe('real threads', () => {
  test.each([2, 4])('%d of them keep the invariants', { timeout: 3600_000 }, async (count) => {
    const arena = newArena(registry.place)
    const workers = Array.from({ length: count }, () => startThread(arena, 'work', ROUNDS))
    const locked = await Promise.all(workers.map(answerOf))
    await Promise.all(workers.map((worker) => worker.terminate()))
    const words = new Int32Array(arena.words)
    expect(words[Word.mutex]).toBe(locked.reduce((sum: number, times) => sum + Number(times), 0))
    expect(words[Word.rwA]).toBe(words[Word.rwB])
    expect(words[Word.sixA]).toBe(words[Word.sixB])
  })
})

describe('a thread that dies', () => {
  const ways = {
    'die with mutex': (arena: Arena) => new Mutex(arena.mutex),
    'die sharing': (arena: Arena) => exclusively(new RwSemaphore(arena.rw)),
    'die writing': (arena: Arena) => writing(new SequenceLock(arena.sequence)),
  } as const

  test.each(['die with mutex', 'die sharing', 'die writing'] as const)('%s: who waits is told', async (role) => {
    const arena = newArena(registry.place)
    const worker = startThread(arena, role)
    expect(await answerOf(worker)).toBe('holds')
    const lock = ways[role](arena)
    expect(lock.lockWithin(1)).toBe(false)
    const waiting = expect(lock.lockAsync()).rejects.toThrow(OwnerDeadError)
    await worker.terminate()
    await waiting
    expect(() => lock.lock()).toThrow(OwnerDeadError)
    if (role === 'die writing') {
      expect(() => new SequenceLock(arena.sequence).read(() => 0)).toThrow(OwnerDeadError)
    }
  })

  test('its seat is given again, unless it held something', async () => {
    const arena = newArena(registry.place)
    const worker = startThread(arena, 'work', 1)
    await answerOf(worker)
    await worker.terminate()
    const before = registry.reserve()
    registry.markDead(before)
    const after = registry.reserve()
    expect(after & 0xff).toBe(before & 0xff)
    expect(after).not.toBe(before)
    registry.markDead(after)
  })
})

interface Forms {
  lock(): void
  lockWithin(timeoutMs: number): boolean
  lockAsync(): Promise<boolean>
}

function exclusively(lock: RwSemaphore): Forms {
  return {
    lock: () => lock.lockExclusive(),
    lockWithin: (timeoutMs) => lock.lockExclusiveWithin(timeoutMs),
    lockAsync: () => lock.lockExclusiveAsync(),
  }
}

function writing(lock: SequenceLock): Forms {
  return {
    lock: () => lock.beginWrite(),
    lockWithin: (timeoutMs) => lock.beginWriteWithin(timeoutMs),
    lockAsync: () => lock.beginWriteAsync(),
  }
}
