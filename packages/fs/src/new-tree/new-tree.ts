/**
 * The files of a volume that is being made (`VolumeBuilder`): their keys, each made once, when all is known that it has to say. Nothing is read
 * here, and there are no transactions; what a new volume begins with is part of it. Format chapter 5, 5.2, 5.5 and 5.8.
 *
 *     const tree = new NewTree(builder, options)
 *     const node = tree.make(head)                   an inode that nothing leads to
 *     tree.addName(tree.root, name, node)            a name for it
 *     tree.put(node)                                 its inode is as it is to be
 *     tree.finish()                                  so are the first two directories
 */

import { AccountingType, BtreeId, Key, setBpos, type Bpos, type VolumeBuilder } from '@cowherd/db'
import type { Time } from '../file-system-writer.ts'
import {
  addFirstNames,
  FIRST_JOURNAL_SEQ,
  LOST_AND_FOUND_INODE,
  ROOT_SNAPSHOT,
  strHashFlags,
  type FirstStart,
} from '../first-start.ts'
import { changeSectors, setSize } from '../inode-versions.ts'
import { Inode } from '../inode.ts'
import { Field } from '../inode-fields.ts'
import { DIRENT, direntBytes } from '../key-types/dirent.ts'
import { INLINE_DATA } from '../key-types/inline-data.ts'
import { setAttribute } from '../namespace/attribute-changes.ts'
import { AttributeTable } from '../namespace/attribute-table.ts'
import { addLink, countSubdirectory, setField, setPermissions, setTime } from '../namespace/inode-changes.ts'
import { checkName } from '../namespace/names.ts'
import { StringHash } from '../string-hash.ts'
import { ROOT_SUBVOLUME } from '../subvolumes.ts'
import type { TimeScale } from '../time-scale.ts'
import { InodeKeys } from './inode-keys.ts'
import { NameSlots } from './name-slots.ts'

export interface NewTreeOptions extends FirstStart {
  /** How the volume counts time. */
  readonly times: TimeScale
  /** When its files are made. */
  readonly now: Time
  /** Whether access control lists mean anything (option `acl`). */
  readonly acl: boolean
  readonly blockBytes: number
}

/** What a file is to be. */
export interface NewNodeHead {
  /** With the type. */
  readonly mode: number
  readonly uid: number
  readonly gid: number
  readonly atime: Time
  readonly mtime: Time
  /** Of a device node. */
  readonly major: number
  readonly minor: number
}

/** A file that is being made. */
export interface NewNode {
  readonly inode: Inode
  /** Of a directory: where its names are. */
  readonly names: NameSlots | undefined
  /** Names that lead to it. */
  links: number
}

const SECTOR = 512
const MINOR_BITS = 20
const MODE_MASK = 0o177777
/** As much as this lies in a key, and half a block at most. */
const INLINE_BYTES_MAX = 1024
const VIEW = { subvolume: ROOT_SUBVOLUME, snapshot: ROOT_SNAPSHOT, ancestors: new Set([ROOT_SNAPSHOT]) }

export class NewTree {
  readonly root: NewNode
  readonly lostAndFound: NewNode
  private readonly builder: VolumeBuilder
  private readonly options: NewTreeOptions
  private readonly hash: StringHash
  private readonly flagsWord: number
  private readonly inlineBytesMax: number
  /** What setting attributes needs. */
  private readonly attributes: {
    readonly attributes: AttributeTable
    readonly hasAcls: boolean
    readonly now: Uint32Array
  }
  private readonly updates = new InodeKeys()
  private readonly key = new Key()
  private readonly pos: Bpos = new Uint32Array(5)
  private next = LOST_AND_FOUND_INODE + 1

  constructor(builder: VolumeBuilder, options: NewTreeOptions) {
    const { codecs, times, now, acl, blockBytes, strHash } = options
    this.builder = builder
    this.options = options
    this.hash = new StringHash(codecs)
    this.flagsWord = strHashFlags(strHash)
    this.inlineBytesMax = Math.min(blockBytes / 2, INLINE_BYTES_MAX)
    const stored = new Uint32Array(2)
    times.store(stored, 0, now.seconds, now.nanoseconds)
    this.attributes = { attributes: new AttributeTable(this.hash), hasAcls: acl, now: stored }
    const { root, lostAndFound } = addFirstNames(builder, options)
    this.root = { inode: root, names: new NameSlots(), links: 1 }
    this.root.names?.take(lostAndFound.dirOffsetHi, lostAndFound.dirOffsetLo)
    this.lostAndFound = { inode: lostAndFound, names: new NameSlots(), links: 1 }
  }

  /** Makes a file that nothing leads to. */
  make(head: NewNodeHead): NewNode {
    const inode = new Inode()
    inode.numberHi = Math.floor(this.next / 0x100000000)
    inode.numberLo = this.next++ >>> 0
    inode.snapshot = ROOT_SNAPSHOT
    inode.mode = head.mode & MODE_MASK
    inode.flagsWord = this.flagsWord
    inode.journalSeqLo = FIRST_JOURNAL_SEQ
    this.options.random(inode.hashSeed)
    setTime(inode, Field.otime, this.attributes.now)
    if (inode.isDevice) setField(inode, Field.dev, ((head.major << MINOR_BITS) | head.minor) >>> 0)
    const node = { inode, names: inode.isDirectory ? new NameSlots() : undefined, links: 0 }
    this.setHead(node, head)
    return node
  }

  /** Gives it owner, mode and times. */
  setHead({ inode }: NewNode, { mode, uid, gid, atime, mtime }: NewNodeHead): void {
    const { times } = this.options
    setField(inode, Field.uid, uid >>> 0)
    setField(inode, Field.gid, gid >>> 0)
    setPermissions(inode, mode)
    times.store(inode.fields, 2 * Field.atime, atime.seconds, atime.nanoseconds)
    times.store(inode.fields, 2 * Field.mtime, mtime.seconds, mtime.nanoseconds)
    setTime(inode, Field.ctime, this.attributes.now)
  }

  /** Has a name lead to a file. No other of the directory is the same. Throws VolumeError ENAMETOOLONG, EINVAL, EMLINK. */
  addName(directory: NewNode, name: Uint8Array, node: NewNode): void {
    const { hash, pos, key, builder } = this
    const { inode, names } = directory
    const { numberHi, numberLo, mode } = node.inode
    if (names === undefined) throw new RangeError(`inode ${inode.number} is no directory`)
    checkName(name)
    if (node.links > 0) addLink(node.inode)
    node.links++
    hash.name(inode, name)
    names.take(hash.hi, hash.lo)
    setField(node.inode, Field.dir, inode.numberLo, inode.numberHi)
    setField(node.inode, Field.dirOffset, names.lo, names.hi)
    setBpos(pos, inode.numberHi, inode.numberLo, names.hi, names.lo, ROOT_SNAPSHOT)
    builder.add(BtreeId.dirents, key.make(DIRENT, pos, direntBytes(numberHi, numberLo, mode >>> 12, name)))
    if (node.names !== undefined) countSubdirectory(inode, 1)
  }

  /**
   * Adds attributes to a file that has none, by their whole names. `refused` is told what the volume does not keep, as `FileSystemWriter.setAttribute`
   * would throw it.
   */
  addAttributes(
    { inode }: NewNode,
    attributes: readonly { readonly name: Uint8Array; readonly value: Uint8Array }[],
    refused: (name: Uint8Array, error: unknown) => void,
  ): void {
    const { updates, builder } = this
    for (const { name, value } of attributes) {
      try {
        setAttribute(this.attributes, updates, VIEW, inode, name, value, undefined)
      } catch (error) {
        refused(name, error)
      }
    }
    for (const key of updates.take()) builder.add(BtreeId.xattrs, key)
  }

  /** Whether data of so many bytes, all that a file has, lies in a key. */
  fitsInline(bytes: number): boolean {
    return bytes <= this.inlineBytesMax
  }

  /** Puts all that is in a file, and is not much, into a key. */
  putInline({ inode }: NewNode, content: Uint8Array): void {
    if (content.length === 0) return
    const sectors = this.options.blockBytes / SECTOR
    setBpos(this.pos, inode.numberHi, inode.numberLo, 0, sectors, ROOT_SNAPSHOT)
    this.builder.addFeature('inline_data')
    this.builder.add(BtreeId.extents, this.key.make(INLINE_DATA, this.pos, content, sectors))
    setSize(inode, content.length)
    changeSectors(inode, sectors)
  }

  /** Says that a file has `size` bytes, and so many sectors of data, whose keys are added by who wrote them. */
  setSize({ inode }: NewNode, size: number, sectors: number): void {
    setSize(inode, size)
    setField(inode, Field.sectors, sectors >>> 0, Math.floor(sectors / 0x100000000))
  }

  /** The inode is what it is to be. Its names can lead to it before or after that. */
  put({ inode }: NewNode): void {
    this.builder.add(BtreeId.inodes, inode.encode(this.key))
    this.builder.counters.add(AccountingType.inodes, [], 1)
  }

  /** The first two directories are what they are to be. */
  finish(): void {
    for (const node of [this.root, this.lostAndFound]) this.put(node)
  }
}
