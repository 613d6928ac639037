/**
 * Promises space to files: reservations, which read as zeros, and are counted as used until data comes to lie there. Format chapter 6, 6.9.3.
 *
 * Files with the option nocow get the same: no space is chosen for data that isn't there yet.
 */

import { BtreeId, Key, peekVisible, setBpos, VolumeError, type Bpos, type Updates } from '@cowherd/db'
import { setSize } from '../inode-versions.ts'
import { RESERVATION, reservationReplicas, ReservationValue } from '../key-types/reservation.ts'
import type { BlockWriter } from './block-writer.ts'
import type { AlsoChange, ChangingFile, ChangingFiles } from './changing-file.ts'
import type { DataVolume } from './data-volume.ts'
import type { ExtentInserter } from './extent-inserter.ts'
import type { Holes } from './holes.ts'
import type { RangeLook } from './range-look.ts'

const SECTOR = 512
/** Extents that one transaction replaces, or puts. */
const EXTENTS_AT_ONCE = 32

export class SpacePromises {
  private readonly volume: DataVolume
  private readonly files: ChangingFiles
  private readonly blocks: BlockWriter
  private readonly holes: Holes
  private readonly inserter: ExtentInserter
  private readonly look: RangeLook
  /** No extent is longer. */
  private readonly sectorsMax: number
  private readonly key = new Key()
  private readonly old = new Key()
  private readonly pos: Bpos = new Uint32Array(5)

  constructor(
    volume: DataVolume,
    files: ChangingFiles,
    blocks: BlockWriter,
    holes: Holes,
    inserter: ExtentInserter,
    look: RangeLook,
  ) {
    this.volume = volume
    this.files = files
    this.blocks = blocks
    this.holes = holes
    this.inserter = inserter
    this.look = look
    this.sectorsMax = 2 ** 32 - volume.shape.blockSectors
  }

  /** Promises space to the holes among the bytes from `from` to `to`; the rest stays. Throws VolumeError ENOSPC. */
  allocate(file: ChangingFile, from: number, to: number, grows: boolean, also: AlsoChange): void {
    const { blockBytes } = this.blocks
    const first = (Math.floor(from / blockBytes) * blockBytes) / SECTOR
    const last = (Math.ceil(to / blockBytes) * blockBytes) / SECTOR
    this.granted(this.missing(file, first, last), () => {
      for (let at = first; at < last;) {
        this.files.change(
          file,
          (updates, inode) => {
            const { end, sectors } = this.fillHoles(updates, file, at, last)
            at = end
            if (grows && end === last && to > inode.size) setSize(inode, to)
            return sectors
          },
          also,
          false,
        )
      }
    })
  }

  /** Makes zeros of the bytes from `from` to `to`, and promises space to their whole blocks; if there is none, these become holes. */
  zero(file: ChangingFile, from: number, to: number, grows: boolean, also: AlsoChange): void {
    const { start, end } = this.holes.wholeBlocks(file, from, to)
    const needed = start < end ? this.look.look(file, start / SECTOR, end / SECTOR).needed : 0
    const grow: AlsoChange = (inode, updates) => {
      if (grows && to > inode.size) setSize(inode, to)
      also(inode, updates)
    }
    try {
      this.granted(needed, () => this.replace(file, from, to, grow))
    } catch (error) {
      if (!(error instanceof VolumeError) || error.code !== 'ENOSPC') throw error
      this.holes.punch(file, from, to, grow)
    }
  }

  private replace(file: ChangingFile, from: number, to: number, also: AlsoChange): void {
    const { files, blocks, holes, look } = this
    const range = holes.wholeBlocks(file, from, to)
    let at = range.start / SECTOR
    const last = range.end / SECTOR
    let isFirst = true
    do {
      const end = at < last ? look.look(file, at, Math.min(last, at + this.sectorsMax), EXTENTS_AT_ONCE).end : last
      try {
        files.change(
          file,
          (updates) => {
            const sectors = isFirst ? holes.zeroParts(updates, file, from, to, range) : 0
            return at < end ? sectors + this.promise(updates, file, at, end) : sectors
          },
          also,
          false,
        )
      } finally {
        blocks.done()
      }
      isFirst = false
      at = end
    } while (at < last)
  }

  private granted(sectors: number, work: () => void): void {
    const { capacity } = this.volume
    capacity.grant(sectors)
    try {
      work()
    } finally {
      capacity.release(sectors)
    }
  }

  /** Sectors of all copies that promises for the holes, and better ones in place of those that are there, take. */
  private missing(file: ChangingFile, first: number, last: number): number {
    const { dataReplicas } = file.options
    const { holes, promised } = this.look.look(file, first, last)
    return holes * dataReplicas + promised
  }

  /** Promises space to a bounded number of holes behind sector `from`. Returns how far it came, and how many sectors more there are. */
  private fillHoles(updates: Updates, file: ChangingFile, from: number, to: number): { end: number; sectors: number } {
    const { volume, old, pos } = this
    const { numberHi, numberLo, snapshot } = file.version
    const ancestors = volume.snapshots.ancestorsOf(snapshot)
    let at = from
    let sectors = 0
    for (let put = 0; at < to && put < EXTENTS_AT_ONCE;) {
      setBpos(pos, numberHi, numberLo, Math.floor((at + 1) / 0x100000000), at + 1, snapshot)
      const isThere = peekVisible(updates, BtreeId.extents, pos, ancestors, old) && old.start < to
      const hole = isThere ? Math.max(old.start, at) : to
      if (hole > at) {
        const end = Math.min(hole, at + this.sectorsMax)
        sectors += this.promise(updates, file, at, end)
        at = end
        put++
        continue
      }
      const end = Math.min(old.offset, to)
      if (old.type === RESERVATION && reservationReplicas(old) < file.options.dataReplicas) {
        sectors += this.promise(updates, file, at, end)
        put++
      }
      at = end
    }
    return { end: at, sectors }
  }

  private promise(updates: Updates, file: ChangingFile, from: number, to: number): number {
    const { key, pos } = this
    const { numberHi, numberLo, snapshot } = file.version
    setBpos(pos, numberHi, numberLo, Math.floor(to / 0x100000000), to, snapshot)
    const value = ReservationValue.bytes({ generation: 0, replicas: file.options.dataReplicas, pad: undefined })
    key.make(RESERVATION, pos, value, to - from)
    return this.inserter.insert(updates, key)
  }
}
