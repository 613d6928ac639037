/**
 * Scenarios of what threads ask of each other (stop, park), of nudges, of work queues and of timers. Words: 0 inside now, 1 items
 * that ran, 2 a flag.
 */

import {
  Mutex,
  ThreadContext,
  ThreadControl,
  ThreadRegistry,
  Timers,
  WaitQueue,
  WorkQueue,
  WorkQueueError,
} from '@cowherd/shim'
import type { Scenario } from '../scenario.ts'
import { alone, controlOf, crowd, must, placeOf, prepareControl, prepareRoom, wordsOf } from './room.ts'

/** Thread 0 works, and parks when asked to; the others park it, once each, and see that it does nothing meanwhile; or stop it. */
function parking(parkers: number, stoppers = 0): Scenario {
  return {
    isLarge: parkers + stoppers > 1,
    prepare(memory) {
      prepareRoom(memory, 1 + parkers + stoppers)
      prepareControl(memory, 0)
    },
    threads: crowd(1 + parkers + stoppers, (memory, words, thread) => {
      const control = new ThreadControl(controlOf(memory, 0))
      if (thread === 0) {
        const context = new ThreadContext(controlOf(memory, 0), undefined)
        return () => {
          for (let round = 0; round < 2; round++) {
            context.parkIfAsked()
            alone(words)
          }
          control.isLeaving(0)
        }
      }
      if (thread > parkers) return () => control.requestStop()
      return () => {
        if (!control.park()) return
        const isStopping = control.isStopping
        must(isStopping || Atomics.load(words, 0) === 0, 'nothing goes on while it is parked')
        control.unpark()
      }
    }),
    check(memory) {
      const control = new ThreadControl(controlOf(memory, 0))
      must(control.isGone && !control.isParked, 'it has gone on to its end')
    },
  }
}

/** Thread 0 waits for what never comes, in one of the ways that a request to stop ends. No wake-up may be lost. */
function stopping(wait: (context: ThreadContext, queue: WaitQueue) => unknown): Scenario {
  return {
    prepare(memory) {
      prepareRoom(memory, 2)
      prepareControl(memory, 0)
      WaitQueue.create(placeOf(memory, 2))
    },
    threads: crowd(2, (memory, _words, thread) => {
      if (thread === 1) {
        const control = new ThreadControl(controlOf(memory, 0))
        return () => control.requestStop()
      }
      const context = new ThreadContext(controlOf(memory, 0), undefined)
      const queue = new WaitQueue(placeOf(memory, 2))
      return () => {
        wait(context, queue)
        must(context.shouldStop, 'only the request ends the wait')
      }
    }),
  }
}

/** Two threads lock a mutex, while a third one nudges the second: nobody takes that for getting it. */
const nudgedMutex: Scenario = {
  prepare(memory) {
    prepareRoom(memory, 3)
    Mutex.create(placeOf(memory))
  },
  threads: crowd(3, (memory, words, thread) => {
    const mutex = new Mutex(placeOf(memory))
    const registry = new ThreadRegistry({ buffer: memory, offset: 0 })
    return () => {
      if (thread === 2) {
        registry.nudge(registry.idOf(2))
        return
      }
      mutex.lock()
      alone(words)
      mutex.unlock()
    }
  }),
  check: (memory) => must(new Mutex(placeOf(memory)).tryLock(), 'free in the end'),
}

interface QueueScenario {
  readonly servers: number
  /** What each client does. */
  readonly clients: readonly ((queue: WorkQueue, words: Int32Array) => void)[]
  /** How many items have run in the end. */
  readonly ran: number | ((words: Int32Array) => boolean)
  readonly capacity?: number
  readonly concurrency?: number
  /** How many items may be inside together; left out: as the queue's concurrency says. */
  readonly together?: number
  /** Whether the queue is shut down while items are queued. */
  readonly atOnce?: boolean
}

/** Servers first, then clients. The last client to end shuts the queue down. */
function workQueue(options: QueueScenario): Scenario {
  const { servers, clients, ran, capacity = 2, concurrency = 2, together = concurrency, atOnce = false } = options
  const count = servers + clients.length
  return {
    isLarge: true,
    prepare(memory) {
      prepareRoom(memory, count)
      WorkQueue.create({ name: 'q', functions: ['work'], capacity, concurrency, serversMax: 2 }, placeOf(memory))
    },
    threads: crowd(count, (memory, words, thread) => {
      const queue = new WorkQueue(placeOf(memory))
      const client = clients[thread - servers]
      const work = (): void => {
        must(Atomics.add(words, 0, 1) < together, 'not more at once than may be')
        Atomics.add(words, 1, 1)
        Atomics.sub(words, 0, 1)
      }
      const onError = (error: unknown): void => {
        throw error
      }
      return () => {
        if (client === undefined) return queue.serve({ work }, { onError })
        client(queue, words)
        if (!atOnce) queue.flush() // which wakes nobody, as shutting down does
        if (Atomics.add(words, 3, 1) + 1 === clients.length) queue.shutdown()
      }
    }),
    check(memory) {
      const words = wordsOf(memory)
      must(typeof ran === 'number' ? words[1] === ran : ran(words), `all has run that should: ${words[1]}`)
      must(new WorkQueue(placeOf(memory)).state().ended === words[1], 'each item has ended once')
    },
  }
}

function enqueueTwo(queue: WorkQueue): void {
  queue.enqueue(0)
  queue.enqueue(0)
}

function enqueueAndFlush(queue: WorkQueue, words: Int32Array): void {
  queue.enqueue(0)
  queue.flush()
  must(Atomics.load(words, 1) >= 1, 'flushed means ended')
}

/** Cancelled or ended, when it returns. Word 2 counts what was cancelled. */
function enqueueAndCancel(queue: WorkQueue, words: Int32Array): void {
  const item = queue.enqueue(0)
  if (queue.cancelAndWait(item)) Atomics.add(words, 2, 1)
  else must(Atomics.load(words, 1) >= 1, 'not cancelled means ended')
}

/** An item that each of the clients queues; it runs after each of them did. */
function queueKept(queue: WorkQueue, words: Int32Array): void {
  const before = Atomics.load(words, 1)
  const item = 0 // the first one that was kept
  queue.queue(item)
  queue.waitFor(item)
  must(Atomics.load(words, 1) > before, 'it has run since it was queued')
}

function withKept(scenario: Scenario): Scenario {
  return {
    ...scenario,
    prepare(memory) {
      scenario.prepare(memory)
      must(new WorkQueue(placeOf(memory)).keep(0) === 0, 'the first item has number 0')
    },
  }
}

/** The other server may come later, and find what is queued. */
function unlessUnserved(act: () => void): void {
  try {
    act()
  } catch (error) {
    if (!(error instanceof WorkQueueError && error.code === 'EUNSERVED')) throw error
  }
}

/** A server that is asked to stop, while another is there and work comes: nothing stays behind. */
const serverStops: Scenario = {
  isLarge: true,
  prepare(memory) {
    prepareRoom(memory, 4)
    prepareControl(memory, 0)
    WorkQueue.create({ name: 'q', functions: ['work'], capacity: 2, serversMax: 2 }, placeOf(memory, 2))
  },
  threads: crowd(4, (memory, words, thread) => {
    const queue = new WorkQueue(placeOf(memory, 2))
    const control = new ThreadControl(controlOf(memory, 0))
    const context = new ThreadContext(controlOf(memory, 0), undefined)
    const onError = (error: unknown): void => {
      throw error
    }
    const work = (): void => void Atomics.add(words, 1, 1)
    return () => {
      if (thread === 0) queue.serve({ work }, { onError, context })
      else if (thread === 1) queue.serve({ work }, { onError })
      else if (thread === 2) control.requestStop()
      else {
        queue.enqueue(0)
        unlessUnserved(() => queue.flush())
        unlessUnserved(() => queue.shutdown())
      }
    }
  }),
  check: (memory) => must(wordsOf(memory)[1] === 1, 'the item has run'),
}

/** A timer that is due at once, and is cancelled: it is not running any more then, and does not expire afterwards. */
const timerCancelled: Scenario = {
  isLarge: true,
  prepare(memory) {
    prepareRoom(memory, 2)
    Timers.create({ name: 't', functions: ['ring'], capacity: 1 }, placeOf(memory))
  },
  threads: crowd(2, (memory, words, thread) => {
    const timers = new Timers(placeOf(memory))
    const ring = (): void => {
      Atomics.store(words, 0, 1)
      Atomics.add(words, 1, 1)
      must(Atomics.load(words, 2) === 0, 'not after it was stopped')
      Atomics.store(words, 0, 0)
    }
    return () => {
      if (thread === 0) {
        timers.serve({ ring }, { onError: (error) => must(false, String(error)) })
        return
      }
      const timer = timers.add('ring')
      timers.start(timer, 0)
      const wasPending = timers.cancelAndWait(timer)
      must(Atomics.load(words, 0) === 0, 'not running any more')
      Atomics.store(words, 2, 1)
      must(Atomics.load(words, 1) === (wasPending ? 0 : 1), 'expired, or was pending')
      timers.close()
    }
  }),
}

export const scenarios: Readonly<Record<string, Scenario>> = {
  'park, 1 parker': parking(1),
  'park, 2 parkers': parking(2),
  'park, 1 parker, stop': parking(1, 1),
  'stop, sleeping': stopping((context) => context.sleep(Infinity)),
  'stop, waiting for it': stopping((context) => context.waitForStop()),
  'stop, waiting on a queue': stopping((context, queue) => context.waitUntil(queue, () => false)),
  'nudge, mutex': nudgedMutex,
  'work, 2 items': workQueue({ servers: 1, clients: [enqueueTwo], ran: 2 }),
  'work, shut down at once': workQueue({ servers: 1, clients: [enqueueTwo], ran: 2, atOnce: true }),
  'work, 1 client flushes': workQueue({ servers: 1, clients: [enqueueAndFlush], ran: 1 }),
  'work, 2 servers': workQueue({ servers: 2, clients: [enqueueTwo], ran: 2 }),
  'work, 2 servers, 1 at once': workQueue({ servers: 2, clients: [enqueueTwo], ran: 2, concurrency: 1 }),
  'work, 2 clients, little room': workQueue({ servers: 1, clients: [enqueueTwo, enqueueTwo], ran: 4, capacity: 1 }),
  'work, 2 clients flush': workQueue({ servers: 1, clients: [enqueueAndFlush, enqueueAndFlush], ran: 2 }),
  'work, cancelled': workQueue({
    servers: 1,
    clients: [enqueueAndCancel],
    ran: (words) => words[1] + words[2] === 1,
  }),
  'work, cancelled, 2 servers, 2 clients': workQueue({
    servers: 2,
    clients: [enqueueAndCancel, enqueueAndCancel],
    ran: (words) => words[1] + words[2] === 2,
  }),
  'work, kept, never twice at once': withKept(
    workQueue({ servers: 2, clients: [queueKept, queueKept], ran: (words) => words[1] >= 1, together: 1 }),
  ),
  'work, a server stops': serverStops,
  'timer, cancelled': timerCancelled,
}
