/** Processes with a database each, which are given tasks and do one after the other. */

import { type ChildProcess, fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import type { Spent } from '../measure.ts'
import type { EngineName } from './engine.ts'
import type { Question, Work } from './tasks.ts'

/** What such a process says to a task, and before to whether its database could be loaded. */
export type Answer = { readonly result: Spent | number } | { readonly error: string }

const MAIN = fileURLToPath(new URL('./engine-main.js', import.meta.url))
const LIMIT_MS = 3_600_000

export class EngineProcess {
  private readonly child: ChildProcess
  private readonly engine: EngineName

  private constructor(engine: EngineName) {
    this.engine = engine
    this.child = fork(MAIN, [engine])
  }

  /** Starts one. Throws if its database can't be loaded. */
  static async start(engine: EngineName): Promise<EngineProcess> {
    const started = new EngineProcess(engine)
    try {
      await started.answer()
      return started
    } catch (error) {
      await started.stop()
      throw error
    }
  }

  /** Has work done, and returns what once took. Throws what it threw. */
  async perform(work: Work): Promise<Spent> {
    const spent = await this.send(work)
    if (typeof spent === 'number') throw new Error(`${this.engine}: ${work.task} was not measured`)
    return spent
  }

  async tell(of: Question['of']): Promise<number> {
    return Number(await this.send({ task: 'tell', of }))
  }

  async stop(): Promise<void> {
    const { child } = this
    if (child.exitCode !== null || child.signalCode !== null) return
    const ended = new Promise((resolve) => child.once('close', resolve))
    child.kill('SIGKILL')
    await ended
  }

  private send(task: Work | Question): Promise<Spent | number> {
    const answer = this.answer()
    this.child.send(task)
    return answer
  }

  private answer(): Promise<Spent | number> {
    const { child, engine } = this
    return new Promise((resolve, reject) => {
      const end = (): void => {
        clearTimeout(timer)
        child.off('message', onMessage).off('error', onError).off('close', onClose)
      }
      const onMessage = (answer: Answer): void => {
        end()
        if ('result' in answer) resolve(answer.result)
        else reject(new Error(answer.error))
      }
      const onError = (error: Error): void => {
        end()
        reject(error)
      }
      const onClose = (status: number | null, signal: NodeJS.Signals | null): void =>
        onError(new Error(`its process ended with ${status ?? signal}`))
      const timer = setTimeout(() => onError(new Error(`${engine} took more than ${LIMIT_MS} ms`)), LIMIT_MS)
      child.on('message', onMessage).on('error', onError).on('close', onClose)
    })
  }
}
