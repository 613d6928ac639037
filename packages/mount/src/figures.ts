/**
 * Figures that each thread of the engine tells of itself, in shared memory: it writes them before it waits for a request, so that nobody has
 * to ask it. A row belongs to one thread, which alone writes it; who looks may see figures of two moments.
 *
 *     row: open files | open directories | the node cache: nodes | bytes | hits | misses | evictions | when something was changed
 */

import type { CacheState } from '@cowherd/db'

/** Files and directory readers that are kept open. */
export interface OpenHandles {
  readonly files: number
  readonly directories: number
}

const ROW_NUMBERS = 8
const FILES = 0
const DIRECTORIES = 1
const NODES = 2
const BYTES = 3
const HITS = 4
const MISSES = 5
const EVICTIONS = 6
const CHANGED_MS = 7

export class EngineFigures {
  private readonly numbers: Float64Array
  readonly threads: number

  constructor(memory: SharedArrayBuffer) {
    this.numbers = new Float64Array(memory)
    this.threads = this.numbers.length / ROW_NUMBERS
  }

  static memoryFor(threads: number): SharedArrayBuffer {
    return new SharedArrayBuffer(8 * ROW_NUMBERS * threads)
  }

  /**
   * Writes what the thread of that number has open, what it knows of the node cache, and when it changed something last (milliseconds of
   * Unix time, 0 for never).
   */
  tell(seat: number, handles: OpenHandles, cache: CacheState, changedMs = 0): void {
    const { numbers } = this
    const at = ROW_NUMBERS * seat
    numbers[at + FILES] = handles.files
    numbers[at + DIRECTORIES] = handles.directories
    numbers[at + NODES] = cache.nodes
    numbers[at + BYTES] = cache.bytes
    numbers[at + HITS] = cache.hits
    numbers[at + MISSES] = cache.misses
    numbers[at + EVICTIONS] = cache.evictions
    numbers[at + CHANGED_MS] = changedMs
  }

  /** When something was changed last, milliseconds of Unix time; 0 if nothing was. By the one thread that writes, which is the first. */
  get changedMs(): number {
    return this.numbers[CHANGED_MS]
  }

  handlesOf(seat: number): OpenHandles {
    const at = ROW_NUMBERS * seat
    return { files: this.numbers[at + FILES], directories: this.numbers[at + DIRECTORIES] }
  }

  /** The node cache, as the thread knows it that looked last: it is the same for all. */
  get cache(): CacheState {
    const { numbers } = this
    const usesOf = (row: number): number => numbers[row + HITS] + numbers[row + MISSES]
    let latest = 0
    for (let row = ROW_NUMBERS; row < numbers.length; row += ROW_NUMBERS) {
      if (usesOf(row) > usesOf(latest)) latest = row
    }
    return {
      nodes: numbers[latest + NODES],
      bytes: numbers[latest + BYTES],
      hits: numbers[latest + HITS],
      misses: numbers[latest + MISSES],
      evictions: numbers[latest + EVICTIONS],
    }
  }
}
