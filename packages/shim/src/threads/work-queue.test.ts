/** Work queues: in one event loop, and between real threads, which run the built package (`tsc -b packages/shim`). */

import { afterEach, describe, expect, it } from 'vitest'
import { blockUntil } from '../../test/block-until.ts'
import { LockUseError, ThreadRegistry } from '../sync/index.ts'
import { startThread, WorkQueue, WorkQueueError, type FailedWork, type Thread } from './index.ts'

const ITEMS = process.env['COWHERD_SOAK'] === '1' ? 300_000 : 1000

const registry = ThreadRegistry.create()
registry.enter()

const started: Thread[] = []
afterEach(async () => {
  await Promise.all(started.splice(0).map((thread) => thread.terminate()))
})

/** A queue served by this thread's event loop. Items note their arguments. */
function newLocalQueue(tasks = 1, capacity = 8) {
  const queue = WorkQueue.create({ name: 'local', functions: ['notes', 'fails', 'waits'], capacity })
  const noted: number[] = []
  const failed: [unknown, FailedWork][] = []
  const waiting: (() => void)[] = []
  const functions = {
    notes: (a: number, b: number, c: number, d: number): void => void noted.push(a, b, c, d),
    fails: (a: number): Promise<void> => Promise.reject(new RangeError(`item ${a}`)),
    waits: (a: number): Promise<void> =>
      new Promise((resolve) =>
        waiting.push(() => {
          noted.push(a)
          resolve()
        }),
      ),
  }
  const serving = Array.from({ length: tasks }, () =>
    queue.serveAsync(functions, { onError: (error, work) => failed.push([error, work]) }),
  )
  /** Lets so many items that wait go on; they come first. */
  const letGo = async (count: number): Promise<void> => {
    while (waiting.length < count) await new Promise((resolve) => setImmediate(resolve))
    for (const go of waiting.splice(0, count)) go()
  }
  return { queue, noted, failed, serving: Promise.all(serving), letGo, waiting }
}

describe('in one event loop', () => {
  it('calls functions with their arguments, in order, and tells what failed', async () => {
    const { queue, noted, failed, serving } = newLocalQueue()
    queue.enqueue('notes', 1, 2, 3, 4)
    const item = queue.tryEnqueue('fails', 5, -1)
    queue.enqueue(queue.functionNumber('notes'), -6)
    expect(() => queue.enqueue('other')).toThrow(RangeError)
    await queue.flushAsync()
    expect(noted).toEqual([1, 2, 3, 4, -6, 0, 0, 0])
    expect(failed).toEqual([[expect.any(RangeError), { function: 'fails', arguments: [5, -1, 0, 0], item }]])
    expect(queue.state()).toMatchObject({ queued: 0, running: [], ended: 3, failed: 1, servers: [expect.any(String)] })
    await queue.shutdownAsync()
    await serving
    expect(() => queue.enqueue('notes')).toThrow(WorkQueueError)
    expect(queue.state()).toMatchObject({ isShutDown: true, servers: [] })
  })

  it('does not take more than it has room for', async () => {
    const { queue, noted, letGo } = newLocalQueue(1, 2)
    queue.enqueue('waits', 1)
    queue.enqueue('waits', 2)
    expect(queue.tryEnqueue('waits', 3)).toBe(-1)
    expect(queue.enqueueWithin(1, 'waits', 3)).toBe(-1)
    expect(() => queue.enqueue('waits', 3)).toThrow(LockUseError) // only this thread could make room
    const third = queue.enqueueAsync('waits', 3)
    await letGo(1)
    expect(await third).toBeGreaterThan(0)
    await letGo(1)
    await letGo(1)
    await queue.flushAsync()
    expect(noted).toEqual([1, 2, 3])
    await queue.shutdownAsync()
  })

  it('flushes what was queued before, and only that', async () => {
    const { queue, noted, letGo } = newLocalQueue()
    queue.enqueue('waits', 1)
    queue.enqueue('waits', 2)
    let isFlushed = false
    const flush = queue.flushAsync().then(() => (isFlushed = true))
    queue.enqueue('waits', 3)
    await letGo(1)
    await new Promise((resolve) => setTimeout(resolve, 5))
    expect(isFlushed).toBe(false)
    expect(await queue.flushAsync(1)).toBe(false)
    await letGo(1)
    await flush
    expect(noted).toEqual([1, 2])
    await letGo(1)
    await queue.shutdownAsync()
  })

  it('flushes again and again at the same time', async () => {
    const { queue, letGo } = newLocalQueue(1, 40)
    const order: number[] = []
    const flushes = Array.from({ length: 30 }, (_, i) => {
      queue.enqueue('waits', i)
      return queue.flushAsync().then(() => order.push(i))
    })
    for (let i = 0; i < 30; i++) await letGo(1)
    await Promise.all(flushes)
    expect(order.toSorted((a, b) => a - b)).toEqual(Array.from({ length: 30 }, (_, i) => i))
    await queue.shutdownAsync()
  })

  it('has a kept item pending once, and running once', async () => {
    const { queue, noted, letGo, waiting } = newLocalQueue(2)
    const item = queue.keep('waits', 7)
    expect(queue.queue(item)).toBe(true)
    expect(queue.queue(item)).toBe(false)
    expect(queue.queueAfter(item, 1)).toBe(false)
    expect(queue.isPending(item)).toBe(true)
    while (waiting.length === 0) await new Promise((resolve) => setImmediate(resolve))
    expect(queue.isPending(item)).toBe(false)
    expect(queue.queue(item)).toBe(true)
    expect(queue.queue(item)).toBe(false)
    await new Promise((resolve) => setTimeout(resolve, 5))
    expect(waiting).toHaveLength(1)
    const both = queue.waitForAsync(item)
    expect(await queue.waitForAsync(item, 1)).toBe(false)
    await letGo(1)
    await letGo(1)
    expect(await both).toBe(true)
    expect(noted).toEqual([7, 7])
    expect(queue.waitFor(item)).toBe(true)
    queue.queueAfter(item, 60_000)
    queue.drop(item)
    expect(() => queue.queue(item)).toThrow(LockUseError)
    expect(queue.state()).toMatchObject({ delayed: 0 })
    await queue.shutdownAsync()
  })

  it('queues later, cancels, and waits for the end of what is cancelled', async () => {
    const { queue, noted, letGo, waiting } = newLocalQueue(1, 3)
    const later = queue.tryEnqueueAfter(5, 'notes', 1)
    const never = queue.tryEnqueueAfter(60_000, 'notes', 2)
    expect(queue.state()).toMatchObject({ delayed: 2, queued: 0 })
    expect(queue.flush()).toBe(true) // what is delayed does not count
    expect(queue.cancel(never)).toBe(true)
    expect(queue.cancel(never)).toBe(false)
    await queue.waitForAsync(later)
    expect(noted).toEqual([1, 0, 0, 0])
    const item = queue.keep('waits', 3)
    queue.queue(item)
    while (waiting.length === 0) await new Promise((resolve) => setImmediate(resolve))
    queue.queueAfter(item, 1)
    expect(() => queue.cancelAndWait(item)).toThrow(LockUseError)
    queue.queueAfter(item, 1)
    const cancelling = queue.cancelAndWaitAsync(item)
    expect(queue.queue(item)).toBe(false)
    await letGo(1)
    expect(await cancelling).toBe(true)
    expect(await queue.cancelAndWaitAsync(item)).toBe(false)
    expect(queue.queue(item)).toBe(true)
    await letGo(1)
    queue.tryEnqueueAfter(60_000, 'notes', 4)
    await queue.shutdownAsync() // which queues what is delayed
    expect(noted).toEqual([1, 0, 0, 0, 3, 3, 4, 0, 0, 0])
  })
})

const Word = { inside: 0, most: 1, failures: 2, entered: 3, released: 4, died: 6, items: 16 }

function newThreads(
  options: { readonly concurrency?: number; readonly capacity?: number; readonly items?: number } = {},
) {
  const { items = 1, capacity = 16, ...others } = options
  const functions = ['counts', 'fails', 'exits', 'blocks']
  const queue = WorkQueue.create({ name: 'between threads', functions, capacity, ...others })
  const words = new Int32Array(new SharedArrayBuffer(4 * (Word.items + items)))
  const begin = (role: string, first = 0, count = 0): Thread => {
    const data = { role, place: queue.place, words, items: count, first }
    const thread = startThread(new URL('../../test/fixtures/work-threads.js', import.meta.url), { name: role, data })
    started.push(thread)
    return thread
  }
  const release = (): void => {
    Atomics.store(words, Word.released, 1)
    Atomics.notify(words, Word.released)
  }
  const count = (word: number): number => Atomics.load(words, word)
  return { queue, words, begin, release, count }
}

describe('between threads', () => {
  it.each([
    ['serve', 3, 2, 2],
    ['serve', 2, 256, 2],
    ['serve asynchronously', 2, 4, 4],
  ])(
    '%s by %d threads runs each item exactly once, at most %d at once',
    { timeout: 3600_000 },
    (role, servers, concurrency, most) => {
      const { queue, words, begin, count } = newThreads({ concurrency, items: 3 * ITEMS })
      const serving = Array.from({ length: servers }, () => begin(role))
      const queueing = [0, 1].map((n) => begin('queue', n * ITEMS, ITEMS))
      for (let i = 2 * ITEMS; i < 3 * ITEMS; i++) {
        queue.enqueue('counts', i)
        if (i % 50 !== 0) continue
        queue.flush()
        expect(words.subarray(Word.items + 2 * ITEMS, Word.items + i + 1).every((times) => times === 1)).toBe(true)
      }
      for (const thread of queueing) thread.join()
      expect(queue.shutdown()).toBe(true)
      for (const thread of serving) thread.join()
      expect(words.subarray(Word.items).every((times) => times === 1)).toBe(true)
      expect(count(Word.inside)).toBe(0)
      expect(count(Word.most)).toBeLessThanOrEqual(most)
      expect(queue.state()).toMatchObject({ ended: 3 * ITEMS, failed: 0, queued: 0, running: [] })
    },
  )

  it('cancels or runs, never both and never neither', { timeout: 3600_000 }, () => {
    const { queue, words, begin } = newThreads({ items: 2 * ITEMS })
    const serving = [begin('serve'), begin('serve')]
    const cancelling = [0, 1].map((n) => begin('cancel', n * ITEMS, ITEMS))
    const cancelled = cancelling.map((thread) => Number(thread.join())).reduce((a, b) => a + b)
    queue.shutdown()
    for (const thread of serving) thread.join()
    const ran = words.subarray(Word.items).reduce((sum, times) => sum + times, 0)
    expect(words.subarray(Word.items).every((times) => times <= 1)).toBe(true)
    expect(ran + cancelled).toBe(2 * ITEMS)
  })

  it('reports an item whose thread died, and goes on', () => {
    const { queue, begin, count } = newThreads()
    const victim = begin('serve')
    queue.enqueue('blocks')
    blockUntil(() => count(Word.entered) === 1)
    expect(queue.state().running).toEqual([{ function: 'blocks', thread: 'serve' }])
    const other = begin('serve')
    queue.enqueue('fails')
    blockUntil(() => count(Word.failures) === 1)
    void victim.terminate()
    expect(queue.flush()).toBe(true)
    expect(count(Word.died)).toBe(1)
    expect(queue.state()).toMatchObject({ running: [], failed: 2, ended: 2 })
    queue.enqueue('counts')
    queue.shutdown()
    other.join()
    expect(count(Word.items)).toBe(1)
  })

  it('tells who waits that no server is left, and goes on with the next', async () => {
    const { queue, begin, count } = newThreads({ capacity: 2 })
    const victim = begin('serve')
    queue.enqueue('exits')
    queue.enqueue('counts')
    expect(() => queue.flush()).toThrow(WorkQueueError)
    expect(() => queue.enqueue('counts')).toThrow(WorkQueueError)
    await expect(queue.enqueueAsync('counts')).rejects.toMatchObject({ code: 'EUNSERVED' })
    expect(victim.joinWithin(60_000)).toBe(true)
    const next = begin('serve')
    blockUntil(() => count(Word.died) === 1)
    expect(queue.shutdown()).toBe(true)
    next.join()
    expect(count(Word.items)).toBe(1)
  })

  it('is left by a server that is asked to stop, after its item', () => {
    const { queue, begin, release, count } = newThreads()
    const [busy, idle] = [begin('serve'), begin('serve')]
    queue.enqueue('blocks')
    blockUntil(() => count(Word.entered) === 1 && queue.state().servers.length === 2)
    for (const thread of [busy, idle]) thread.requestStop()
    queue.enqueue('counts')
    blockUntil(() => busy.isGone || idle.isGone)
    release()
    for (const thread of [busy, idle]) thread.join()
    expect(() => queue.flush()).toThrow(WorkQueueError)
    const next = begin('serve')
    blockUntil(() => queue.state().servers.length === 1)
    expect(queue.flush()).toBe(true)
    expect(count(Word.items)).toBe(1)
    next.requestStop()
    next.join()
  })

  it('runs what is delayed while all servers sleep', () => {
    const { queue, begin, count } = newThreads({ items: 3 })
    const serving = [begin('serve'), begin('serve asynchronously')]
    blockUntil(() => queue.state().servers.length === 4)
    const last = queue.tryEnqueueAfter(30, 'counts', 2)
    queue.tryEnqueueAfter(1, 'counts', 0)
    const kept = queue.keep('counts', 1)
    expect(queue.queueAfter(kept, 10)).toBe(true)
    expect(queue.waitFor(last)).toBe(true)
    queue.flush()
    expect([0, 1, 2].map((item) => count(Word.items + item))).toEqual([1, 1, 1])
    queue.shutdown()
    for (const thread of serving) thread.join()
  })
})
