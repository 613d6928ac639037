/**
 * Scenarios of asynchronous I/O: submitters, reapers and I/O threads on one memory. Every request must complete once, with its
 * result, whatever the order of steps; and if thread 0 dies, whatever its last step was, nobody waits for ever.
 */

import { Aio, AioMemory, errnoName, IoThread, RequestBatch, ThreadRegistry, type IoNews } from '@cowherd/shim'
import type { Body, Scenario } from '../scenario.ts'
import { firstId, inRoom, must, placeOf, prepareRoom } from './room.ts'

/** A device in the scenario's memory, and the whole memory as the buffer. */
const DEVICE_AT = 14 * 1024
const DEVICE_BYTES = 64
/** Of the words to play with. */
const TAKEN = 0 // completions that were taken
const COOKIES = 1 // the sum of their cookies
const FAILED = 2 // how many of them failed
/** A slot's status that is not free. */
const FILLING = 1

/** Takes all free slots. Returns how many there were. */
function takeAll(memory: AioMemory): number {
  let count = 0
  while (memory.free.take(firstId, FILLING) >= 0) count++
  return count
}

interface Room {
  readonly memory: AioMemory
  readonly aio: Aio
  readonly words: Int32Array
}

type Act = (room: Room) => void | Promise<void>

function newsOf(memory: SharedArrayBuffer): IoNews[] {
  const bytes = new Uint8Array(memory, DEVICE_AT, DEVICE_BYTES)
  return [
    { kind: 'device', number: 0, handle: { kind: 'memory', name: 'disk', bytes, isWritable: true } },
    { kind: 'buffer', number: 0, buffer: memory },
  ]
}

function prepare(threads: number, depth: number, workers: readonly number[]): (memory: SharedArrayBuffer) => void {
  return (memory) => {
    prepareRoom(memory, threads)
    const made = AioMemory.create({ depth, queues: 1, workers: workers.length, spins: 0 }, placeOf(memory))
    made.addDevice(0)
    workers.forEach((thread, worker) => made.setWorker(worker, firstId + thread, 0))
  }
}

/** `version` of the descriptor: 0 knows all there is, so that the thread may lend a hand; -1 does not. */
function aioThread(thread: number, act: Act, version = -1): (memory: SharedArrayBuffer) => Body {
  return inRoom(thread, (shared, words) => {
    const memory = new AioMemory(placeOf(shared))
    const aio = new Aio({ place: memory.place, news: newsOf(shared), version })
    return () => act({ memory, aio, words })
  })
}

function ioThread(thread: number): (memory: SharedArrayBuffer) => Body {
  return inRoom(thread, (shared) => {
    const news = newsOf(shared)
    const io = new IoThread(new AioMemory(placeOf(shared)), () => news.shift())
    return () => io.serve()
  })
}

function batchOf(...cookies: number[]): RequestBatch {
  const batch = new RequestBatch(cookies.length)
  for (const cookie of cookies) batch.write(0, 4 * cookie, 0, 0, 4, cookie)
  return batch
}

/** Notes completions; the last of `all` closes. */
function note({ memory, words }: Room, events: Int32Array, count: number, all: number): void {
  for (let i = 0; i < count; i++) {
    Atomics.add(words, COOKIES, events[2 * i])
    const result = events[2 * i + 1]
    if (result !== 4) must(errnoName(result) === 'EIO', `result ${result}`)
    if (result !== 4) Atomics.add(words, FAILED, 1)
  }
  if (Atomics.add(words, TAKEN, count) + count === all) memory.beginClose()
}

/** Submits requests, and takes as many completions, whosever they are. */
function submits(all: number, cookies: number[], way: 'wait' | 'one by one' | 'async' | 'together' = 'wait'): Act {
  return async (room) => {
    const { aio } = room
    const batch = batchOf(...cookies)
    const events = new Int32Array(2 * cookies.length)
    const queue = aio.queues[0]
    if (way === 'together') {
      note(room, events, aio.submitAndWait(batch, events, cookies.length), all)
    } else if (way === 'async') {
      await aio.submitAsync(batch)
      note(room, events, await queue.waitAsync(events, cookies.length), all)
    } else if (way === 'wait') {
      aio.submit(batch)
      note(room, events, queue.wait(events, cookies.length), all)
    } else {
      for (const cookie of cookies) {
        aio.submit(batchOf(cookie))
        note(room, events, queue.wait(events.subarray(0, 2)), all)
      }
    }
  }
}

/** All completions have been taken, each once; none failed. */
function complete(count: number): (memory: SharedArrayBuffer) => void {
  return (shared) => {
    const words = new Int32Array(shared, 12 * 1024, 16)
    must(words[TAKEN] === count && words[COOKIES] === (count * (count + 1)) / 2, 'each request completes once')
    must(words[FAILED] === 0, 'no request fails')
    const memory = new AioMemory(placeOf(shared))
    must(memory.free.count === memory.depth, 'all slots are free again, and each has one entry')
    must(takeAll(memory) === memory.depth, 'all slots can be taken')
  }
}

function scenario(
  count: number,
  depth: number,
  workers: number,
  submitters: readonly ((all: number) => Act)[],
  options: { readonly version?: number; readonly isLarge?: boolean } = {},
): Scenario {
  const threads = workers + submitters.length
  const numbers = Array.from({ length: workers }, (_, worker) => worker)
  return {
    isLarge: options.isLarge ?? false,
    prepare: prepare(threads, depth, numbers),
    threads: [
      ...numbers.map(ioThread),
      ...submitters.map((act, i) => aioThread(workers + i, act(count), options.version)),
    ],
    check: complete(count),
  }
}

/** Takes completions for a time; what doesn't come in time comes when one waits without limit. */
const timed: Scenario = {
  ...scenario(1, 1, 1, [
    (all) => (room) => {
      const events = new Int32Array(2)
      const queue = room.aio.queues[0]
      must(room.aio.submitWithin(batchOf(1), 50) === 1, 'there is room')
      const count = queue.waitWithin(events, 1, 50)
      note(room, events, count === 1 ? 1 : queue.wait(events), all)
    },
  ]),
  timeouts: 1,
}

/** The survivor's request completes once, whatever the dead had on, whose completion may come as well. */
function survives({ aio, memory }: Room, own: number, others: number): void {
  const events = new Int32Array(4)
  let seen = 0
  aio.submit(batchOf(own))
  while (seen === 0) {
    const count = aio.queues[0].wait(events)
    for (let i = 0; i < count; i++) {
      must(events[2 * i] === own || events[2 * i] === others, `cookie ${events[2 * i]}`)
      if (events[2 * i] === own) seen++
    }
  }
  must(seen === 1, 'each request completes once')
  memory.beginClose()
}

function death(depth: number, threads: Scenario['threads'], workers: readonly number[]): Scenario {
  return {
    prepare: prepare(threads.length, depth, workers),
    threads,
    died: (memory) => new ThreadRegistry({ buffer: memory, offset: 0 }).markDead(firstId),
    timeouts: 8,
    check(shared) {
      const memory = new AioMemory(placeOf(shared))
      const aio = new Aio({ place: memory.place, news: [], version: -1 })
      const events = new Int32Array(8)
      memory.endClose()
      for (let tries = 0; tries < 2; tries++) {
        aio.rescue()
        aio.queues[0].take(events)
      }
      const free = takeAll(memory)
      must(free === depth, `no slot is lost: ${free} of ${depth}`)
    },
  }
}

export const scenarios: Readonly<Record<string, Scenario>> = {
  'aio, 1 request': scenario(1, 1, 1, [(all) => submits(all, [1])]),
  'aio, 1 request, async': scenario(1, 1, 1, [(all) => submits(all, [1], 'async')]),
  'aio, timed': timed,
  'aio, both at once': scenario(2, 2, 1, [(all) => submits(all, [1, 2])]),
  'aio, one by one, 1 slot': scenario(2, 1, 1, [(all) => submits(all, [1, 2], 'one by one')]),
  'aio, lends a hand': scenario(1, 1, 1, [(all) => submits(all, [1], 'together')], { version: 0 }),
  'aio, both at once, lends a hand': scenario(2, 2, 1, [(all) => submits(all, [1, 2], 'together')], { version: 0 }),
  'aio, 2 submitters, 1 slot': scenario(2, 1, 1, [(all) => submits(all, [1]), (all) => submits(all, [2])]),
  'aio, 2 submitters, 2 slots': scenario(2, 2, 1, [(all) => submits(all, [1]), (all) => submits(all, [2])]),
  'aio, 2 workers': scenario(2, 2, 2, [(all) => submits(all, [1, 2])]),
  'aio, 2 workers, 2 submitters': scenario(
    6,
    2,
    2,
    [(all) => submits(all, [1, 2, 3], 'one by one'), (all) => submits(all, [4, 5, 6], 'one by one')],
    { isLarge: true },
  ),
  'a worker dies': death(1, [ioThread(0), aioThread(1, (room) => survives(room, 2, 0))], [0]),
  'one of two workers dies': death(2, [ioThread(0), ioThread(1), aioThread(2, (room) => survives(room, 2, 0))], [0, 1]),
  'a submitter dies': death(
    2,
    [
      aioThread(0, (room) => {
        const events = new Int32Array(2)
        room.aio.trySubmit(batchOf(1))
        room.aio.queues[0].wait(events)
      }),
      ioThread(1),
      aioThread(2, (room) => survives(room, 2, 1)),
    ],
    [1],
  ),
}
