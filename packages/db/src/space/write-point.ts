/**
 * A write point: where one kind of data, or one writer's, goes next. It owns an open bucket on each device that it writes to, so what is
 * written together lies together, and what isn't doesn't share buckets. Format chapter 4, 4.9.2 and 4.9.4.
 */

import { MEMBERS_MAX } from '../superblock/sections/members.ts'
import type { OpenBucket } from './open-buckets.ts'

const TURN = 2 ** 48
const DECAY = 1 / 4

export class WritePoint {
  /** What is written: no bucket holds two kinds. */
  readonly dataType: number
  /** One on a device, or a few, if what was asked for didn't fit. */
  buckets: OpenBucket[] = []
  /** Which of the writers of file data it serves. */
  owner = -1
  /** When it was used last, in allocations. */
  usedAt = 0
  /** A time of each device, which passes the slower the more room it has: the device with the earliest is next. */
  private readonly times = new Float64Array(MEMBERS_MAX)

  constructor(dataType: number) {
    this.dataType = dataType
  }

  /** Sorts devices by whose turn it is. */
  sort(devices: number[]): number[] {
    return devices.sort((a, b) => this.times[a] - this.times[b] || a - b)
  }

  /** A bucket was taken from a device that has `available` left. */
  hasTaken(device: number, available: number): void {
    const { times } = this
    const decay = times[device] * DECAY
    times[device] += TURN / Math.max(1, available)
    for (let i = 0; i < times.length; i++) times[i] = Math.max(0, times[i] - decay)
  }
}
