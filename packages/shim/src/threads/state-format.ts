/** The state dump as text for people. */

import type { HoldState, LockReference, StateDump, ThreadReference, ThreadState, WaitState } from './state-dump.ts'

/** Several lines, the last one ended. */
export function formatState({ at, threads, circles, reports }: StateDump): string {
  const lines = [
    `${threads.length} threads at ${at}`,
    ...threads.flatMap(formatThread),
    ...circles.map((circle) => `wait in a circle: ${[...circle, circle[0]].map(formatReference).join(' -> ')}`),
    ...Object.entries(reports).flatMap(([name, report]) => formatReport(name, report)),
  ]
  return `${lines.join('\n')}\n`
}

function formatThread(thread: ThreadState): string[] {
  const { ageMs, waits, holds } = thread
  return [
    `  ${formatReference(thread)}, for ${formatTime(ageMs)}`,
    ...waits.map((wait) => `    ${formatWait(wait)}`),
    ...holds.map((hold) => `    ${formatHold(hold)}`),
  ]
}

function formatWait({ for: lock, mode, sinceMs, owner }: WaitState): string {
  const how = mode === undefined ? '' : ` (${mode})`
  const whose = owner === undefined ? '' : `, owned by ${formatReference(owner)}`
  return `waits for ${formatLock(lock)}${how} since ${formatTime(sinceMs)}${whose}`
}

function formatHold({ lock, mode, count, knownBy }: HoldState): string {
  const times = count === 1 ? '' : `, ${count} times`
  const source = knownBy === 'waiter' ? ', says who waits' : ''
  return `holds ${formatLock(lock)} (${mode}${times}${source})`
}

function formatLock({ kind, number, name }: LockReference): string {
  return name === '' ? `${kind} ${number & 0xfffffff}` : `${kind} "${name}"`
}

function formatReference({ id, name, isAlive }: ThreadReference): string {
  const who = name === '' ? `thread ${id}` : `${name} (${id})`
  return isAlive ? who : `${who}, dead`
}

function formatTime(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`
}

/** A report's fields on lines of their own, in the manner of YAML. */
function formatReport(name: string, report: unknown): string[] {
  if (typeof report !== 'object' || report === null) return [`${name}: ${JSON.stringify(report)}`]
  return [`${name}:`, ...Object.entries(report).map(([field, value]) => `  ${field}: ${JSON.stringify(value)}`)]
}
