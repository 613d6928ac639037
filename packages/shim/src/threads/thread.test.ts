/** Real threads: every way to end, being stopped and parked. They run the built package (`tsc -b packages/shim`). */

import { afterEach, describe, expect, it } from 'vitest'
import { blockUntil } from '../../test/block-until.ts'
import { LockUseError, Mutex, OwnerDeadError, ThreadRegistry, WaitQueue } from '../sync/index.ts'
import { startThread, ThreadControl, ThreadDiedError, ThreadFailedError, type Thread } from './index.ts'

const registry = ThreadRegistry.create()
registry.enter()
const roles = new URL('../../test/fixtures/thread-roles.js', import.meta.url)

const started: Thread[] = []
afterEach(async () => {
  await Promise.all(started.splice(0).map((thread) => thread.terminate()))
})

function begin(role: string, options: { readonly memoryMb?: number; readonly url?: string } = {}) {
  const words = new Int32Array(new SharedArrayBuffer(64))
  const mutex = Mutex.create()
  const queue = WaitQueue.create()
  const worker = options.memoryMb === undefined ? {} : { resourceLimits: { maxOldGenerationSizeMb: options.memoryMb } }
  const data = { role, mutex: mutex.place, queue: queue.place, words }
  const thread = startThread(options.url ?? roles, { name: `tester ${role}`.slice(0, 28), data, worker })
  started.push(thread)
  /** Blocks until the thread has come to its `tick`. */
  const ticked = (): void => {
    blockUntil(() => Atomics.load(words, 0) !== 0 || thread.isGone)
  }
  return { thread, words, mutex, queue, ticked }
}

function failureOf(thread: Thread): unknown {
  try {
    thread.join()
  } catch (error) {
    return error
  }
  return undefined
}

describe('joining', () => {
  it('gives what the main function returned, to who blocks and who awaits, again and again', async () => {
    const { thread } = begin('value')
    const value = { from: 'tester value', id: thread.id }
    expect(thread.join()).toEqual(value)
    expect(thread.join()).toEqual(value)
    expect(await thread.joinAsync()).toEqual(value)
    expect(thread.joinWithin(0)).toBe(true)
    expect(registry.isAlive(thread.id)).toBe(false)
    expect(await begin('asynchronous').thread.joinAsync()).toBe('later')
  })

  it('ends the thread when its main function has ended', async () => {
    expect(begin('keeps a timer').thread.join()).toBe('done')
    expect(await begin('keeps a timer').thread.joinAsync()).toBe('done')
  })

  it('is given up after a time', () => {
    const { thread, ticked } = begin('waits for stop')
    ticked()
    expect(thread.joinWithin(1)).toBe(false)
    thread.requestStop()
    expect(thread.joinWithin(60_000)).toBe(true)
    expect(thread.join()).toBe(true)
  })

  it.each(['throws', 'throws elsewhere'])('gives the error of a thread that %s, with its stack', async (role) => {
    const { thread } = begin(role)
    const error = failureOf(thread)
    expect(error).toBeInstanceOf(ThreadFailedError)
    expect(error).toMatchObject({ thread: `tester ${role}`, cause: { name: 'SpecialError', code: 'ESPECIAL' } })
    expect((error as ThreadFailedError).cause.stack).toContain('thread-roles.js')
    await expect(begin(role).thread.joinAsync()).rejects.toThrow(ThreadFailedError)
  })

  it('gives anything else that is thrown, and what cannot be posted', () => {
    expect(failureOf(begin('throws a string').thread)).toMatchObject({ cause: { message: 'just a word' } })
    expect(failureOf(begin('returns what cannot be posted').thread)).toMatchObject({
      cause: { name: 'DataCloneError' },
    })
  })

  it('tells why a module could not be loaded', async () => {
    const missing = new URL('missing.js', roles).href
    expect(failureOf(begin('none', { url: missing }).thread)).toMatchObject({ cause: { code: 'ERR_MODULE_NOT_FOUND' } })
    const wrong = 'data:text/javascript,let let'
    await expect(begin('none', { url: wrong }).thread.joinAsync()).rejects.toThrow('SyntaxError')
    const idle = 'data:text/javascript,0'
    expect(failureOf(begin('none', { url: idle }).thread)).toBeInstanceOf(ThreadDiedError)
  })

  it('tells that a thread left by process.exit', async () => {
    expect(failureOf(begin('leaves by exit').thread)).toMatchObject({ name: 'ThreadDiedError', exitCode: 7 })
    await expect(begin('leaves by exit').thread.joinAsync()).rejects.toMatchObject({ exitCode: 7 })
  })

  it('tells that a thread ran out of memory, to who blocks, and to who awaits also why', async () => {
    const error = failureOf(begin('eats memory', { memoryMb: 16 }).thread)
    expect(error).toBeInstanceOf(ThreadDiedError)
    await expect(begin('eats memory', { memoryMb: 16 }).thread.joinAsync()).rejects.toMatchObject({
      name: 'ThreadDiedError',
      cause: { code: 'ERR_WORKER_OUT_OF_MEMORY' },
    })
  })

  it('tells that a thread was terminated', async () => {
    const blocked = begin('sleeps')
    blocked.ticked()
    void blocked.thread.terminate()
    expect(failureOf(blocked.thread)).toBeInstanceOf(ThreadDiedError)
    const other = begin('sleeps')
    other.ticked()
    const joining = expect(other.thread.joinAsync()).rejects.toThrow(ThreadDiedError)
    await other.thread.terminate()
    await joining
  })
})

describe('dying with a lock', () => {
  it('is told to a starter that blocks for the lock', () => {
    const { mutex, thread, ticked } = begin('holds the mutex')
    ticked()
    void thread.terminate()
    expect(() => mutex.lock()).toThrow(OwnerDeadError)
    const other = begin('leaves by exit with the mutex')
    other.thread.joinWithin(60_000)
    expect(() => other.mutex.lock()).toThrow(OwnerDeadError)
  })
})

describe('stopping', () => {
  it.each([
    ['waits for stop', true],
    ['waits for stop, asynchronously', true],
    ['sleeps', false],
    ['sleeps asynchronously', false],
    ['waits on a queue', false],
    ['waits on a queue, asynchronously', false],
  ])('wakes a thread that %s', (role, result) => {
    const { thread, ticked } = begin(role)
    ticked()
    expect(thread.isStopping).toBe(false)
    thread.requestStop()
    expect(thread.join()).toBe(result)
  })

  it('can be asked by any thread, before the thread runs, and after its end', () => {
    const { thread } = begin('waits for stop')
    new ThreadControl(structuredClone(thread.descriptor)).requestStop()
    expect(thread.join()).toBe(true)
    thread.requestStop()
  })
})

describe('parking', () => {
  it.each(['works and parks', 'works and parks, asynchronously'])('keeps a thread that %s still', (role) => {
    const { thread, words } = begin(role)
    for (let round = 0; round < 20; round++) {
      expect(thread.park()).toBe(true)
      const before = Atomics.load(words, 1)
      Atomics.wait(words, 2, 0, 2)
      expect(Atomics.load(words, 1)).toBe(before)
      if (round % 2 === 0) expect(thread.park()).toBe(true) // twice: goes on only when it is unparked twice
      if (round % 2 === 0) thread.unpark()
      expect(thread.isParked).toBe(true)
      expect(Atomics.load(words, 1)).toBe(before)
      thread.unpark()
      blockUntil(() => Atomics.load(words, 1) !== before)
    }
    expect(() => thread.unpark()).toThrow(LockUseError)
    thread.requestStop()
    expect(thread.join()).toBe(20)
  })

  it('ends when the thread is asked to stop, and is refused by one that never parks, and by the dead', async () => {
    const working = begin('works and parks')
    expect(await working.thread.parkAsync()).toBe(true)
    working.thread.requestStop()
    expect(working.thread.join()).toBe(1)
    expect(working.thread.park()).toBe(false)
    const busy = begin('sleeps')
    busy.ticked()
    expect(busy.thread.park(1)).toBe(false)
    expect(await busy.thread.parkAsync(1)).toBe(false)
    void busy.thread.terminate()
    expect(busy.thread.park()).toBe(false)
  })
})
