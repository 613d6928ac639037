/**
 * What real threads do with one hashtable in the stress test. A few keys are fought over, and each operation on them is noted,
 * with when it began and when it was over; many other keys come and go, so that the table grows and shrinks all the time.
 */

import { HashTable, type HashTableDescriptor } from '@cowherd/rhashtable'
import { Arena, Rcu, ThreadRegistry, type SharedPlace } from '@cowherd/shim'
import { parentPort, workerData } from 'node:worker_threads'

/** Words of an object: link | key, key | value. */
export const KEY = 1
const VALUE = 3
const OBJECT_WORDS = 4
const FREED = -1
/** Keys fought over: 0 to this. */
export const HOT_KEYS = 8
/** Keys that a thread has to itself, in one burst. */
const BURST = 600

/** Words of a note. */
export const Note = { start: 0, end: 1, key: 2, operation: 3, wanted: 4, result: 5, words: 6 } as const
/**
 * What was done. `wanted` is the new value; `result` the value that was found, removed, replaced, or in the way of an insertion; 0:
 * there was none. A replacement of 0 did not take place, whatever was there.
 */
export const Operation = { lookup: 0, insert: 1, remove: 2, replace: 3 } as const

export interface StressData {
  readonly registry: SharedPlace
  readonly id: number
  readonly table: HashTableDescriptor
  /** Word 0 counts what happens, word 1 says that it is over. */
  readonly clock: SharedArrayBuffer
  readonly role: 'work' | 'maintain'
  readonly seed: number
  readonly rounds: number
}

/** The thread's whole life. */
export function run(): void {
  const data = workerData as StressData
  new ThreadRegistry(data.registry).enter(data.id)
  const arena = new Arena(data.table.arena)
  const rcu = Rcu.of(data.table.rcu ?? data.registry)
  const table = new HashTable(arena, data.table.at, rcu)
  const clock = new Int32Array(data.clock)
  if (data.role === 'maintain') return table.maintenance.maintain(() => Atomics.load(clock, 1) !== 0)
  const worker = new StressWorker(data, arena, rcu, table, clock)
  rcu.online()
  for (let round = 0; round < data.rounds; round++) worker.round(round)
  rcu.rcuBarrier()
  rcu.offline()
  parentPort?.postMessage(worker.notes)
}

class StressWorker {
  readonly notes: Int32Array
  private readonly data: StressData
  private readonly arena: Arena
  private readonly rcu: Rcu
  private readonly table: HashTable
  private readonly clock: Int32Array
  private state: number
  private made = 0

  constructor(data: StressData, arena: Arena, rcu: Rcu, table: HashTable, clock: Int32Array) {
    this.data = data
    this.arena = arena
    this.rcu = rcu
    this.table = table
    this.clock = clock
    this.state = data.seed
    this.notes = new Int32Array(data.rounds * Note.words)
  }

  round(n: number): void {
    if (n % 500 === 0) this.burst()
    const key = this.random(HOT_KEYS)
    const operation = this.random(4)
    const at = n * Note.words
    const wanted = operation === Operation.insert || operation === Operation.replace ? this.newObject(key) : 0
    this.notes[at + Note.key] = key
    this.notes[at + Note.operation] = operation
    this.notes[at + Note.wanted] = wanted === 0 ? 0 : this.valueOf(wanted)
    this.notes[at + Note.start] = Atomics.add(this.clock, 0, 1)
    this.notes[at + Note.result] = this.act(operation, key, wanted)
    this.notes[at + Note.end] = Atomics.add(this.clock, 0, 1)
    this.rcu.quiescent()
  }

  private act(operation: number, key: number, object: number): number {
    const { table } = this
    if (operation === Operation.lookup) {
      const found = table.lookup(key, ~key)
      return found === 0 ? 0 : this.valueOf(found)
    }
    if (operation === Operation.remove) {
      const removed = table.removeKey(key, ~key)
      if (removed === 0) return 0
      const value = this.valueOf(removed)
      this.free(removed)
      return value
    }
    if (operation === Operation.insert) {
      const existing = table.lookupOrInsert(object)
      if (existing === object) return 0
      const value = this.valueOf(existing)
      this.free(object)
      return value
    }
    const found = table.lookup(key, ~key)
    const isDone = found !== 0 && table.replace(found, object)
    this.free(isDone ? found : object)
    return isDone ? this.valueOf(found) : 0
  }

  /** Keys of our own, which are found as long as they are there. */
  private burst(): void {
    const first = 1000 + (this.data.id & 0xff) * 10_000
    for (let i = 0; i < BURST; i++) {
      must(this.table.insert(this.newObject(first + i)), 'inserted')
      this.rcu.quiescent()
    }
    for (let i = 0; i < BURST; i++) {
      must(this.table.lookup(first + i, ~(first + i)) !== 0, 'not lost')
      this.rcu.quiescent()
    }
    for (let i = 0; i < BURST; i++) {
      const removed = this.table.removeKey(first + i, ~(first + i))
      must(removed !== 0, 'not lost, and removed')
      this.free(removed)
      this.rcu.quiescent()
    }
  }

  private newObject(key: number): number {
    const { ints } = this.arena
    this.rcu.pin()
    const object = this.arena.allocate(OBJECT_WORDS)
    this.rcu.unpin()
    must(object > 0, 'there is memory')
    ints[object + KEY] = key
    ints[object + KEY + 1] = ~key
    ints[object + VALUE] = ((this.data.id & 0xff) << 20) | ++this.made
    return object
  }

  private valueOf(object: number): number {
    const value = this.arena.ints[object + VALUE]
    must(value !== FREED, 'what was found is not freed')
    return value
  }

  private free(object: number): void {
    this.rcu.callRcu(() => {
      this.arena.ints[object + VALUE] = FREED
      this.arena.deallocate(object)
    })
  }

  private random(below: number): number {
    this.state = (Math.imul(this.state, 1664525) + 1013904223) | 0
    return (this.state >>> 8) % below
  }
}

function must(holds: boolean, what: string): void {
  if (!holds) throw new Error(`violated: ${what}`)
}
