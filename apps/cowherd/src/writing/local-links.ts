/** Local files with several names that were copied: which file of the volume each has become, until all of its names have been met. */

import { NodeRef } from '@cowherd/fs'
import { LinkTable } from '../copy/link-table.ts'
import type { LocalFile } from './local-files.ts'

const REF_BYTES = 12

export class LocalLinks {
  private readonly table = new LinkTable()
  /** Numbers of the filesystems: there are few. */
  private readonly devices = new Map<bigint, number>()
  private readonly key = new NodeRef()

  /** What the file has become, if one of its names was met before. */
  find(file: LocalFile): NodeRef | undefined {
    const words = this.table.pathOf(this.keyOf(file))
    if (words === undefined) return undefined
    return NodeRef.of(words.readUInt32LE(0), words.readUInt32LE(4), words.readUInt32LE(8))
  }

  /** A name of the file was met, and `ref` is a copy: the one that the names to come are for. */
  addCopy(file: LocalFile, { subvolume, inodeHi, inodeLo }: Readonly<NodeRef>): void {
    const words = Buffer.alloc(REF_BYTES)
    words.writeUInt32LE(subvolume, 0)
    words.writeUInt32LE(inodeHi, 4)
    words.writeUInt32LE(inodeLo, 8)
    this.table.addCopy(this.keyOf(file), file.linkCount, words)
  }

  /** A name of the file was met, and is a link to the copy. */
  addLink(file: LocalFile): void {
    this.table.addLink(this.keyOf(file))
  }

  private keyOf({ dev, ino }: LocalFile): Readonly<NodeRef> {
    let device = this.devices.get(dev)
    if (device === undefined) this.devices.set(dev, (device = this.devices.size))
    return this.key.set(device, Number(ino >> 32n), Number(ino & 0xffffffffn))
  }
}
