/** What a thread's module calls: enters the registry, runs the thread's main function, and tells how it ended. */

import { isMainThread, workerData } from 'node:worker_threads'
import { LockUseError } from '../sync/sync-error.ts'
import { reapDeadThreads } from './reaper.ts'
import { ThreadContext, ThreadControl } from './thread-control.ts'
import { describeError } from './thread-error.ts'
import type { LastWords, ThreadStart } from './thread.ts'

/**
 * Runs `main` as this thread's whole life. What it returns (anything that can be posted) or throws goes to the joiner; then
 * the thread ends at once, as by `process.exit`, whatever else is going on in its event loop. Never resolves.
 * Throws LockUseError if the thread was not started by `startThread`.
 */
export async function threadMain<Data = unknown>(main: (context: ThreadContext<Data>) => unknown): Promise<never> {
  const { descriptor, port, data } = startOf(workerData)
  const control = new ThreadControl(descriptor)
  const { registry } = control
  registry.enter(descriptor.id)
  reapDeadThreads(registry)
  process.once('exit', (code) => control.isLeaving(code))
  const say = (words: LastWords): void => port.postMessage(words)
  try {
    say({ value: await main(new ThreadContext(descriptor, data as Data)) }) // typed by the module that knows its starter
  } catch (error) {
    say({ error: describeError(error) })
    process.exit(1)
  }
  process.exit(0)
}

function startOf(data: unknown): ThreadStart {
  const isStart = typeof data === 'object' && data !== null && 'descriptor' in data && 'port' in data
  if (isMainThread || !isStart) throw new LockUseError('threadMain is for threads that startThread started')
  return data as ThreadStart
}
