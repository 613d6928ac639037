/** RCU in one thread, and beside threads that are ids only. What several threads do: tools/schedule. */

import { describe, expect, it } from 'vitest'
import { newPlace } from '../sync/place.ts'
import { LockUseError, Mutex, ThreadRegistry } from '../sync/index.ts'
import { Rcu, RetireList, type RcuStall } from './index.ts'

const registry = ThreadRegistry.create()
const me = registry.enter()

/** Words of a domain: see rcu.ts. */
const LINE_WORDS = 16

/** Another thread of the domain, that is online and never says anything. */
function stranger(rcu: Rcu): { readonly id: number; readonly line: number; readonly words: Int32Array } {
  const id = registry.reserve()
  registry.nameThread(id, 'stranger')
  const words = new Int32Array(rcu.place.buffer)
  const line = LINE_WORDS * (id & 0xff)
  words[line + 1] = id
  words[line] = 1
  return { id, line, words }
}

describe('Rcu', () => {
  it('waits for nobody when nobody else is online', () => {
    const rcu = Rcu.create(registry)
    rcu.online()
    rcu.synchronizeRcu()
    expect(rcu.isOnline).toBe(true)
    rcu.offline()
    rcu.synchronizeRcu()
    expect(rcu.isOnline).toBe(false)
  })

  it('counts when the thread let go of what it had', () => {
    const rcu = Rcu.create(registry)
    rcu.online()
    const before = rcu.passages
    rcu.quiescent()
    expect(rcu.passages).toBe(before) // nobody asked
    rcu.startGracePeriod()
    rcu.quiescent()
    expect(rcu.passages).toBe(before + 1)
    rcu.offline()
    expect(rcu.passages).toBe(before + 2)
  })

  it('runs callbacks when the thread itself has been quiescent', () => {
    const rcu = Rcu.create(registry)
    rcu.online()
    const ran: number[] = []
    rcu.callRcu(() => ran.push(1))
    rcu.callRcu(() => ran.push(2))
    expect(ran).toEqual([])
    expect(rcu.state().threads).toMatchObject([{ id: me, callbacks: 2 }])
    rcu.quiescent()
    expect(ran).toEqual([1])
    rcu.rcuBarrier()
    expect(ran).toEqual([1, 2])
    rcu.callRcu(() => {
      throw new Error('of a callback')
    })
    rcu.callRcu(() => ran.push(3))
    expect(() => rcu.rcuBarrier()).toThrow('of a callback')
    rcu.rcuBarrier()
    expect(ran).toEqual([1, 2, 3])
  })

  it('runs thousands of callbacks in a few batches', () => {
    const rcu = Rcu.create(registry)
    rcu.online()
    let ran = 0
    for (let i = 0; i < 10_000; i++) {
      rcu.callRcu(() => ran++)
      if (i % 100 === 0) rcu.quiescent()
    }
    expect(ran).toBeGreaterThan(9000)
    expect(rcu.state().newest).toBeLessThan(1000)
    rcu.offline()
  })

  it('is for event loops: online in a turn, offline when it is over', async () => {
    const rcu = Rcu.create(registry)
    rcu.onlineForTurn()
    expect(rcu.isOnline).toBe(true)
    await rcu.synchronizeRcuAsync()
    expect(rcu.isOnline).toBe(false)
    let ran = false
    rcu.callRcu(() => (ran = true))
    await rcu.rcuBarrierAsync()
    expect(ran).toBe(true)
    rcu.onlineForTurn()
    await Promise.resolve()
    expect(rcu.isOnline).toBe(false)
  })

  it('goes offline while the thread sleeps, unless it is pinned', () => {
    const rcu = Rcu.create(registry)
    const mutex = Mutex.create()
    mutex.lock()
    rcu.online()
    const other = Mutex.create()
    const words = new Int32Array(other.place.buffer)
    words[4] = stranger(rcu).id // held by somebody else
    const before = rcu.passages
    expect(other.lockWithin(1)).toBe(false)
    expect(rcu.passages).toBe(before + 1)
    expect(rcu.isOnline).toBe(true)
    rcu.pin()
    expect(other.lockWithin(1)).toBe(false)
    expect(rcu.passages).toBe(before + 1)
    expect(() => rcu.synchronizeRcu()).toThrow(LockUseError)
    expect(() => rcu.offline()).toThrow(LockUseError)
    rcu.unpin()
    rcu.offline()
    mutex.unlock()
  })

  it('tells who holds it up, and waits on; a dead thread holds nobody up', async () => {
    const stalls: RcuStall[] = []
    const rcu = Rcu.create(registry, undefined, { stallMs: 1, onStall: (stall) => stalls.push(stall) })
    const culprit = stranger(rcu)
    const ticket = rcu.startGracePeriod()
    expect(rcu.isOver(ticket)).toBe(false)
    const waiting = rcu.synchronizeRcuAsync()
    while (stalls.length < 2) await new Promise((resolve) => setTimeout(resolve, 10))
    expect(stalls[0]).toMatchObject({ thread: culprit.id, name: 'stranger' })
    expect(rcu.isOver(ticket)).toBe(false)
    registry.markDead(culprit.id)
    await waiting
    expect(rcu.isOver(ticket)).toBe(true)
    expect(rcu.state().threads.map(({ id }) => id)).toEqual([me])
  })

  it('shows who is where', () => {
    const rcu = Rcu.create(registry)
    rcu.online()
    const other = stranger(rcu)
    expect(rcu.state().threads).toEqual([
      { id: me, name: registry.nameOf(me), seen: 1, callbacks: 0 },
      { id: other.id, name: 'stranger', seen: 1, callbacks: 0 },
    ])
    rcu.offline()
    expect(rcu.state().threads[0]).toMatchObject({ seen: undefined })
  })

  it('has one view in a thread, and none where none was made', () => {
    const rcu = Rcu.create(registry)
    rcu.online()
    expect(Rcu.of(structuredClone(rcu.place))).toBe(rcu)
    expect(() => new Rcu(rcu.place).online()).toThrow(LockUseError)
    expect(() => new Rcu(newPlace(Rcu.bytes(4)))).toThrow(LockUseError)
    rcu.offline()
  })

  it('compares numbers that have wrapped around', () => {
    const rcu = Rcu.create(registry)
    const words = new Int32Array(rcu.place.buffer)
    words[0] = words[1] = 2 ** 31 - 1
    rcu.online()
    const ticket = rcu.startGracePeriod()
    expect(ticket).toBeLessThan(0)
    expect(rcu.isOver(ticket)).toBe(false)
    rcu.quiescent()
    expect(rcu.isOver(ticket)).toBe(true)
    rcu.offline()
  })
})

describe('RetireList', () => {
  it('gives back what has waited long enough, whoever comes by', () => {
    const rcu = Rcu.create(registry)
    const ints = new Int32Array(new SharedArrayBuffer(400))
    const freed: number[] = []
    const list = new RetireList(newPlace(RetireList.bytes), rcu, ints, 1, (at) => freed.push(at))
    expect(list.reclaim()).toBe(false)
    rcu.online()
    list.retire(10)
    list.retire(20)
    expect(list.reclaim()).toBe(true)
    expect(list.reclaim()).toBe(true)
    expect(freed).toEqual([])
    rcu.quiescent()
    list.retire(30)
    list.reclaim()
    expect(freed).toEqual([20, 10])
    expect(list.length).toBe(1)
    rcu.offline()
    expect(list.reclaim()).toBe(false)
    expect(freed).toEqual([20, 10, 30])
    rcu.online()
    list.retire(40)
    list.drain()
    expect(freed).toEqual([20, 10, 30, 40])
    rcu.offline()
  })
})
