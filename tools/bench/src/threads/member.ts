/** A member of a team: gets its tasks as messages, and does each when the others are ready too. */

import { readFileSync } from 'node:fs'
import { parentPort, workerData } from 'node:worker_threads'
import { ThreadRegistry } from '@cowherd/shim'
import type { Assignment, Membership, Report } from './team.ts'

const GATE_LIMIT_MS = 60_000

/** Serves the team that this thread was started for. `prepare` makes ready for a task and returns the work that is measured. */
export function serveTeam<Task>(prepare: (task: Task) => () => readonly number[]): void {
  const { registry, id } = workerData as Membership
  new ThreadRegistry(registry).enter(id)
  parentPort?.on('message', ({ task, gate, members }: Assignment<Task>) => {
    const work = prepare(task)
    const processorBefore = processorNs()
    meet(gate, members)
    const startNs = process.hrtime.bigint()
    const result = work()
    const endNs = process.hrtime.bigint()
    const processorAfter = processorNs()
    const isKnown = processorBefore !== undefined && processorAfter !== undefined
    const report: Report = {
      startNs,
      endNs,
      processorNs: isKnown ? processorAfter - processorBefore : undefined,
      result,
    }
    parentPort?.postMessage(report)
  })
}

function meet(gate: Int32Array, members: number): void {
  Atomics.add(gate, 0, 1)
  Atomics.notify(gate, 0)
  for (let there = Atomics.load(gate, 0); there < members; there = Atomics.load(gate, 0)) {
    if (Atomics.wait(gate, 0, there, GATE_LIMIT_MS) === 'timed-out') throw new Error('the others did not come')
  }
}

const nobody = new Int32Array(new SharedArrayBuffer(4))

/**
 * Nanoseconds that this thread had a processor so far (schedstat: the first number). The kernel adds up at each tick, of which a
 * sample has only a few, and whenever a thread leaves its processor: so it does that first.
 */
function processorNs(): number | undefined {
  Atomics.wait(nobody, 0, 0, 1)
  try {
    return Number(readFileSync('/proc/thread-self/schedstat', 'latin1').split(' ', 1)[0])
  } catch {
    return undefined // no Linux
  }
}
