/**
 * The flusher: brings journal entries to the devices, so that nobody but those who wait for it waits for the devices. It knows nothing of what it
 * writes.
 */

import { BroadcastChannel, isMainThread, workerData } from 'node:worker_threads'
import { Doorbell } from '@cowherd/fuse'
import type { DescriptorHandle } from '@cowherd/shim'
import * as memory from './flusher-memory.ts'
import { FlusherState, type FlusherMemory } from './flusher-memory.ts'
import { bringToDevices } from './flusher-tasks.ts'

export interface FlusherData {
  readonly memory: FlusherMemory
  readonly devices: readonly DescriptorHandle[]
  readonly doorbell: SharedArrayBuffer
  /** The channel by which the main thread is told to wake the engine. */
  readonly bell: string
}

if (isMainThread) throw new Error('this file is the code of a thread')
const data = workerData as FlusherData
const words = new Int32Array(data.memory.words)
const entry = new Uint8Array(data.memory.entry)
const doorbell = new Doorbell(data.doorbell)
const bell = new BroadcastChannel(data.bell)

for (;;) {
  Atomics.wait(words, memory.STATE, FlusherState.idle)
  Atomics.wait(words, memory.STATE, FlusherState.done)
  const state = Atomics.load(words, memory.STATE)
  if (state === FlusherState.quit) break
  if (state !== FlusherState.work) continue
  bringToDevices(words, entry, data.devices)
  Atomics.store(words, memory.STATE, FlusherState.done)
  Atomics.notify(words, memory.STATE)
  ring()
}

bell.close()

/** Wakes the engine. Where the kernel knows no file that it could be woken by, as when a name went that was looked up last, the main thread does. */
function ring(): void {
  const fd = Atomics.load(words, memory.FUSE_FD)
  if (fd < 0 || Atomics.load(words, memory.RINGS) === 0) return
  try {
    if (!doorbell.ring(fd)) bell.postMessage(null)
  } catch {
    // the mount is gone
  }
}
