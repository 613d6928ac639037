/** Disks that remember, in one order over all of them, what was written, flushed and discarded. */

import type { WritableBlockDevice } from '@cowherd/shim'
import type { Image } from './image.ts'

/** What a disk was told. `disk` is its number. */
export type Command =
  | { readonly kind: 'write'; readonly disk: number; readonly offset: number; readonly bytes: Uint8Array }
  /** On stable storage when it returns (FUA). */
  | { readonly kind: 'write through'; readonly disk: number; readonly offset: number; readonly bytes: Uint8Array }
  | { readonly kind: 'discard'; readonly disk: number; readonly offset: number; readonly length: number }
  | { readonly kind: 'flush'; readonly disk: number }

export interface Recorded {
  /** What was on the disks before. */
  readonly before: readonly Image[]
  readonly commands: readonly Command[]
}

export class Recording implements Recorded {
  readonly before: readonly Image[]
  /** What is written to these is recorded. Commands that fail are not. */
  readonly devices: readonly WritableBlockDevice[]
  readonly commands: readonly Command[]

  /** `before` isn't changed. */
  constructor(before: readonly Image[], names: readonly string[] = before.map((_, disk) => `disk ${disk}`)) {
    const commands: Command[] = []
    this.commands = commands
    this.before = before
    this.devices = before.map((image, disk) => recorded(image.copy().device(names[disk]), disk, commands))
  }
}

/** What would have been recorded had somebody forgotten to flush: without flushes number `which`, counted from 0. */
export function withoutFlushes({ before, commands }: Recorded, ...which: readonly number[]): Recorded {
  let flushes = 0
  return { before, commands: commands.filter(({ kind }) => kind !== 'flush' || !which.includes(flushes++)) }
}

function recorded(device: WritableBlockDevice, disk: number, commands: Command[]): WritableBlockDevice {
  return {
    ...device,
    write(source, offset) {
      device.write(source, offset)
      commands.push({ kind: 'write', disk, offset, bytes: source.slice() })
    },
    writeThrough(source, offset) {
      device.writeThrough(source, offset)
      commands.push({ kind: 'write through', disk, offset, bytes: source.slice() })
    },
    discard(offset, length) {
      device.discard(offset, length)
      commands.push({ kind: 'discard', disk, offset, length })
    },
    flush() {
      device.flush()
      commands.push({ kind: 'flush', disk })
    },
  }
}
