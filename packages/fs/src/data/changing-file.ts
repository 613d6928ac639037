/**
 * A file whose data changes: as it was before, and the transaction in which its inode changes with its extents. Format chapter 6, 6.8.
 *
 * Each transaction leaves the file in order: its size, its sectors and its times go with what was put.
 */

import { KeyError, setBpos, VolumeError, type Bpos, type DataOptions, type Updates } from '@cowherd/db'
import type { InodeVersion } from '../extents/overwrite.ts'
import { changeSectors, loadInode, storeInode } from '../inode-versions.ts'
import { INODE_GENERATION, Inode } from '../inode.ts'
import { NodeRef } from '../node-ref.ts'
import type { Subvolumes } from '../subvolumes.ts'
import type { TimeScale } from '../time-scale.ts'
import type { DataVolume } from './data-volume.ts'
import { dataOptions } from './file-options.ts'

/** No file is longer: all of its bytes have exact numbers, rounded up to a block too. */
export const FILE_BYTES_MAX = 2 ** 53 - 2 ** 20

export interface ChangingFile {
  readonly ref: Readonly<NodeRef>
  /** Where the changes go: to the subvolume's own snapshot. */
  readonly version: InodeVersion
  /** In bytes, as the last transaction left it. */
  size: number
  readonly options: DataOptions
  /** Whose data this should lie near to. */
  readonly writer: number
}

/** What else changes in a file's inode when its data does: times, at least. */
export type AlsoChange = (inode: Inode, updates: Updates) => void

export class ChangingFiles {
  private readonly volume: DataVolume
  private readonly subvolumes: Pick<Subvolumes, 'view'>
  private readonly inode: Inode
  private readonly pos: Bpos = new Uint32Array(5)

  constructor(volume: DataVolume, subvolumes: Pick<Subvolumes, 'view'>, times: TimeScale) {
    this.volume = volume
    this.subvolumes = subvolumes
    this.inode = new Inode(times)
  }

  /**
   * The file as it is. Throws VolumeError ENOENT; EISDIR, EINVAL for what has no data; EROFS in a subvolume that may only be read, unless it
   * is only going to be read.
   */
  open(ref: Readonly<NodeRef>, isToChange = true): ChangingFile {
    const { inode, pos } = this
    const { inodes, snapshot, readOnly } = this.subvolumes.view(ref.subvolume)
    const { inodeHi, inodeLo } = ref
    if (isToChange && readOnly) throw new VolumeError('EROFS', ref.toString(), 'the subvolume can only be read')
    setBpos(pos, 0, 0, inodeHi, inodeLo, 0)
    const { key } = inodes
    const isThere = inodes.seek(pos) && key.offsetLo === inodeLo && key.offsetHi === inodeHi && key.inode === 0
    if (!isThere || key.type === INODE_GENERATION) throw gone(ref)
    const damage = inode.decode(key)
    if (damage !== undefined) throw new KeyError('EIO', ref.toString(), damage)
    if (inode.isDirectory) throw new VolumeError('EISDIR', ref.toString(), 'is a directory')
    if (!inode.isRegular) throw new VolumeError('EINVAL', ref.toString(), 'is not a regular file')
    return {
      ref,
      version: { numberHi: inodeHi, numberLo: inodeLo, snapshot },
      size: inode.size,
      options: dataOptions(inode, this.volume.superblock.options),
      writer: inode.dirLo,
    }
  }

  /** One that is being made: it has nothing yet. */
  newFile(inode: Inode): ChangingFile {
    const { numberHi, numberLo, snapshot } = inode
    return {
      ref: NodeRef.of(0, numberHi, numberLo),
      version: { numberHi, numberLo, snapshot },
      size: 0,
      options: dataOptions(inode, this.volume.superblock.options),
      writer: inode.dirLo,
    }
  }

  /**
   * One transaction. `work` changes extents, and the inode beyond what `also` does; it returns how many sectors more the file has then. `frees`: it
   * is let through on a full volume.
   */
  change(file: ChangingFile, work: (updates: Updates, inode: Inode) => number, also: AlsoChange, frees: boolean): void {
    const { inode, volume } = this
    const { version } = file
    volume.write(
      (updates) => {
        if (!loadInode(updates, volume.snapshots, version, version.snapshot, inode)) throw gone(file.ref)
        changeSectors(inode, work(updates, inode))
        also(inode, updates)
        storeInode(updates, inode)
      },
      { frees },
    )
    file.size = inode.size
  }
}

function gone(ref: Readonly<NodeRef>): VolumeError {
  return new VolumeError('ENOENT', ref.toString(), 'there is no such inode')
}
