/**
 * A scenario: a few threads that do a few things with shared memory, and what must hold in the end. The product's code in it
 * is the product's own, bundled from its sources.
 */

/** What one thread does, under the scheduler: each access by Atomics to the scenario's memory is a step. */
export type Body = () => void | Promise<void>

export interface Scenario {
  /** Makes what the threads share, in zeroed memory. Not scheduled. */
  readonly prepare: (memory: SharedArrayBuffer) => void
  /** Per thread: makes its views (not scheduled), and returns what it does. Throws, in its body, what must not be. */
  readonly threads: readonly ((memory: SharedArrayBuffer) => Body)[]
  /** Looks at the memory when all threads have ended. Throws what must not be. Not scheduled. */
  readonly check?: (memory: SharedArrayBuffer) => void
  /** How many timed waits may time out in one schedule; else they never do, so that a wake-up that only a timeout replaces is a lost one. */
  readonly timeouts?: number
  /** Called when thread 0 has been made to die: what its starter does about it. Not scheduled. */
  readonly died?: (memory: SharedArrayBuffer) => void
  /** Too large for trying all schedules: random ones are tried. */
  readonly isLarge?: boolean
}

/** Bytes of a scenario's memory. */
export const MEMORY_BYTES = 64 * 1024
