/**
 * Paths: from the root of a filesystem through directories, subvolumes and symbolic links to a file. path_resolution(7).
 *
 * The way down is remembered, so `..` leads back the way one came; it never leads out of the filesystem's root, and absolute links
 * start there.
 */

import { VolumeError } from '@cowherd/db'
import { decodeUtf8 } from '@cowherd/kernel-lib'
import type { FileSystemReader } from './file-system-reader.ts'
import { NodeRef } from './node-ref.ts'

export interface ResolveOptions {
  /** Follow a symbolic link at the end of the path too. Default: true. */
  readonly followLast?: boolean
  /** Where a relative path starts: a directory. Default: the root. */
  readonly from?: Readonly<NodeRef>
}

/** As many links are followed on one path, as in Linux. */
const LINKS_MAX = 40
const SLASH = 0x2f
const DOT = 0x2e

/** What `path` leads to. Throws ENOENT, ENOTDIR, ELOOP, ENAMETOOLONG, all naming the path. */
export function resolvePath(fs: FileSystemReader, path: Uint8Array, options: ResolveOptions): NodeRef {
  const { followLast = true, from = fs.root } = options
  const inode = fs.newInode()
  const fail = (code: 'ENOENT' | 'ENOTDIR' | 'ELOOP', message: string): never => {
    throw new VolumeError(code, decodeUtf8(path), message)
  }
  // The names still to go, last first, and the directories behind us.
  const names = components(path)
  let way: NodeRef[] = path[0] === SLASH ? [] : wayTo(fs, from)
  let at = new NodeRef().copy(path[0] === SLASH ? fs.root : from)
  let links = 0
  for (let name = names.pop(); name !== undefined; name = names.pop()) {
    fs.getattr(at, inode)
    if (!inode.isDirectory) fail('ENOTDIR', 'not a directory')
    if (isDot(name)) continue
    if (isDotDot(name)) {
      at = way.pop() ?? at
      continue
    }
    const next = new NodeRef()
    if (!fs.lookup(at, name, next)) fail('ENOENT', 'no such file or directory')
    fs.getattr(next, inode)
    const isEnd = names.length === 0
    if (inode.isSymlink && (followLast || !isEnd)) {
      if (++links > LINKS_MAX) fail('ELOOP', 'too many symbolic links')
      const target = fs.readlink(next)
      if (target.length === 0) fail('ENOENT', 'an empty symbolic link')
      names.push(...components(target))
      if (target[0] === SLASH) {
        way = []
        at = new NodeRef().copy(fs.root)
      }
      continue
    }
    way.push(at)
    at = next
  }
  return at
}

/** The names of a path, last first. A slash at the end asks for a directory: it counts as `.`. */
function components(path: Uint8Array): Uint8Array[] {
  const names: Uint8Array[] = []
  let start = 0
  for (let i = 0; i <= path.length; i++) {
    if (i < path.length && path[i] !== SLASH) continue
    if (i > start) names.push(path.subarray(start, i))
    start = i + 1
  }
  if (names.length > 0 && path[path.length - 1] === SLASH) names.push(Uint8Array.of(DOT))
  return names.reverse()
}

/** The directories from the root to `directory`, which is not among them. */
function wayTo(fs: FileSystemReader, directory: Readonly<NodeRef>): NodeRef[] {
  const way: NodeRef[] = []
  let at: Readonly<NodeRef> = directory
  while (!at.equals(fs.root)) {
    const parent = new NodeRef()
    fs.parentOf(at, parent)
    if (parent.equals(at) || way.length >= LINKS_MAX * 100) break
    way.unshift(parent)
    at = parent
  }
  return way
}

function isDot(name: Uint8Array): boolean {
  return name.length === 1 && name[0] === DOT
}

function isDotDot(name: Uint8Array): boolean {
  return name.length === 2 && name[0] === DOT && name[1] === DOT
}
