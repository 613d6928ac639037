/**
 * Scenarios of RCU. Word 0 leads to the current object, one of words 1 to 4; an object that was freed says so. Who reads an object
 * follows word 0, and looks at the object again and again: it must never be freed then.
 */

import { Mutex, Rcu, RetireList, ThreadRegistry } from '@cowherd/shim'
import type { Body, Scenario } from '../scenario.ts'
import { crowd, must, placeOf, prepareRoom } from './room.ts'

const FREED = -1
const LIVE = 7
/** Objects of the retire list: link | state, from this word on. */
const OBJECTS = 8

interface View {
  readonly rcu: Rcu
  readonly words: Int32Array
  readonly mutex: Mutex
  readonly list: RetireList
}

function rcuOf(...acts: readonly ((view: View) => void | Promise<void>)[]): Scenario {
  return {
    prepare(memory) {
      prepareRoom(memory, acts.length)
      Rcu.create(new ThreadRegistry({ buffer: memory, offset: 0 }), placeOf(memory))
      Mutex.create(placeOf(memory, 6))
    },
    threads: crowd(acts.length, (memory, words, thread): Body => {
      words.fill(LIVE, 1, 5)
      words[0] = 1
      const rcu = new Rcu(placeOf(memory))
      const mutex = new Mutex(placeOf(memory, 6))
      const list = new RetireList(placeOf(memory, 7), rcu, words, 0, (at) => Atomics.store(words, at + 1, FREED))
      return () => acts[thread]?.({ rcu, words, mutex, list })
    }),
  }
}

function look(words: Int32Array): void {
  const object = Atomics.load(words, 0)
  must(Atomics.load(words, object) === LIVE, 'what is read is not freed')
  must(Atomics.load(words, object) === LIVE, 'what is read stays')
}

function reads({ rcu, words }: View): void {
  rcu.online()
  look(words)
  rcu.offline()
}

function readsOnlineTwice({ rcu, words }: View): void {
  rcu.online()
  look(words)
  rcu.quiescent()
  look(words)
  rcu.offline()
}

function readsTwice(view: View): void {
  reads(view)
  reads(view)
}

/** Puts object `next` in the place of the current one. Returns that. */
function exchange(words: Int32Array, next: number): number {
  return Atomics.exchange(words, 0, next)
}

function updates(next: number) {
  return ({ rcu, words }: View): void => {
    const old = exchange(words, next)
    rcu.synchronizeRcu()
    must(Atomics.exchange(words, old, FREED) === LIVE, 'freed once')
  }
}

/** Reads, and frees by a callback while it goes on reading. */
function calls({ rcu, words }: View): void {
  rcu.online()
  for (const next of [2, 3]) {
    const old = exchange(words, next)
    rcu.callRcu(() => Atomics.store(words, old, FREED))
    look(words)
    rcu.quiescent()
  }
  rcu.rcuBarrier()
  must(Atomics.load(words, 1) === FREED && Atomics.load(words, 2) === FREED, 'a barrier waits for all callbacks')
  look(words)
  rcu.offline()
}

/** Updates with a mutex held that readers, who have nothing in their hands, come for. */
function updatesLocked(view: View): void {
  view.mutex.lock()
  updates(2)(view)
  view.mutex.unlock()
}

function readsAroundMutex({ rcu, words, mutex }: View): void {
  rcu.online()
  look(words)
  mutex.lock()
  look(words)
  mutex.unlock()
  rcu.offline()
}

function retires(next: number) {
  return ({ rcu, words, list }: View): void => {
    rcu.online()
    const old = exchange(words, next)
    list.retire(old)
    rcu.quiescent()
    for (let i = 0; i < 2; i++) list.reclaim()
    rcu.offline()
  }
}

/** The same with objects of two words, the first of which is the list's. */
function retiring(...acts: readonly ((view: View) => void)[]): Scenario {
  const scenario = rcuOf(...acts)
  return {
    ...scenario,
    threads: crowd(acts.length, (memory, words, thread): Body => {
      words.fill(0)
      for (let at = OBJECTS; at < 16; at += 2) words[at + 1] = LIVE
      words[0] = OBJECTS
      const rcu = new Rcu(placeOf(memory))
      const free = (at: number): void => must(Atomics.exchange(words, at + 1, FREED) === LIVE, 'freed once')
      const list = new RetireList(placeOf(memory, 7), rcu, words, 0, free)
      const mutex = new Mutex(placeOf(memory, 6))
      return () => acts[thread]?.({ rcu, words, mutex, list })
    }),
    check(memory) {
      new ThreadRegistry({ buffer: memory, offset: 0 }).enter()
      const rcu = new Rcu(placeOf(memory))
      const words = new Int32Array(memory, 12 * 1024, 16)
      const list = new RetireList(placeOf(memory, 7), rcu, words, 0, (at) => void (words[at + 1] = FREED))
      for (let i = 0; i < 8; i++) list.reclaim()
      must(list.length === 0, 'all is given back in the end')
      must(
        words.filter((word) => word === LIVE).length === 4 - acts.filter((act) => act !== readsPiece).length,
        'no more',
      )
    },
  }
}

/** The same, but everything is given back before it ends. */
function drains(next: number) {
  return ({ rcu, words, list }: View): void => {
    rcu.online()
    const old = exchange(words, next)
    list.retire(old)
    list.drain()
    must(Atomics.load(words, old + 1) === FREED, 'what was retired before is given back')
    rcu.offline()
  }
}

function readsPiece({ rcu, words }: View): void {
  rcu.online()
  const object = Atomics.load(words, 0)
  must(Atomics.load(words, object + 1) === LIVE, 'what is read is not freed')
  must(Atomics.load(words, object + 1) === LIVE, 'what is read stays')
  rcu.offline()
}

async function updatesAsync({ rcu, words }: View): Promise<void> {
  const old = exchange(words, 2)
  await rcu.synchronizeRcuAsync()
  Atomics.store(words, old, FREED)
}

export const scenarios: Readonly<Record<string, Scenario>> = {
  'rcu, update, reader': rcuOf(updates(2), readsTwice),
  'rcu, update, reader online': rcuOf(updates(2), readsOnlineTwice),
  'rcu, updates, reader online': rcuOf((view) => [2, 3].forEach((next) => updates(next)(view)), readsOnlineTwice),
  'rcu, update, update, reader': rcuOf(updates(2), updates(3), reads),
  'rcu, update, 2 readers': rcuOf(updates(2), readsOnlineTwice, reads),
  'rcu, update async, reader': rcuOf(updatesAsync, readsOnlineTwice),
  'rcu, callbacks, reader': rcuOf(calls, readsOnlineTwice),
  'rcu, callbacks, update': rcuOf(calls, (view) => view.rcu.synchronizeRcu()),
  'rcu, a reader waits for the updater': rcuOf(updatesLocked, readsAroundMutex),
  'rcu, retire, reader': retiring(retires(OBJECTS + 2), readsPiece),
  'rcu, drain, reader': retiring(drains(OBJECTS + 2), readsPiece),
  'rcu, drain, retire': { ...retiring(drains(OBJECTS + 2), retires(OBJECTS + 4)), isLarge: true },
  'rcu, drain, drain': { ...retiring(drains(OBJECTS + 2), drains(OBJECTS + 4)), isLarge: true },
  'rcu, retire, retire': retiring(retires(OBJECTS + 2), retires(OBJECTS + 4)),
  'rcu, retire, retire, reader': retiring(retires(OBJECTS + 2), retires(OBJECTS + 4), readsPiece),
  'rcu, everything, 4 threads': {
    ...rcuOf(calls, readsTwice, readsAroundMutex, (view) => view.rcu.synchronizeRcu()),
    isLarge: true,
  },
}
