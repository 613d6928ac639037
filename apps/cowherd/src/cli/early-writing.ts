/**
 * Has the system write to the devices what it keeps for them, while a command goes on: nothing waits for it, and little is left to be written
 * when the volume is shut down. Otherwise a disk would stand idle while a gibibyte is copied, and then be waited for.
 *
 * This uses descriptors of its own: an error is told once to each, and is the flush's of whoever relies on it.
 */

import { closeSync, fdatasync, openSync } from 'node:fs'
import type { WritableBlockDevice } from '@cowherd/shim'

const EVERY_MS = 250

export class EarlyWriting {
  private readonly files: { readonly fd: number; isUnderway: boolean }[]
  private readonly timer: NodeJS.Timeout
  private isClosed = false

  /** `devices` are files or block devices. Timers run whenever the command rests. */
  constructor(devices: readonly WritableBlockDevice[]) {
    this.files = devices.map(({ name }) => ({ fd: openSync(name, 'r'), isUnderway: false }))
    this.timer = setInterval(() => this.start(), EVERY_MS).unref()
  }

  close(): void {
    this.isClosed = true
    clearInterval(this.timer)
    for (const { fd, isUnderway } of this.files) if (!isUnderway) closeSync(fd)
  }

  private start(): void {
    for (const file of this.files) {
      if (file.isUnderway) continue
      file.isUnderway = true
      fdatasync(file.fd, () => {
        file.isUnderway = false
        if (this.isClosed) closeSync(file.fd)
      })
    }
  }
}
