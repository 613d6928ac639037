/** Places in a volume where something is made, moved or removed: a name in a directory. */

import { VolumeError } from '@cowherd/db'
import { NodeRef, type FileSystemReader } from '@cowherd/fs'
import { baseName, findFile, joinPaths, pathText, type NamedFile } from '../cli/volume-path.ts'

export interface Place {
  readonly directory: NodeRef
  readonly name: Uint8Array
  /** Its path from the root, for messages. */
  readonly path: Uint8Array
}

/** The place of a path without slashes at its ends. Throws VolumeError: ENOENT, ENOTDIR ... about its directory, EINVAL if it has no name there. */
export function placeAt(fs: FileSystemReader, path: Uint8Array): Place {
  const name = baseName(path)
  if (name.length === 0 || isDots(name)) throw new VolumeError('EINVAL', '', 'has no name of its own')
  const parent = path.subarray(0, Math.max(0, path.length - name.length - 1))
  return { directory: fs.resolve(parent), name, path }
}

/** The file that `text` names, not followed if it is a link, and its place. Throws VolumeError. */
export function findPlace(fs: FileSystemReader, text: string): Place & NamedFile {
  const file = findFile(fs, text, { followLast: false })
  return { ...file, ...placeAt(fs, file.path) }
}

/** Where something called `text` is to be made: what is there is looked for by the caller. Throws VolumeError. */
export function newPlace(fs: FileSystemReader, text: string): Place {
  return placeAt(fs, trimmed(new TextEncoder().encode(text)))
}

/** Where the files of a command go: into a directory that is there, or all to one name. */
export type Destination =
  { readonly into: NodeRef; readonly path: Uint8Array } | { readonly into: undefined; readonly as: Place }

/** The destination that `text` names. Throws VolumeError. */
export function findDestination(fs: FileSystemReader, text: string): Destination {
  const there = findDirectory(fs, text)
  if (there !== undefined) return { into: there.ref, path: there.path }
  if (text.endsWith('/')) throw new VolumeError('ENOENT', text, 'no such directory')
  return { into: undefined, as: newPlace(fs, text) }
}

/** The place in the destination for something called `name`. */
export function placeIn(destination: Destination, name: Uint8Array): Place {
  if (destination.into === undefined) return destination.as
  return placeBelow(destination.into, destination.path, name)
}

/** The place of a name in a directory that has the path `path`. */
export function placeBelow(directory: NodeRef, path: Uint8Array, name: Uint8Array): Place {
  return { directory, name, path: joinPaths(path, name) }
}

/** What a name in a directory leads to; undefined if it is not there. Throws VolumeError. */
export function lookAt(
  fs: FileSystemReader,
  { directory, name }: Pick<Place, 'directory' | 'name'>,
): NodeRef | undefined {
  const target = new NodeRef()
  return fs.lookup(directory, name, target) ? target : undefined
}

/** The directory that `text` names, undefined if there is none. */
function findDirectory(fs: FileSystemReader, text: string): NamedFile | undefined {
  let file: NamedFile
  try {
    file = findFile(fs, text)
  } catch (error) {
    if (error instanceof VolumeError && error.code === 'ENOENT') return undefined
    throw error
  }
  const inode = fs.newInode()
  fs.getattr(file.ref, inode)
  return inode.isDirectory ? file : undefined
}

/** For a message about a destination. */
export function destinationText(destination: Destination): string {
  return pathText(destination.into === undefined ? destination.as.path : destination.path)
}

export function isDots(name: Uint8Array): boolean {
  return name[0] === DOT && (name.length === 1 || (name.length === 2 && name[1] === DOT))
}

function trimmed(path: Uint8Array): Uint8Array {
  let [start, end] = [0, path.length]
  while (start < end && path[start] === SLASH[0]) start++
  while (end > start && path[end - 1] === SLASH[0]) end--
  return path.subarray(start, end)
}

const SLASH = Uint8Array.of(0x2f)
const DOT = 0x2e
