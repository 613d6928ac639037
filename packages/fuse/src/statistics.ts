/**
 * How many requests there were, how many failed, and how long they took, for each operation; in shared memory, so that another thread
 * can tell while the serving ones are busy. Each thread that answers has a block of its own, which it alone writes: no atomics. The
 * first blocks are the sessions', by their seats; threads that answer deferred requests take the others as they come.
 */

import { OPCODES_END, opcodeName } from './protocol.ts'

/** Latencies are counted in ranges: below 1 us, 2 us, 4 us, ... and whatever is longer. */
const RANGES = 26
const COUNT = 0
const ERRORS = 1
const TOTAL_MS = 2
const GREATEST_MS = 3
const RANGE_0 = 4
const OPERATION_NUMBERS = RANGE_0 + RANGES
const BLOCK_NUMBERS = OPCODES_END * OPERATION_NUMBERS
/** For threads that have none by their seat. */
const BLOCKS_FOR_OTHERS = 16

/** Figures of one operation. */
export interface OperationStatistics {
  readonly operation: string
  readonly count: number
  /** How many were answered with an error, ENOENT of a lookup and the like included. */
  readonly errors: number
  readonly meanUs: number
  /** Half, and 99 of 100, took no longer than this; to a factor of 2. */
  readonly medianUs: number
  readonly p99Us: number
  readonly greatestUs: number
}

export class Statistics {
  readonly memory: SharedArrayBuffer
  private readonly numbers: Float64Array
  private readonly claims: Int32Array
  private readonly blocks: number
  private block: number

  /** `seat`: the number of the session that counts, from 0; others have none. */
  constructor(memory: SharedArrayBuffer = Statistics.memoryFor(0), seat = -1) {
    this.memory = memory
    this.blocks = Math.floor(memory.byteLength / (BLOCK_NUMBERS * 8))
    this.numbers = new Float64Array(memory, 0, this.blocks * BLOCK_NUMBERS)
    this.claims = new Int32Array(memory, this.blocks * BLOCK_NUMBERS * 8, 1)
    this.block = seat
  }

  /** Memory for the statistics of that many sessions, and of threads that answer for them. */
  static memoryFor(sessions: number): SharedArrayBuffer {
    const numbers = (sessions + BLOCKS_FOR_OTHERS) * BLOCK_NUMBERS
    const memory = new SharedArrayBuffer(numbers * 8 + 8)
    new Int32Array(memory, numbers * 8, 1)[0] = sessions
    return memory
  }

  /** Counts a request that has been answered; those of unknown operations under number 0. */
  count(opcode: number, elapsedMs: number, isError: boolean): void {
    const milliseconds = Math.max(0, elapsedMs) // the clocks of two threads differ a little
    // threads beyond the last block share it, and may lose counts
    if (this.block < 0) this.block = Math.min(Atomics.add(this.claims, 0, 1), this.blocks - 1)
    const { numbers } = this
    const at = this.block * BLOCK_NUMBERS + (opcode < OPCODES_END ? opcode : 0) * OPERATION_NUMBERS
    numbers[at + COUNT]++
    if (isError) numbers[at + ERRORS]++
    numbers[at + TOTAL_MS] += milliseconds
    if (milliseconds > numbers[at + GREATEST_MS]) numbers[at + GREATEST_MS] = milliseconds
    const range = 32 - Math.clz32(Math.min(milliseconds * 1000, 0x7fffffff))
    numbers[at + RANGE_0 + Math.min(range, RANGES - 1)]++
  }

  /** How many requests the session with that seat has answered. */
  answeredBy(seat: number): number {
    let sum = 0
    for (let opcode = 0; opcode < OPCODES_END; opcode++) {
      sum += this.numbers[seat * BLOCK_NUMBERS + opcode * OPERATION_NUMBERS + COUNT]
    }
    return sum
  }

  /** The figures of the operations that there were, of all threads, in the order of their numbers. */
  list(): OperationStatistics[] {
    const found: OperationStatistics[] = []
    for (let opcode = 0; opcode < OPCODES_END; opcode++) {
      const sum = this.sumOf(opcode)
      const count = sum[COUNT]
      if (count === 0) continue
      const greatestUs = sum[GREATEST_MS] * 1000
      found.push({
        operation: opcodeName(opcode),
        count,
        errors: sum[ERRORS],
        meanUs: (sum[TOTAL_MS] / count) * 1000,
        medianUs: Math.min(greatestUs, quantileUs(sum, count * 0.5)),
        p99Us: Math.min(greatestUs, quantileUs(sum, count * 0.99)),
        greatestUs,
      })
    }
    return found
  }

  private sumOf(opcode: number): Float64Array {
    const sum = new Float64Array(OPERATION_NUMBERS)
    for (let block = 0; block < this.blocks; block++) {
      const at = block * BLOCK_NUMBERS + opcode * OPERATION_NUMBERS
      for (let i = 0; i < OPERATION_NUMBERS; i++) {
        const number = this.numbers[at + i]
        sum[i] = i === GREATEST_MS ? Math.max(sum[i], number) : sum[i] + number
      }
    }
    return sum
  }
}

/** The end of the range in which the request of that rank is. */
function quantileUs(sum: Float64Array, rank: number): number {
  let passed = 0
  for (let range = 0; range < RANGES; range++) {
    passed += sum[RANGE_0 + range]
    if (passed >= rank) return 2 ** range
  }
  return 2 ** RANGES
}
