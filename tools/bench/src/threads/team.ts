/**
 * A team: worker threads that do their tasks at the same time. They meet before they begin, so that what is measured is all of
 * them at work; each says when it began, when it ended, and for how long it had a processor.
 */

import { Worker } from 'node:worker_threads'
import { ThreadRegistry, type SharedPlace } from '@cowherd/shim'

/** What a member gets when it is started. */
export interface Membership {
  readonly registry: SharedPlace
  readonly id: number
}

/** What a member gets for a task: with `gate` all meet. */
export interface Assignment<Task> {
  readonly task: Task
  readonly gate: Int32Array
  readonly members: number
}

/** What a member did. */
export interface Report {
  readonly startNs: bigint
  readonly endNs: bigint
  /** Time on a processor, undefined where the system doesn't tell. Less than the whole: it slept, or others had the processors. */
  readonly processorNs: number | undefined
  /** What the task's work returned. */
  readonly result: readonly number[]
}

const LIMIT_MS = 120_000

export class Team<Task> {
  private readonly workers: Worker[]

  /** Starts `size` workers that run `module`, which calls `serveTeam`. The calling thread has entered a registry. */
  constructor(module: URL, size: number) {
    const registry = ThreadRegistry.entered
    this.workers = Array.from({ length: size }, () => {
      const id = registry.reserve()
      const membership: Membership = { registry: registry.place, id }
      const worker = new Worker(module, { workerData: membership })
      registry.watch(worker, id)
      return worker
    })
  }

  /** Has the first members do one task each. Throws what one of them threw. */
  async run(tasks: readonly Task[]): Promise<Report[]> {
    const gate = new Int32Array(new SharedArrayBuffer(4))
    return Promise.all(
      tasks.map((task, i) =>
        reportOf(this.workers[i], { task, gate, members: tasks.length } satisfies Assignment<Task>),
      ),
    )
  }

  async stop(): Promise<void> {
    await Promise.all(this.workers.map((worker) => worker.terminate()))
  }
}

/** Nanoseconds from the first one's beginning to the last one's end. */
export function spanOf(reports: readonly Report[]): number {
  const first = reports.map(({ startNs }) => startNs).reduce((a, b) => (a < b ? a : b))
  const last = reports.map(({ endNs }) => endNs).reduce((a, b) => (a > b ? a : b))
  return Number(last - first)
}

function reportOf(worker: Worker, assignment: Assignment<unknown>): Promise<Report> {
  return new Promise((resolve, reject) => {
    const end = (): void => {
      clearTimeout(timer)
      worker.off('message', onMessage).off('error', onError).off('exit', onExit)
    }
    const onMessage = (report: Report): void => {
      end()
      resolve(report)
    }
    const onError = (error: unknown): void => {
      end()
      reject(error instanceof Error ? error : new Error(String(error)))
    }
    const onExit = (): void => onError(new Error('a member of the team ended'))
    const timer = setTimeout(() => onError(new Error(`a task took more than ${LIMIT_MS} ms`)), LIMIT_MS)
    worker.on('message', onMessage).on('error', onError).on('exit', onExit)
    worker.postMessage(assignment)
  })
}
