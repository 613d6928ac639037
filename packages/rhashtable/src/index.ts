/** A resizable hashtable in shared memory with lockless readers, and a Map between workers: the door of the package. */

export type { HashMemory, HashTableDescriptor } from './hash-memory.ts'
export * from './hash-table.ts'
export type { Maintenance } from './maintenance.ts'
export type { HashWalk } from './walk.ts'
export * from './shared-map.ts'
