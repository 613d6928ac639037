/** A disk in memory that can fail, and that forgets what was not flushed when the power is cut. For tests. */

import { DeviceError, type WritableBlockDevice } from '@cowherd/shim'

const SECTOR = 512

interface Command {
  readonly offset: number
  readonly bytes: Uint8Array
}

/** Thrown by the command in which the power fails. It may have done anything it might. */
export class PowerCut extends Error {
  override readonly name = 'PowerCut'
}

/** What several disks hang on: the power fails in the command after so many. */
export interface PowerSupply {
  commandsLeft: number
}

export class Disk implements WritableBlockDevice {
  readonly name: string
  readonly size: number
  readonly alignment = 1
  readonly canDiscard = true
  /** What is read. */
  readonly bytes: Uint8Array
  /** What was done, in order: `write 4096+512`, `through ...`, `discard ...`, `flush`. */
  readonly log: string[] = []
  failsWrites = false
  failsFlushes = false
  failsDiscards = false
  private readonly power: PowerSupply
  private readonly stable: Uint8Array
  private waiting: Command[] = []

  constructor(content: number | Uint8Array, name = 'disk', power: PowerSupply = { commandsLeft: Infinity }) {
    this.bytes = typeof content === 'number' ? new Uint8Array(content) : content
    this.stable = this.bytes.slice()
    this.size = this.bytes.length
    this.name = name
    this.power = power
  }

  read(target: Uint8Array, offset: number): void {
    target.set(this.bytes.subarray(offset, offset + target.length))
  }

  write(source: Uint8Array, offset: number): void {
    this.log.push(`write ${offset}+${source.length}`)
    this.refuse(this.failsWrites || offset + source.length > this.size)
    const bytes = source.slice()
    this.bytes.set(bytes, offset)
    this.waiting.push({ offset, bytes })
    this.draw()
  }

  writeThrough(source: Uint8Array, offset: number): void {
    this.log.push(`through ${offset}+${source.length}`)
    this.refuse(this.failsWrites || offset + source.length > this.size)
    const bytes = source.slice()
    this.bytes.set(bytes, offset)
    this.waiting.push({ offset, bytes })
    this.draw()
    this.waiting.pop()
    this.stable.set(bytes, offset)
  }

  flush(): void {
    this.log.push('flush')
    this.refuse(this.failsFlushes)
    this.draw()
    for (const { offset, bytes } of this.waiting) this.stable.set(bytes, offset)
    this.waiting = []
  }

  discard(offset: number, length: number): void {
    this.log.push(`discard ${offset}+${length}`)
    this.refuse(this.failsDiscards)
    const bytes = new Uint8Array(length)
    this.bytes.set(bytes, offset)
    this.waiting.push({ offset, bytes })
    this.draw()
  }

  close(): void {
    // what is written stays
  }

  /**
   * What is on the disk after a power cut. Of what was not flushed, those sectors are there that `reaches` says: writes are counted from 0,
   * and sectors from the start of each.
   */
  afterCut(reaches: (write: number, sector: number) => boolean = () => false, power?: PowerSupply): Disk {
    const content = this.stable.slice()
    this.waiting.forEach(({ offset, bytes }, write) => {
      for (let at = 0; at < bytes.length; at += SECTOR) {
        if (reaches(write, at / SECTOR)) content.set(bytes.subarray(at, at + SECTOR), offset + at)
      }
    })
    return new Disk(content, this.name, power)
  }

  private refuse(fails: boolean): void {
    if (fails) throw new DeviceError('EIO', this.name, 'as the test wants it')
  }

  private draw(): void {
    if (this.power.commandsLeft-- <= 0) throw new PowerCut('the power has failed')
  }
}
