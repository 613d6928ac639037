/** Timers served by this thread's event loop, and by another thread (which runs the built package). */

import { expect, it } from 'vitest'
import { blockUntil } from '../../test/block-until.ts'
import { LockUseError, ThreadRegistry } from '../sync/index.ts'
import { startThread, Timers } from './index.ts'

const registry = ThreadRegistry.create()
registry.enter()

function fail(error: unknown): void {
  throw error
}

it('expire once, not early, in the order of their times', async () => {
  const timers = Timers.create({ name: 'test timers', functions: ['note'] })
  const noted: number[] = []
  const begun = performance.now()
  const late = timers.add('note', 20)
  const early = timers.add('note', 10)
  const never = timers.add('note', 99)
  expect(timers.start(early, 60_000)).toBe(false)
  expect(timers.start(early, 10)).toBe(true)
  expect(timers.start(late, 20)).toBe(false) // 10 ms after the other one, or more
  timers.start(never, 15)
  expect(timers.cancel(never)).toBe(true)
  expect(timers.cancel(never)).toBe(false)
  const note = (argument: number): void => {
    expect(performance.now() - begun).toBeGreaterThanOrEqual(argument)
    noted.push(argument)
    if (noted.length === 2) timers.close()
  }
  const serving = timers.serveAsync({ note }, { onError: fail })
  expect(() => timers.serve({ note }, { onError: fail })).toThrow(LockUseError)
  await serving
  expect(noted).toEqual([10, 20])
  expect(timers.isPending(early)).toBe(false)
  expect(timers.state()).toEqual({
    name: 'test timers',
    owner: 0,
    isOwnerAlive: false,
    pending: 0,
    expired: 2,
    running: undefined,
  })
})

it('are started again by their function, and stopped for good', async () => {
  const timers = Timers.create({ name: 'again', functions: ['again', 'fails'], capacity: 2 })
  const again = timers.add('again')
  const failing = timers.add(1)
  expect(() => timers.add('again')).toThrow(RangeError)
  expect(() => timers.add('other')).toThrow(RangeError)
  let times = 0
  const errors: unknown[] = []
  const functions = {
    again: (_argument: number, timer: number) => {
      if (++times === 3) timers.start(failing, 0)
      if (times === 1) expect(() => timers.cancelAndWait(timer)).toThrow(LockUseError)
      timers.start(timer, 1)
    },
    fails: () => {
      throw new RangeError('this one fails')
    },
  }
  const failed = new Promise<void>((resolve) => {
    void timers.serveAsync(functions, {
      onError: (error, name) => {
        errors.push(error, name)
        resolve()
      },
    })
  })
  timers.start(again, 0)
  await failed
  expect(errors).toEqual([expect.any(RangeError), 'fails'])
  expect(await timers.cancelAndWaitAsync(again)).toBe(true)
  const before = times
  await new Promise((resolve) => setTimeout(resolve, 20))
  expect(times).toBe(before)
  timers.drop(again)
  expect(() => timers.start(again, 1)).toThrow(LockUseError)
  expect(timers.add('again')).not.toBe(again)
  timers.close()
})

it('expire in the thread that serves them; when it dies, in the next one', () => {
  const words = new Int32Array(new SharedArrayBuffer(256))
  const timers = Timers.create({ name: 'elsewhere', functions: ['expired'] })
  const begin = () => {
    const data = { role: 'serve timers', place: timers.place, words, items: 0, first: 0 }
    return startThread(new URL('../../test/fixtures/work-threads.js', import.meta.url), { name: 'timekeeper', data })
  }
  const first = begin()
  const all = [5, 1, 3].map((delayMs) => {
    const timer = timers.add('expired')
    timers.start(timer, delayMs)
    return timer
  })
  blockUntil(() => Atomics.load(words, 5) === 3)
  expect(timers.state()).toMatchObject({ owner: first.id, isOwnerAlive: true })
  const fatal = timers.add('expired', 1)
  timers.start(fatal, 0)
  expect(first.joinWithin(60_000)).toBe(true)
  for (const timer of all) expect(timers.start(timer, 1)).toBe(false)
  expect(timers.state()).toMatchObject({ isOwnerAlive: false, pending: 3, running: 'expired' })
  expect(timers.cancelAndWait(all[0] ?? 0)).toBe(true)
  expect(timers.cancelAndWait(fatal)).toBe(false)
  const second = begin()
  blockUntil(() => Atomics.load(words, 5) === 6)
  second.requestStop()
  expect(second.join()).toBe(undefined)
})
