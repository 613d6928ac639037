/** Places in a volume: a name in a directory, that leads to a file or is free. path_resolution(7). */

import { VolumeError } from '@cowherd/db'
import { NodeRef, type FileSystem } from '@cowherd/fs'
import type { Path } from './messages.ts'

export interface Place {
  readonly directory: NodeRef
  readonly name: Uint8Array
  /** A slash was behind the name: it can only be a directory's. */
  readonly mustBeDirectory: boolean
}

const SLASH = 0x2f
const DOT = 0x2e
const LINKS_MAX = 40

export function bytesOf(path: Path): Uint8Array {
  return typeof path === 'string' ? new TextEncoder().encode(path) : path
}

/** The place that a path names, from `from` on if it doesn't begin with a slash. Throws VolumeError ENOENT, ENOTDIR ...; EEXIST if it has no name there. */
export function placeOf(fs: FileSystem, path: Path, from: Readonly<NodeRef> = fs.root): Place {
  const bytes = bytesOf(path)
  let end = bytes.length
  while (end > 0 && bytes[end - 1] === SLASH) end--
  const start = bytes.lastIndexOf(SLASH, end - 1) + 1
  const name = bytes.subarray(start, end)
  if (bytes.length === 0) throw new VolumeError('ENOENT', '', 'a path without a name')
  if (end === 0 || isDots(name)) throw new VolumeError('EEXIST', '', 'the path has no name of its own')
  const parent = bytes.subarray(0, start)
  const directory = parent.length === 0 ? new NodeRef().copy(from) : fs.resolve(parent, { from })
  return { directory, name, mustBeDirectory: end < bytes.length }
}

/** The place where a file is made that is opened by this path, and the file if it is there: symbolic links are followed. */
export function placeToOpen(
  fs: FileSystem,
  path: Path,
  follows: boolean,
): { readonly place: Place; readonly there: NodeRef | undefined } {
  let place = placeOf(fs, path)
  const inode = fs.newInode()
  for (let links = 0; links <= LINKS_MAX; links++) {
    const there = new NodeRef()
    if (!fs.lookup(place.directory, place.name, there)) return { place, there: undefined }
    fs.getattr(there, inode)
    if (!inode.isSymlink || !follows) return { place, there }
    place = placeOf(fs, fs.readlink(there), place.directory)
  }
  throw new VolumeError('ELOOP', '', 'too many symbolic links')
}

/** The path that leads to the same file without symbolic links, `.` and `..`. Throws VolumeError ENOENT, ENOTDIR, ELOOP. */
export function realPath(fs: FileSystem, path: Path): Uint8Array {
  const inode = fs.newInode()
  const pending = namesOf(bytesOf(path))
  const way: { readonly ref: Readonly<NodeRef>; readonly name: Uint8Array }[] = []
  for (let name = pending.pop(), links = 0; name !== undefined; name = pending.pop()) {
    if (isDots(name)) {
      if (name.length === 2) way.pop()
      continue
    }
    const directory = way.at(-1)?.ref ?? fs.root
    const ref = new NodeRef()
    if (!fs.lookup(directory, name, ref)) throw new VolumeError('ENOENT', '', 'there is no such name')
    fs.getattr(ref, inode)
    if (!inode.isSymlink) {
      way.push({ ref, name })
      continue
    }
    if (++links > LINKS_MAX) throw new VolumeError('ELOOP', '', 'too many symbolic links')
    const target = fs.readlink(ref)
    pending.push(...namesOf(target))
    if (target[0] === SLASH) way.length = 0
  }
  return way.length === 0 ? Uint8Array.of(SLASH) : joined(way.map(({ name }) => name))
}

/** The names of a path, last first. */
function namesOf(path: Uint8Array): Uint8Array[] {
  const names: Uint8Array[] = []
  let start = 0
  for (let at = 0; at <= path.length; at++) {
    if (at < path.length && path[at] !== SLASH) continue
    if (at > start) names.push(path.subarray(start, at))
    start = at + 1
  }
  return names.reverse()
}

/** A path of these names from the root. */
function joined(names: readonly Uint8Array[]): Uint8Array {
  const path = new Uint8Array(names.reduce((length, name) => length + 1 + name.length, 0))
  let at = 0
  for (const name of names) {
    path[at++] = SLASH
    path.set(name, at)
    at += name.length
  }
  return path
}

function isDots(name: Uint8Array): boolean {
  return name[0] === DOT && (name.length === 1 || (name.length === 2 && name[1] === DOT))
}
