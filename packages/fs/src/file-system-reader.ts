/**
 * What can be asked of the files of a volume. `FileSystem` answers it from the volume itself; whoever shows the same files by another way, a
 * mount for one, can stand in its place, and what goes over trees (`walk`) takes either.
 *
 * What each call does and throws is told in `file-system.ts`.
 */

import type { Attribute } from './attributes.ts'
import type { DirectoryReader } from './directory.ts'
import type { Inode } from './inode.ts'
import type { NodeRef } from './node-ref.ts'
import type { OpenFile } from './open-file.ts'
import type { ResolveOptions } from './path.ts'

/** The names of a directory, one after the other. */
export type NameReader = Pick<
  DirectoryReader,
  'offsetHi' | 'offsetLo' | 'nextOffsetHi' | 'nextOffsetLo' | 'type' | 'target' | 'name' | 'seek' | 'next'
>

/** A regular file that is open for reading. */
export type DataReader = Pick<OpenFile, 'size' | 'read' | 'readFully' | 'nextData' | 'close'>

export interface FileSystemReader {
  readonly root: Readonly<NodeRef>
  newInode(): Inode
  getattr(ref: Readonly<NodeRef>, inode: Inode): void
  lookup(directory: Readonly<NodeRef>, name: Uint8Array | string, target: NodeRef): boolean
  openDirectory(directory: Readonly<NodeRef>): NameReader
  parentOf(directory: Readonly<NodeRef>, parent: NodeRef): void
  open(ref: Readonly<NodeRef>, name?: { toString(): string }): DataReader
  readlink(ref: Readonly<NodeRef>): Uint8Array
  listAttributes(ref: Readonly<NodeRef>): Attribute[]
  getAttribute(ref: Readonly<NodeRef>, name: Uint8Array | string): Uint8Array | undefined
  forEachAttribute(ref: Readonly<NodeRef>, visit: (name: Uint8Array, value: Uint8Array) => void): void
  forEachOptionAttribute(ref: Readonly<NodeRef>, visit: (name: string, value: string) => void): void
  resolve(path: string | Uint8Array, options?: ResolveOptions): NodeRef
  pathOf(ref: Readonly<NodeRef>): Uint8Array | undefined
}
