/**
 * A table of integers by integers over `HashTable`, as who uses that would write it: objects from a slab, and what is taken out waits
 * in a list until no reader can be at it. For one thread, without any of this: an object is given back at once.
 */

import { HashTable } from '@cowherd/rhashtable'
import { Arena, Rcu, RetireList, Slab, type ArenaDescriptor, type SharedPlace } from '@cowherd/shim'

/** Words of an object; the first is the table's. */
const KEY = 1
const VALUE = 2
const RETIRED = 3
const OBJECT_BYTES = 16

/** Removals between two looks at what waits. */
const REMOVALS_PER_LOOK = 16

/** Steps of a resize that are more than any takes. */
const STEPS_MAX = 1e7

/** What another thread opens it with. */
export interface IntegerTableDescriptor {
  /** Different for each table of a process. */
  readonly name: number
  readonly arena: ArenaDescriptor
  readonly rcu: SharedPlace
  readonly table: number
  readonly slab: number
  readonly retired: number
}

let tables = 0

export class IntegerTable {
  readonly table: HashTable
  private readonly arena: Arena
  private readonly slab: Slab
  private readonly ints: Int32Array
  private readonly rcu: Rcu | undefined
  private readonly retired: RetireList | undefined
  private readonly retiredAt: number
  private readonly key = new Int32Array(1)
  private readonly name = ++tables
  private removals = 0

  private constructor(arena: Arena, table: HashTable, slab: Slab, rcu: Rcu | undefined, retiredAt: number) {
    this.arena = arena
    this.ints = arena.ints
    this.table = table
    this.slab = slab
    this.rcu = rcu
    this.retiredAt = retiredAt
    if (rcu !== undefined)
      this.retired = new RetireList(arena.place(retiredAt), rcu, arena.ints, RETIRED, (at) => slab.free(at))
  }

  /** Makes an empty one. With `rcu` several threads may use it. */
  static create(arena: Arena, rcu?: Rcu): IntegerTable {
    const table = HashTable.create(arena, { keyAt: KEY, keyWords: 1, ...(rcu === undefined ? {} : { rcu }) })
    const slab = Slab.create(arena, OBJECT_BYTES)
    const retiredAt = arena.allocate(RetireList.bytes / 4)
    arena.ints.fill(0, retiredAt, retiredAt + RetireList.bytes / 4)
    return new IntegerTable(arena, table, slab, rcu, retiredAt)
  }

  /** A view of the calling thread's own. */
  static open({ arena: descriptor, rcu: place, table, slab, retired }: IntegerTableDescriptor): IntegerTable {
    const arena = new Arena(descriptor)
    const rcu = new Rcu(place)
    return new IntegerTable(arena, new HashTable(arena, table, rcu), new Slab(arena, slab), rcu, retired)
  }

  get descriptor(): IntegerTableDescriptor {
    if (this.rcu === undefined) throw new Error('this table is for one thread')
    const { name, arena, slab, table, retiredAt } = this
    const { descriptor } = arena
    return { name, arena: descriptor, rcu: this.rcu.place, table: table.address, slab: slab.at, retired: retiredAt }
  }

  /** The value, 0 if there is none. */
  get(key: number): number {
    const object = this.table.lookup(key)
    return object === 0 ? 0 : this.ints[object + VALUE]
  }

  /** Whether the key was new. */
  insert(key: number, value: number): boolean {
    const { ints, slab } = this
    const object = slab.allocate()
    if (object < 0) throw new RangeError('the arena is full')
    ints[object + KEY] = key
    ints[object + VALUE] = value
    const isNew = this.table.insert(object)
    if (!isNew) slab.free(object)
    return isNew
  }

  /** Whether the key was there. */
  remove(key: number): boolean {
    this.key[0] = key
    const object = this.table.takeOut(this.key)
    if (object === 0) return false
    if (this.retired === undefined) {
      this.slab.free(object)
      return true
    }
    this.retired.retire(object)
    if (++this.removals % REMOVALS_PER_LOOK === 0) this.retired.reclaim()
    return true
  }

  /** Brings a resize to its end. The thread is online, and no other one. */
  settle(): void {
    const { table } = this
    for (let i = 0; table.state().work !== 'idle'; i++) {
      if (i === STEPS_MAX) throw new Error('a resize does not end')
      table.maintenance.step()
      this.quiescent()
    }
  }

  online(): void {
    this.rcu?.online()
  }

  /** Now and then: the thread holds nothing that it found. */
  quiescent(): void {
    this.rcu?.quiescent()
  }

  offline(): void {
    this.rcu?.offline()
  }

  /** Gives all memory back. No thread uses it any more. */
  destroy(): void {
    this.table.destroy()
    this.slab.destroy()
    this.arena.deallocate(this.retiredAt)
  }
}
