/** Scenarios of what tells threads something: semaphore, completion, wait queue, condition variable, sequence lock, once. */

import { Completion, Condition, Mutex, Once, Semaphore, SequenceLock, WaitQueue } from '@cowherd/shim'
import type { Scenario } from '../scenario.ts'
import { alone, crowd, inRoom, must, placeOf, prepareRoom, wordsOf } from './room.ts'

/** More threads than permits. */
function semaphore(threads: number, permits: number): Scenario {
  return {
    prepare(memory) {
      prepareRoom(memory, threads)
      Semaphore.create(permits, placeOf(memory))
    },
    threads: crowd(threads, (memory, words) => {
      const semaphore = new Semaphore(placeOf(memory))
      return () => {
        semaphore.acquirePermit()
        must(Atomics.add(words, 0, 1) < permits, 'no more inside than permits')
        Atomics.sub(words, 0, 1)
        semaphore.releasePermit()
      }
    }),
    check: (memory) => must(new Semaphore(placeOf(memory)).tryAcquirePermit(), 'permits are back'),
  }
}

/** One thread waits for a permit that another gives, or gives up: in the end there is one permit or one success. */
const semaphoreTimed: Scenario = {
  prepare(memory) {
    prepareRoom(memory, 2)
    Semaphore.create(0, placeOf(memory))
  },
  threads: [
    inRoom(0, (memory, words) => {
      const semaphore = new Semaphore(placeOf(memory))
      return () => {
        if (semaphore.acquirePermitWithin(50)) Atomics.store(words, 0, 1)
      }
    }),
    inRoom(1, (memory) => {
      const semaphore = new Semaphore(placeOf(memory))
      return () => semaphore.releasePermit()
    }),
  ],
  timeouts: 1,
  check(memory) {
    const isLeft = new Semaphore(placeOf(memory)).tryAcquirePermit()
    must(isLeft !== (wordsOf(memory)[0] === 1), 'a permit is neither lost nor doubled')
  },
}

function completion(waiters: number, forAll: boolean): Scenario {
  return {
    prepare(memory) {
      prepareRoom(memory, waiters + 1)
      Completion.create(placeOf(memory))
    },
    threads: crowd(waiters + 1, (memory, words, thread) => {
      const done = new Completion(placeOf(memory))
      return () => {
        if (thread < waiters) {
          done.wait()
          must(Atomics.load(words, 0) === 1, 'done before the waiter goes on')
          return
        }
        Atomics.store(words, 0, 1)
        if (forAll) done.completeAll()
        else for (let i = 0; i < waiters; i++) done.complete()
      }
    }),
    check: (memory) => must(new Completion(placeOf(memory)).isDone === forAll, 'used up, or done for good'),
  }
}

const completionAsync: Scenario = {
  prepare: completion(1, false).prepare,
  threads: [
    inRoom(0, (memory, words) => {
      const done = new Completion(placeOf(memory))
      return async () => {
        must(await done.waitAsync(), 'done')
        must(Atomics.load(words, 0) === 1, 'done before the waiter goes on')
      }
    }),
    inRoom(1, (memory, words) => {
      const done = new Completion(placeOf(memory))
      return () => {
        Atomics.store(words, 0, 1)
        done.complete()
      }
    }),
  ],
}

/** Takes one of the tokens in word 0. */
function takesToken(words: Int32Array): () => boolean {
  return () => {
    for (let tokens = Atomics.load(words, 0); tokens > 0;) {
      const seen = Atomics.compareExchange(words, 0, tokens, tokens - 1)
      if (seen === tokens) return true
      tokens = seen
    }
    return false
  }
}

/** Waiters take tokens; each token is made with one wake-up. */
function waitQueue(waiters: number, options: { readonly all?: boolean; readonly timed?: boolean } = {}): Scenario {
  const { all = false, timed = false } = options
  return {
    prepare(memory) {
      prepareRoom(memory, waiters + 1)
      WaitQueue.create(placeOf(memory))
    },
    threads: crowd(waiters + 1, (memory, words, thread) => {
      const queue = new WaitQueue(placeOf(memory))
      return () => {
        if (thread < waiters) {
          const takes = takesToken(words)
          if (!timed || thread > 0) queue.waitUntil(takes)
          else if (!queue.waitUntilWithin(takes, 50)) Atomics.store(words, 1, 1)
          return
        }
        if (all) {
          Atomics.store(words, 0, waiters)
          queue.wakeAll()
          return
        }
        for (let i = 0; i < waiters; i++) {
          Atomics.add(words, 0, 1)
          queue.wakeOne()
        }
      }
    }),
    timeouts: timed ? 1 : 0,
    check: (memory) => must(wordsOf(memory)[0] === wordsOf(memory)[1], 'each token has been taken'),
  }
}

/** A box of one thing (word 1), filled and emptied under a mutex. */
function condition(fillers: number, takers: number, options: { readonly broadcast?: boolean } = {}): Scenario {
  const threads = fillers + takers
  return {
    isLarge: threads > 3,
    prepare(memory) {
      prepareRoom(memory, threads)
      Mutex.create(placeOf(memory))
      Condition.create(placeOf(memory, 1))
    },
    threads: crowd(threads, (memory, words, thread) => {
      const mutex = new Mutex(placeOf(memory))
      const filled = new Condition(placeOf(memory, 1))
      return () => {
        mutex.lock()
        if (thread < takers) {
          while (Atomics.load(words, 1) === 0) filled.wait(mutex)
          alone(words)
          Atomics.sub(words, 1, 1)
        } else {
          alone(words)
          Atomics.add(words, 1, options.broadcast === true ? takers : 1)
          if (options.broadcast === true) filled.broadcast()
          else filled.signal()
        }
        mutex.unlock()
      }
    }),
    check: (memory) => must(wordsOf(memory)[1] === 0, 'all was taken'),
  }
}

/** The taker gives up, or is signalled; never both and never neither. */
const conditionTimed: Scenario = {
  prepare: condition(1, 1).prepare,
  threads: crowd(2, (memory, words, thread) => {
    const mutex = new Mutex(placeOf(memory))
    const filled = new Condition(placeOf(memory, 1))
    return () => {
      mutex.lock()
      if (thread === 0) {
        if (Atomics.load(words, 1) === 0 && filled.waitWithin(mutex, 50)) {
          must(Atomics.load(words, 1) === 1, 'signalled means filled')
        }
      } else {
        Atomics.store(words, 1, 1)
        filled.signal()
      }
      must(mutex.isHeld, 'the mutex is held again')
      mutex.unlock()
    }
  }),
  timeouts: 1,
}

/** Writers change both words of a pair; readers must see both or none. */
function sequenceLock(writers: number, readers: number, rounds = 1): Scenario {
  return {
    prepare(memory) {
      prepareRoom(memory, writers + readers)
      SequenceLock.create(placeOf(memory))
    },
    threads: crowd(writers + readers, (memory, words, thread) => {
      const lock = new SequenceLock(placeOf(memory))
      return () => {
        if (thread < writers) {
          for (let i = 0; i < rounds; i++) {
            lock.write(() => {
              Atomics.store(words, 2, Atomics.load(words, 2) + 1)
              Atomics.store(words, 3, Atomics.load(words, 3) + 1)
            })
          }
          return
        }
        const difference = lock.read(() => Atomics.load(words, 2) - Atomics.load(words, 3))
        must(difference === 0, 'nothing torn')
      }
    }),
    check: (memory) => must(wordsOf(memory)[2] === writers * rounds, 'all writes count'),
  }
}

function once(threads: number, failsFirst: boolean): Scenario {
  return {
    prepare(memory) {
      prepareRoom(memory, threads)
      Once.create(placeOf(memory))
    },
    threads: crowd(threads, (memory, words, thread) => {
      const once = new Once(placeOf(memory))
      const action = (): void => {
        if (failsFirst && thread === 0) throw new RangeError('this one fails')
        Atomics.add(words, 0, 1)
      }
      return () => {
        try {
          once.run(action)
        } catch (error) {
          must(error instanceof RangeError && thread === 0, 'the error goes to the one who tried')
          return
        }
        must(Atomics.load(words, 0) === 1, 'done when it returns, and once')
      }
    }),
    check: (memory) => must(wordsOf(memory)[0] === 1 && new Once(placeOf(memory)).isDone, 'done once'),
  }
}

export const scenarios: Readonly<Record<string, Scenario>> = {
  'semaphore, 2 threads': semaphore(2, 1),
  'semaphore, 3 threads, 2 permits': semaphore(3, 2),
  'semaphore, timed': semaphoreTimed,
  'completion, one': completion(1, false),
  'completion, all': completion(1, true),
  'completion, 2 waiters': completion(2, false),
  'completion, all, 2 waiters': completion(2, true),
  'completion, async': completionAsync,
  'wait queue, 1 waiter': waitQueue(1),
  'wait queue, 2 waiters': waitQueue(2),
  'wait queue, all, 2 waiters': waitQueue(2, { all: true }),
  'wait queue, timed': waitQueue(1, { timed: true }),
  'wait queue, timed, 2 waiters': waitQueue(2, { timed: true }),
  'condition, 1 taker': condition(1, 1),
  'condition, 2 takers': condition(2, 2),
  'condition, 1 filler for 2 takers': condition(1, 2, { broadcast: true }),
  'condition, timed': conditionTimed,
  'sequence lock, 1 writer, 1 reader': sequenceLock(1, 1),
  'sequence lock, 1 writer twice, 1 reader': sequenceLock(1, 1, 2),
  'sequence lock, 2 writers, 1 reader': sequenceLock(2, 1),
  'once, 2 threads': once(2, false),
  'once, 2 threads, one fails': once(2, true),
  'once, 3 threads': once(3, false),
}
