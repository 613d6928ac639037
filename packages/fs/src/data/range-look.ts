/**
 * What lies in a range of a file before it is overwritten: how much space the new data needs beyond what it frees, and how many extents a
 * transaction would have to deal with. Format chapter 6, 6.8, and 4, 4.9.6.
 */

import {
  BtreeId,
  ExtentPointers,
  isCompressed,
  KEY_BYTES,
  setBpos,
  type Bpos,
  type Key,
  type KeyCursor,
} from '@cowherd/db'
import { EXTENT } from '../extents/extent-key.ts'
import { RESERVATION, reservationReplicas } from '../key-types/reservation.ts'
import type { ChangingFile } from './changing-file.ts'
import type { DataVolume } from './data-volume.ts'

export class RangeLook {
  /** Sectors that new data in the range needs, all copies together, beyond what comes free by it: not below 0. */
  needed = 0
  /** Sectors that lie in holes. */
  holes = 0
  /** Sectors that promises of space there are short of, all copies together. */
  promised = 0
  /** Up to which sector there are not more extents than asked for: the end of the range, or of an extent in it. */
  end = 0
  private readonly volume: DataVolume
  private readonly pointers = new ExtentPointers()
  private readonly pos: Bpos = new Uint32Array(5)
  private cursor: KeyCursor | undefined
  private snapshot = 0

  constructor(volume: DataVolume) {
    this.volume = volume
  }

  /** Looks at the sectors from `from` to `to`. Throws KeyError for a malformed extent. */
  look(file: ChangingFile, from: number, to: number, extentsMax = Infinity): this {
    const { version, options } = file
    const { dataReplicas } = options
    let covered = from
    let needed = 0
    let extents = 0
    this.holes = 0
    this.promised = 0
    this.end = to
    const cursor = this.cursorOf(version.snapshot)
    const { key } = cursor
    let found = this.seek(file, from)
    while (found && isOf(key, file) && key.start < to) {
      if (++extents === extentsMax && key.offset < to) this.end = key.offset
      const start = Math.max(key.start, from)
      const sectors = Math.min(key.offset, to) - start
      if (start > covered) this.holes += start - covered
      needed += Math.max(0, start - covered) * dataReplicas
      needed += sectors * (dataReplicas - this.copiesFreed(key, version.snapshot))
      if (key.type === RESERVATION) this.promised += sectors * Math.max(0, dataReplicas - reservationReplicas(key))
      covered = start + sectors
      if (key.offset >= to) break
      found = cursor.next()
    }
    this.holes += to - covered
    this.needed = Math.max(0, needed + (to - covered) * dataReplicas)
    return this
  }

  /** Whether some of the sectors may hold anything but zeros. */
  hasData(file: ChangingFile, from: number, to: number): boolean {
    const cursor = this.cursorOf(file.version.snapshot)
    const { key } = cursor
    for (let found = this.seek(file, from); found && isOf(key, file) && key.start < to; found = cursor.next()) {
      if (!this.isZeros(key)) return true
    }
    return false
  }

  /** Goes to the first extent behind `sector`. */
  private seek({ version }: ChangingFile, sector: number): boolean {
    setBpos(this.pos, version.numberHi, version.numberLo, Math.floor((sector + 1) / 0x100000000), sector + 1, 0)
    return this.cursorOf(version.snapshot).seek(this.pos)
  }

  private isZeros(key: Key): boolean {
    if (key.type === RESERVATION) return true
    if (key.type !== EXTENT) return false
    this.pointers.decode(key, KEY_BYTES)
    return this.pointers.unwritten[0] === 1
  }

  /** How many copies of the sectors of an extent come free when it is overwritten: what others see stays, and what is compressed may. */
  private copiesFreed(key: Key, snapshot: number): number {
    if (key.snapshot !== snapshot) return 0
    if (key.type === RESERVATION) return reservationReplicas(key)
    if (key.type !== EXTENT) return 0
    const { pointers } = this
    const count = pointers.decode(key, KEY_BYTES)
    let copies = 0
    for (let i = 0; i < count; i++) {
      if (pointers.cached[i] === 0 && !isCompressed(pointers.compressionType[i])) copies++
    }
    return copies
  }

  private cursorOf(snapshot: number): KeyCursor {
    if (this.cursor === undefined || this.snapshot !== snapshot) {
      this.cursor = this.volume.snapshotCursor(BtreeId.extents, snapshot)
      this.snapshot = snapshot
    }
    return this.cursor
  }
}

function isOf(key: Key, { version }: ChangingFile): boolean {
  return key.inodeLo === version.numberLo && key.inodeHi === version.numberHi
}
