/** Time that all threads of a process see alike. */

/** Milliseconds; only differences mean something. It does not jump when somebody sets the clock. */
export function nowMs(): number {
  return performance.timeOrigin + performance.now()
}
