/** The entry of an I/O thread. */

import { readlinkSync } from 'node:fs'
import { receiveMessageOnPort, workerData, type MessagePort } from 'node:worker_threads'
import type { SharedPlace } from '../sync/place.ts'
import { ThreadRegistry } from '../sync/threads.ts'
import { AioMemory } from './aio-memory.ts'
import { IoThread } from './io-thread.ts'
import type { IoNews } from './performer.ts'

/** What an I/O thread is started with. */
export interface IoWorkerData {
  readonly registry: SharedPlace
  readonly id: number
  readonly place: SharedPlace
  /** Its number among the workers. */
  readonly worker: number
  /** Where news of devices and buffers come. */
  readonly port: MessagePort
}

const { registry: registryPlace, id, place, worker, port } = workerData as IoWorkerData
const registry = new ThreadRegistry(registryPlace)
registry.enter(id)
try {
  const memory = new AioMemory(place)
  memory.setWorker(worker, id, taskId())
  await new IoThread(memory, nextNews).serve()
} finally {
  port.close()
  registry.markDead(id)
}

function nextNews(): IoNews | undefined {
  return receiveMessageOnPort(port)?.message as IoNews | undefined
}

/** This thread's id in the operating system, 0 if it can't be told. */
function taskId(): number {
  try {
    return Number(/(\d+)$/.exec(readlinkSync('/proc/thread-self'))?.[1] ?? 0)
  } catch {
    return 0
  }
}
