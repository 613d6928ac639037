/**
 * Writes journal entries beside the engine, as the flusher of a mount does, as late as chance wants it: devices are flushed and copies written one
 * by one, and in between the engine goes on.
 */

import { isTracked, type EntryOutcome, type EntryThread, type EntryWrite } from '@cowherd/db'
import type { Random } from '@cowherd/fuzz'
import { writeThroughHeadLast, type WritableBlockDevice } from '@cowherd/shim'

export class LateThread implements EntryThread {
  private readonly devices: ReadonlyMap<string, WritableBlockDevice>
  private readonly random: Random
  private steps: (() => void)[] = []
  private written: number[] = []
  private isBusy = false

  /** `devices`: those that the database was given. */
  constructor(devices: readonly WritableBlockDevice[], random: Random) {
    this.devices = new Map(devices.map((device) => [device.name, device]))
    this.random = random
  }

  start({ bytes, headBytes, copies, flushFirst }: EntryWrite): void {
    const entry = bytes.slice()
    const flushed = flushFirst.filter(({ device }) => !isTracked(device) || device.beginFlush())
    this.written = []
    this.isBusy = true
    this.steps = [
      ...flushed.map(
        ({ device }) =>
          () =>
            this.own(device).flush(),
      ),
      ...copies.map(({ device, index, offset }) => () => {
        writeThroughHeadLast(this.own(device), entry, offset, headBytes)
        this.written.push(index)
      }),
    ]
  }

  poll(): EntryOutcome | undefined {
    if (!this.isBusy) return undefined
    while (this.steps.length > 0 && this.random.chance(0.4)) this.steps.shift()?.()
    return this.steps.length > 0 ? undefined : this.done()
  }

  wait(): EntryOutcome {
    for (const step of this.steps.splice(0)) step()
    return this.done()
  }

  private done(): EntryOutcome {
    this.isBusy = false
    return { written: this.written, failures: [] }
  }

  private own({ name }: WritableBlockDevice): WritableBlockDevice {
    const device = this.devices.get(name)
    if (device === undefined) throw new RangeError(`${name} is none of the thread's devices`)
    return device
  }
}
