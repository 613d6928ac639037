/** The locks under test, each as a pair of functions; and how two threads hand each other the turn. */

import { Completion, Condition, Mutex, RwSemaphore, Semaphore, SixLock, type SharedPlace } from '@cowherd/shim'

/** Iterations between two looks at the clock. */
const BATCH = 100

/** Takes the lock and gives it back for so many milliseconds; returns how often. */
export type Hammer = (milliseconds: number) => number

/**
 * Locks by name. Each has a loop of its own, which the engine compiles for it alone. `create` makes a lock at a place of its own, with
 * `hammer` a thread works on its own view of it.
 */
export const lockKinds = {
  Mutex: {
    create: () => Mutex.create().place,
    hammer(place) {
      const mutex = new Mutex(place)
      return hammerWith(() => {
        for (let i = 0; i < BATCH; i++) {
          mutex.lock()
          mutex.unlock()
        }
      })
    },
  },
  'RwSemaphore, shared': {
    create: () => RwSemaphore.create().place,
    hammer(place) {
      const lock = new RwSemaphore(place)
      return hammerWith(() => {
        for (let i = 0; i < BATCH; i++) {
          lock.lockShared()
          lock.unlockShared()
        }
      })
    },
  },
  'RwSemaphore, exclusive': {
    create: () => RwSemaphore.create().place,
    hammer(place) {
      const lock = new RwSemaphore(place)
      return hammerWith(() => {
        for (let i = 0; i < BATCH; i++) {
          lock.lockExclusive()
          lock.unlockExclusive()
        }
      })
    },
  },
  'SixLock, shared': {
    create: () => SixLock.create().place,
    hammer(place) {
      const lock = new SixLock(place)
      return hammerWith(() => {
        for (let i = 0; i < BATCH; i++) {
          lock.lockShared()
          lock.unlockShared()
        }
      })
    },
  },
  Semaphore: {
    create: () => Semaphore.create(1).place,
    hammer(place) {
      const semaphore = new Semaphore(place)
      return hammerWith(() => {
        for (let i = 0; i < BATCH; i++) {
          semaphore.acquirePermit()
          semaphore.releasePermit()
        }
      })
    },
  },
  'two atomics, no lock': {
    create: () => Mutex.create().place,
    hammer({ buffer }) {
      const words = new Int32Array(buffer)
      return hammerWith(() => {
        for (let i = 0; i < BATCH; i++) {
          Atomics.compareExchange(words, 0, 0, 1)
          Atomics.compareExchange(words, 0, 1, 0)
        }
      })
    },
  },
} satisfies Record<string, LockKind>

interface LockKind {
  create(): SharedPlace
  hammer(place: SharedPlace): Hammer
}

export type LockName = keyof typeof lockKinds

function hammerWith(batch: () => void): Hammer {
  return (milliseconds) => {
    const end = performance.now() + milliseconds
    let done = 0
    for (; performance.now() < end; done += BATCH) batch()
    return done
  }
}

/** Two threads take turns, each `rounds` times; `me` is 0 or 1, and 0 begins. */
export type Play = (me: number, rounds: number) => void

/** Ways to hand over the turn. `places` are made once and seen by both; `play` is a thread's side. */
export const turnKinds = {
  Condition: {
    create: () => [Mutex.create().place, Condition.create().place, Condition.create().place],
    play([mutexPlace, ...conditionPlaces], turn) {
      const mutex = new Mutex(mutexPlace)
      const conditions = conditionPlaces.map((place) => new Condition(place))
      return (me, rounds) => {
        for (let i = 0; i < rounds; i++) {
          mutex.lock()
          while (turn[0] !== me) conditions[me].wait(mutex)
          turn[0] = 1 - me
          conditions[1 - me].signal()
          mutex.unlock()
        }
      }
    },
  },
  Completion: {
    create: () => [Completion.create().place, Completion.create().place],
    play(places) {
      const completions = places.map((place) => new Completion(place))
      return (me, rounds) => {
        for (let i = 0; i < rounds; i++) {
          if (me !== 0 || i !== 0) completions[me].wait()
          completions[1 - me].complete()
        }
        if (me === 0) completions[0].wait() // the last turn, which nobody takes: the next game begins anew
      }
    },
  },
  Semaphore: {
    create: () => [Semaphore.create(1).place, Semaphore.create(0).place],
    play(places) {
      const semaphores = places.map((place) => new Semaphore(place))
      return (me, rounds) => {
        for (let i = 0; i < rounds; i++) {
          semaphores[me].acquirePermit()
          semaphores[1 - me].releasePermit()
        }
      }
    },
  },
} satisfies Record<string, TurnKind>

interface TurnKind {
  create(): SharedPlace[]
  /** `turn[0]` says whose turn it is, for those who keep it there. */
  play(places: readonly SharedPlace[], turn: Int32Array): Play
}

export type TurnName = keyof typeof turnKinds
