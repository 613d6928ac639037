/**
 * The words by which the explorer and the scheduled threads talk. Only the thread whose turn it is touches most of them, and a
 * turn is handed over by Atomics: so they are read and written plainly.
 */

export const THREADS_MAX = 8
export const STEPS_MAX = 20_000
export const CHANGES_MAX = 16

/** Words by name. */
export const Control = {
  /** The run: its number << 4 | its threads. Workers wait for it to change. */
  run: 0,
  /** The run whose memory is prepared. */
  prepared: 1,
  scenario: 2,
  threads: 3,
  policy: 4,
  prefixLength: 5,
  stepsMax: 6,
  /** How many timeouts may still happen. */
  timeouts: 7,
  step: 8,
  outcome: 9,
  current: 10,
  /** Threads (bits) that need not go on: another schedule has covered that. */
  asleep: 11,
  ready: 12,
  exited: 13,
  /** The last run that is over; the explorer waits for it. */
  over: 14,
  aborted: 15,
  waits: 16,
  clockMs: 17,
  errorBytes: 18,
  changes: 19,
  /** Thread 0 dies when it has been chosen so often; 0: it doesn't. */
  diesAfter: 20,
} as const

/** Arrays of words, one per thread. */
export const Turn = 32
export const Status = Turn + THREADS_MAX
export const Operation = Status + THREADS_MAX
export const WaitOrder = Operation + THREADS_MAX
export const WaitTimeout = WaitOrder + THREADS_MAX
export const Woken = WaitTimeout + THREADS_MAX
export const Priority = Woken + THREADS_MAX
export const Changes = Priority + THREADS_MAX
export const Prefix = Changes + CHANGES_MAX
/** Per step: chosen | enabled << 8 | before << 16 | asleep << 20, then each thread's operation. */
export const Trace = Prefix + STEPS_MAX
export const TRACE_WORDS = 1 + THREADS_MAX
export const ErrorText = Trace + STEPS_MAX * TRACE_WORDS
export const ERROR_BYTES_MAX = 4096
export const CONTROL_WORDS = ErrorText + ERROR_BYTES_MAX / 4

/** How the next thread is chosen behind the prefix: the current one as long as it can; or by priorities. */
export const Policy = { goOn: 0, priority: 1 } as const

export const State = { runnable: 0, waiting: 1, ended: 2 } as const

export const Outcome = { finished: 0, failed: 1, deadlock: 2, livelock: 3, pruned: 4 } as const

/** Kinds of operations. An operation is kind << 24 | word of the memory. */
export const Kind = { none: 0, load: 1, change: 2, wait: 3, notify: 4, timeout: 5 } as const

/** How many threads take part in a run. */
export function threadsOf(run: number): number {
  return run & 0xf
}

/** Whether two operations lead to the same, in whichever order they are done. */
export function isIndependent(a: number, b: number): boolean {
  const kindA = a >>> 24
  const kindB = b >>> 24
  if (kindA === Kind.timeout || kindB === Kind.timeout) return false // it moves the clock, which everybody may read
  if (kindA === Kind.none || kindB === Kind.none) return true
  if ((a & 0xffffff) !== (b & 0xffffff)) return true
  return kindA === Kind.load && kindB === Kind.load
}
