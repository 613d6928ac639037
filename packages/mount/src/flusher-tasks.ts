/**
 * What there is to do for an entry of the journal: devices that are to be flushed are, all of them, before the entry goes to any. An entry promises
 * that what came before is on stable storage.
 */

import { fdatasyncSync } from 'node:fs'
import { DeviceError, writeFully, writeThroughHeadLast, type DescriptorHandle } from '@cowherd/shim'
import { numberOf } from './flusher-errors.ts'
import * as memory from './flusher-memory.ts'
import { Task } from './flusher-memory.ts'

/** Does what the words say, in whichever thread, and notes what came of it and how long it took. */
export function bringToDevices(words: Int32Array, entry: Uint8Array, devices: readonly DescriptorHandle[]): void {
  const started = performance.now()
  const bytes = entry.subarray(0, words[memory.LENGTH])
  for (let number = 0; number < devices.length; number++) {
    const row = memory.rowOf(number)
    if ((words[row + memory.TASK] & Task.flush) === 0) continue
    words[row + memory.FLUSH_RESULT] = attempt(() => fdatasyncSync(devices[number].fd))
  }
  for (let number = 0; number < devices.length; number++) {
    const row = memory.rowOf(number)
    const isWanted = (words[row + memory.TASK] & Task.write) !== 0
    if (!isWanted || words[row + memory.FLUSH_RESULT] !== 0) continue
    const offset = words[row + memory.OFFSET_HI] * 0x100000000 + (words[row + memory.OFFSET_LO] >>> 0)
    const device = { writeThrough: (part: Uint8Array, at: number) => writeThrough(devices[number], part, at) }
    words[row + memory.WRITE_RESULT] = attempt(() =>
      writeThroughHeadLast(device, bytes, offset, words[memory.HEAD_BYTES]),
    )
  }
  words[memory.TOOK_US] = Math.min((performance.now() - started) * 1000, TOOK_US_MAX)
}

const TOOK_US_MAX = 1e9

function writeThrough({ fd, throughFd, name }: DescriptorHandle, bytes: Uint8Array, at: number): void {
  const done = writeFully(throughFd ?? fd, bytes, 0, bytes.length, at)
  if (done !== bytes.length) throw new DeviceError('EIO', name, `it takes no bytes at ${at + done}`)
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
