/**
 * A volume of keys in memory, for tests of the filesystem on its own: `put` keys, then open it. What a snapshot sees is worked out
 * anew for every cursor, by the plain reading of format chapter 5, 5.1.
 */

import { BtreeId, DataError, Key, bpos, compareBpos, hasSnapshots, KEY_BYTES, KEY_POS_AT } from '@cowherd/db'
import type { KeyCursor } from '@cowherd/db'
import { crc32c, crc64, encodeUtf8 } from '@cowherd/kernel-lib'
import { INODE_V3, Inode } from '../inode.ts'
import { SubvolumeValue } from '../key-types/subvolume.ts'
import { StringHash } from '../string-hash.ts'
import type { VolumeAccess } from '../volume-access.ts'
import type { InodeFields, KeyFields } from './keys.ts'
import { SHAPE, inodeValue, keyOf, padded } from './keys.ts'

const WHITEOUT = 1
const EXTENT = 6

/** Codecs for hashing names; what inodes with the old SipHash keys get of SHA-256 is nonsense. */
export const CODECS = { crc32c, crc64, sha256: (data: Uint8Array): Uint8Array => new Uint8Array(32).fill(data[0]) }

export class MemoryVolume implements VolumeAccess {
  readonly superblock = {
    timeBaseNs: 0n,
    timePrecisionNs: 1,
    members: [],
    options: { gcReserveBytes: 0, gcReservePercent: 8 },
  }
  readonly shape = SHAPE
  readonly codecs = CODECS
  /** Parent of each snapshot, 0 for a root. */
  readonly parents = new Map<number, number>([[TOP, 0]])
  readonly snapshots = { has: (id: number): boolean => this.parents.has(id) }
  /** Extents that can't be read: by the number in their values. */
  readonly damaged = new Set<number>()
  private readonly keys = new Map<number, Key[]>()
  private readonly sorted = new Map<number, readonly Key[]>()

  put(btree: number, fields: KeyFields): this {
    const list = this.keys.get(btree) ?? []
    list.push(keyOf(fields))
    this.keys.set(btree, list)
    this.sorted.delete(btree)
    return this
  }

  /** A subvolume; its root inode is put separately. */
  putSubvolume(id: number, snapshot: number, inode: number): this {
    const value = SubvolumeValue.bytes({
      flags: { readOnly: 0, snapshot: 0, unlinked: 0 },
      snapshot,
      inode: BigInt(inode),
      creationParent: 0,
      fsPathParent: id === 1 ? 0 : 1,
      otime: 0n,
      otimeHi: undefined,
    })
    return this.put(BtreeId.subvolumes, { type: 21, offset: id, value })
  }

  putInode(number: number, fields: InodeFields, snapshot: number = TOP): this {
    return this.put(BtreeId.inodes, { type: INODE_V3, offset: number, snapshot, value: inodeValue(3, fields) })
  }

  /** A name at its home offset plus `shift`, hashed as for a directory with string hash `strHash` and seed 0. */
  putName(
    directory: number,
    name: string,
    target: number | { child: number; parent: number },
    { type = 8, snapshot = TOP, shift = 0, strHash = 3 } = {},
  ): bigint {
    const offset = homeOffset(name, strHash) + BigInt(shift)
    const value = padded(
      typeof target === 'number'
        ? direntBytes(target, 0, type, name)
        : direntBytes(target.child, target.parent, 16, name),
    )
    this.put(BtreeId.dirents, { type: 10, inode: directory, offset, snapshot, value })
    return offset
  }

  /** An extent of `size` sectors that ends at `end`; its bytes are `patternByte(number, place in the extent)`. */
  putExtent(inode: number, end: number, size: number, number: number): this {
    const value = new Uint8Array(8)
    new DataView(value.buffer).setUint32(0, number, true)
    return this.put(BtreeId.extents, { type: EXTENT, inode, offset: end, snapshot: TOP, size, value })
  }

  cursor(btree: number): KeyCursor {
    return new ArrayCursor(this.inOrder(btree))
  }

  snapshotCursor(btree: number, snapshot: number): KeyCursor {
    const all = this.inOrder(btree)
    if (!hasSnapshots(btree)) return new ArrayCursor(all)
    const decided = new Set<string>()
    const seen = all.filter((key) => {
      const position = `${key.inodeHi}:${key.inodeLo}:${key.offsetHi}:${key.offsetLo}`
      if (decided.has(position) || !this.isAncestor(snapshot, key.snapshot)) return false
      decided.add(position)
      return key.type !== WHITEOUT
    })
    return new ArrayCursor(seen)
  }

  readExtent(key: Key, skip: number, target: Uint8Array, who: string): void {
    const number = key.view.getUint32(KEY_BYTES + (key.type === EXTENT ? 0 : 8), true)
    if (this.damaged.has(number)) throw new DataError('EIO', who, 'damaged for a test')
    if (skip + target.length > key.size * 512) throw new RangeError('more than the extent was asked for')
    for (let i = 0; i < target.length; i++) target[i] = patternByte(number, skip + i)
  }

  private inOrder(btree: number): readonly Key[] {
    let list = this.sorted.get(btree)
    if (list === undefined) {
      list = [...(this.keys.get(btree) ?? [])].sort((a, b) => compareBpos(a.words, KEY_POS_AT, b.words, KEY_POS_AT))
      this.sorted.set(btree, list)
    }
    return list
  }

  private isAncestor(id: number, ancestor: number): boolean {
    for (let at = id; at !== 0; at = this.parents.get(at) ?? 0) if (at === ancestor) return true
    return false
  }
}

/** The first snapshot. */
export const TOP = 0xffffffff

export function patternByte(number: number, place: number): number {
  return (number * 31 + place * 7 + (place >>> 9) + 1) & 0xff
}

/** Where a name goes in a directory with seed 0. */
export function homeOffset(name: string, strHash: number): bigint {
  const inode = new Inode()
  inode.decode(keyOf({ type: INODE_V3, offset: 5000, value: inodeValue(3, { strHash }) }))
  const hash = new StringHash(CODECS)
  hash.name(inode, encodeUtf8(name))
  return (BigInt(hash.hi) << 32n) | BigInt(hash.lo)
}

function direntBytes(lo: number, hi: number, type: number, name: string): Uint8Array {
  const nameBytes = encodeUtf8(name)
  const bytes = new Uint8Array(9 + nameBytes.length)
  const view = new DataView(bytes.buffer)
  view.setUint32(0, lo, true)
  view.setUint32(4, hi, true)
  bytes[8] = type
  bytes.set(nameBytes, 9)
  return bytes
}

class ArrayCursor implements KeyCursor {
  readonly key = new Key()
  private readonly keys: readonly Key[]
  private index = -1

  constructor(keys: readonly Key[]) {
    this.keys = keys
  }

  seek(pos: Uint32Array): boolean {
    const from = bpos(0, 0)
    from.set(pos.subarray(0, 5))
    from[0] = 0
    this.index = this.keys.findIndex((key) => compareBpos(key.words, KEY_POS_AT, from, 0) >= 0)
    return this.take()
  }

  next(): boolean {
    if (this.index < 0) throw new Error('next() without a place')
    this.index++
    return this.take()
  }

  private take(): boolean {
    if (this.index < 0 || this.index >= this.keys.length) {
      this.index = -1
      return false
    }
    this.key.set(this.keys[this.index].words, 0)
    return true
  }
}
