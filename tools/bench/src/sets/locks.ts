/**
 * Locks of @cowherd/shim beside those of pthread in C: what they cost when nobody else wants them, when two threads want them all the
 * time, and how long it takes to hand the turn to another thread.
 *
 * Contended, theirs and ours do different things: ours hand the lock to who has waited longest, which costs a switch of threads each
 * time; theirs let whoever runs have it again.
 */

import { ThreadRegistry } from '@cowherd/shim'
import { compileC } from '../compile.ts'
import { lockKinds, type LockName, turnKinds, type TurnName } from '../locks/kinds.ts'
import type { LockTask } from '../locks/lock.worker.ts'
import { type Contender, measure, ofPrinted } from '../measure.ts'
import type { Row } from '../row.ts'
import { spanOf, Team } from '../threads/team.ts'

const SAMPLE_MS = 20
const ROUNDS = 2000
const WORKER = new URL('../locks/lock.worker.js', import.meta.url)

/** Ours, and what the C program calls the one of pthread that does the same. */
const LOCKS: readonly (readonly [LockName, string])[] = [
  ['Mutex', 'mutex'],
  ['RwSemaphore, shared', 'reader'],
  ['RwSemaphore, exclusive', 'writer'],
  ['SixLock, shared', 'reader'],
  ['Semaphore', 'semaphore'],
]
const TURNS: readonly (readonly [TurnName, string])[] = [
  ['Condition', 'condition'],
  ['Completion', 'condition'],
  ['Semaphore', 'semaphore'],
]

const ATOMICS = 'two atomics, no lock'

export async function locks(rounds: number): Promise<Row[]> {
  ThreadRegistry.create().enter()
  const program = compileC('locks')
  const team = new Team<LockTask>(WORKER, 2)
  try {
    const rows: Row[] = []
    for (const members of [1, 2]) {
      for (const [name, inC] of LOCKS) rows.push(await hammered(name, inC, members, team, program, rounds))
    }
    for (const [name, inC] of TURNS) rows.push(await handedOver(name, inC, team, program, rounds))
    return rows
  } finally {
    await team.stop()
  }
}

/** Locking and unlocking, by one thread or by two that do nothing else. */
async function hammered(
  name: LockName,
  inC: string,
  members: number,
  team: Team<LockTask>,
  program: string | undefined,
  rounds: number,
): Promise<Row> {
  const contenders = [name, ATOMICS] as const
  const figures = await measure(
    [
      ...contenders.map((kind) => hammering(kind, members, team)),
      ...ofC(program, members === 1 ? 'alone' : 'contended', inC, SAMPLE_MS),
    ],
    rounds,
  )
  const what = members === 1 ? `${name}: lock and unlock` : `${name}: two threads at it`
  return { what, figures, peer: figures[figures.length - 1].name }
}

function hammering(kind: LockName, members: number, team: Team<LockTask>): Contender {
  const place = lockKinds[kind].create()
  return {
    name: kind,
    async sample() {
      const task: LockTask = { task: 'hammer', kind, place, milliseconds: SAMPLE_MS }
      const reports = await team.run(new Array<LockTask>(members).fill(task))
      return spanOf(reports) / reports.map(({ result }) => result[0]).reduce((a, b) => a + b)
    },
  }
}

/** From when one thread lets the other go on until that one goes on. */
async function handedOver(
  kind: TurnName,
  inC: string,
  team: Team<LockTask>,
  program: string | undefined,
  rounds: number,
): Promise<Row> {
  const places = turnKinds[kind].create()
  const turn = new Int32Array(new SharedArrayBuffer(4))
  const ours: Contender = {
    name: kind,
    async sample() {
      const tasks = [0, 1].map((me): LockTask => ({ task: 'play', kind, places, turn, me, rounds: ROUNDS }))
      return spanOf(await team.run(tasks)) / (2 * ROUNDS)
    },
  }
  const figures = await measure([ours, ...ofC(program, 'handover', inC, ROUNDS)], rounds)
  return { what: `${kind}: hand-over`, figures, peer: figures[figures.length - 1].name }
}

function ofC(program: string | undefined, work: string, kind: string, amount: number): Contender[] {
  return program === undefined ? [] : [ofPrinted(`pthread ${kind}`, program, [work, kind, String(amount)])]
}
