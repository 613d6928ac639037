/**
 * The engine's side of the flusher: hands an entry of the journal over, and hears what has come of it, without waiting. Format chapter 3,
 * 3.7.5: what an entry promises.
 *
 * To hand over and to be woken takes two changes of threads and a message of the kernel's. Where the devices have taken less than that so far, the
 * engine does it by itself: on memory, and on disks that need not bring anything anywhere when they are flushed.
 */

import { Worker } from 'node:worker_threads'
import { isTracked, type EntryOutcome, type EntryThread, type EntryWrite } from '@cowherd/db'
import { DeviceError, type DescriptorHandle, type DeviceHandle, type WritableBlockDevice } from '@cowherd/shim'
import { nameOf } from './flusher-errors.ts'
import * as memory from './flusher-memory.ts'
import { FlusherState, newFlusherMemory, Task, type FlusherMemory } from './flusher-memory.ts'
import { bringToDevices } from './flusher-tasks.ts'
import type { FlusherData } from './flusher.worker.ts'

/** Entries are no larger. Format chapter 3, 3.2. */
const ENTRY_BYTES_MAX = 4 << 20
/** What handing over takes, more or less. */
const QUICK_US = 200
/** Of the mean time that an entry takes, the share of the last one. */
const LAST_SHARE = 1 / 8

type Failure = EntryOutcome['failures'][number]

export class JournalFlusher implements EntryThread {
  private readonly shared: FlusherMemory
  private readonly words: Int32Array
  private readonly entry: Uint8Array
  private readonly handles: readonly DescriptorHandle[]
  private readonly worker: Worker
  /** Of the entry that is being written: numbers of the volume's devices, by row; -1: it has no part in it. */
  private readonly devices: number[]
  /** How long an entry takes, by and by. */
  private meanUs = 10 * QUICK_US
  /** The engine has brought an entry to the devices by itself, and nobody has asked yet. */
  private isDoneHere = false

  /** Undefined if a device can't be reached from another thread. */
  static over(
    devices: readonly WritableBlockDevice[],
    waking: Pick<FlusherData, 'doorbell' | 'bell'>,
  ): JournalFlusher | undefined {
    const handles = devices.map(({ handle }) => handle).filter(isDescriptor)
    return handles.length === devices.length ? new JournalFlusher(handles, waking) : undefined
  }

  private constructor(
    handles: readonly DescriptorHandle[],
    { doorbell, bell }: Pick<FlusherData, 'doorbell' | 'bell'>,
  ) {
    this.handles = handles
    this.devices = handles.map(() => -1)
    this.shared = newFlusherMemory(handles.length, ENTRY_BYTES_MAX)
    this.words = new Int32Array(this.shared.words)
    this.words[memory.FUSE_FD] = -1
    this.entry = new Uint8Array(this.shared.entry)
    const data: FlusherData = { memory: this.shared, devices: handles, doorbell, bell }
    this.worker = new Worker(new URL('./flusher.worker.js', import.meta.url), { workerData: data, name: 'flusher' })
  }

  /** The engine serves this device, and is to be woken when an entry is written. */
  serves(fuseFd: number): void {
    Atomics.store(this.words, memory.FUSE_FD, fuseFd)
    Atomics.store(this.words, memory.RINGS, 1)
  }

  start({ bytes, headBytes, copies, flushFirst }: EntryWrite): void {
    const { words } = this
    this.entry.set(bytes)
    words[memory.LENGTH] = bytes.length
    words[memory.HEAD_BYTES] = headBytes
    this.devices.fill(-1)
    for (let row = 0; row < this.handles.length; row++) words.fill(0, memory.rowOf(row), memory.rowOf(row + 1))
    for (const { index, device } of flushFirst) {
      if (!isTracked(device) || device.beginFlush()) this.addTask(device, index, Task.flush)
    }
    for (const { index, device, offset } of copies) {
      const row = this.addTask(device, index, Task.write)
      words[row + memory.OFFSET_LO] = offset
      words[row + memory.OFFSET_HI] = Math.floor(offset / 0x100000000)
    }
    if (this.meanUs < QUICK_US) {
      bringToDevices(words, this.entry, this.handles)
      this.isDoneHere = true // the thread sleeps on
      return
    }
    Atomics.store(words, memory.STATE, FlusherState.work)
    Atomics.notify(words, memory.STATE)
  }

  poll(): EntryOutcome | undefined {
    if (this.isDoneHere) {
      this.isDoneHere = false
      return this.outcome()
    }
    if (Atomics.load(this.words, memory.STATE) !== FlusherState.done) return undefined
    Atomics.store(this.words, memory.STATE, FlusherState.idle)
    Atomics.notify(this.words, memory.STATE)
    return this.outcome()
  }

  wait(): EntryOutcome {
    for (;;) {
      const outcome = this.poll()
      if (outcome !== undefined) return outcome
      Atomics.wait(this.words, memory.STATE, FlusherState.work)
    }
  }

  /** Ends the thread, when it is done with what it is at. */
  end(): void {
    Atomics.store(this.words, memory.STATE, FlusherState.quit)
    Atomics.notify(this.words, memory.STATE)
    this.worker.unref()
  }

  private addTask(device: WritableBlockDevice, index: number, task: number): number {
    const number = this.handles.findIndex(({ name }) => name === device.name)
    if (number < 0) throw new RangeError(`${device.name} is no device of the flusher's`)
    this.devices[number] = index
    const row = memory.rowOf(number)
    this.words[row + memory.TASK] |= task
    return row
  }

  private outcome(): EntryOutcome {
    const { words } = this
    this.meanUs += LAST_SHARE * (words[memory.TOOK_US] - this.meanUs)
    const written: number[] = []
    const failures: Failure[] = []
    this.devices.forEach((device, number) => {
      if (device < 0) return
      const row = memory.rowOf(number)
      const { name } = this.handles[number]
      const flushed = words[row + memory.FLUSH_RESULT]
      const wrote = words[row + memory.WRITE_RESULT]
      if (flushed !== 0) failures.push({ device, step: 'flush', error: errorOf(name, flushed) })
      else if (wrote !== 0) failures.push({ device, step: 'write', error: errorOf(name, wrote) })
      else if ((words[row + memory.TASK] & Task.write) !== 0) written.push(device)
    })
    return { written, failures }
  }
}

function errorOf(name: string, number: number): DeviceError {
  const code = nameOf(number)
  return new DeviceError(code, name, `bringing the journal to stable storage failed (${code})`)
}

function isDescriptor(handle: DeviceHandle | undefined): handle is DescriptorHandle {
  return handle?.kind === 'descriptor'
}
