/** Times as callers of `node:fs` give them. */

import type { Time } from '@cowherd/fs'

/** Seconds since 1970, as a number or in words; or a date. */
export type TimeLike = number | string | Date

/** Exact to the microsecond for numbers. Throws RangeError for what is no time. */
export function timeOf(time: TimeLike): Time {
  const ms = time instanceof Date ? time.getTime() : Number(time) * 1000
  if (!Number.isFinite(ms)) throw new RangeError(`${String(time)} is no time`)
  const microseconds = Math.round(ms * 1000)
  const seconds = Math.floor(microseconds / 1e6)
  return { seconds, nanoseconds: (microseconds - seconds * 1e6) * 1000 }
}
