/** The primitives in one thread: their rules, and what is refused. What several threads do with them: tools/schedule. */

import { describe, expect, it } from 'vitest'
import {
  checkLockOrder,
  Completion,
  Condition,
  LockOrderError,
  LockUseError,
  Mutex,
  newLockOrder,
  Once,
  RwSemaphore,
  Semaphore,
  SequenceLock,
  SixLock,
  ThreadRegistry,
  WaitQueue,
} from './index.ts'

const registry = ThreadRegistry.create()
registry.enter()

describe('Mutex', () => {
  it('is held by one thread, once', () => {
    const mutex = Mutex.create()
    mutex.lock()
    expect(mutex.isHeld).toBe(true)
    expect(mutex.tryLock()).toBe(false)
    expect(() => mutex.lock()).toThrow(LockUseError)
    mutex.unlock()
    expect(() => mutex.unlock()).toThrow(LockUseError)
    expect(mutex.lockWithin(0)).toBe(true)
  })

  it('is handed from task to task of one thread, in order', async () => {
    const mutex = Mutex.create()
    const order: number[] = []
    mutex.lock()
    const tasks = [1, 2, 3].map(async (task) => {
      expect(await mutex.lockAsync()).toBe(true)
      order.push(task)
      mutex.unlock()
    })
    expect(await mutex.lockAsync(1)).toBe(false)
    mutex.unlock()
    await Promise.all(tasks)
    expect(order).toEqual([1, 2, 3])
    expect(mutex.tryLock()).toBe(true)
  })

  it('is seen by every view of its place, and by nothing where none was made', () => {
    const buffer = new SharedArrayBuffer(256)
    const mutex = Mutex.create({ buffer, offset: 128 })
    mutex.lock()
    expect(new Mutex(structuredClone(mutex.place)).tryLock()).toBe(false)
    expect(() => new Mutex({ buffer, offset: 0 })).toThrow(LockUseError)
  })
})

describe('RwSemaphore', () => {
  it('is shared again and again by one thread', () => {
    const lock = RwSemaphore.create()
    lock.lockShared()
    lock.lockShared()
    expect(() => lock.lockExclusive()).toThrow(LockUseError)
    lock.unlockShared()
    expect(lock.tryLockExclusive()).toBe(false)
    lock.unlockShared()
    expect(() => lock.unlockShared()).toThrow(LockUseError)
    lock.lockExclusive()
    expect(() => lock.lockShared()).toThrow(LockUseError)
    lock.unlockExclusive()
  })

  it('lets tasks of one thread share together, each for itself', async () => {
    const lock = RwSemaphore.create()
    lock.lockExclusive()
    const tasks = [lock.lockSharedAsync(), lock.lockSharedAsync()]
    lock.unlockExclusive()
    expect(await Promise.all(tasks)).toEqual([true, true])
    lock.unlockShared()
    expect(lock.tryLockExclusive()).toBe(false)
    lock.unlockShared()
    expect(lock.tryLockExclusive()).toBe(true)
  })
})

describe('SixLock', () => {
  it('goes from shared to intent to exclusive and back, counting writes', () => {
    const lock = SixLock.create()
    const start = lock.sequence
    lock.lockShared()
    expect(lock.tryUpgrade()).toBe(true)
    expect(() => lock.unlockShared()).toThrow(LockUseError)
    expect(() => lock.lockIntent()).toThrow(LockUseError)
    lock.lockExclusive()
    expect(lock.sequence & 1).toBe(1)
    expect(() => lock.unlockIntent()).toThrow(LockUseError)
    expect(() => lock.lockShared()).toThrow(LockUseError)
    lock.unlockExclusive()
    lock.downgrade()
    expect(() => lock.lockExclusive()).toThrow(LockUseError)
    lock.unlockShared()
    expect(lock.isUnchanged(start)).toBe(false)
    expect(lock.relockShared(start)).toBe(false)
    expect(lock.relockIntent(lock.sequence)).toBe(true)
    lock.unlockIntent()
  })

  it('can be shared by the holder of the intent, who then writes only when he shares no more', () => {
    const lock = SixLock.create()
    lock.lockIntent()
    lock.lockShared()
    expect(lock.tryLockExclusive()).toBe(false)
    expect(() => lock.lockExclusive()).toThrow(LockUseError)
    lock.downgrade()
    lock.unlockShared()
    expect(() => lock.tryUpgrade()).not.toThrow()
    lock.unlockIntent()
  })

  it('is not upgraded by who does not share it, or shares it twice', () => {
    const lock = SixLock.create()
    expect(() => lock.tryUpgrade()).toThrow(LockUseError)
    lock.lockShared()
    lock.lockShared()
    expect(() => lock.tryUpgrade()).toThrow(LockUseError)
  })
})

describe('what tells threads something', () => {
  it('counts permits', async () => {
    const semaphore = Semaphore.create(1)
    semaphore.acquirePermit()
    expect(semaphore.tryAcquirePermit()).toBe(false)
    expect(semaphore.acquirePermitWithin(1)).toBe(false)
    const waiting = semaphore.acquirePermitAsync()
    semaphore.releasePermit()
    expect(await waiting).toBe(true)
  })

  it('completes for one or for all', async () => {
    const done = Completion.create()
    expect(done.tryWait()).toBe(false)
    done.complete()
    done.wait()
    expect(done.isDone).toBe(false)
    const waiting = [done.waitAsync(), done.waitAsync()]
    done.completeAll()
    expect(await Promise.all(waiting)).toEqual([true, true])
    expect(done.waitWithin(0)).toBe(true)
  })

  it('wakes who waits for a change', async () => {
    const queue = WaitQueue.create()
    const flag = new Int32Array(new SharedArrayBuffer(4))
    expect(queue.waitUntilWithin(() => Atomics.load(flag, 0) === 1, 1)).toBe(false)
    const waiting = queue.waitUntilAsync(() => Atomics.load(flag, 0) === 1)
    Atomics.store(flag, 0, 1)
    queue.wakeAll()
    expect(await waiting).toBe(true)
  })

  it('signals under a mutex', async () => {
    const mutex = Mutex.create()
    const changed = Condition.create()
    expect(() => changed.wait(mutex)).toThrow(LockUseError)
    mutex.lock()
    expect(changed.waitWithin(mutex, 1)).toBe(false)
    expect(mutex.isHeld).toBe(true)
    const waiting = changed.waitAsync(mutex)
    mutex.lock()
    changed.signal()
    mutex.unlock()
    expect(await waiting).toBe(true)
    expect(mutex.isHeld).toBe(true)
  })

  it('reads in sequence, and does once', async () => {
    const lock = SequenceLock.create()
    lock.write(() => undefined)
    expect(lock.tryBeginWrite()).toBe(true)
    expect(() => lock.read(() => 1)).toThrow(LockUseError)
    lock.endWrite()
    expect(lock.read(() => 1)).toBe(1)

    const once = Once.create()
    await expect(once.runAsync(() => Promise.reject(new RangeError('no')))).rejects.toThrow(RangeError)
    let times = 0
    await Promise.all([once.runAsync(() => void times++), once.runAsync(() => void times++)])
    once.run(() => times++)
    expect(times).toBe(1)
  })
})

describe('the lock-order checker', () => {
  it('names both places, also with a lock between', () => {
    checkLockOrder(newLockOrder())
    try {
      const [a, b, c] = [Mutex.create(), RwSemaphore.create(), SixLock.create()]
      a.lock()
      firstPlace(b)
      b.unlockExclusive()
      a.unlock()
      b.lockShared()
      c.lockIntent()
      c.lockExclusive()
      c.unlockExclusive()
      b.unlockShared()
      let error: unknown
      try {
        secondPlace(a)
      } catch (caught) {
        error = caught
      }
      expect(error).toBeInstanceOf(LockOrderError)
      if (!(error instanceof LockOrderError)) return
      expect(error.earlier).toContain('firstPlace')
      expect(error.stack).toContain('secondPlace')
      c.unlockIntent()
      a.lock()
      expect(() => c.lockShared()).not.toThrow()
    } finally {
      checkLockOrder(undefined)
    }
  })
})

function firstPlace(lock: RwSemaphore): void {
  lock.lockExclusive()
}

function secondPlace(lock: Mutex): void {
  lock.lock()
}
