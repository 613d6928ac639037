/** Scenarios of mutex, reader/writer semaphore and six lock. Words: 0 writers inside, 1 readers inside, 2 and 3 a pair. */

import { Mutex, RwSemaphore, SixLock } from '@cowherd/shim'
import type { Scenario } from '../scenario.ts'
import { alone, crowd, inRoom, must, placeOf, prepareRoom, wordsOf } from './room.ts'

function mutex(threads: number, rounds: number): Scenario {
  return {
    isLarge: threads * rounds > 4,
    check: (memory) => must(new Mutex(placeOf(memory)).tryLock(), 'free in the end'),
    prepare(memory) {
      prepareRoom(memory, threads)
      Mutex.create(placeOf(memory))
    },
    threads: crowd(threads, (memory, words) => {
      const mutex = new Mutex(placeOf(memory))
      return () => {
        for (let i = 0; i < rounds; i++) {
          mutex.lock()
          alone(words)
          mutex.unlock()
        }
      }
    }),
  }
}

/** One thread gives up after a while, at any moment, or not. */
const mutexTimed: Scenario = {
  prepare: mutex(2, 1).prepare,
  threads: crowd(2, (memory, words, thread) => {
    const mutex = new Mutex(placeOf(memory))
    return () => {
      if (thread === 0) mutex.lock()
      else if (!mutex.lockWithin(50)) return
      alone(words)
      mutex.unlock()
    }
  }),
  timeouts: 1,
  check: (memory) => must(new Mutex(placeOf(memory)).tryLock(), 'free in the end'),
}

/** The middle one of a queue gives up. */
const mutexTimedThree: Scenario = {
  prepare: mutex(3, 1).prepare,
  threads: crowd(3, (memory, words, thread) => {
    const mutex = new Mutex(placeOf(memory))
    return () => {
      if (thread !== 1) mutex.lock()
      else if (!mutex.lockWithin(50)) return
      alone(words)
      mutex.unlock()
    }
  }),
  timeouts: 1,
  check: (memory) => must(new Mutex(placeOf(memory)).tryLock(), 'free in the end'),
}

const mutexTry: Scenario = {
  prepare: mutex(2, 1).prepare,
  threads: crowd(2, (memory, words) => {
    const mutex = new Mutex(placeOf(memory))
    return () => {
      for (let i = 0; i < 2; i++) {
        if (!mutex.tryLock()) continue
        alone(words)
        mutex.unlock()
      }
    }
  }),
}

const mutexAsync: Scenario = {
  prepare: mutex(2, 1).prepare,
  threads: crowd(2, (memory, words, thread) => {
    const mutex = new Mutex(placeOf(memory))
    return async () => {
      if (thread === 0) mutex.lock()
      else must(await mutex.lockAsync(), 'taken')
      alone(words)
      mutex.unlock()
    }
  }),
}

/** Readers are together, writers alone. */
function reading(words: Int32Array): void {
  Atomics.add(words, 1, 1)
  must(Atomics.load(words, 0) === 0, 'no reader beside a writer')
  Atomics.sub(words, 1, 1)
}

function writing(words: Int32Array): void {
  alone(words, () => must(Atomics.load(words, 1) === 0, 'no writer beside a reader'))
}

/** One letter per thread: `r` reads, `w` writes, `R` reads within reading. */
function rwSemaphore(roles: string): Scenario {
  return {
    isLarge: roles.length > 3,
    prepare(memory) {
      prepareRoom(memory, roles.length)
      RwSemaphore.create(placeOf(memory))
    },
    threads: crowd(roles.length, (memory, words, thread) => {
      const lock = new RwSemaphore(placeOf(memory))
      const role = roles[thread]
      return () => {
        if (role === 'w') {
          lock.lockExclusive()
          writing(words)
          lock.unlockExclusive()
          return
        }
        lock.lockShared()
        if (role === 'R') {
          lock.lockShared()
          lock.unlockShared()
        }
        reading(words)
        lock.unlockShared()
      }
    }),
    check: (memory) => must(new RwSemaphore(placeOf(memory)).tryLockExclusive(), 'free in the end'),
  }
}

/** Whether somebody is queued: the highest bit of the state, the word behind the list's four. */
function isAwaited(memory: SharedArrayBuffer): boolean {
  return Atomics.load(new Int32Array(memory, placeOf(memory).offset, 8), 4) < 0
}

/** While one reads and a writer is queued, a newcomer does not get in before the writer: so writers don't starve. */
const rwInOrder: Scenario = {
  prepare: rwSemaphore('rrw').prepare,
  threads: crowd(3, (memory, words, thread) => {
    const lock = new RwSemaphore(placeOf(memory))
    return () => {
      if (thread === 2) {
        lock.lockExclusive()
        Atomics.store(words, 4, 1)
        lock.unlockExclusive()
        return
      }
      const isLate = thread === 1 && isAwaited(memory)
      if (thread === 0) lock.lockShared()
      else if (!lock.tryLockShared()) return
      if (isLate) must(Atomics.load(words, 4) === 1, 'nobody overtakes a writer that waits')
      lock.unlockShared()
    }
  }),
}

/** The same of the six lock: who shares does not overtake who waits to write (bit 29); nor who wants the intent, whoever is queued for it. */
const sixInOrder: Scenario = {
  prepare: six('ssx').prepare,
  threads: crowd(3, (memory, words, thread) => {
    const lock = new SixLock(placeOf(memory))
    const state = new Int32Array(memory, placeOf(memory).offset, 8)
    return () => {
      if (thread === 2) {
        lock.lockIntent()
        lock.lockExclusive()
        Atomics.store(words, 4, 1)
        lock.unlockExclusive()
        lock.unlockIntent()
        return
      }
      const isLate = thread === 1 && (Atomics.load(state, 4) & (1 << 29)) !== 0
      if (thread === 0) lock.lockShared()
      else if (!lock.tryLockShared()) return
      if (isLate) must(Atomics.load(words, 4) === 1, 'nobody overtakes a writer that waits')
      lock.unlockShared()
    }
  }),
}

const rwTimed: Scenario = {
  prepare: rwSemaphore('rwr').prepare,
  threads: crowd(3, (memory, words, thread) => {
    const lock = new RwSemaphore(placeOf(memory))
    return () => {
      if (thread === 1) {
        if (!lock.lockExclusiveWithin(50)) return
        writing(words)
        lock.unlockExclusive()
        return
      }
      lock.lockShared()
      reading(words)
      lock.unlockShared()
    }
  }),
  timeouts: 1,
}

/** One letter per thread: `s` shares, `i` has the intent, `x` writes, `u` upgrades and writes, `d` writes and downgrades. */
function six(roles: string, timeouts = 0): Scenario {
  return {
    isLarge: roles.length > 3,
    prepare(memory) {
      prepareRoom(memory, roles.length)
      SixLock.create(placeOf(memory))
    },
    threads: [...roles].map((role, thread) =>
      inRoom(thread, (memory, words) => {
        const lock = new SixLock(placeOf(memory))
        return () => actOnSix(lock, words, role)
      }),
    ),
    timeouts,
    check(memory) {
      const lock = new SixLock(placeOf(memory))
      must((lock.sequence & 1) === 0, 'sequence even in the end')
      must(lock.tryLockIntent() && lock.tryLockExclusive(), 'free in the end')
      must(wordsOf(memory)[2] === wordsOf(memory)[3], 'written whole')
    },
  }
}

function actOnSix(lock: SixLock, words: Int32Array, role: string): void {
  switch (role) {
    case 's':
      lock.lockShared()
      sixReading(words)
      lock.unlockShared()
      return
    case 'r': // within sharing
      lock.lockShared()
      lock.lockShared()
      lock.unlockShared()
      sixReading(words)
      lock.unlockShared()
      return
    case 'i':
      lock.lockIntent()
      must(Atomics.add(words, 5, 1) === 0, 'one intent')
      Atomics.sub(words, 5, 1)
      lock.unlockIntent()
      return
    case 'x':
      lock.lockIntent()
      sixWriting(lock, words)
      lock.unlockIntent()
      return
    case 't': // gives up
      lock.lockIntent()
      if (lock.lockExclusiveWithin(50)) {
        sixWritten(words)
        lock.unlockExclusive()
      }
      lock.unlockIntent()
      return
    case 'u':
      lock.lockShared()
      if (lock.tryUpgrade()) {
        sixWriting(lock, words)
        lock.unlockIntent()
      } else {
        lock.unlockShared()
      }
      return
    case 'd': {
      lock.lockIntent()
      sixWriting(lock, words)
      lock.downgrade()
      sixReading(words)
      lock.unlockShared()
      return
    }
    case 'l': {
      // without a lock
      const sequence = lock.sequence
      const first = Atomics.load(words, 2)
      const second = Atomics.load(words, 3)
      if (lock.isUnchanged(sequence)) must(first === second, 'what was read without a lock is whole')
      return
    }
    case 'q': {
      // again, if nothing was written
      lock.lockShared()
      const sequence = lock.sequence
      const before = Atomics.load(words, 2)
      lock.unlockShared()
      if (!lock.relockShared(sequence)) return
      must(Atomics.load(words, 2) === before, 'unchanged when taken again')
      lock.unlockShared()
      return
    }
  }
}

function sixReading(words: Int32Array): void {
  must(Atomics.load(words, 2) === Atomics.load(words, 3), 'no sharer sees a writer')
}

function sixWriting(lock: SixLock, words: Int32Array): void {
  lock.lockExclusive()
  sixWritten(words)
  lock.unlockExclusive()
}

function sixWritten(words: Int32Array): void {
  const value = Atomics.add(words, 2, 1)
  must(Atomics.add(words, 3, 1) === value, 'one writer')
}

export const scenarios: Readonly<Record<string, Scenario>> = {
  'mutex, 2 threads': mutex(2, 1),
  'mutex, 2 threads twice': mutex(2, 2),
  'mutex, 3 threads': mutex(3, 1),
  'mutex, 3 threads, many rounds': mutex(3, 10),
  'mutex, timed': mutexTimed,
  'mutex, timed, 3 threads': mutexTimedThree,
  'mutex, try': mutexTry,
  'mutex, async': mutexAsync,
  'rw semaphore, r w': rwSemaphore('rw'),
  'rw semaphore, w w': rwSemaphore('ww'),
  'rw semaphore, R w': rwSemaphore('Rw'),
  'rw semaphore, r r w': rwSemaphore('rrw'),
  'rw semaphore, r w w': rwSemaphore('rww'),
  'rw semaphore, 4 threads': rwSemaphore('rwRw'),
  'rw semaphore, in order': rwInOrder,
  'rw semaphore, timed': rwTimed,
  'six lock, s x': six('sx'),
  'six lock, x x': six('xx'),
  'six lock, r x': six('rx'),
  'six lock, u u': six('uu'),
  'six lock, u x': six('ux'),
  'six lock, s d': six('sd'),
  'six lock, l x': six('lx'),
  'six lock, q x': six('qx'),
  'six lock, i i s': six('iis'),
  'six lock, s s x': six('ssx'),
  'six lock, s x x': six('sxx'),
  'six lock, timed': six('st', 1),
  'six lock, timed, 3 threads': six('sts', 1),
  'six lock, u d s': six('uds'),
  'six lock, in order': sixInOrder,
  'six lock, 4 threads': six('sxud'),
  'six lock, 4 threads, timed': six('stxi', 2),
}
