/**
 * What real threads do in the stress test: each works on all primitives at random, and checks what must hold. Also the ways
 * to die: holding a lock, sharing one, or in the middle of writing.
 */

import {
  Condition,
  Mutex,
  RwSemaphore,
  Semaphore,
  SequenceLock,
  SixLock,
  ThreadRegistry,
  type SharedPlace,
} from '@cowherd/shim'
import { parentPort, workerData } from 'node:worker_threads'

const PERMITS = 2
/** How many of the steps lock the mutex once. */
const MUTEX_STEPS = 3

/** The primitives and words that the threads share. */
export interface Arena {
  readonly registry: SharedPlace
  readonly mutex: SharedPlace
  readonly rw: SharedPlace
  readonly semaphore: SharedPlace
  readonly sequence: SharedPlace
  readonly six: SharedPlace
  readonly condition: SharedPlace
  readonly words: SharedArrayBuffer
}

export interface StressData {
  readonly arena: Arena
  readonly id: number
  readonly role: 'work' | 'die with mutex' | 'die sharing' | 'die writing'
  readonly rounds: number
}

/** Makes an arena; the calling thread has entered `registry`. */
export function newArena(registry: SharedPlace): Arena {
  return {
    registry,
    mutex: Mutex.create().place,
    rw: RwSemaphore.create().place,
    semaphore: Semaphore.create(PERMITS).place,
    sequence: SequenceLock.create().place,
    six: SixLock.create().place,
    condition: Condition.create().place,
    words: new SharedArrayBuffer(64 * Word.count),
  }
}

/** Words, each on a cache line of its own. */
export const Word = {
  mutex: 0,
  rwA: 16,
  rwB: 32,
  permits: 48,
  seqA: 64,
  seqB: 80,
  sixA: 96,
  sixB: 112,
  met: 128,
  count: 9,
} as const

/** The thread's whole life. */
export async function run(): Promise<void> {
  const { arena, id, role, rounds } = workerData as StressData
  new ThreadRegistry(arena.registry).enter(id)
  if (role === 'work') await work(arena, id, rounds)
  else await die(arena, role)
}

async function die(arena: Arena, role: StressData['role']): Promise<void> {
  if (role === 'die with mutex') new Mutex(arena.mutex).lock()
  else if (role === 'die sharing') new RwSemaphore(arena.rw).lockShared()
  else new SequenceLock(arena.sequence).beginWrite()
  parentPort?.postMessage('holds')
  await new Promise(() => setInterval(() => undefined, 1000)) // until it is terminated
}

async function work(arena: Arena, id: number, rounds: number): Promise<void> {
  const words = new Int32Array(arena.words)
  const mutex = new Mutex(arena.mutex)
  const rw = new RwSemaphore(arena.rw)
  const semaphore = new Semaphore(arena.semaphore)
  const sequence = new SequenceLock(arena.sequence)
  const six = new SixLock(arena.six)
  const condition = new Condition(arena.condition)
  let state = id
  const random = (below: number): number => {
    state = (Math.imul(state, 1664525) + 1013904223) | 0
    return (state >>> 8) % below
  }
  let locked = 0
  const steps: (() => void | Promise<void>)[] = [
    () => {
      mutex.lock()
      words[Word.mutex]++ // plainly: the mutex must keep it right
      mutex.unlock()
    },
    async () => {
      if (!(await mutex.lockAsync(random(3)))) mutex.lock()
      words[Word.mutex]++
      mutex.unlock()
    },
    () => {
      if (!mutex.lockWithin(random(2))) mutex.lock()
      words[Word.mutex]++
      mutex.unlock()
    },
    () => {
      rw.lockExclusive()
      words[Word.rwA]++
      words[Word.rwB]++
      rw.unlockExclusive()
    },
    () => {
      rw.lockShared()
      must(words[Word.rwA] === words[Word.rwB], 'a reader sees a writer')
      rw.unlockShared()
    },
    () => {
      semaphore.acquirePermit()
      must(Atomics.add(words, Word.permits, 1) < PERMITS, 'more inside than permits')
      Atomics.sub(words, Word.permits, 1)
      semaphore.releasePermit()
    },
    () => {
      sequence.write(() => {
        Atomics.store(words, Word.seqA, words[Word.seqA] + 1)
        Atomics.store(words, Word.seqB, words[Word.seqB] + 1)
      })
    },
    () => {
      const difference = sequence.read(() => Atomics.load(words, Word.seqA) - Atomics.load(words, Word.seqB))
      must(difference === 0, 'torn')
    },
    () => {
      six.lockIntent()
      six.lockExclusive()
      words[Word.sixA]++
      words[Word.sixB]++
      six.unlockExclusive()
      if (random(2) === 0) return void six.unlockIntent()
      six.downgrade()
      must(words[Word.sixA] === words[Word.sixB], 'changed while downgraded')
      six.unlockShared()
    },
    () => {
      six.lockShared()
      must(words[Word.sixA] === words[Word.sixB], 'a sharer sees a writer')
      if (six.tryUpgrade()) six.unlockIntent()
      else six.unlockShared()
    },
  ]
  for (let round = 0; round < rounds; round++) {
    const step = random(steps.length)
    if (step < MUTEX_STEPS) locked++
    await steps[step]?.()
    if (round % 16 === 0) {
      locked++
      meet(words, mutex, condition)
    }
  }
  parentPort?.postMessage(locked)
}

/** Two threads at a time meet: the first waits until the second has come, or not long. */
function meet(words: Int32Array, mutex: Mutex, condition: Condition): void {
  mutex.lock()
  words[Word.mutex]++
  const came = ++words[Word.met]
  if (came % 2 === 0) condition.broadcast()
  else while (words[Word.met] === came && condition.waitWithin(mutex, 2));
  mutex.unlock()
}

function must(holds: boolean, what: string): void {
  if (!holds) throw new Error(`violated: ${what}`)
}
