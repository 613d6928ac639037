/** Threads: starting, joining, stopping, parking; what they do for each other: work queues, timers; and the state of all. */

export * from './state-dump.ts'
export * from './state-format.ts'
export { newThreadControl, ThreadContext, ThreadControl, type ThreadDescriptor } from './thread-control.ts'
export { ThreadDiedError, ThreadFailedError, type ErrorDescription } from './thread-error.ts'
export { threadMain } from './thread-main.ts'
export { startThread, Thread, type ThreadOptions } from './thread.ts'
export { Timers, type TimerFunction, type TimerServing, type TimersOptions, type TimersState } from './timers.ts'
export { WorkQueueError, type WorkQueueOptions } from './work-memory.ts'
export { WorkQueue, type WorkQueueState } from './work-queue.ts'
export type { AsyncWorkFunction, FailedWork, WorkFunction, WorkServing } from './work-server.ts'
