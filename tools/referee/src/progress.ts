/** Whether a process still does something: how much processor time it uses. Linux. */

import { readFileSync } from 'node:fs'

/** What waiting threads that wake now and then use, of one processor. */
const IDLE_SHARE = 0.01
const TICK_MS = 10

/**
 * Calls `onIdle` when a process has used next to no processor time for `idleMs`; never if that or the process is undefined. Returns how to
 * stop watching, which must be done before the process's number can be another's.
 */
export function watchProgress(pid: number | undefined, idleMs: number | undefined, onIdle: () => void): () => void {
  if (pid === undefined || idleMs === undefined) return () => undefined
  let usedMs = 0
  const timer = setInterval(() => {
    const nowMs = processorMs(pid)
    if (nowMs - usedMs <= idleMs * IDLE_SHARE) onIdle()
    usedMs = nowMs
  }, idleMs)
  return () => clearInterval(timer)
}

/** Processor time of all threads of a process, as proc(5) has it; Infinity if there is no such process. */
function processorMs(pid: number): number {
  let stat: string
  try {
    stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
  } catch {
    return Infinity
  }
  // Behind the name, which may contain anything: the state is field 3, the times are 14 and 15.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return (Number(fields[11]) + Number(fields[12])) * TICK_MS
}
