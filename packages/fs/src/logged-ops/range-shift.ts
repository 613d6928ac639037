/**
 * Inserting a range into a file, or collapsing one: what lies behind is moved, extent by extent, each in a transaction of its own that
 * also notes in logged_ops how far it has come. Format chapter 5, 5.10, and 6, 6.9.3.
 *
 *     insert      the size grows, then extents move up, the last one first
 *     collapse    the range is removed, then extents move down, the first one first; then the size shrinks
 *
 * An extent of an ancestor snapshot can't be moved: others see it where it is, and no two keys may point to the same sectors. It becomes
 * shared data first, with which both can do. Times stay as they are.
 */

import { BtreeId, Key, KEY_POS_AT, peekVisible, peekVisibleBack, setBpos } from '@cowherd/db'
import type { Bpos, Updates } from '@cowherd/db'
import { cutFront, EXTENT } from '../extents/extent-key.ts'
import { EXTENTS_PER_STEP, insertExtent, removeExtents, type InodeVersion } from '../extents/overwrite.ts'
import { isUnwritten, shareExtent } from '../extents/share.ts'
import { changeSectors, loadInode, setSize, storeInode } from '../inode-versions.ts'
import { Inode } from '../inode.ts'
import { FinsertState, loggedOpFinsert, LoggedOpFinsertValue } from '../key-types/logged-op-finsert.ts'
import { clearReflinkPads, REFLINK_P } from '../key-types/reflink-p.ts'
import type { WritableVolume } from '../writable-volume.ts'

const SECTOR = 512

/** What a key in logged_ops says. */
export type RangeShiftState = ReturnType<typeof LoggedOpFinsertValue.read>

export class RangeShift {
  private readonly volume: WritableVolume
  private readonly version: InodeVersion
  private readonly at: Bpos
  private state: RangeShiftState
  /** By how many sectors extents move: up, or down if it is less than 0. */
  private readonly by: number
  private readonly source: number
  /** What lies in front of this sector stays. */
  private readonly first: number
  /** Of a range that is collapsed, what lies before is gone. */
  private punched: number
  private readonly inode = new Inode()
  private readonly key = new Key()
  private readonly pos: Bpos = new Uint32Array(5)

  /** `version` is the file, in the snapshot that its subvolume sees; `at`: where the operation is in logged_ops. */
  constructor(volume: WritableVolume, version: InodeVersion, at: Bpos, state: RangeShiftState) {
    this.volume = volume
    this.version = version
    this.at = at
    this.state = state
    this.by = Number(state.destination - BigInt.asIntN(64, state.source))
    this.source = Number(state.source)
    this.punched = this.source
    this.first = this.source - Math.min(this.by, 0)
  }

  /**
   * Does what is left to do. The key in logged_ops stays. Nothing happens if the file isn't there, or the operation makes no sense. Throws KeyError
   * for malformed keys, and what the database throws.
   */
  run(): void {
    if (this.by === 0 || !Number.isSafeInteger(this.by) || !Number.isSafeInteger(this.source)) return
    while (this.state.state < FinsertState.finish) {
      this.volume.write((updates) => this.step(updates))
    }
  }

  private step(updates: Updates): void {
    const { volume, version, state, by } = this
    if (!loadInode(updates, volume.snapshots, version, version.snapshot, this.inode)) {
      this.note(updates, { state: FinsertState.finish })
    } else if (state.state === FinsertState.shiftExtents) this.moveOne(updates)
    else if (by > 0) this.grow(updates)
    else this.punch(updates)
  }

  /** Insert, first: the file gets longer. */
  private grow(updates: Updates): void {
    const { inode } = this
    if (this.source * SECTOR >= inode.size) {
      this.note(updates, { state: FinsertState.finish })
      return
    }
    setSize(inode, inode.size + this.by * SECTOR)
    storeInode(updates, inode)
    this.note(updates, { state: FinsertState.shiftExtents })
  }

  /** Collapse, first: what is in the range goes. */
  private punch(updates: Updates): void {
    const { inode, version, punched, first } = this
    const removal = removeExtents(updates, this.volume.snapshots, version, punched, first, EXTENTS_PER_STEP)
    this.punched = removal.end
    changeSectors(inode, -removal.sectors)
    storeInode(updates, inode)
    if (removal.end === first) this.note(updates, { state: FinsertState.shiftExtents })
  }

  private moveOne(updates: Updates): void {
    const { key, inode, version, first, by } = this
    const { snapshots, live } = this.volume
    if (!this.findNext(updates)) {
      if (by < 0) setSize(inode, Math.max(0, inode.size + by * SECTOR))
      storeInode(updates, inode)
      this.note(updates, { state: FinsertState.finish })
      return
    }
    const isInherited = key.type === EXTENT && key.snapshot !== version.snapshot
    const isZeros = isInherited && isUnwritten(key)
    if (isInherited && !isZeros) {
      if (live.addFeature('reflink')) live.write()
      shareExtent(updates, key)
    }
    if (key.start < first) cutFront(key, first)
    const { start, offset: end } = key
    let sectors = -removeExtents(updates, snapshots, version, start, end).sectors
    if (!isZeros) {
      this.move(key)
      sectors += insertExtent(updates, snapshots, key)
    }
    changeSectors(inode, sectors)
    storeInode(updates, inode)
    this.note(updates, { pos: BigInt(by > 0 ? start : end) })
  }

  /** Copies the next extent to move to `key`. */
  private findNext(updates: Updates): boolean {
    const { key, pos, version, first } = this
    const { numberHi, numberLo, snapshot } = version
    const ancestors = this.volume.snapshots.ancestorsOf(snapshot)
    const done = this.state.pos
    if (this.by > 0) {
      setBpos(pos, numberHi, numberLo, Number(done >> 32n), Number(done & 0xffffffffn), snapshot)
      return peekVisibleBack(updates, BtreeId.extents, pos, ancestors, key) && key.offset > first
    }
    const from = Math.max(Number(done), first) + 1
    setBpos(pos, numberHi, numberLo, Math.floor(from / 0x100000000), from, snapshot)
    return peekVisible(updates, BtreeId.extents, pos, ancestors, key)
  }

  /** To where it belongs, as the snapshot's own. */
  private move(key: Key): void {
    const end = key.offset + this.by
    setBpos(this.pos, key.inodeHi, key.inodeLo, Math.floor(end / 0x100000000), end, this.version.snapshot)
    key.words.set(this.pos, KEY_POS_AT)
    if (key.type === REFLINK_P) clearReflinkPads(key)
  }

  private note(updates: Updates, change: Partial<RangeShiftState>): void {
    this.state = { ...this.state, ...change }
    updates.put(
      BtreeId.loggedOps,
      this.key.make(loggedOpFinsert.number, this.at, LoggedOpFinsertValue.bytes(this.state)),
    )
  }
}
