/**
 * What requests go through, in whichever thread: each function is one arrow of a slot's life (`slots.ts`), and the rescue of
 * slots whose thread has died. Nothing here sleeps.
 */

import { existsSync } from 'node:fs'
import { self } from '../sync/threads.ts'
import { type AioMemory, DEATHS, Phase, PHASE, WORKERS } from './aio-memory.ts'
import { resultOf } from './errno.ts'
import type { Performer } from './performer.ts'
import type { RequestBatch } from './request-batch.ts'
import { COOKIE, ownerOf, OPERATION, passedOn, QUEUE, RESULT, STATE, Status, STATUS_MASK } from './slots.ts'

/** Moves requests from the batch into free slots, and queues them. Returns how many. Nobody is woken. */
export function enqueue(memory: AioMemory, batch: RequestBatch): number {
  const { words } = memory
  const { id } = self()
  let count = 0
  for (; batch.length > 0; count++) {
    const slot = memory.free.take(id, Status.filling)
    if (slot < 0) break
    const at = memory.slotAt(slot)
    batch.moveTo(words, at + OPERATION)
    words[at + QUEUE] = batch.queue
    passOn(words, at, id, Status.queued)
    memory.submitted.push(slot)
  }
  refuseUnserved(memory) // who closes, or found all workers dead, may have looked before these came
  return count
}

/** Takes the next request that is to be performed. Returns its slot, or -1. */
export function takeRequest(memory: AioMemory): number {
  return memory.submitted.take(self().id, Status.running)
}

/** The owner of a slot passes it on: everything that it wrote there is published. */
function passOn(words: Int32Array, at: number, id: number, status: number): void {
  Atomics.store(words, at + STATE, passedOn(words[at + STATE], id, status)) // nobody else changes it
}

/** Says what became of a request that this thread has taken. */
export function complete(memory: AioMemory, slot: number, result: number): void {
  const { words } = memory
  const at = memory.slotAt(slot)
  const queue = words[at + QUEUE]
  words[at + RESULT] = result
  passOn(words, at, self().id, Status.done)
  memory.completed[queue].push(slot)
  memory.reapers[queue].wake()
}

/** Performs the next request in this thread. False: there is none. */
export function performNext(memory: AioMemory, performer: Performer): boolean {
  const slot = takeRequest(memory)
  if (slot < 0) return false
  complete(memory, slot, performer.perform(slot))
  return true
}

/**
 * Takes completions, as many as there are and `events` has room for behind the first `count`: a cookie and a result each. Returns
 * how many `events` has then.
 */
export function reapInto(memory: AioMemory, queue: number, events: Int32Array, count: number): number {
  const { words } = memory
  const { id } = self()
  const ring = memory.completed[queue]
  const most = events.length >> 1
  let end = count
  for (; end < most; end++) {
    const slot = ring.take(id, Status.reaping)
    if (slot < 0) break
    const at = memory.slotAt(slot)
    events[2 * end] = words[at + COOKIE]
    events[2 * end + 1] = words[at + RESULT]
    passOn(words, at, id, Status.free)
    memory.free.push(slot)
  }
  if (end > count) memory.space.wake()
  return end
}

/** Completes the queued requests, unperformed, if no worker will come for them: ECANCELED when closed, EIO if all are dead. */
export function refuseUnserved(memory: AioMemory): void {
  const { phase } = memory
  if (phase !== Phase.closed && phase !== Phase.failed) return
  const result = resultOf(phase === Phase.closed ? 'ECANCELED' : 'EIO')
  for (let slot = takeRequest(memory); slot >= 0; slot = takeRequest(memory)) complete(memory, slot, result)
}

/** How many requests are between submission and completion. */
export function unfinished(memory: AioMemory): number {
  let count = 0
  for (let slot = 0; slot < memory.depth; slot++) {
    const status = Atomics.load(memory.words, memory.slotAt(slot)) & STATUS_MASK
    if (status === Status.filling || status === Status.queued || status === Status.running) count++
  }
  return count
}

/**
 * Looks for threads that have died, and brings what they had on: a request that was being performed fails with EIO, a completion that
 * was being taken is lost with its reaper, anything else goes on as if they hadn't died. If no worker lives any more, requests
 * that wait for one fail with EIO, and so do later ones. Any thread may call it at any time.
 */
export function rescue(memory: AioMemory): void {
  buryWorkers(memory)
  rescueSlots(memory)
  refuseUnserved(memory)
  memory.work.wake()
  memory.space.wake()
  for (const reapers of memory.reapers) reapers.wake()
}

/** How many of the workers that were started live. */
export function livingWorkers(memory: AioMemory): number {
  const { registry } = self()
  let count = 0
  for (let worker = 0; worker < memory.words[WORKERS]; worker++) {
    const id = memory.workerId(worker)
    if (id !== 0 && registry.isAlive(id)) count++
  }
  return count
}

/**
 * A worker that was killed is missed by the thread that started it when its event loop comes to it; Linux tells everybody at once.
 */
function buryWorkers(memory: AioMemory): void {
  const { registry } = self()
  for (let worker = 0; worker < memory.words[WORKERS]; worker++) {
    const id = memory.workerId(worker)
    if (id === 0) continue
    const task = memory.workerTask(worker)
    if (registry.isAlive(id) && (task === 0 || existsSync(`/proc/self/task/${task}`))) continue
    registry.markDead(id)
    if (memory.buryWorker(worker, id) && memory.phase < Phase.closing) Atomics.add(memory.words, DEATHS, 1)
  }
  if (memory.words[WORKERS] > 0 && livingWorkers(memory) === 0) {
    Atomics.compareExchange(memory.words, PHASE, Phase.open, Phase.failed)
  }
}

function rescueSlots(memory: AioMemory): void {
  const { words } = memory
  const { registry, id: me } = self()
  let adopted: number[] | undefined
  for (let slot = 0; slot < memory.depth; slot++) {
    const at = memory.slotAt(slot) + STATE
    const state = Atomics.load(words, at)
    const owner = ownerOf(state)
    if (owner === 0 || registry.isAlive(owner)) continue
    let status = state & STATUS_MASK
    if (status === Status.filling || status === Status.reaping) status = Status.free
    // What is being performed stays so under the rescuer's name until it has its result.
    if (Atomics.compareExchange(words, at, state, passedOn(state, me, status)) !== state) continue
    if (status === Status.running) complete(memory, slot, resultOf('EIO'))
    else (adopted ??= []).push(slot)
  }
  if (adopted !== undefined) reenter(memory, adopted)
}

/** Puts slots into the rings where they belong, unless they are there: their thread may have died just before. */
function reenter(memory: AioMemory, slots: readonly number[]): void {
  const isFree = new Uint8Array(memory.depth)
  const isQueued = new Uint8Array(memory.depth)
  const isDone = new Uint8Array(memory.depth)
  memory.free.find(isFree)
  memory.submitted.find(isQueued)
  for (const ring of memory.completed) ring.find(isDone)
  for (const slot of slots) {
    const at = memory.slotAt(slot)
    const status = Atomics.load(memory.words, at + STATE) & STATUS_MASK
    if (status === Status.free && isFree[slot] === 0) memory.free.push(slot)
    else if (status === Status.queued && isQueued[slot] === 0) memory.submitted.push(slot)
    else if (status === Status.done && isDone[slot] === 0) memory.completed[memory.words[at + QUEUE]].push(slot)
  }
}
