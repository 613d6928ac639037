/** What the hashtable wants of memory: an `Arena` of @cowherd/shim has it. */

import type { ArenaDescriptor, SharedPlace } from '@cowherd/shim'

export interface HashMemory {
  /** The whole memory, as words. Objects are indices into it. */
  readonly ints: Int32Array
  /** First word of a piece of so many words; -1: there is none. Never 0. */
  allocate(words: number): number
  deallocate(at: number): void
}

/** What another thread needs to make a view of a hashtable: it can be posted. */
export interface HashTableDescriptor {
  readonly arena: ArenaDescriptor
  /** First word of the hashtable in the arena. */
  readonly at: number
  /** The domain of RCU; the thread has entered the registry that it was made for. Left out: one thread uses the table. */
  readonly rcu?: SharedPlace
}
