/**
 * `Inode`: the attributes of one file, unpacked from any of the three versions of the key. Format chapter 5, 5.2.
 *
 * One object serves a caller for as long as it likes: `decode` overwrites it and allocates nothing. Numbers that may need
 * 64 bits are two halves, and also a getter with a plain number where the value is one in any sound volume.
 */

import { struct, bits64, bits32, bytes, u16, u64, u64Hex } from '@cowherd/kernel-lib'
import { KEY_BYTES, KEY_WORDS, KEY_POS_AT } from '@cowherd/db'
import type { Key } from '@cowherd/db'
import {
  Field,
  FIELD_COUNT,
  FIELDS_V2,
  FIELDS_V3,
  packedFields,
  packFields,
  unpackFields,
  unpackOldFields,
} from './inode-fields.ts'
import { UNIX_NANOSECONDS } from './time-scale.ts'
import type { TimeScale } from './time-scale.ts'

/** Key types of inodes. */
export const INODE_V1 = 8
export const INODE_GENERATION = 9
export const INODE_V2 = 23
export const INODE_V3 = 29

/** Head of inode_v3; packed fields follow (5.2.1, 5.2.2). */
export const InodeV3Head = struct({
  journalSeq: u64,
  hashSeed: bytes(8),
  flags: bits64({ flags: [0, 20], strHash: [20, 24], fieldCount: [24, 31], fieldsStart: [31, 36], mode: [36, 52] }),
  sectors: u64,
  size: u64,
  version: u64,
})

/** Head of inode_v2; packed fields follow (5.2.13). */
export const InodeV2Head = struct({
  journalSeq: u64,
  hashSeed: bytes(8),
  flags: bits64({ flags: [0, 20], strHash: [20, 24], fieldCount: [24, 31] }),
  mode: u16,
})

/** Head of the oldest inode; packed fields follow (5.2.13). */
export const InodeV1Head = struct({
  hashSeed: bytes(8),
  flags: bits32({ flags: [0, 20], strHash: [20, 24], fieldCount: [24, 31], newVarint: [31, 32] }),
  mode: u16,
})

/** Bits of `Inode.flags` (5.2.2). */
export const InodeFlag = {
  sync: 1 << 0,
  immutable: 1 << 1,
  append: 1 << 2,
  nodump: 1 << 3,
  noatime: 1 << 4,
  sizeDirty: 1 << 5,
  sectorsDirty: 1 << 6,
  unlinked: 1 << 7,
  backptrUntrusted: 1 << 8,
  hasChildSnapshot: 1 << 9,
} as const

/** File type bits of the mode (`S_IFMT`). */
export const FileType = {
  mask: 0o170000,
  fifo: 0o010000,
  character: 0o020000,
  directory: 0o040000,
  block: 0o060000,
  regular: 0o100000,
  symlink: 0o120000,
  socket: 0o140000,
} as const

/** The root directory of the first subvolume. Inodes below it do not exist. */
export const ROOT_INODE = 4096

const V3 = {
  journalSeq: KEY_WORDS + InodeV3Head.offsets.journalSeq / 4,
  hashSeed: KEY_WORDS + InodeV3Head.offsets.hashSeed / 4,
  flags: KEY_WORDS + InodeV3Head.offsets.flags / 4,
  sectors: KEY_WORDS + InodeV3Head.offsets.sectors / 4,
  size: KEY_WORDS + InodeV3Head.offsets.size / 4,
  version: KEY_WORDS + InodeV3Head.offsets.version / 4,
  /** What FIELDS_START must say: the packed fields follow the head. */
  fieldsStartU64s: InodeV3Head.size / 8,
}
const V3_PACKED_AT = KEY_BYTES + InodeV3Head.size
const V2 = {
  journalSeq: KEY_WORDS + InodeV2Head.offsets.journalSeq / 4,
  hashSeed: KEY_WORDS + InodeV2Head.offsets.hashSeed / 4,
  flags: KEY_WORDS + InodeV2Head.offsets.flags / 4,
  mode: KEY_BYTES + InodeV2Head.offsets.mode,
}
const V1 = {
  hashSeed: KEY_WORDS + InodeV1Head.offsets.hashSeed / 4,
  flags: KEY_WORDS + InodeV1Head.offsets.flags / 4,
  mode: KEY_BYTES + InodeV1Head.offsets.mode,
}

const UNPACK_ERROR = 'inode_unpack_error: a packed field is damaged'

export class Inode {
  /** Inode number and the snapshot at which this version of it is stored. */
  numberHi = 0
  numberLo = 0
  snapshot = 0

  /** The low word of bi_flags as stored: flag bits (`InodeFlag`), string hash, number of fields. */
  flagsWord = 0
  /** Type and permission bits. */
  mode = 0
  journalSeqHi = 0
  journalSeqLo = 0
  versionHi = 0
  versionLo = 0

  /** The packed fields, and size and sectors, as two halves each (inode-fields.ts). */
  readonly fields = new Uint32Array(FIELD_COUNT * 2)
  private readonly seedWords = new Uint32Array(2)
  /** The 8 bytes of bi_hash_seed as stored: names below this inode are hashed with them. */
  readonly hashSeed = new Uint8Array(this.seedWords.buffer)
  private readonly times: TimeScale

  /** `times` is that of the volume the inodes come from. */
  constructor(times: TimeScale = UNIX_NANOSECONDS) {
    this.times = times
  }

  /** Takes over all that `other` says. */
  copy(other: Inode): this {
    this.numberHi = other.numberHi
    this.numberLo = other.numberLo
    this.snapshot = other.snapshot
    this.flagsWord = other.flagsWord
    this.mode = other.mode
    this.journalSeqHi = other.journalSeqHi
    this.journalSeqLo = other.journalSeqLo
    this.versionHi = other.versionHi
    this.versionLo = other.versionLo
    this.fields.set(other.fields)
    this.hashSeed.set(other.hashSeed)
    return this
  }

  /** Makes `key` the inode_v3 of this inode: what `decode` takes over. Word by word: each change of a file comes by here. */
  encode(key: Key): Key {
    const { words, bytes } = key
    const end = packFields(bytes, V3_PACKED_AT, this.fields)
    const u64s = Math.ceil(end / 8)
    bytes.fill(0, end, u64s * 8)
    words.fill(0, 0, KEY_WORDS)
    words[0] = u64s | 0x100 | (INODE_V3 << 16)
    words[KEY_POS_AT] = this.snapshot
    words[KEY_POS_AT + 1] = this.numberLo
    words[KEY_POS_AT + 2] = this.numberHi
    words[V3.journalSeq] = this.journalSeqLo
    words[V3.journalSeq + 1] = this.journalSeqHi
    words[V3.hashSeed] = this.seedWords[0]
    words[V3.hashSeed + 1] = this.seedWords[1]
    const own = (this.flagsWord & 0xffffff) | (packedFields.count << 24) // bit 31 is the first of where they start
    words[V3.flags] = own | (V3.fieldsStartU64s << 31)
    words[V3.flags + 1] = (V3.fieldsStartU64s >>> 1) | (this.mode << 4)
    words[V3.sectors] = this.fields[2 * Field.sectors]
    words[V3.sectors + 1] = this.fields[2 * Field.sectors + 1]
    words[V3.size] = this.fields[2 * Field.size]
    words[V3.size + 1] = this.fields[2 * Field.size + 1]
    words[V3.version] = this.versionLo
    words[V3.version + 1] = this.versionHi
    return key
  }

  /**
   * Takes over the inode in `key` (inode, inode_v2 or inode_v3). Returns undefined, or what is damaged, error name first;
   * the object then holds nothing of use. The value is at least as long as the key type demands.
   */
  decode(key: Key): string | undefined {
    const words = key.words
    this.snapshot = words[KEY_POS_AT]
    this.numberLo = words[KEY_POS_AT + 1]
    this.numberHi = words[KEY_POS_AT + 2]
    this.fields.fill(0)
    const type = key.type
    if (type === INODE_V3) return this.decodeV3(key)
    if (type === INODE_V2) return this.decodeV2(key)
    if (type === INODE_V1) return this.decodeV1(key)
    return `inode_unpack_error: key type ${type} is not an inode`
  }

  get flags(): number {
    return this.flagsWord & 0xfffff
  }
  /** Type of the string hash of names and attributes, 0 to 3 in sound inodes (5.4.1). */
  get strHash(): number {
    return (this.flagsWord >>> 20) & 0xf
  }
  get fieldCount(): number {
    return (this.flagsWord >>> 24) & 0x7f
  }
  get unlinked(): boolean {
    return (this.flagsWord & InodeFlag.unlinked) !== 0
  }
  get isDirectory(): boolean {
    return (this.mode & FileType.mask) === FileType.directory
  }
  get isRegular(): boolean {
    return (this.mode & FileType.mask) === FileType.regular
  }
  get isSymlink(): boolean {
    return (this.mode & FileType.mask) === FileType.symlink
  }
  get isDevice(): boolean {
    const type = this.mode & FileType.mask
    return type === FileType.character || type === FileType.block
  }

  /** Size in bytes; sizes past 2^53, which no sound file has, come out rounded. */
  get size(): number {
    return this.fields[2 * Field.size + 1] * 0x100000000 + this.fields[2 * Field.size]
  }
  /** Allocated sectors of 512 bytes: what Linux shows as st_blocks. */
  get sectors(): number {
    return this.fields[2 * Field.sectors + 1] * 0x100000000 + this.fields[2 * Field.sectors]
  }
  get uid(): number {
    return this.fields[2 * Field.uid]
  }
  get gid(): number {
    return this.fields[2 * Field.gid]
  }
  get generation(): number {
    return this.fields[2 * Field.generation]
  }
  /** Number of links, as stat(2) has it: the stored count is biased (5.2.6). */
  get linkCount(): number {
    if (this.unlinked) return 0
    return this.fields[2 * Field.nlink] + (this.isDirectory ? 2 : 1)
  }
  /** Numbers of a device file; 0 for other files. */
  get deviceMajor(): number {
    return this.isDevice ? this.fields[2 * Field.dev] >>> 20 : 0
  }
  get deviceMinor(): number {
    return this.isDevice ? this.fields[2 * Field.dev] & 0xfffff : 0
  }
  /** Options set on this very inode, as bits (5.2.10). */
  get fieldsSet(): number {
    return this.fields[2 * Field.fieldsSet]
  }
  /** Inode number of the directory with the name this inode points back to, and that name's offset there (5.2.11). */
  get dirHi(): number {
    return this.fields[2 * Field.dir + 1]
  }
  get dirLo(): number {
    return this.fields[2 * Field.dir]
  }
  get dirOffsetHi(): number {
    return this.fields[2 * Field.dirOffset + 1]
  }
  get dirOffsetLo(): number {
    return this.fields[2 * Field.dirOffset]
  }
  /** The subvolume this inode is the root of, else 0. */
  get subvolume(): number {
    return this.fields[2 * Field.subvol]
  }
  /** The subvolume that holds the name of this subvolume root, else 0. */
  get parentSubvolume(): number {
    return this.fields[2 * Field.parentSubvol]
  }

  get atimeSeconds(): number {
    return this.seconds(Field.atime)
  }
  get atimeNanoseconds(): number {
    return this.nanoseconds(Field.atime)
  }
  get mtimeSeconds(): number {
    return this.seconds(Field.mtime)
  }
  get mtimeNanoseconds(): number {
    return this.nanoseconds(Field.mtime)
  }
  get ctimeSeconds(): number {
    return this.seconds(Field.ctime)
  }
  get ctimeNanoseconds(): number {
    return this.nanoseconds(Field.ctime)
  }
  /** Birth time. */
  get otimeSeconds(): number {
    return this.seconds(Field.otime)
  }
  get otimeNanoseconds(): number {
    return this.nanoseconds(Field.otime)
  }

  /** Inode number in decimal. */
  get number(): bigint {
    return (BigInt(this.numberHi) << 32n) | BigInt(this.numberLo)
  }
  /** The hash seed in hexadecimal, as the little-endian number it is. */
  get hashSeedText(): string {
    return u64Hex(this.seedWords[1], this.seedWords[0])
  }

  private seconds(field: number): number {
    return this.times.seconds(this.fields[2 * field + 1], this.fields[2 * field])
  }

  private nanoseconds(field: number): number {
    return this.times.nanoseconds(this.fields[2 * field + 1], this.fields[2 * field])
  }

  private decodeV3(key: Key): string | undefined {
    const words = key.words
    const flagsHi = words[V3.flags + 1]
    const fieldsStart = (words[V3.flags] >>> 31) | ((flagsHi & 0xf) << 1)
    if (fieldsStart !== V3.fieldsStartU64s) {
      return `inode_v3_fields_start_bad: packed fields start at u64 ${fieldsStart}, not ${V3.fieldsStartU64s}`
    }
    this.journalSeqLo = words[V3.journalSeq]
    this.journalSeqHi = words[V3.journalSeq + 1]
    this.seedWords[0] = words[V3.hashSeed]
    this.seedWords[1] = words[V3.hashSeed + 1]
    this.flagsWord = words[V3.flags]
    this.mode = (flagsHi >>> 4) & 0xffff
    this.fields[2 * Field.sectors] = words[V3.sectors]
    this.fields[2 * Field.sectors + 1] = words[V3.sectors + 1]
    this.fields[2 * Field.size] = words[V3.size]
    this.fields[2 * Field.size + 1] = words[V3.size + 1]
    this.versionLo = words[V3.version]
    this.versionHi = words[V3.version + 1]
    const sound = unpackFields(key.bytes, V3_PACKED_AT, key.u64s * 8, this.fieldCount, FIELDS_V3, this.fields)
    return sound ? undefined : UNPACK_ERROR
  }

  private decodeV2(key: Key): string | undefined {
    const words = key.words
    this.journalSeqLo = words[V2.journalSeq]
    this.journalSeqHi = words[V2.journalSeq + 1]
    this.seedWords[0] = words[V2.hashSeed]
    this.seedWords[1] = words[V2.hashSeed + 1]
    this.flagsWord = words[V2.flags]
    this.mode = key.bytes[V2.mode] | (key.bytes[V2.mode + 1] << 8)
    this.versionLo = 0
    this.versionHi = 0
    const at = KEY_BYTES + InodeV2Head.size
    return unpackFields(key.bytes, at, key.u64s * 8, this.fieldCount, FIELDS_V2, this.fields) ? undefined : UNPACK_ERROR
  }

  private decodeV1(key: Key): string | undefined {
    const words = key.words
    this.journalSeqLo = 0
    this.journalSeqHi = 0
    this.seedWords[0] = words[V1.hashSeed]
    this.seedWords[1] = words[V1.hashSeed + 1]
    this.flagsWord = words[V1.flags]
    this.mode = key.bytes[V1.mode] | (key.bytes[V1.mode + 1] << 8)
    this.versionLo = 0
    this.versionHi = 0
    const at = KEY_BYTES + InodeV1Head.size
    const unpack = this.flagsWord >>> 31 === 1 ? unpackFields : unpackOldFields
    return unpack(key.bytes, at, key.u64s * 8, this.fieldCount, FIELDS_V2, this.fields) ? undefined : UNPACK_ERROR
  }
}
