/**
 * Reading a file: from its keys in the extents btree, and those in the reflink btree that they lead to, into the caller's memory.
 * Format chapter 6, 6.1 and 6.5.
 *
 * A key's position is its end: the key that covers a sector is the first one behind it. An open file stands on a key and knows from
 * where on that key is the first, so reading on needs no search, and a file is read extent by extent without a copy in between. When the
 * volume has changed, it looks again.
 */

import { BtreeId, DataError, Key, KEY_BYTES, VolumeError, setBpos } from '@cowherd/db'
import type { Bpos, KeyCursor, Named } from '@cowherd/db'
import { INDIRECT_INLINE_DATA, INDIRECT_INLINE_DATA_AT } from './key-types/indirect-inline-data.ts'
import { INLINE_DATA } from './key-types/inline-data.ts'
import { REFLINK_P, reflinkIndex } from './key-types/reflink-p.ts'
import { RESERVATION } from './key-types/reservation.ts'
import type { NodeRef } from './node-ref.ts'
import type { VolumeAccess } from './volume-access.ts'

const SECTOR = 512
const ERROR = 2
const COOKIE = 3
const EXTENT = 6
const REFLINK_V = 16
const UNKNOWN = -1

/** A range of bytes, `end` excluded. */
export interface ByteRange {
  start: number
  end: number
}

export class OpenFile {
  readonly ref: Readonly<NodeRef>
  private readonly volume: VolumeAccess
  private readonly who: Named
  private readonly keys: RangeKeys
  private shared: RangeKeys | undefined
  private bytes: number
  private readonly sizeNow: (() => number) | undefined
  /** Of the volume, when all of this was so. */
  private changes: number | undefined
  private takeBack: ((cursor: KeyCursor) => void) | undefined

  /**
   * `cursor` is the file's own, over the extents that its subvolume sees, until `takeBack` gets it; `who` names the file in messages. `sizeNow`: the
   * size, when the volume has changed; left out: it is what it was.
   */
  constructor(
    volume: VolumeAccess,
    ref: Readonly<NodeRef>,
    size: number,
    cursor: KeyCursor,
    who: Named,
    takeBack?: (cursor: KeyCursor) => void,
    sizeNow?: () => number,
  ) {
    this.volume = volume
    this.takeBack = takeBack
    this.ref = ref
    this.bytes = size
    this.sizeNow = sizeNow
    this.changes = volume.changes
    this.who = who
    this.keys = new RangeKeys(cursor, ref.inodeHi, ref.inodeLo, who)
  }

  /** Size in bytes. */
  get size(): number {
    this.refresh()
    return this.bytes
  }

  /**
   * Gives its memory to the next file that is opened; what is not closed is left to the garbage collector. Nothing can be read after.
   */
  close(): void {
    const { takeBack } = this
    this.takeBack = undefined
    takeBack?.(this.keys.close())
  }

  /**
   * Reads bytes from `offset` on into `target`. Returns how many: all that `target` holds, less at the end of the file, or up to what
   * can't be read. Throws DataError (EIO) if the first byte wanted can't be read.
   */
  read(offset: number, target: Uint8Array): number {
    const wanted = Math.min(target.length, this.size - offset)
    let done = 0
    try {
      while (done < wanted) {
        const rest = done === 0 && wanted === target.length ? target : target.subarray(done, wanted)
        done += this.readPiece(offset + done, rest)
      }
    } catch (error) {
      // What came before the damage is given out; whoever reads on gets the error.
      if (!(error instanceof VolumeError) || done === 0) throw error
    }
    return Math.max(done, 0)
  }

  /** The same, but all or nothing: less than `target` holds only at the end of the file. Throws DataError (EIO) for any damage. */
  readFully(offset: number, target: Uint8Array): number {
    const wanted = Math.min(target.length, this.size - offset)
    let done = this.read(offset, target)
    while (done < wanted) done += this.read(offset + done, target.subarray(done))
    return done
  }

  /** Start of the first data at or behind `offset`, or -1 if there is none: SEEK_DATA of lseek(2). Damaged data is data. */
  seekData(offset: number): number {
    const { keys } = this
    let sector = Math.floor(offset / SECTOR)
    while (sector * SECTOR < this.size && keys.find(sector)) {
      if (isData(keys.key.type)) return this.within(Math.max(keys.start, sector), offset)
      sector = keys.end
    }
    return -1
  }

  /** Start of the first hole at or behind `offset`, which may be the end of the file: SEEK_HOLE of lseek(2). */
  seekHole(offset: number): number {
    const { keys } = this
    let sector = Math.floor(offset / SECTOR)
    while (sector * SECTOR < this.size && keys.find(sector) && keys.start <= sector && isData(keys.key.type)) {
      sector = keys.end
    }
    return this.within(sector, offset)
  }

  /** Sets `range` to the first range of data at or behind `offset`, cut to the file's size. False if there is none. */
  nextData(offset: number, range: ByteRange): boolean {
    const start = this.seekData(offset)
    if (start < 0 || start >= this.size) return false
    range.start = start
    range.end = this.seekHole(start)
    return true
  }

  /** What is remembered of the volume before it changed counts no more. */
  private refresh(): void {
    const { changes } = this.volume
    if (changes === this.changes) return
    this.changes = changes
    this.keys.forget()
    this.shared?.forget()
    if (this.sizeNow !== undefined) this.bytes = this.sizeNow()
  }

  private within(sector: number, offset: number): number {
    return Math.min(Math.max(sector * SECTOR, offset), this.size)
  }

  /** Reads from `offset` on as much as lies in one key, or in the hole before it. Returns the number of bytes, at least 1. */
  private readPiece(offset: number, target: Uint8Array): number {
    const { keys } = this
    const sector = Math.floor(offset / SECTOR)
    if (!keys.find(sector)) {
      target.fill(0)
      return target.length
    }
    if (keys.start > sector) {
      const hole = cut(target, keys.start * SECTOR - offset)
      hole.fill(0)
      return hole.length
    }
    const piece = cut(target, keys.end * SECTOR - offset)
    const skip = offset - keys.start * SECTOR
    const { key } = keys
    switch (key.type) {
      case EXTENT:
        this.volume.readExtent(key, skip, piece, this.who)
        return piece.length
      case INLINE_DATA:
        copyInline(key, KEY_BYTES, skip, piece)
        return piece.length
      case REFLINK_P:
        return this.readShared(reflinkIndex(key) * SECTOR + skip, piece)
      case RESERVATION:
      case COOKIE:
        piece.fill(0)
        return piece.length
      case ERROR:
        throw new DataError('EIO', this.who.toString(), `the data at byte ${offset} is lost (error key)`)
      default:
        throw new DataError(
          'EIO',
          this.who.toString(),
          `the data at byte ${offset} is in a key of unknown type ${key.type}`,
        )
    }
  }

  /** The same in the address space of shared data. */
  private readShared(address: number, target: Uint8Array): number {
    this.shared ??= new RangeKeys(this.volume.cursor(BtreeId.reflink), 0, 0, this.who)
    const { shared, who } = this
    const sector = Math.floor(address / SECTOR)
    if (address > Number.MAX_SAFE_INTEGER || !shared.find(sector) || shared.start > sector) {
      throw new DataError('EIO', who.toString(), `refers to shared sector ${sector}, which is missing`)
    }
    const piece = cut(target, shared.end * SECTOR - address)
    const skip = address - shared.start * SECTOR
    switch (shared.key.type) {
      case REFLINK_V:
        this.volume.readExtent(shared.key, skip, piece, who)
        return piece.length
      case INDIRECT_INLINE_DATA:
        copyInline(shared.key, INDIRECT_INLINE_DATA_AT, skip, piece)
        return piece.length
      case ERROR:
        throw new DataError('EIO', who.toString(), `the data at shared sector ${sector} is lost (error key)`)
      default:
        throw new DataError(
          'EIO',
          who.toString(),
          `shared sector ${sector} is in a key of unknown type ${shared.key.type}`,
        )
    }
  }
}

/** The keys with ranges of one inode number: of a file, or of the shared address space. */
class RangeKeys {
  readonly key: Key
  private cursor: KeyCursor
  private readonly inodeHi: number
  private readonly inodeLo: number
  private readonly who: Named
  private readonly pos: Bpos = new Uint32Array(5)
  /**
   * `key` is the first one behind each sector of [from, end); `end` is infinite if there is none, and UNKNOWN before a search has
   * succeeded.
   */
  private from = 0
  start = 0
  end = UNKNOWN

  constructor(cursor: KeyCursor, inodeHi: number, inodeLo: number, who: Named) {
    this.cursor = cursor
    this.key = cursor.key
    this.inodeHi = inodeHi
    this.inodeLo = inodeLo
    this.who = who
  }

  /** Gives the cursor away. */
  close(): KeyCursor {
    const { cursor } = this
    this.cursor = CLOSED
    this.end = UNKNOWN
    return cursor
  }

  /** The keys may have changed. */
  forget(): void {
    this.end = UNKNOWN
  }

  /** Goes to the key that covers `sector`, or else to the first one behind it. False if there is none. */
  find(sector: number): boolean {
    if (sector >= this.from && sector < this.end) return this.end !== Infinity
    const isNext = sector === this.end
    this.end = UNKNOWN
    if (isNext) {
      if (!this.take(this.cursor.next(), sector)) return false
      if (this.start >= sector) return true
      this.end = UNKNOWN
      throw new DataError('EIO', this.who.toString(), `extents overlap at sector ${sector} (key ${this.key.posText})`)
    }
    const behind = sector + 1
    setBpos(this.pos, this.inodeHi, this.inodeLo, Math.floor(behind / 0x100000000), behind >>> 0, 0)
    return this.take(this.cursor.seek(this.pos), sector)
  }

  private take(found: boolean, sector: number): boolean {
    const { key } = this
    const isOurs = found && key.inodeLo === this.inodeLo && key.inodeHi === this.inodeHi
    this.from = sector
    this.start = isOurs ? key.start : Infinity
    this.end = isOurs ? key.offset : Infinity
    return isOurs
  }
}

const CLOSED: KeyCursor = { key: new Key(), seek: throwClosed, next: throwClosed }

function throwClosed(): never {
  throw new RangeError('the file is closed')
}

function isData(type: number): boolean {
  return type !== RESERVATION && type !== COOKIE
}

function cut(target: Uint8Array, length: number): Uint8Array {
  return length < target.length ? target.subarray(0, length) : target
}

/** Inline data may be shorter than the sectors it stands for: zeros follow. */
function copyInline(key: Key, at: number, skip: number, target: Uint8Array): void {
  const from = Math.min(at + skip, key.u64s * 8)
  const length = Math.min(target.length, key.u64s * 8 - from)
  target.set(key.bytes.subarray(from, from + length))
  target.fill(0, length)
}
