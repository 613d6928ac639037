/** A member of the teams that work on one table: see `tables.ts` for what it is asked. */

import { SharedMap, type SharedMapDescriptor } from '@cowherd/rhashtable'
import { Arena, Rcu, ThreadRegistry } from '@cowherd/shim'
import SharedMapOfNpm from 'sharedmap'
import { LockedTable, type LockedTableDescriptor } from '../peers/locked-table.ts'
import { serveTeam } from '../threads/member.ts'
import { IntegerTable, type IntegerTableDescriptor } from './integer-table.ts'
import { keysOf, someOf } from './keys.ts'
import { type Disturbance, disturb, measureLatencies } from './latencies.ts'
import { type Mix, mixIntegerTable, mixLockedTable, mixNothing, mixStringMap, type StringMap } from './mixes.ts'
import { fill, type OneThreadWork, workOnTable } from './one-thread.ts'

/** A table, by what the thread opens it with. */
export type TableOfTeam =
  | { readonly kind: 'HashTable'; readonly descriptor: IntegerTableDescriptor }
  | { readonly kind: 'LockedTable'; readonly descriptor: LockedTableDescriptor }
  | { readonly kind: 'SharedMap'; readonly descriptor: SharedMapDescriptor }
  | { readonly kind: 'sharedmap'; readonly descriptor: object }
  | { readonly kind: 'none' }

export type TableTask =
  /** Alone, on tables of its own that are ready for many threads. Gives nanoseconds. */
  | { readonly task: 'alone'; readonly work: OneThreadWork; readonly keys: number; readonly lookups: number }
  /** Gives how many keys were found. */
  | { readonly task: 'mix'; readonly table: TableOfTeam; readonly mix: Mix }
  /** Gives two latencies. */
  | {
      readonly task: 'measure' | 'disturb'
      readonly table: IntegerTableDescriptor
      readonly keys: number
      readonly samples: number
      readonly disturbance: Disturbance
      readonly stop: Int32Array
    }

const ALONE_BYTES = 512 << 20

/** Views that this thread has: there is one of each, however often it is asked for. */
const integerTables = new Map<number, IntegerTable>()
let own: { readonly arena: Arena; readonly rcu: Rcu; readonly filled: Map<number, IntegerTable> } | undefined
let sharedMap: SharedMap<string, string> | undefined

serveTeam((task: TableTask) => {
  switch (task.task) {
    case 'alone':
      return alone(task.work, task.keys, task.lookups)
    case 'mix':
      return mix(task.table, task.mix)
    case 'measure': {
      const table = open(task.table)
      return () => measureLatencies(table, task.keys, task.samples, task.disturbance, task.stop)
    }
    case 'disturb': {
      const table = open(task.table)
      return () => {
        disturb(table, task.keys, task.disturbance, task.stop)
        return []
      }
    }
  }
})

function alone(work: OneThreadWork, count: number, lookups: number): () => number[] {
  own ??= {
    arena: Arena.create(ALONE_BYTES),
    rcu: Rcu.create(ThreadRegistry.entered),
    filled: new Map<number, IntegerTable>(),
  }
  const { arena, rcu } = own
  const keys = keysOf(0, count)
  const wanted = someOf(work === 'misses' ? keysOf(count, 2 * count) : keys, lookups)
  const make = (): IntegerTable => IntegerTable.create(arena, rcu)
  let filled = own.filled.get(count)
  if (filled === undefined) {
    filled = make()
    fill(filled, keys)
    own.filled.set(count, filled)
  }
  const table = filled
  return () => [workOnTable(work, table, make, keys, wanted)]
}

function mix(table: TableOfTeam, task: Mix): () => number[] {
  switch (table.kind) {
    case 'HashTable': {
      const view = open(table.descriptor)
      return () => [mixIntegerTable(view, task)]
    }
    case 'LockedTable': {
      const view = new LockedTable(table.descriptor)
      return () => [mixLockedTable(view, task)]
    }
    case 'SharedMap': {
      const view = (sharedMap ??= new SharedMap<string, string>(table.descriptor))
      return () => [mixStringMap(view, task)]
    }
    case 'sharedmap': {
      const view: unknown = Object.setPrototypeOf(table.descriptor, SharedMapOfNpm.prototype)
      if (!(view instanceof SharedMapOfNpm)) throw new Error('no sharedmap was posted')
      return () => [mixStringMap(forgiving(view), task)]
    }
    case 'none':
      return () => [mixNothing(task)]
  }
}

/** The npm map throws at the removal of what isn't there, which another thread may have removed just before. */
function forgiving(map: SharedMapOfNpm): StringMap {
  return {
    get: (key) => map.get(key),
    set: (key, value) => map.set(key, value),
    delete(key) {
      try {
        map.delete(key)
      } catch (error) {
        if (!(error instanceof RangeError)) throw error
      }
    },
  }
}

/** Tables of a team lie in one arena each, and differ in the word at which they begin or in the arena. */
function open(descriptor: IntegerTableDescriptor): IntegerTable {
  let table = integerTables.get(descriptor.name)
  if (table === undefined) {
    table = IntegerTable.open(descriptor)
    integerTables.set(descriptor.name, table)
  }
  return table
}
