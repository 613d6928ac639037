/**
 * Whether a history of operations could have come about one after the other: each operation at some moment between its beginning
 * and its end, with the results that a model gives (Wing and Gong, "Testing and verifying concurrent objects", 1993). The threads'
 * operations are in order, so what has been done is a number for each thread, and what was tried once is not tried again.
 */

/** One operation. Moments are numbers of one clock. */
export interface Happening {
  readonly start: number
  readonly end: number
  /** The state after it, or undefined if its result is impossible in this state. */
  readonly apply: (state: number) => number | undefined
}

/** Looks for an order. Returns how far it came, in operations: all of them, if there is one. */
export function linearize(threads: readonly (readonly Happening[])[], state: number): number {
  const total = threads.reduce((sum, thread) => sum + thread.length, 0)
  let frontier = new Map<string, { done: number[]; state: number }>([['', { done: threads.map(() => 0), state }]])
  for (let step = 0; step < total; step++) {
    const next: typeof frontier = new Map()
    for (const { done, state } of frontier.values()) {
      const firstEnd = Math.min(...threads.map((thread, i) => thread[done[i]]?.end ?? Infinity))
      threads.forEach((thread, i) => {
        const happening = thread[done[i]]
        if (happening === undefined || happening.start > firstEnd) return
        const after = happening.apply(state)
        if (after === undefined) return
        const now = done.with(i, done[i] + 1)
        next.set(`${now.join()}:${after}`, { done: now, state: after })
      })
    }
    if (next.size === 0) return step
    frontier = next
  }
  return total
}
