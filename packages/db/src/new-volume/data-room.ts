/**
 * Room for the data of files of a volume that is being built: one piece behind the other, so that what is written in a row lies in a row on each
 * device. Format chapter 4, 4.9.
 */

import { DataType } from '../data-types.ts'
import { sectorsForMoving } from '../space/reserves.ts'
import { devicesFor, type DeviceSpace } from './device-space.ts'
import type { NodePlace } from './tree-shape.ts'

export interface DataRoomOptions {
  /** Copies of data that are wanted. */
  readonly copies: number
  /** Devices that it should lie on, if there is room. */
  readonly isPreferred: (device: number) => boolean
  readonly nodeSectors: number
}

/** Of each device as much stays free at least: for btrees, and for moving what is on it (`Capacity`). */
const FREE_SHARE_SHIFT = 3

export class DataRoom {
  /** Where the room is that was taken last, one place on each of several devices. */
  places: readonly NodePlace[] = []
  private readonly spaces: readonly DeviceSpace[]
  private readonly options: DataRoomOptions
  /** Those that are written to, as long as none of them needs a new bucket. */
  private chosen: readonly DeviceSpace[] = []
  /** Sectors that can be taken before one of them does. */
  private left = 0

  constructor(spaces: readonly DeviceSpace[], options: DataRoomOptions) {
    this.spaces = spaces
    this.options = options
  }

  /** Takes contiguous room for so many sectors, or for the first of them. Returns for how many; 0 if there is none. */
  take(sectors: number): number {
    if (this.left === 0) this.choose()
    const taken = Math.min(sectors, this.left)
    this.left -= taken
    this.places = taken === 0 ? [] : this.chosen.map((space) => placeOn(space, taken))
    return taken
  }

  /** How many sectors of data can be taken, with all their copies: not more than that, and enough stays free. */
  get freeSectors(): number {
    const { copies, nodeSectors } = this.options
    let sum = 0
    let largest = 0
    const candidates = this.candidates()
    if (candidates.length < copies) return 0
    for (const { of, freeBuckets } of candidates) {
      const { bucketCount, bucketSectors } = of
      const kept = Math.max(
        (bucketCount >> FREE_SHARE_SHIFT) * bucketSectors,
        sectorsForMoving(shapeOf(of), nodeSectors),
      )
      const free = Math.max(0, freeBuckets * bucketSectors - kept)
      sum += free
      largest = Math.max(largest, free)
    }
    return copies === 1 ? sum : Math.floor(Math.min(sum / copies, (sum - largest) / (copies - 1)))
  }

  private choose(): void {
    const { copies } = this.options
    const chosen: DeviceSpace[] = []
    let left = Infinity
    for (const space of this.candidates()) {
      if (chosen.length === copies) break
      const room = space.dataRoom()
      if (room === 0) continue
      chosen.push(space)
      left = Math.min(left, room)
    }
    this.chosen = chosen
    this.left = chosen.length === copies ? left : 0
  }

  private candidates(): DeviceSpace[] {
    return devicesFor(this.spaces, DataType.user, this.options.isPreferred)
  }
}

function placeOn(space: DeviceSpace, sectors: number): NodePlace {
  return { device: space.of.index, sector: space.takeData(sectors) }
}

function shapeOf({
  bucketCount,
  bucketSectors,
  durability,
}: DeviceSpace['of']): Parameters<typeof sectorsForMoving>[0] {
  return { firstBucket: 0, bucketCount, bucketSectors, durability }
}
