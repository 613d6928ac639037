/** The state of threads, seen by another one. The other threads run the built package. */

import { afterEach, expect, it } from 'vitest'
import { blockUntil } from '../../test/block-until.ts'
import {
  checkLockOrder,
  Mutex,
  namePrimitive,
  newLockOrder,
  RwSemaphore,
  Semaphore,
  SixLock,
  ThreadRegistry,
} from '../sync/index.ts'
import { dumpState, formatState, reportState, startThread, Timers, WorkQueue, type Thread } from './index.ts'

const registry = ThreadRegistry.create()
const id = registry.enter()
registry.nameThread(id, 'tester')
const me = { id, name: 'tester', isAlive: true }

const started: Thread[] = []
afterEach(async () => {
  await Promise.all(started.splice(0).map((thread) => thread.terminate()))
})

const roles = new URL('../../test/fixtures/thread-roles.js', import.meta.url)

it('shows who waits for whom in a deadlock of two threads', () => {
  const words = new Int32Array(new SharedArrayBuffer(64))
  const [a, b] = [Mutex.create(), Mutex.create()]
  namePrimitive(a, 'lock of a')
  const [one, two] = ['locks a, then b', 'locks b, then a'].map((role) => {
    const data = { role, mutex: a.place, queue: b.place, words }
    const thread = startThread(roles, { name: role, data })
    started.push(thread)
    return thread
  })
  blockUntil(() => dumpState(registry).circles.length > 0)
  const dump = dumpState(registry)
  const refer = (thread: Thread | undefined) => ({ id: thread?.id, name: thread?.name, isAlive: true })
  expect(dump.circles).toEqual([[refer(one), refer(two)]])
  const threadOf = (thread: Thread | undefined) => dump.threads.find((other) => other.id === thread?.id)
  const lockA = { number: expect.any(Number) as number, kind: 'mutex', name: 'lock of a' }
  const lockB = { ...lockA, name: '' }
  expect(threadOf(one)).toMatchObject({
    waits: [{ for: lockB, mode: 'exclusive', sinceMs: expect.any(Number) as number, owner: refer(two) }],
    holds: [{ lock: lockA, mode: 'owner', count: 1, knownBy: 'waiter' }],
  })
  expect(threadOf(two)).toMatchObject({
    waits: [{ for: lockA, owner: refer(one) }],
    holds: [{ lock: lockB, mode: 'owner' }],
  })
  expect(structuredClone(dump)).toEqual(dump)
  const text = formatState(dump)
  expect(text).toContain(`waits for mutex "lock of a" (exclusive) since `)
  expect(text).toContain(`owned by locks a, then b (${one?.id})`)
  expect(text).toContain(
    `wait in a circle: locks a, then b (${one?.id}) -> locks b, then a (${two?.id}) -> locks a, then b (${one?.id})`,
  )
})

it('shows the dead who hold something, and nobody else who is gone', async () => {
  const words = new Int32Array(new SharedArrayBuffer(64))
  const lock = RwSemaphore.create()
  const begin = (role: string) => {
    const thread = startThread(roles, { name: role, data: { role, mutex: lock.place, words } })
    started.push(thread)
    return thread
  }
  const sharing = begin('shares for ever')
  blockUntil(() => Atomics.load(words, 0) === 1)
  const finished = begin('value')
  await Promise.all([sharing.terminate(), finished.joinAsync()])
  const { threads } = dumpState(registry)
  const dead = threads.find(({ id }) => id === sharing.id)
  expect(threads).toContainEqual(expect.objectContaining(me))
  expect(dead).toMatchObject({ id: sharing.id, name: 'shares for ever', isAlive: false })
  expect(dead?.holds).toMatchObject([{ lock: { kind: 'reader/writer semaphore' }, mode: 'shared', count: 1 }])
  expect(threads.some(({ id }) => id === finished.id)).toBe(false)
  expect(formatState(dumpState(registry))).toContain(`shares for ever (${sharing.id}), dead`)
})

it('shows shared holds always, exclusive ones with the lock-order checker, and waits of tasks', async () => {
  const [rw, six, semaphore, mutex] = [RwSemaphore.create(), SixLock.create(), Semaphore.create(0), Mutex.create()]
  namePrimitive(six, 'node')
  namePrimitive(semaphore, 'permits')
  rw.lockShared()
  rw.lockShared()
  checkLockOrder(newLockOrder())
  mutex.lock()
  six.lockIntent()
  const waiting = semaphore.acquirePermitAsync()
  const holds = () => dumpState(registry).threads[0]?.holds
  expect(holds()).toMatchObject([
    { lock: { kind: 'reader/writer semaphore' }, mode: 'shared', count: 2, knownBy: 'record' },
    { lock: { kind: 'mutex' }, mode: 'owner', knownBy: 'checker' },
    { lock: { kind: 'six lock', name: 'node' }, mode: 'owner', knownBy: 'checker' },
  ])
  expect(dumpState(registry).threads[0]?.waits).toMatchObject([{ for: { kind: 'semaphore', name: 'permits' } }])
  expect(formatState(dumpState(registry))).toMatch(/holds reader\/writer semaphore \d+ \(shared, 2 times\)/)
  mutex.unlock()
  six.unlockIntent()
  checkLockOrder(undefined)
  semaphore.releasePermit()
  await waiting
  rw.unlockShared()
  rw.unlockShared()
  expect(holds()).toEqual([])
})

it('shows what reports itself, also by an error', () => {
  const queue = WorkQueue.create({ name: 'jobs', functions: ['do'], capacity: 4, concurrency: 2 })
  const timers = Timers.create({ name: 'clocks', functions: ['ring'] })
  timers.start(timers.add('ring'), 60_000)
  queue.enqueue('do')
  const ends = [
    reportState('broken', () => {
      throw new RangeError('not now')
    }),
    reportState('number', () => 5),
  ]
  const dump = dumpState(registry)
  expect(dump.reports).toMatchObject({
    'work queue 1': { name: 'jobs', capacity: 4, concurrency: 2, queued: 1, delayed: 0, running: [], servers: [] },
    'timers 1': { pending: 1, owner: 0 },
    broken: { error: 'RangeError: not now' },
    number: 5,
  })
  expect(formatState(dump)).toContain('work queue 1:\n  name: "jobs"\n')
  expect(formatState(dump)).toContain('\nnumber: 5\n')
  for (const end of ends) end()
  expect(Object.keys(dumpState(registry).reports)).toEqual(['work queue 1', 'timers 1'])
})

it('shows nothing of who had a seat before', () => {
  const first = registry.reserve()
  registry.nameThread(first, 'first')
  registry.markDead(first)
  expect(dumpState(registry).threads.some(({ id }) => id === first)).toBe(false)
  const second = registry.reserve()
  expect(second & 0xff).toBe(first & 0xff)
  expect(dumpState(registry).threads.find(({ id }) => id === second)).toMatchObject({ name: '', isAlive: true })
  registry.markDead(second)
})

it('believes nothing that it reads', () => {
  const other = ThreadRegistry.create(4)
  const words = new Int32Array(other.place.buffer)
  for (let seed = 1; seed < 50; seed++) {
    let state = seed
    for (let i = 0; i < words.length; i++) {
      state = (Math.imul(state, 1664525) + 1013904223) | 0
      if (i !== 1) words[i] = state // the number of seats is not read again
    }
    expect(formatState(dumpState(other))).toContain('threads at')
  }
})
