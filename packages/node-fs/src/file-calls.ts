/** Each call on the files of the volume, as system calls of that name do it. Permissions are not checked: who has the volume has its files. */

import { VolumeError } from '@cowherd/db'
import { NodeRef, FIRST_NAME, type Caller, type FileSystem, type FileSystemWriter, type Inode } from '@cowherd/fs'
import { Handles } from './handles.ts'
import { CALL_BYTES_MAX } from './messages.ts'
import type {
  Attributes,
  Calls,
  ListingPlace,
  NameRecord,
  OpenFlags,
  Path,
  RoomRecord,
  StatRecord,
  Which,
} from './messages.ts'
import { bytesOf, placeOf, placeToOpen, realPath, type Place } from './places.ts'

const SECTOR = 512
const NAMES_MAX = 1000

export class FileCalls implements Calls {
  private readonly fs: FileSystem
  private readonly writer: FileSystemWriter | undefined
  private readonly caller: Caller
  private readonly handles: Handles
  private readonly shutDown: () => void
  private readonly inode: Inode
  private readonly target = new NodeRef()

  /** `writer`: the same filesystem, if it can be written. `shutDown` closes it. */
  constructor(fs: FileSystem, writer: FileSystemWriter | undefined, caller: Caller, shutDown: () => void) {
    this.fs = fs
    this.writer = writer
    this.caller = caller
    this.shutDown = shutDown
    this.handles = new Handles(fs, writer)
    this.inode = fs.newInode()
  }

  open(path: Path, flags: OpenFlags, mode: number): number {
    const { fs, inode } = this
    if (flags.writes) this.writable() // or there is no use in looking
    const ref = flags.creates ? this.makeOrFind(path, flags, mode) : fs.resolve(bytesOf(path))
    fs.getattr(ref, inode)
    if (inode.isDirectory && flags.writes) throw new VolumeError('EISDIR', '', 'is a directory')
    if (!inode.isDirectory && !inode.isRegular) throw new VolumeError('EOPNOTSUPP', '', 'neither file nor directory')
    if (flags.truncates && flags.writes && inode.size > 0) this.writable().setattr(ref, { size: 0 }, inode)
    return this.handles.add(ref, flags)
  }

  closeHandle(handle: number): void {
    this.handles.close(handle)
  }

  read(number: number, into: number | Uint8Array, position: number | null): Uint8Array | number {
    const { handle, data } = this.handles.dataAt(number)
    const isShared = typeof into !== 'number'
    const offset = position ?? handle.position
    const wanted = isShared ? into.length : Math.max(0, Math.min(into, CALL_BYTES_MAX, data.size - offset))
    const target = isShared ? into : new Uint8Array(wanted)
    const length = data.read(offset, target)
    if (position === null) handle.position = offset + length
    return isShared ? length : target.subarray(0, length)
  }

  write(number: number, data: Uint8Array, position: number | null): number {
    const handle = this.handles.writableAt(number)
    const writer = this.writable()
    if (handle.flags.appends) this.fs.getattr(handle.ref, this.inode)
    const offset = handle.flags.appends ? this.inode.size : (position ?? handle.position)
    if (data.length > 0) writer.write(handle.ref, offset, data)
    if (position === null || handle.flags.appends) handle.position = offset + data.length
    return data.length
  }

  readFile(path: Path): Uint8Array | undefined {
    const file = this.fs.open(this.fs.resolve(bytesOf(path)))
    try {
      if (file.size > CALL_BYTES_MAX) return undefined
      const data = new Uint8Array(file.size)
      return data.subarray(0, file.readFully(0, data))
    } finally {
      file.close()
    }
  }

  writeFile(path: Path, flags: OpenFlags, mode: number, data: Uint8Array): void {
    const handle = this.open(path, flags, mode)
    try {
      this.write(handle, data, null)
    } finally {
      this.handles.close(handle)
    }
  }

  copyRange(from: number, to: number, offset: number, length: number): number {
    return this.writable().copyRange(this.handles.at(from).ref, offset, this.handles.writableAt(to).ref, offset, length)
  }

  stat(which: Which): StatRecord {
    const ref = this.refOf(which)
    const { inode } = this
    this.fs.getattr(ref, inode)
    return {
      ...{ subvolume: ref.subvolume, inode: inode.number, mode: inode.mode, linkCount: inode.linkCount },
      ...{ uid: inode.uid, gid: inode.gid, deviceMajor: inode.deviceMajor, deviceMinor: inode.deviceMinor },
      ...{ size: inode.size, blockBytes: this.blockBytes, sectors: inode.sectors },
      atime: { seconds: inode.atimeSeconds, nanoseconds: inode.atimeNanoseconds },
      mtime: { seconds: inode.mtimeSeconds, nanoseconds: inode.mtimeNanoseconds },
      ctime: { seconds: inode.ctimeSeconds, nanoseconds: inode.ctimeNanoseconds },
      birth: { seconds: inode.otimeSeconds, nanoseconds: inode.otimeNanoseconds },
    }
  }

  change(which: Which, attributes: Attributes): void {
    if (attributes.size !== undefined && 'handle' in which) this.handles.writableAt(which.handle)
    this.writable().setattr(this.refOf(which), attributes, this.inode)
  }

  readlink(path: Path): Uint8Array {
    return this.fs.readlink(this.refOf({ path, follows: false }))
  }

  list(path: Path, { hi, lo }: ListingPlace): ReturnType<Calls['list']> {
    const names: NameRecord[] = []
    const reader = this.fs.openDirectory(this.fs.resolve(bytesOf(path)))
    for (let found = reader.seek(hi, Math.max(lo, hi === 0 ? FIRST_NAME : 0)); found; found = reader.next()) {
      if (names.length === NAMES_MAX) return { names, next: { hi: reader.offsetHi, lo: reader.offsetLo } }
      names.push({ name: reader.name.slice(), type: reader.type })
    }
    return { names, next: undefined }
  }

  realpath(path: Path): Uint8Array {
    return realPath(this.fs, path)
  }

  mkdir(path: Path, mode: number): void {
    const { directory, name } = placeOf(this.fs, path)
    this.writable().mkdir(directory, name, mode, this.caller, this.target, this.inode)
  }

  symlink(target: Path, path: Path): void {
    const { directory, name } = this.placeOfFile(path)
    this.writable().symlink(directory, name, bytesOf(target), this.caller, this.target, this.inode)
  }

  link(existing: Path, path: Path): void {
    const { directory, name } = this.placeOfFile(path)
    this.writable().link(this.refOf({ path: existing, follows: false }), directory, name, this.inode)
  }

  rename(path: Path, newPath: Path): void {
    const from = placeOf(this.fs, path)
    const to = placeOf(this.fs, newPath)
    if (from.mustBeDirectory || to.mustBeDirectory) {
      const ref = this.refOf({ path, follows: false })
      this.fs.getattr(ref, this.inode)
      if (!this.inode.isDirectory) throw new VolumeError('ENOTDIR', '', 'is no directory')
    }
    this.writable().rename(from.directory, from.name, to.directory, to.name)
  }

  unlink(path: Path): void {
    const { directory, name } = this.placeOfFile(path)
    this.writable().unlink(directory, name)
  }

  rmdir(path: Path): void {
    const { directory, name } = placeOf(this.fs, path)
    this.writable().rmdir(directory, name)
  }

  listXattrs(which: Which): Uint8Array[] {
    return this.fs.listAttributes(this.refOf(which)).map(({ name }) => name.slice())
  }

  getXattr(which: Which, name: Path): Uint8Array | undefined {
    return this.fs.getAttribute(this.refOf(which), name)?.slice()
  }

  setXattr(which: Which, name: Path, value: Uint8Array): void {
    this.writable().setAttribute(this.refOf(which), name, value)
  }

  removeXattr(which: Which, name: Path): void {
    this.writable().removeAttribute(this.refOf(which), name)
  }

  room(): RoomRecord {
    const { totalSectors, freeSectors, availableSectors, inodes, freeInodes } = this.fs.space()
    return {
      blockBytes: this.blockBytes,
      ...{ totalBytes: totalSectors * SECTOR, freeBytes: freeSectors * SECTOR },
      ...{ availableBytes: availableSectors * SECTOR, inodes, freeInodes },
    }
  }

  sync(): void {
    this.writer?.sync()
  }

  close(): void {
    try {
      this.handles.closeAll()
    } finally {
      this.shutDown()
    }
  }

  private get blockBytes(): number {
    return this.fs.volume.shape.blockSectors * SECTOR
  }

  private writable(): FileSystemWriter {
    if (this.writer === undefined) throw new VolumeError('EROFS', '', 'the volume was opened for reading')
    return this.writer
  }

  private refOf(which: Which): NodeRef {
    if ('handle' in which) return this.handles.at(which.handle).ref
    return this.fs.resolve(bytesOf(which.path), { followLast: which.follows })
  }

  /** The place of something that is no directory. */
  private placeOfFile(path: Path): Place {
    const place = placeOf(this.fs, path)
    if (place.mustBeDirectory) throw new VolumeError('ENOTDIR', '', 'is no directory')
    return place
  }

  private makeOrFind(path: Path, { isNew }: OpenFlags, mode: number): NodeRef {
    const { place, there } = placeToOpen(this.fs, path, !isNew)
    if (there !== undefined && isNew) throw new VolumeError('EEXIST', '', 'is there already')
    if (there !== undefined) return there
    if (place.mustBeDirectory) throw new VolumeError('EISDIR', '', 'only a directory can be there')
    const ref = new NodeRef()
    this.writable().create(place.directory, place.name, mode, this.caller, ref, this.inode)
    return ref
  }
}
