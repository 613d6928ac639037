/** Schedules of threads, all or at random: the door. */

export { bundle, bundleScenarios, mutate, type Replacement } from './bundle.ts'
export * from './explore.ts'
export * from './scenario.ts'
export { ScheduledThreads } from './threads.ts'
