/**
 * What a tree of files is at one time: all that its users can see, by inode. States are values: what changes makes a new one, which has
 * in common with the old what neither has changed.
 */

import { FIRST_NAME, FileType, NodeRef, type FileSystem, type Inode } from '@cowherd/fs'

export type Kind = 'directory' | 'file' | 'symlink' | 'fifo'

export interface TreeNode {
  readonly ref: Readonly<NodeRef>
  readonly kind: Kind
  /** Permission bits. */
  readonly mode: number
  readonly uid: number
  readonly gid: number
  /** As stat(2) has it. */
  readonly links: number
  /** Times in seconds. */
  readonly atime: number
  readonly mtime: number
  readonly ctime: number
  readonly otime: number
  /** `ANY_SECTORS`: however many. */
  readonly sectors: number
  /** What is in a file, or where a symbolic link leads. */
  readonly content: Uint8Array
  /** Names in a directory, and which inode each leads to. */
  readonly entries: ReadonlyMap<string, string>
  /** Extended attributes, with one character for each byte. */
  readonly attributes: ReadonlyMap<string, string>
}

/** By `idOf`. */
export type TreeState = ReadonlyMap<string, TreeNode>

export const ANY_SECTORS = -1

const KINDS = new Map<number, Kind>([
  [FileType.directory, 'directory'],
  [FileType.regular, 'file'],
  [FileType.symlink, 'symlink'],
  [FileType.fifo, 'fifo'],
])
/** Of a `TreeNode`: what is compared as it is. */
const PLAIN = ['kind', 'mode', 'uid', 'gid', 'links', 'atime', 'mtime', 'ctime', 'otime'] as const

/** Which node of a state that is. */
export function idOf({ inodeHi, inodeLo }: Readonly<NodeRef>): string {
  return `${inodeHi}:${inodeLo}`
}

function refOf(id: string, subvolume: number): NodeRef {
  const [hi = 0, lo = 0] = id.split(':').map(Number)
  return NodeRef.of(subvolume, hi, lo)
}

/** All that can be reached from the root. Throws what reading throws, and Error for a name that is there twice, or is not found. */
export function readTree(fs: FileSystem): TreeState {
  const nodes = new Map<string, TreeNode>()
  const read = (ref: Readonly<NodeRef>): void => {
    if (nodes.has(idOf(ref))) return
    const node = readNode(fs, ref)
    nodes.set(idOf(ref), node)
    for (const id of node.entries.values()) read(refOf(id, ref.subvolume))
  }
  read(fs.root)
  return nodes
}

/** One file. Throws as `readTree` does. */
export function readNode(fs: FileSystem, ref: Readonly<NodeRef>): TreeNode {
  const inode = fs.newInode()
  fs.getattr(ref, inode)
  const kind = KINDS.get(inode.mode & FileType.mask)
  if (kind === undefined) throw new Error(`${ref.toString()} is of no known type`)
  return {
    ...{
      ref: new NodeRef().copy(ref),
      kind,
      mode: inode.mode & 0o7777,
      uid: inode.uid,
      gid: inode.gid,
      links: inode.linkCount,
    },
    ...{ atime: inode.atimeSeconds, mtime: inode.mtimeSeconds, ctime: inode.ctimeSeconds, otime: inode.otimeSeconds },
    ...{ sectors: inode.sectors, content: contentOf(fs, ref, inode), entries: entriesOf(fs, ref, inode) },
    attributes: new Map(fs.listAttributes(ref).map(({ name, value }) => [textOf(name), textOf(value)])),
  }
}

/** Where two trees differ, from their roots on; undefined if they don't. */
export function treeDifference(found: TreeState, expected: TreeState, root: string): string | undefined {
  const ids = reachable(expected, root)
  for (const id of ids) {
    const [is, should] = [found.get(id), expected.get(id)]
    if (is === undefined || should === undefined) return `inode ${id} is missing`
    const difference = nodeDifference(is, should)
    if (difference !== undefined) return `inode ${id}: ${difference}`
  }
  for (const id of reachable(found, root)) if (!ids.has(id)) return `inode ${id} should not be there`
  return undefined
}

/** The latest change time of what can be reached. */
export function newestChange(state: TreeState, root: string): number {
  let newest = 0
  for (const id of reachable(state, root)) newest = Math.max(newest, state.get(id)?.ctime ?? 0)
  return newest
}

/** The inodes that names lead to. */
export function reachable(state: TreeState, root: string): Set<string> {
  const ids = new Set([root])
  for (const id of ids) for (const child of state.get(id)?.entries.values() ?? []) ids.add(child)
  return ids
}

export function bytesOf(text: string): Uint8Array {
  return Uint8Array.from(text, (character) => character.charCodeAt(0))
}

export function textOf(bytes: Uint8Array): string {
  return String.fromCharCode(...bytes)
}

function nodeDifference(is: TreeNode, should: TreeNode): string | undefined {
  if (is === should) return undefined
  for (const name of PLAIN) if (is[name] !== should[name]) return `${name} is ${is[name]}, should be ${should[name]}`
  if (should.sectors !== ANY_SECTORS && is.sectors !== should.sectors)
    return `${is.sectors} sectors, should be ${should.sectors}`
  if (is.content.length !== should.content.length)
    return `${is.content.length} bytes, should be ${should.content.length}`
  const at = firstDifference(is.content, should.content)
  if (at >= 0) return `byte ${at} of ${is.content.length} is ${is.content[at]}, should be ${should.content[at]}`
  return (
    mapDifference('name', is.entries, should.entries) ?? mapDifference('attribute', is.attributes, should.attributes)
  )
}

/** Where two arrays of the same length differ; -1: nowhere. */
function firstDifference(a: Uint8Array, b: Uint8Array): number {
  return Buffer.compare(a, b) === 0 ? -1 : a.findIndex((byte, i) => byte !== b[i])
}

function mapDifference(
  what: string,
  is: ReadonlyMap<string, string>,
  should: ReadonlyMap<string, string>,
): string | undefined {
  for (const [name, value] of should) {
    if (is.get(name) !== value) return `${what} ${name} is ${is.get(name) ?? 'missing'}, should be ${value}`
  }
  for (const name of is.keys()) if (!should.has(name)) return `${what} ${name} should not be there`
  return undefined
}

function contentOf(fs: FileSystem, ref: Readonly<NodeRef>, inode: Inode): Uint8Array {
  if (inode.isSymlink) return fs.readlink(ref).slice()
  if (!inode.isRegular) return new Uint8Array(0)
  const content = new Uint8Array(inode.size)
  const file = fs.open(ref)
  const length = file.readFully(0, content)
  file.close()
  if (length !== content.length) throw new Error(`${ref.toString()} has ${length} of ${content.length} bytes`)
  return content
}

function entriesOf(fs: FileSystem, ref: Readonly<NodeRef>, inode: Inode): Map<string, string> {
  const entries = new Map<string, string>()
  if (!inode.isDirectory) return entries
  const reader = fs.openDirectory(ref)
  const found = new NodeRef()
  for (let more = reader.seek(0, FIRST_NAME); more; more = reader.next()) {
    const name = textOf(reader.name)
    if (entries.has(name)) throw new Error(`${name} is twice in ${ref.toString()}`)
    if (!fs.lookup(ref, bytesOf(name), found) || !found.equals(reader.target)) throw new Error(`${name} is not found`)
    entries.set(name, idOf(reader.target))
  }
  return entries
}
