/**
 * The files of a volume that is mounted, read through its mount: to commands they are what `FileSystem` would show, if the volume were not in use.
 *
 * The kernel is asked, not the volume's engine. What has been written on the mount may lie in the kernel's memory only, and what it remembers of the
 * volume it takes for the truth: whoever goes by another way sees less, and changes things behind its back. So every byte goes through the mount,
 * whose engine serves others meanwhile, and what a user may do there is all that the command may do.
 *
 * What the mount doesn't show is not there: back pointers, hash seeds, the keys. Extended attributes need the package koffi.
 */

import { constants, lstatSync, openSync, closeSync, fstatSync, readlinkSync } from 'node:fs'
import { VolumeError } from '@cowherd/db'
import { newShownInode, NodeRef, resolvePath, showInode } from '@cowherd/fs'
import type { Attribute, FileSystemReader, Inode, NameReader, ResolveOptions } from '@cowherd/fs'
import { loadNative, type Native } from '@cowherd/shim'
import { attributesOf, numberOf, setNumber } from './file-number.ts'
import { asVolume } from './mount-error.ts'
import { MountedData, openToRead } from './mounted-data.ts'
import { MountedNames, NameStreams } from './name-stream.ts'
import { Places } from './places.ts'

export interface MountedOptions {
  /** Told once that extended attributes can't be seen. */
  readonly fail: (text: string) => void
}

/** Options of bcachefs are shown as attributes with these names. */
const OPTIONS = ['bcachefs.', 'bcachefs_effective.']
const SLASH = Buffer.from('/')

export class MountedReader implements FileSystemReader {
  readonly root: Readonly<NodeRef>
  protected readonly places: Places
  protected readonly native: Native | undefined
  private readonly streams: NameStreams
  private readonly options: MountedOptions
  private isLossTold = false

  /** `directory` is where the volume is mounted, all of it. Throws VolumeError if it can't be entered. */
  constructor(directory: string, options: MountedOptions) {
    this.options = options
    this.native = loadNative()
    this.places = new Places(directory)
    this.streams = new NameStreams(this.places)
    this.root = setNumber(new NodeRef(), this.places.root)
  }

  /** Device number of the mount, as stat(2) tells it of each file. */
  get deviceNumber(): bigint {
    return this.places.deviceNumber
  }

  close(): void {
    this.streams.close()
    this.places.close()
  }

  newInode(): Inode {
    return newShownInode()
  }

  getattr(ref: Readonly<NodeRef>, inode: Inode): void {
    showInode(inode, attributesOf(this.places.statOf(ref), ref))
  }

  lookup(directory: Readonly<NodeRef>, name: Uint8Array | string, target: NodeRef): boolean {
    const bytes = Buffer.from(name)
    const path = this.places.pathIn(directory, bytes)
    const stat = asVolume(bytes, () => lstatSync(path, { bigint: true, throwIfNoEntry: false }))
    if (stat === undefined) return false
    if (this.places.meet(directory, bytes, stat, target)) return true
    throw new VolumeError('EXDEV', bytes.toString(), 'another filesystem is mounted there')
  }

  openDirectory(directory: Readonly<NodeRef>): NameReader {
    return new MountedNames(directory, this.places, this.streams)
  }

  parentOf(directory: Readonly<NodeRef>, parent: NodeRef): void {
    this.places.parentOf(directory, parent)
  }

  open(ref: Readonly<NodeRef>, name: { toString(): string } = ref): MountedData {
    const fd = asVolume(name, () => openToRead(this.places.pathOf(ref)))
    try {
      const stat = fstatSync(fd, { bigint: true })
      this.places.expect(stat, numberOf(ref), name)
      if (stat.isDirectory()) throw new VolumeError('EISDIR', name.toString(), 'is a directory')
      if (!stat.isFile()) throw new VolumeError('EINVAL', name.toString(), 'is not a regular file')
      return new MountedData(fd, name, this.native)
    } catch (error) {
      closeSync(fd)
      throw error
    }
  }

  readlink(ref: Readonly<NodeRef>): Uint8Array {
    return asVolume(ref, () => readlinkSync(this.places.pathOf(ref), 'buffer'))
  }

  listAttributes(ref: Readonly<NodeRef>): Attribute[] {
    const found: Attribute[] = []
    this.forEachAttribute(ref, (name, value) => found.push({ name, value }))
    return found
  }

  getAttribute(ref: Readonly<NodeRef>, name: Uint8Array | string): Uint8Array | undefined {
    const { native } = this
    if (native === undefined) return this.tellLoss()
    return asVolume(ref, () => native.getXattr(this.places.pathOf(ref), Buffer.from(name)))
  }

  forEachAttribute(ref: Readonly<NodeRef>, visit: (name: Uint8Array, value: Uint8Array) => void): void {
    this.forEachName(ref, (name, text) => {
      const value = isOption(text) ? undefined : this.getAttribute(ref, name)
      if (value !== undefined) visit(name, value)
    })
  }

  forEachOptionAttribute(ref: Readonly<NodeRef>, visit: (name: string, value: string) => void): void {
    this.forEachName(ref, (name, text) => {
      const value = isOption(text) ? this.getAttribute(ref, name) : undefined
      if (value !== undefined) visit(text, Buffer.from(value).toString())
    })
  }

  resolve(path: string | Uint8Array, options: ResolveOptions = {}): NodeRef {
    return resolvePath(this, Buffer.from(path), options)
  }

  pathOf(ref: Readonly<NodeRef>): Uint8Array | undefined {
    return Buffer.concat(this.places.namesTo(ref).flatMap((name, i) => (i === 0 ? [name] : [SLASH, name])))
  }

  /** Runs `action` on a descriptor that stands for the file itself, whatever it is. */
  protected onFile<T>(ref: Readonly<NodeRef>, flags: number, action: (fd: number) => T): T {
    return asVolume(ref, () => {
      const fd = openSync(this.places.pathOf(ref), flags | constants.O_NOFOLLOW)
      try {
        this.places.expect(fstatSync(fd, { bigint: true }), numberOf(ref), ref)
        return action(fd)
      } finally {
        closeSync(fd)
      }
    })
  }

  private forEachName(ref: Readonly<NodeRef>, visit: (name: Uint8Array, text: string) => void): void {
    const { native } = this
    if (native === undefined) return void this.tellLoss()
    const names = asVolume(ref, () => native.listXattrs(this.places.pathOf(ref)))
    for (const name of names) visit(name, Buffer.from(name).toString('latin1'))
  }

  private tellLoss(): undefined {
    if (this.isLossTold) return
    this.isLossTold = true
    this.options.fail('extended attributes are not seen: on a mount that takes the package koffi')
  }
}

function isOption(name: string): boolean {
  return OPTIONS.some((prefix) => name.startsWith(prefix))
}
