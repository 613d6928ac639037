/** Random bytes that nobody can guess, in small portions: each new file takes eight, and asking the system for so few costs more than making the file's key. */

import { randomFillSync } from 'node:crypto'

const POOL_BYTES = 4096

const pool = new Uint8Array(POOL_BYTES)
let used = POOL_BYTES

/** Fills memory with bytes that nobody can guess. */
export function fillWithRandom(target: Uint8Array): void {
  if (target.length > POOL_BYTES / 8) {
    randomFillSync(target)
    return
  }
  if (used + target.length > POOL_BYTES) {
    randomFillSync(pool)
    used = 0
  }
  const end = used + target.length
  target.set(pool.subarray(used, end))
  pool.fill(0, used, end) // given out once
  used = end
}
