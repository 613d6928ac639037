/**
 * How long single lookups take while another thread changes the table: one thread looks up and measures, the other one changes
 * until it is told to stop. The clock itself takes as long as a lookup or longer: what it takes at least is subtracted.
 */

import type { IntegerTable } from './integer-table.ts'
import { keyOf, keysOf, OPERATIONS_PER_REQUEST, Random } from './keys.ts'

/** What the other thread does: nothing, changes after which the table has its size, or changes that make it grow and shrink. */
export type Disturbance = 'none' | 'changes' | 'resizes'

/** Lookups between two looks at whether a resize is going on. */
const CHUNK = 1024
const LIMIT_MS = 60_000

/**
 * Looks up keys that stay in the table until it has `samples` latencies, then sets `stop[0]`. While resizes are wanted, only
 * those count that were measured during one. Returns the latencies at the median and at the 99th percentile, in nanoseconds.
 */
export function measureLatencies(
  table: IntegerTable,
  keys: number,
  samples: number,
  disturbance: Disturbance,
  stop: Int32Array,
): number[] {
  const latencies = new Float64Array(samples)
  const chunk = new Float64Array(CHUNK)
  const random = new Random(7)
  const clock = leastOfClock()
  const end = performance.now() + LIMIT_MS
  const counts = (): boolean => disturbance !== 'resizes' || table.table.state().futureBuckets !== 0
  let sum = 0
  try {
    for (let count = 0; count < samples;) {
      if (performance.now() > end) throw new Error(`${count} latencies in ${LIMIT_MS} ms`)
      table.online()
      const began = counts()
      for (let i = 0; i < CHUNK; i++) {
        const key = keyOf(random.next() % keys)
        const start = performance.now()
        sum += table.get(key)
        chunk[i] = performance.now() - start
        if (i % OPERATIONS_PER_REQUEST === 0) table.quiescent()
      }
      if (began && counts()) {
        const room = Math.min(CHUNK, samples - count)
        latencies.set(chunk.subarray(0, room), count)
        count += room
      }
      table.offline()
    }
  } finally {
    Atomics.store(stop, 0, 1)
    Atomics.notify(stop, 0)
  }
  if (sum === 0) throw new Error('nothing was found')
  latencies.sort()
  const at = (part: number): number => 1e6 * (latencies[Math.floor(part * samples)] - clock)
  return [at(0.5), at(0.99)]
}

/** Changes the table, beside the first `keys` keys, until `stop[0]` is set. */
export function disturb(table: IntegerTable, keys: number, disturbance: Disturbance, stop: Int32Array): void {
  if (disturbance === 'none') {
    Atomics.wait(stop, 0, 0, LIMIT_MS)
    return
  }
  // With four times as many the table grows at least twice, with a hundredth more it stays as it is.
  const more = keysOf(keys, disturbance === 'resizes' ? 4 * keys : keys + Math.floor(keys / 100))
  const end = performance.now() + LIMIT_MS
  const goesOn = (): boolean => Atomics.load(stop, 0) === 0 && performance.now() < end
  table.online()
  while (goesOn()) {
    for (let i = 0; i < more.length && (i % 1024 !== 0 || goesOn()); i++) {
      table.insert(more[i], 1)
      if (i % OPERATIONS_PER_REQUEST === 0) table.quiescent()
    }
    for (let i = 0; i < more.length; i++) {
      table.remove(more[i])
      if (i % OPERATIONS_PER_REQUEST === 0) table.quiescent()
    }
  }
  table.offline()
}

/** Milliseconds that nothing takes, measured. */
function leastOfClock(): number {
  let least = Infinity
  for (let i = 0; i < 10_000; i++) {
    const start = performance.now()
    const took = performance.now() - start
    if (took < least) least = took
  }
  return least
}
