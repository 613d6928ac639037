/**
 * Copies a range of a file without copying its data: both files lead to it from then on. Format chapter 6, 6.10.1.
 *
 *     source  [ extent ]    =>    source  [ reflink_p ]--.
 *     target  [   ...  ]          target  [ reflink_p ]--+--> reflink btree [ reflink_v ]
 *
 * What is little (inline data) is copied; what reads as zeros becomes a hole. Only whole blocks can be shared, and the last block of the source
 * if it comes to lie at the end of the target: what is behind its end are zeros.
 */

import { BtreeId, DataError, Key, KEY_POS_AT, peekVisible, setBpos, type Bpos, type Updates } from '@cowherd/db'
import { COOKIE, cutBack, cutFront, ERROR, EXTENT } from '../extents/extent-key.ts'
import { removeExtents } from '../extents/overwrite.ts'
import { isUnwritten, shareExtent } from '../extents/share.ts'
import { setSize } from '../inode-versions.ts'
import { clearReflinkPads, REFLINK_P } from '../key-types/reflink-p.ts'
import { RESERVATION } from '../key-types/reservation.ts'
import type { AlsoChange, ChangingFile, ChangingFiles } from './changing-file.ts'
import type { DataVolume } from './data-volume.ts'
import type { ExtentInserter } from './extent-inserter.ts'
import type { RangeLook } from './range-look.ts'

const SECTOR = 512
/** Extents of the source, and of the target, that one transaction deals with. */
const EXTENTS_AT_ONCE = 16

/** What is copied, in sectors: `by` is the target's sector less the source's. */
interface Copying {
  readonly source: ChangingFile
  readonly target: ChangingFile
  readonly end: number
  readonly by: number
}

export class RangeCopy {
  private readonly volume: DataVolume
  private readonly files: ChangingFiles
  private readonly inserter: ExtentInserter
  private readonly look: RangeLook
  private readonly blockBytes: number
  private readonly key = new Key()
  private readonly pos: Bpos = new Uint32Array(5)

  constructor(volume: DataVolume, files: ChangingFiles, inserter: ExtentInserter, look: RangeLook) {
    this.volume = volume
    this.files = files
    this.inserter = inserter
    this.look = look
    this.blockBytes = volume.shape.blockSectors * SECTOR
  }

  /** Shares as much of the range as can be, from its start on. Returns how many bytes that are. Throws VolumeError ENOSPC, DataError EIO. */
  share(
    source: ChangingFile,
    fromOffset: number,
    target: ChangingFile,
    toOffset: number,
    bytes: number,
    also: AlsoChange,
  ): number {
    const { blockBytes, volume } = this
    if (fromOffset % blockBytes !== 0 || toOffset % blockBytes !== 0) return 0
    const isToTheEnd = fromOffset + bytes === source.size && toOffset + bytes >= target.size
    const shared = isToTheEnd ? bytes : Math.floor(bytes / blockBytes) * blockBytes
    if (shared === 0) return 0
    if (volume.live.addFeature('reflink')) volume.live.write()
    const end = (Math.ceil((fromOffset + shared) / blockBytes) * blockBytes) / SECTOR
    const copying: Copying = { source, target, end, by: (toOffset - fromOffset) / SECTOR }
    for (let at = fromOffset / SECTOR; at < end;) at = this.step(copying, at, toOffset + shared, also)
    return shared
  }

  /** One transaction, from the source's sector `from` on. Returns up to which one. */
  private step({ source, target, end, by }: Copying, from: number, sizeWanted: number, also: AlsoChange): number {
    // The target's extents are counted where they lie, which may be in the middle of one of the source's.
    const room = this.look.look(target, from + by, end + by, EXTENTS_AT_ONCE).end - by
    const step: Copying = { source, target, end: room, by }
    let done = from
    this.files.change(
      target,
      (updates, inode) => {
        let sectors = 0
        for (let extents = 0; done < room && extents < EXTENTS_AT_ONCE; extents++) {
          const { end: next, sectors: more } = this.copyExtent(updates, step, done)
          sectors += more
          done = next
        }
        const size = Math.min(sizeWanted, (done + by) * SECTOR)
        if (size > inode.size) setSize(inode, size)
        return sectors
      },
      also,
      false,
    )
    return done
  }

  /** Copies the extent at the source's sector `at`, or the hole. Returns up to where, and how many sectors more the target has. */
  private copyExtent(updates: Updates, copying: Copying, at: number): { end: number; sectors: number } {
    const { volume, key } = this
    const { source, target, by } = copying
    const isThere = this.find(updates, source, at) && key.start < copying.end
    const start = isThere ? Math.max(key.start, at) : copying.end
    const end = start > at ? start : Math.min(key.offset, copying.end)
    if (start > at || this.isZeros(source)) {
      return { end, sectors: -removeExtents(updates, volume.snapshots, target.version, at + by, end + by).sectors }
    }
    if (key.type === EXTENT) shareExtent(updates, key)
    if (key.start < at) cutFront(key, at)
    if (key.offset > end) cutBack(key, end)
    if (key.type === REFLINK_P) clearReflinkPads(key)
    const { numberHi, numberLo, snapshot } = target.version
    const to = end + by
    setBpos(this.pos, numberHi, numberLo, Math.floor(to / 0x100000000), to, snapshot)
    key.words.set(this.pos, KEY_POS_AT)
    // It is the shared data that has a version.
    key.words.fill(0, 1, 4)
    return { end, sectors: this.inserter.insert(updates, key) }
  }

  private isZeros({ ref }: ChangingFile): boolean {
    const { key } = this
    if (key.type === ERROR) throw new DataError('EIO', ref.toString(), `the data at sector ${key.start} is lost`)
    return key.type === RESERVATION || key.type === COOKIE || (key.type === EXTENT && isUnwritten(key))
  }

  /** Copies the first extent behind a sector to `key`. */
  private find(updates: Updates, { version }: ChangingFile, sector: number): boolean {
    const { numberHi, numberLo, snapshot } = version
    setBpos(this.pos, numberHi, numberLo, Math.floor((sector + 1) / 0x100000000), sector + 1, snapshot)
    return peekVisible(updates, BtreeId.extents, this.pos, this.volume.snapshots.ancestorsOf(snapshot), this.key)
  }
}
