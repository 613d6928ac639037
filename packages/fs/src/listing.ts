/**
 * The names of one directory in the order of their bytes, which is not the order in which they lie on the volume, in bounded memory.
 *
 * The directory is read from end to end, and the first names of that order are kept, as many as there is room for. When all of these
 * have been looked at, it is read again for those that follow: a directory of any size takes the same room, and one of ordinary size
 * is read once. Several entries of one name, which a damaged directory may have, are told apart by their offsets.
 */

import { FIRST_NAME } from './directory.ts'
import type { FileSystemReader, NameReader } from './file-system-reader.ts'
import { NodeRef } from './node-ref.ts'

/** What is kept of an entry, besides its name: seven words. */
const ENTRY_BYTES = 28
const INITIAL_ENTRIES = 16
const INITIAL_NAME_BYTES = 256

/** A place in the order. */
interface Place {
  readonly name: Uint8Array
  readonly offsetHi: number
  readonly offsetLo: number
}

export class Listing {
  private readonly fs: FileSystemReader
  private readonly directory: NodeRef
  private readonly roomBytes: number
  private count = 0
  private nameBytes = 0
  /** Indexes of the entries kept, in the order of their names, and how many of them have been looked at. */
  private order = new Uint32Array(0)
  private seen = 0
  /** There are entries behind those kept. */
  private hasMore = false

  private offsetsHi = new Uint32Array(INITIAL_ENTRIES)
  private offsetsLo = new Uint32Array(INITIAL_ENTRIES)
  private subvolumes = new Uint32Array(INITIAL_ENTRIES)
  private inodesHi = new Uint32Array(INITIAL_ENTRIES)
  private inodesLo = new Uint32Array(INITIAL_ENTRIES)
  /** Where the names start in `names`; one more at the end. */
  private starts = new Uint32Array(INITIAL_ENTRIES + 1)
  private names = new Uint8Array(INITIAL_NAME_BYTES)

  /** `roomBytes` bounds what is kept at a time, give or take an entry. Throws VolumeError. */
  constructor(fs: FileSystemReader, directory: Readonly<NodeRef>, roomBytes: number) {
    this.fs = fs
    this.directory = new NodeRef().copy(directory)
    this.roomBytes = roomBytes
    this.fill(undefined)
  }

  /** Bytes of the entries that are kept. */
  get bytes(): number {
    return this.count * ENTRY_BYTES + this.nameBytes
  }

  /** Goes to the first or next entry; false at the end. Throws VolumeError when the directory can't be read again. */
  next(): boolean {
    if (this.seen === this.count) {
      if (!this.hasMore) return false
      this.fill(this.place(this.order[this.count - 1]))
    }
    return this.seen++ < this.count
  }

  /** The entry's name: a view, valid until the listing goes on. */
  get name(): Uint8Array {
    return this.nameOf(this.current)
  }

  /** What the entry leads to, in an object of its own. */
  get target(): NodeRef {
    const { current } = this
    return NodeRef.of(this.subvolumes[current], this.inodesHi[current], this.inodesLo[current])
  }

  /** The entry's offset in the directory, in two halves. */
  get offsetHi(): number {
    return this.offsetsHi[this.current]
  }
  get offsetLo(): number {
    return this.offsetsLo[this.current]
  }

  private get current(): number {
    return this.order[this.seen - 1]
  }

  /** Reads the directory for the entries behind `after`. */
  private fill(after: Place | undefined): void {
    this.count = 0
    this.nameBytes = 0
    this.seen = 0
    this.hasMore = false
    let last: Place | undefined // of those that are kept, once there is no room for all
    const reader = this.fs.openDirectory(this.directory)
    for (let found = reader.seek(0, FIRST_NAME); found; found = reader.next()) {
      if (after !== undefined && compareToPlace(reader, after) <= 0) continue
      if (last !== undefined && compareToPlace(reader, last) > 0) continue
      if (this.bytes > this.roomBytes && this.count > 1) {
        last = this.dropHalf()
        this.hasMore = true
        if (compareToPlace(reader, last) > 0) continue
      }
      this.add(reader)
    }
    this.order = this.sorted()
  }

  /** Keeps the first half of the entries, and makes room where the others were. Returns the last of those kept. */
  private dropHalf(): Place {
    const first = this.sorted().subarray(0, this.count >> 1)
    const last = this.place(first[first.length - 1])
    const isKept = new Uint8Array(this.count)
    for (const index of first) isKept[index] = 1
    const { names, starts } = this
    const columns = [this.offsetsHi, this.offsetsLo, this.subvolumes, this.inodesHi, this.inodesLo]
    let [kept, used] = [0, 0]
    for (let i = 0; i < this.count; i++) {
      if (isKept[i] === 0) continue
      const [start, end] = [starts[i], starts[i + 1]]
      names.copyWithin(used, start, end)
      used += end - start
      for (const column of columns) column[kept] = column[i]
      starts[++kept] = used // what was there has been read: entries move down only
    }
    this.count = kept
    this.nameBytes = used
    return last
  }

  private add(reader: NameReader): void {
    const { count } = this
    const { name, target } = reader
    if (count === this.inodesLo.length) this.growEntries()
    if (this.nameBytes + name.length > this.names.length) this.growNames(name.length)
    this.offsetsHi[count] = reader.offsetHi
    this.offsetsLo[count] = reader.offsetLo
    this.subvolumes[count] = target.subvolume
    this.inodesHi[count] = target.inodeHi
    this.inodesLo[count] = target.inodeLo
    this.names.set(name, this.nameBytes)
    this.nameBytes += name.length
    this.starts[++this.count] = this.nameBytes
  }

  private growEntries(): void {
    const size = this.inodesLo.length * 2
    this.offsetsHi = enlarged(this.offsetsHi, size)
    this.offsetsLo = enlarged(this.offsetsLo, size)
    this.subvolumes = enlarged(this.subvolumes, size)
    this.inodesHi = enlarged(this.inodesHi, size)
    this.inodesLo = enlarged(this.inodesLo, size)
    this.starts = enlarged(this.starts, size + 1)
  }

  private growNames(bytes: number): void {
    const larger = new Uint8Array(Math.max(this.nameBytes + bytes, this.names.length * 2))
    larger.set(this.names)
    this.names = larger
  }

  private sorted(): Uint32Array<ArrayBuffer> {
    const { names, starts, offsetsHi, offsetsLo } = this
    const order = new Uint32Array(this.count)
    for (let i = 0; i < order.length; i++) order[i] = i
    return order.sort(
      (a, b) =>
        compareBytes(names, starts[a], starts[a + 1], names, starts[b], starts[b + 1]) ||
        offsetsHi[a] - offsetsHi[b] ||
        offsetsLo[a] - offsetsLo[b],
    )
  }

  private place(index: number): Place {
    return { name: this.nameOf(index).slice(), offsetHi: this.offsetsHi[index], offsetLo: this.offsetsLo[index] }
  }

  private nameOf(index: number): Uint8Array {
    return this.names.subarray(this.starts[index], this.starts[index + 1])
  }
}

function enlarged(array: Uint32Array, size: number): Uint32Array<ArrayBuffer> {
  const larger = new Uint32Array(size)
  larger.set(array)
  return larger
}

function compareToPlace({ name, offsetHi, offsetLo }: NameReader, place: Place): number {
  return (
    compareBytes(name, 0, name.length, place.name, 0, place.name.length) ||
    offsetHi - place.offsetHi ||
    offsetLo - place.offsetLo
  )
}

/** Compares `a[aAt, aEnd)` with `b[bAt, bEnd)` as strcmp(3) does. */
function compareBytes(a: Uint8Array, aAt: number, aEnd: number, b: Uint8Array, bAt: number, bEnd: number): number {
  const length = Math.min(aEnd - aAt, bEnd - bAt)
  for (let i = 0; i < length; i++) {
    const difference = a[aAt + i] - b[bAt + i]
    if (difference !== 0) return difference
  }
  return aEnd - aAt - (bEnd - bAt)
}
