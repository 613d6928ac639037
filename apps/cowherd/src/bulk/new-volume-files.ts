/**
 * Copies files into a volume that is being made: their keys are collected, and their data go to the devices meanwhile (`data-copier.ts`). When all is there
 * the volume is built at once, which takes a fraction of what as many transactions would.
 *
 * What is collected is bounded. When it is too much, or the devices get full, or a file has options of its own, the volume is built of what
 * there is, and opened; the rest goes through transactions (`rest`).
 */

import { VolumeError, type VolumeInMaking } from '@cowherd/db'
import { NewTree, NodeRef, ROOT_SUBVOLUME, type NewNode, type NewTreeOptions } from '@cowherd/fs'
import type { WritableBlockDevice } from '@cowherd/shim'
import { closeSync, openSync, readSync } from 'node:fs'
import { utf8 } from '../cli/text.ts'
import { attributeKind, type Losses } from '../copy/unkept.ts'
import { sourceText } from '../writing/failure.ts'
import { LocalData, mayHaveHoles, SOURCE_FLAGS } from '../writing/local-data.ts'
import type { LocalFile } from '../writing/local-files.ts'
import { isOption, REFUSALS, type FileHead, type Folder, type NewFile } from '../writing/new-files.ts'
import type { Place } from '../writing/place.ts'
import type { TargetOptions, TreeHead, TreeTarget } from '../writing/tree-target.ts'
import { BlockAssembler } from './block-assembler.ts'
import { DataCopier, type Copied } from './data-copier.ts'

export interface NewVolumeFilesOptions {
  readonly volume: VolumeInMaking
  readonly devices: readonly WritableBlockDevice[]
  readonly tree: Omit<NewTreeOptions, 'blockBytes'>
  /** Threads that copy data besides this one. */
  readonly threads: number
  /** Bytes of keys that are collected; left out: a good number. */
  readonly keyBytesMax?: number
  /** Told when the volume is made. */
  readonly built: () => void
  /** Opens the volume, which was built, for what is still to come. */
  readonly openRest: (unkept: Losses, options: TargetOptions) => TreeTarget
}

const SECTOR = 512
/** Files that are no larger are read by this thread: that is less work than having another do it. */
const SMALL_BYTES = 128 << 10
const PIECE_BYTES = 1 << 20
const KEY_BYTES_MAX = 96 << 20
/** Bytes of btree nodes, at the most, for each byte of a key that was added: other keys follow from it. */
const NODE_BYTES_PER_KEY_BYTE = 4
/** Memory that a file takes whose inode is not put yet. */
const OPEN_BYTES = 1 << 10
/** So many bytes of keys more, and it is asked again how much room there is. */
const LOOK_BYTES = 256 << 10

export class NewVolumeFiles implements TreeTarget {
  private readonly own: NewVolumeFilesOptions
  private readonly unkept: Losses
  private readonly options: TargetOptions
  private readonly tree: NewTree
  private readonly copier: DataCopier
  private readonly blockBytes: number
  /** By number: directories that are being filled, and files that may get more names. */
  private readonly open = new Map<number, NewNode>()
  private readonly buffer = new Uint8Array(PIECE_BYTES)
  /** Numbers of files that were given up: what there is of their data belongs to nobody. */
  private readonly lost = new Set<number>()
  /** Sectors of data that may still come, as was found last, and how many bytes of keys there were then. */
  private freeSectors = 0
  private lookedAt = -LOOK_BYTES
  private rest: TreeTarget | undefined

  constructor(own: NewVolumeFilesOptions, unkept: Losses, options: TargetOptions) {
    const { volume, devices, tree, threads } = own
    this.own = own
    this.unkept = unkept
    this.options = options
    this.blockBytes = volume.geometry.blockBytes
    this.tree = new NewTree(volume.builder, { ...tree, blockBytes: this.blockBytes })
    this.copier = new DataCopier({ devices, builder: volume.builder, blockBytes: this.blockBytes, threads })
    for (const node of [this.tree.root, this.tree.lostAndFound]) this.open.set(numberOf(node), node)
  }

  /** The root directory. */
  get root(): NodeRef {
    return refOf(this.tree.root)
  }

  /** Makes the volume of what there is. Throws VolumeError ENOSPC, DeviceError, CommandError. */
  finish(): void {
    if (this.rest !== undefined) return
    const { tree, copier, open } = this
    copier.drain()
    if (this.lost.size > 0) this.own.volume.builder.dropExtents(this.lost)
    for (const node of open.values()) if (!this.isFirst(node)) tree.put(node)
    tree.finish()
    this.own.volume.finish()
    this.own.built()
  }

  /** Ends its threads, whatever came of it. */
  async close(): Promise<void> {
    await this.copier.close()
  }

  folder(ref: NodeRef): Folder {
    return this.rest?.folder(ref) ?? { ref, bequeaths: false }
  }

  find(place: Place): ReturnType<TreeTarget['find']> {
    if (this.rest !== undefined) return this.rest.find(place)
    // All else has its name from a directory whose names are all different.
    const isThere = place.directory.equals(this.root) && utf8(place.name) === 'lost+found'
    return isThere ? { ref: refOf(this.tree.lostAndFound), isDirectory: true } : undefined
  }

  remove(place: Place): void {
    if (this.rest === undefined) throw new RangeError('nothing in a new volume is to be removed')
    this.rest.remove(place)
  }

  makeDirectory(folder: Folder, place: Place, head: FileHead): NewFile {
    const rest = this.restFor(head)
    if (rest !== undefined) return rest.makeDirectory(folder, place, head)
    const node = this.tree.make(head)
    this.tree.addName(this.openNode(folder.ref), place.name, node)
    this.open.set(numberOf(node), node)
    return { ref: refOf(node), hasMode: true }
  }

  finishDirectory(made: NewFile, path: Uint8Array, head: FileHead): void {
    const rest = this.restFor(head)
    if (rest !== undefined) {
      rest.finishDirectory({ ...made, hasMode: false }, path, head)
      return
    }
    const node = this.openNode(made.ref)
    this.tree.setHead(node, head)
    this.addAttributes(node, path, head)
    if (this.isFirst(node)) return
    this.open.delete(numberOf(node))
    this.tree.put(node)
  }

  adopt(ref: NodeRef, path: Uint8Array, head: FileHead): void {
    const rest = this.restFor(head)
    if (rest === undefined) this.tree.setHead(this.openNode(ref), head)
    else rest.adopt(ref, path, head)
  }

  makeNode(folder: Folder, place: Place, head: TreeHead): NodeRef {
    return (
      this.restFor(head)?.makeNode(folder, place, head) ??
      this.name(this.tree.make(head), this.openNode(folder.ref), place, head)
    )
  }

  makeLink(folder: Folder, place: Place, head: TreeHead, target: Uint8Array): NodeRef {
    const rest = this.restFor(head, target.length)
    if (rest !== undefined) return rest.makeLink(folder, place, head, target)
    const node = this.tree.make(head)
    this.copier.memory(target.length).set(target)
    this.putContent(node, this.copier.memory(target.length).subarray(0, target.length))
    return this.name(node, this.openNode(folder.ref), place, head)
  }

  link(file: NodeRef, folder: Folder, name: Uint8Array): void {
    if (this.rest !== undefined) {
      this.rest.link(file, folder, name)
      return
    }
    this.tree.addName(this.openNode(folder.ref), name, this.openNode(file))
  }

  async copy(
    file: LocalFile,
    folder: Folder,
    place: Place,
    head: TreeHead,
    share: number,
  ): Promise<NodeRef | undefined> {
    const { size, sectors } = file
    const hasHoles = mayHaveHoles(file)
    const rest = this.restFor(head, hasHoles ? Math.min(size, 2 * SECTOR * sectors + PIECE_BYTES) : size)
    if (rest !== undefined) return rest.copy(file, folder, place, head, share)
    if (hasHoles || size === 0) return this.copyPieces(file, folder, place, head, share)
    if (size > SMALL_BYTES) return this.copyLarge(file, folder, place, head, share)
    const ref = this.copySmall(file, folder, place, head)
    this.options.progress.add(share)
    return ref
  }

  settle(): void {
    this.rest?.settle()
  }

  giveUp(): void {
    this.rest?.giveUp()
  }

  abort(): void {
    this.rest?.abort()
  }

  private copySmall({ path, size }: LocalFile, folder: Folder, place: Place, head: TreeHead): NodeRef {
    const room = this.copier.memory(size)
    const fd = openSync(path, SOURCE_FLAGS)
    let length = 0
    try {
      for (let read = -1; length < size && read !== 0; length += read)
        read = readSync(fd, room, length, size - length, length)
    } finally {
      closeSync(fd)
    }
    const node = this.tree.make(head)
    this.putContent(node, room.subarray(0, length))
    return this.name(node, this.openNode(folder.ref), place, head)
  }

  /** Has other threads copy the data. What becomes of it is told later, unless there may be more names for it. */
  private async copyLarge(
    file: LocalFile,
    folder: Folder,
    place: Place,
    head: TreeHead,
    share: number,
  ): Promise<NodeRef | undefined> {
    const { copier, tree, options } = this
    const { path, size } = file
    const fd = openSync(path, SOURCE_FLAGS)
    const node = tree.make(head)
    const directory = this.openNode(folder.ref)
    let isWhole = false
    const copied = newCopied(node, () => {
      closeSync(fd)
      if (isWhole && copied.failure === undefined) {
        tree.setSize(node, Math.min(size, copied.end), copied.sectors)
        this.name(node, directory, place, head)
        return
      }
      this.lost.add(numberOf(node))
      if (isWhole) options.fail(sourceText(path, copied.failure ?? 'EIO'))
    })
    copied.underWay++ // until all of it is on its way
    try {
      for (let at = 0, done = 0; at < size; at += PIECE_BYTES) {
        copier.copyFrom(fd, copied, at, Math.min(PIECE_BYTES, size - at))
        const part = at + PIECE_BYTES < size ? Math.min(share - done, PIECE_BYTES) : share - done
        options.progress.add(part)
        done += part
        if (options.interruption.due()) await options.interruption.rest()
      }
      isWhole = true
    } finally {
      if (!isWhole) this.lost.add(numberOf(node))
      if (--copied.underWay === 0) copied.settled()
    }
    if (head.linkCount === 1) return undefined
    copier.drain()
    return this.lost.has(numberOf(node)) ? undefined : refOf(node)
  }

  /** Copies a file that has holes, or of which is not known how long it is. */
  private async copyPieces(
    file: LocalFile,
    folder: Folder,
    place: Place,
    head: TreeHead,
    share: number,
  ): Promise<NodeRef> {
    const { options, tree, copier } = this
    const data = new LocalData(file, options.native, this.buffer)
    const node = tree.make(head)
    const copied = newCopied(node)
    const blocks = new BlockAssembler(copier, copied, this.blockBytes)
    let [end, done] = [0, 0]
    try {
      while (data.next()) {
        blocks.add(data.offset, data.bytes)
        end = data.offset + data.bytes.length
        const part = Math.min(share - done, data.bytes.length)
        options.progress.add(part)
        done += part
        if (options.interruption.due()) await options.interruption.rest()
      }
      blocks.flush()
      tree.setSize(node, data.sizeWithHole ?? end, blocks.sectors)
    } catch (error) {
      this.lost.add(numberOf(node))
      throw error
    } finally {
      data.close()
    }
    options.progress.add(share - done)
    return this.name(node, this.openNode(folder.ref), place, head)
  }

  /** Puts all that is in a file, which lies in the copier's memory. */
  private putContent(node: NewNode, content: Uint8Array): void {
    const { tree, copier, blockBytes } = this
    const { length } = content
    if (tree.fitsInline(length)) {
      tree.putInline(node, content)
      return
    }
    copier.copyMemory(newCopied(node), 0, length)
    tree.setSize(node, length, (Math.ceil(length / blockBytes) * blockBytes) / SECTOR)
  }

  /** Gives a file, which has its data, its name and what else it is to have. */
  private name(node: NewNode, directory: NewNode, place: Place, head: TreeHead): NodeRef {
    this.tree.addName(directory, place.name, node)
    this.addAttributes(node, place.path, head)
    if (head.linkCount > 1) this.open.set(numberOf(node), node)
    else this.tree.put(node)
    return refOf(node)
  }

  private addAttributes(node: NewNode, path: Uint8Array, { attributes }: FileHead): void {
    if (attributes.length === 0) return
    this.tree.addAttributes(node, attributes, (name, error) => {
      const reason = error instanceof VolumeError ? REFUSALS[error.code] : undefined
      if (reason === undefined) throw error
      this.unkept.add(attributeKind(utf8(name) ?? 'extended attributes'), path, reason)
    })
  }

  private openNode(ref: NodeRef): NewNode {
    const node = this.open.get(ref.inodeHi * 0x100000000 + ref.inodeLo)
    if (node === undefined) throw new RangeError(`${ref.toString()} is finished`)
    return node
  }

  private isFirst(node: NewNode): boolean {
    return node === this.tree.root || node === this.tree.lostAndFound
  }

  /** Who goes on from here, if a file of so many bytes can't be made in this way. */
  private restFor({ attributes }: FileHead, bytes = 0): TreeTarget | undefined {
    if (this.rest !== undefined) return this.rest
    if (!attributes.some(isOption) && this.hasRoom(bytes)) return undefined
    this.finish()
    this.rest = this.own.openRest(this.unkept, this.options)
    return this.rest
  }

  private hasRoom(bytes: number): boolean {
    const { own, blockBytes, open } = this
    const { builder } = own.volume
    const keyBytes = builder.keyBytes + OPEN_BYTES * open.size
    if (keyBytes > (own.keyBytesMax ?? KEY_BYTES_MAX)) return false
    const sectors = (Math.ceil(bytes / blockBytes) * blockBytes) / SECTOR
    if (keyBytes >= this.lookedAt + LOOK_BYTES || sectors > this.freeSectors) {
      this.lookedAt = keyBytes
      this.freeSectors = builder.data.freeSectors - (NODE_BYTES_PER_KEY_BYTE * keyBytes) / SECTOR
    }
    this.freeSectors -= sectors
    return this.freeSectors >= 0
  }
}

function newCopied({ inode }: NewNode, settled: () => void = () => undefined): Copied {
  return { inode, underWay: 0, sectors: 0, end: Infinity, failure: undefined, settled }
}

function refOf({ inode }: NewNode): NodeRef {
  return NodeRef.of(ROOT_SUBVOLUME, inode.numberHi, inode.numberLo)
}

function numberOf({ inode }: NewNode): number {
  return inode.numberHi * 0x100000000 + inode.numberLo
}
