/**
 * The flusher: brings journal entries to the devices, so that nobody but those who wait for it waits for the devices. It knows nothing of what it
 * writes. Devices that are to be flushed are, all of them, before the entry goes to any: an entry promises that what came before is on stable
 * storage.
 */

import { fdatasyncSync } from 'node:fs'
import { BroadcastChannel, isMainThread, workerData } from 'node:worker_threads'
import { Doorbell } from '@cowherd/fuse'
import { DeviceError, writeFully, type DescriptorHandle } from '@cowherd/shim'
import * as memory from './flusher-memory.ts'
import { FlusherState, Task, type FlusherMemory } from './flusher-memory.ts'
import { numberOf } from './flusher-errors.ts'

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
  work()
  Atomics.store(words, memory.STATE, FlusherState.done)
  Atomics.notify(words, memory.STATE)
  ring()
}

bell.close()

function work(): void {
  const length = words[memory.LENGTH]
  data.devices.forEach(({ fd }, device) => {
    const row = memory.rowOf(device)
    if ((words[row + memory.TASK] & Task.flush) !== 0) {
      words[row + memory.FLUSH_RESULT] = attempt(() => fdatasyncSync(fd))
    }
  })
  data.devices.forEach((device, number) => {
    const row = memory.rowOf(number)
    const isWanted = (words[row + memory.TASK] & Task.write) !== 0
    if (!isWanted || words[row + memory.FLUSH_RESULT] !== 0) return
    const offset = words[row + memory.OFFSET_HI] * 0x100000000 + (words[row + memory.OFFSET_LO] >>> 0)
    words[row + memory.WRITE_RESULT] = attempt(() => writeThrough(device, length, offset))
  })
}

function writeThrough({ fd, throughFd, name }: DescriptorHandle, length: number, offset: number): void {
  const done = writeFully(throughFd ?? fd, entry, 0, length, offset)
  if (done !== length) throw new DeviceError('EIO', name, `it takes no bytes at ${offset + done}`)
  if (throughFd === undefined) fdatasyncSync(fd)
}

function attempt(action: () => void): number {
  try {
    action()
    return 0
  } catch (error) {
    return numberOf(error)
  }
}

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
