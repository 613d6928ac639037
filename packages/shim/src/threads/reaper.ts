/**
 * Finds threads that died without anybody's code running: terminated, or out of memory. Their worker's exit event comes only when
 * their starter's event loop runs, and that may be blocked, waiting for just this thread. So each thread says which one of the
 * operating system it is, and who waits looks whether that is still there. Linux only.
 */

import { existsSync } from 'node:fs'
import type { SharedPlace } from '../sync/place.ts'
import { Header, Note, timeWord } from '../sync/registry-layout.ts'
import { reapWhileWaiting, type ThreadRegistry } from '../sync/threads.ts'

/** How often all threads of a process together look, at most: hundredths of a second. */
const PAUSE = 20

const TASKS = '/proc/self/task'

/** Makes this thread look for the dead while it waits. */
export function reapDeadThreads(registry: ThreadRegistry): void {
  reapWhileWaiting(() => lookAround(registry))
}

/** Where a thread notes its task, and then for which thread id that is valid; offsets in the whole buffer. */
export function taskWordsOf(
  registry: ThreadRegistry,
  id: number,
): { readonly buffer: SharedPlace['buffer']; readonly word: number; readonly ofWord: number } {
  const note = registry.place.offset / 4 + registry.noteOf(id)
  return { buffer: registry.place.buffer, word: note + Note.task, ofWord: note + Note.taskOf }
}

function lookAround(registry: ThreadRegistry): void {
  const { words } = registry
  const last = Atomics.load(words, Header.lastReap)
  const now = timeWord()
  if ((now - last) >>> 0 < PAUSE || Atomics.compareExchange(words, Header.lastReap, last, now) !== last) return
  for (let seat = 1; seat <= registry.seats; seat++) {
    const id = registry.idOf(seat)
    const note = registry.noteOf(id)
    if (id === 0 || !registry.isAlive(id) || Atomics.load(words, note + Note.taskOf) !== id) continue
    const task = Atomics.load(words, note + Note.task)
    if (!existsSync(`${TASKS}/${task}`) && existsSync(TASKS)) registry.markDead(id)
  }
}
