/**
 * Scenarios in which thread 0 dies, at whichever step the test says. The other must get the lock, or be told; it must not wait
 * for ever. Its sleep may end by a timeout a few times, as in real life it does.
 */

import { Mutex, OwnerDeadError, RwSemaphore, SixLock, ThreadRegistry } from '@cowherd/shim'
import type { Scenario } from '../scenario.ts'
import { crowd, firstId, placeOf, prepareRoom } from './room.ts'

/** Both threads lock and unlock twice; locking may tell that the owner died. */
function deaths(
  create: (memory: SharedArrayBuffer) => void,
  act: (memory: SharedArrayBuffer, thread: number) => () => void,
): Scenario {
  return {
    prepare(memory) {
      prepareRoom(memory, 2)
      create(memory)
    },
    threads: crowd(2, (memory, _words, thread) => {
      const once = act(memory, thread)
      return () => {
        try {
          once()
          once()
        } catch (error) {
          if (!(error instanceof OwnerDeadError && error.owner === firstId)) throw error
        }
      }
    }),
    died: (memory) => new ThreadRegistry({ buffer: memory, offset: 0 }).markDead(firstId),
    timeouts: 4,
  }
}

export const scenarios: Readonly<Record<string, Scenario>> = {
  mutex: deaths(
    (memory) => Mutex.create(placeOf(memory)),
    (memory) => {
      const mutex = new Mutex(placeOf(memory))
      return () => {
        mutex.lock()
        mutex.unlock()
      }
    },
  ),
  'rw semaphore, a reader dies': deaths(
    (memory) => RwSemaphore.create(placeOf(memory)),
    (memory, thread) => {
      const lock = new RwSemaphore(placeOf(memory))
      return () => {
        if (thread === 0) {
          lock.lockShared()
          lock.unlockShared()
        } else {
          lock.lockExclusive()
          lock.unlockExclusive()
        }
      }
    },
  ),
  'six lock, a writer dies': deaths(
    (memory) => SixLock.create(placeOf(memory)),
    (memory, thread) => {
      const lock = new SixLock(placeOf(memory))
      return () => {
        if (thread === 1) {
          lock.lockShared()
          lock.unlockShared()
          return
        }
        lock.lockIntent()
        lock.lockExclusive()
        lock.unlockExclusive()
        lock.unlockIntent()
      }
    },
  ),
}
