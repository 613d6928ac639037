/**
 * Which devices of a volume can be written to. One that fails is not written any more, and the superblock of the others says so; what has to
 * lie on several lies on others from then on.
 */

import { DeviceError, type BlockDevice } from '@cowherd/shim'
import type { LiveSuperblock, Options } from './superblock/index.ts'

export class DeviceHealth {
  readonly live: LiveSuperblock
  private readonly devices: readonly (BlockDevice | undefined)[]
  private readonly options: Options
  private readonly note: (message: string) => void
  private readonly failed = new Set<number>()
  /** A device has failed, and the others don't know yet. */
  private isUnwritten = false

  constructor(
    live: LiveSuperblock,
    devices: readonly (BlockDevice | undefined)[],
    options: Options,
    note: (message: string) => void,
  ) {
    this.live = live
    this.devices = devices
    this.options = options
    this.note = note
  }

  isWritable(device: number): boolean {
    if (this.devices[device] === undefined || this.failed.has(device)) return false
    return this.live.members[device].state === 'rw'
  }

  /** Whether any device has failed. */
  get hasFailures(): boolean {
    return this.failed.size > 0
  }

  /** A device has failed. `settle` tells the others. */
  fail(device: number, error: DeviceError): void {
    if (this.failed.has(device)) return
    this.note(`${error.message}: device ${device} is not written any more`)
    this.failed.add(device)
    this.live.leaveOut(device)
    if (this.live.setState(device, 'ro')) this.isUnwritten = true
  }

  /**
   * The same while the journal is written. What was written to a device that can't be flushed may be lost: throws the error unless all of
   * it is on another device too.
   */
  failInJournal(device: number, error: DeviceError): void {
    const { metadataReplicas, dataReplicas } = this.options
    if (metadataReplicas < 2 || dataReplicas < 2) throw error
    this.fail(device, error)
  }

  /** Has the devices know of those that have failed. Throws DeviceError if none is left. */
  settle(): void {
    if (this.isUnwritten) this.writeSuperblock()
  }

  /** Writes the superblock to all devices that have not failed. Throws DeviceError if none is left, SuperblockError. */
  writeSuperblock(): void {
    for (;;) {
      this.isUnwritten = false
      try {
        this.live.write()
        return
      } catch (error) {
        if (!(error instanceof DeviceError)) throw error
        const device = this.devices.findIndex((each) => each?.name === error.device)
        if (device < 0 || this.failed.has(device)) throw error
        this.fail(device, error)
        if (!this.devices.some((_, index) => this.isWritable(index))) throw error
      }
    }
  }
}
