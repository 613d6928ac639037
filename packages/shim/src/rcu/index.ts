/** Read-copy-update: the door of this room. */

export { sliceIsOver } from '../sync/threads.ts'
export * from './rcu.ts'
export * from './retire-list.ts'
