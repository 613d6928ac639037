/**
 * Subvolumes: trees of files of their own, each seeing the volume through one snapshot. Format chapter 5, 5.7 and 5.1.
 */

import { BtreeId, VolumeError, setBpos } from '@cowherd/db'
import type { Bpos, Key, KeyCursor } from '@cowherd/db'
import { ROOT_INODE } from './inode.ts'
import { SubvolumeValue, subvolume as subvolumeType } from './key-types/subvolume.ts'
import { NodeRef } from './node-ref.ts'
import type { TimeScale } from './time-scale.ts'
import type { VolumeAccess } from './volume-access.ts'

/** The subvolume that is mounted, unless another is asked for. */
export const ROOT_SUBVOLUME = 1
/** The snapshot of volumes from before there were any. */
const FIRST_SNAPSHOT = 0xffffffff

export interface Subvolume {
  readonly id: number
  /** Id of the snapshot through which the subvolume sees the volume. */
  readonly snapshot: number
  readonly root: Readonly<NodeRef>
  readonly readOnly: boolean
  /** Made as a snapshot of another subvolume, `creationParent` unless that is gone. */
  readonly isSnapshot: boolean
  /** Its deletion has begun. */
  readonly unlinked: boolean
  readonly creationParent: number
  /** The subvolume that holds its name; 0 for the first one, and in volumes from before version 1.5. */
  readonly pathParent: number
  /** Creation time, Unix seconds; for the first subvolume and in old volumes that of the volume. */
  readonly otimeSeconds: number
  readonly otimeNanoseconds: number
}

/** A subvolume with a cursor in each btree, for looking at its files. */
export interface SubvolumeView extends Subvolume {
  readonly inodes: KeyCursor
  readonly dirents: KeyCursor
  readonly xattrs: KeyCursor
}

export class Subvolumes {
  private readonly volume: VolumeAccess
  private readonly times: TimeScale
  private readonly cursor: KeyCursor
  private readonly pos: Bpos = new Uint32Array(5)
  private readonly views = new Map<number, SubvolumeView>()
  private last: SubvolumeView | undefined

  constructor(volume: VolumeAccess, times: TimeScale) {
    this.volume = volume
    this.times = times
    this.cursor = volume.cursor(BtreeId.subvolumes)
  }

  /** All subvolumes and snapshots, by id. Those being deleted are not among them. */
  list(): Subvolume[] {
    const found: Subvolume[] = []
    const { cursor } = this
    setBpos(this.pos, 0, 0, 0, 0, 0)
    for (let more = cursor.seek(this.pos); more; more = cursor.next()) {
      if (cursor.key.type !== subvolumeType.number) continue
      const subvolume = subvolumeOf(cursor.key, this.times)
      if (!subvolume.unlinked) found.push(subvolume)
    }
    return found.length === 0 ? [onlySubvolume(this.times)] : found
  }

  /** The subvolume of that id, or undefined. */
  find(id: number): Subvolume | undefined {
    const { cursor } = this
    setBpos(this.pos, 0, 0, 0, id, 0)
    const found = cursor.seek(this.pos)
    if (found && cursor.key.offset === id && cursor.key.inode === 0 && cursor.key.type === subvolumeType.number) {
      return subvolumeOf(cursor.key, this.times)
    }
    return id === ROOT_SUBVOLUME && this.isWithoutSubvolumes() ? onlySubvolume(this.times) : undefined
  }

  /** Throws VolumeError (ENOENT) if there is no such subvolume, and EIO if it leads nowhere. */
  view(id: number): SubvolumeView {
    if (this.last?.id === id) return this.last
    let view = this.views.get(id)
    if (view === undefined) {
      const subvolume = this.find(id)
      if (subvolume === undefined) throw new VolumeError('ENOENT', `subvolume ${id}`, 'there is no such subvolume')
      view = this.open(subvolume)
      this.views.set(id, view)
    }
    this.last = view
    return view
  }

  /** A subvolume has changed. */
  forget(id: number): void {
    this.views.delete(id)
    this.last = undefined
  }

  private open(subvolume: Subvolume): SubvolumeView {
    const { volume } = this
    const { snapshot } = subvolume
    if (!volume.snapshots.has(snapshot) && snapshot !== FIRST_SNAPSHOT) {
      throw new VolumeError('EIO', `subvolume ${subvolume.id}`, `its snapshot ${snapshot} is missing`)
    }
    return {
      ...subvolume,
      inodes: volume.snapshotCursor(BtreeId.inodes, snapshot),
      dirents: volume.snapshotCursor(BtreeId.dirents, snapshot),
      xattrs: volume.snapshotCursor(BtreeId.xattrs, snapshot),
    }
  }

  /** Volumes from before version 0.15 have none: one tree of files, seen by all. */
  private isWithoutSubvolumes(): boolean {
    setBpos(this.pos, 0, 0, 0, 0, 0)
    return !this.cursor.seek(this.pos)
  }
}

function subvolumeOf(key: Key, times: TimeScale): Subvolume {
  const value = SubvolumeValue.readPadded(key.value)
  const otimeHi = Number(value.otime >> 32n)
  const otimeLo = Number(value.otime & 0xffffffffn)
  return {
    id: key.offset,
    snapshot: value.snapshot,
    root: NodeRef.of(key.offset, Number(value.inode >> 32n), Number(value.inode & 0xffffffffn)),
    readOnly: value.flags.readOnly === 1,
    isSnapshot: value.flags.snapshot === 1,
    unlinked: value.flags.unlinked === 1,
    creationParent: value.creationParent,
    pathParent: value.fsPathParent,
    otimeSeconds: times.seconds(otimeHi, otimeLo),
    otimeNanoseconds: times.nanoseconds(otimeHi, otimeLo),
  }
}

function onlySubvolume(times: TimeScale): Subvolume {
  return {
    id: ROOT_SUBVOLUME,
    snapshot: FIRST_SNAPSHOT,
    root: NodeRef.of(ROOT_SUBVOLUME, 0, ROOT_INODE),
    readOnly: false,
    isSnapshot: false,
    unlinked: false,
    creationParent: 0,
    pathParent: 0,
    otimeSeconds: times.seconds(0, 0),
    otimeNanoseconds: times.nanoseconds(0, 0),
  }
}
