/**
 * Scenarios in which thread 0 dies, at whichever step the test says: the thread that is parked, the server of a work queue, the owner
 * of timers. Thread 1 must get what it wants, or be told; it must not wait for ever. Its sleep may end by a timeout a few times, as in
 * real life it does.
 */

import {
  OwnerDeadError,
  ThreadContext,
  ThreadControl,
  ThreadRegistry,
  Timers,
  WorkQueue,
  WorkQueueError,
} from '@cowherd/shim'
import type { Scenario } from '../scenario.ts'
import { controlOf, crowd, firstId, must, placeOf, prepareControl, prepareRoom } from './room.ts'

function deaths(
  create: (memory: SharedArrayBuffer) => void,
  act: (memory: SharedArrayBuffer, words: Int32Array, thread: number) => () => void,
): Scenario {
  return {
    prepare(memory) {
      prepareRoom(memory, 2)
      create(memory)
    },
    threads: crowd(2, (memory, words, thread) => {
      const body = act(memory, words, thread)
      return () => {
        try {
          body()
        } catch (error) {
          if (error instanceof OwnerDeadError) must(error.owner === firstId, 'the dead one is named')
          else if (!(error instanceof WorkQueueError && error.code === 'EUNSERVED')) throw error
        }
      }
    }),
    died: (memory) => new ThreadRegistry({ buffer: memory, offset: 0 }).markDead(firstId),
    timeouts: 6,
  }
}

const onError = (error: unknown): void => {
  throw error
}

export const scenarios: Readonly<Record<string, Scenario>> = {
  'a thread that is parked': deaths(
    (memory) => prepareControl(memory, 0),
    (memory, _words, thread) => {
      const control = new ThreadControl(controlOf(memory, 0))
      if (thread === 0) {
        const context = new ThreadContext(controlOf(memory, 0), undefined)
        return () => {
          context.parkIfAsked()
          context.parkIfAsked()
          control.isLeaving(0)
        }
      }
      return () => {
        if (control.park()) control.unpark()
        control.waitUntilGone()
      }
    },
  ),
  'the server of a work queue': deaths(
    (memory) => WorkQueue.create({ name: 'q', functions: ['work'], capacity: 1, serversMax: 1 }, placeOf(memory)),
    (memory, words, thread) => {
      const queue = new WorkQueue(placeOf(memory))
      const work = (): void => void Atomics.add(words, 1, 1)
      if (thread === 0) return () => queue.serve({ work }, { onError })
      return () => {
        queue.enqueue(0)
        // Who never comes to serve is waited for; so this waits for ever only if it did come.
        const timeoutMs = queue.state().servers.length > 0 ? Infinity : 150
        if (queue.flush(timeoutMs)) must(Atomics.load(words, 1) === 1, 'flushed means ended')
        queue.shutdown(timeoutMs)
      }
    },
  ),
  'the owner of timers': deaths(
    (memory) => Timers.create({ name: 't', functions: ['ring'], capacity: 1 }, placeOf(memory)),
    (memory, words, thread) => {
      const timers = new Timers(placeOf(memory))
      const ring = (): void => void Atomics.add(words, 1, 1)
      if (thread === 0) return () => timers.serve({ ring }, { onError })
      return () => {
        const timer = timers.add('ring')
        timers.start(timer, 0)
        timers.cancelAndWait(timer)
        timers.close()
      }
    },
  ),
}
