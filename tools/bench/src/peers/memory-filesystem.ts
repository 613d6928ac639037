/**
 * A filesystem that keeps names in memory, and of data nothing but the size, on `@cowherd/fuse`: what is left of a server's time when it has next to
 * nothing to do, and so the most that ours can reach when it is written.
 *
 *     memory-filesystem DIRECTORY
 *
 * Of all that can be asked of a filesystem it knows what the benchmarks do with names and with one file. Data read as zeros.
 */

import { Entry, FuseError, mountFuse, OpenFlag, type Operations, ROOT_NODE, Session } from '@cowherd/fuse'

const FOR_EVER_SECONDS = 2 ** 30
const DIRECTORY_MODE = 0o40755
const TYPE_MASK = 0o170000

/** What a node stands for. */
interface File {
  readonly node: number
  readonly mode: number
  size: number
  /** Of a directory. */
  readonly names: Map<string, File> | undefined
}

const files: (File | undefined)[] = [undefined]
const root = newFile(DIRECTORY_MODE)
const entry = new Entry()
const absent = new Entry()
entry.entrySeconds = entry.attrSeconds = absent.entrySeconds = FOR_EVER_SECONDS

function newFile(mode: number): File {
  const isDirectory = (mode & TYPE_MASK) === (DIRECTORY_MODE & TYPE_MASK)
  const file: File = { node: files.length, mode, size: 0, names: isDirectory ? new Map<string, File>() : undefined }
  files.push(file)
  return file
}

function fileOf(node: number): File {
  return files[node] ?? root
}

function namesOf(node: number): Map<string, File> {
  const { names } = fileOf(node)
  if (names === undefined) throw new FuseError('ENOTDIR', `node ${node}`)
  return names
}

function textOf(name: Uint8Array): string {
  return Buffer.from(name.buffer, name.byteOffset, name.length).toString('latin1')
}

function entryOf({ node, mode, size }: File): Entry {
  const { attributes } = entry
  entry.node = node
  attributes.ino = node
  attributes.mode = mode
  attributes.size = size
  return entry
}

function made(parent: number, name: Uint8Array, mode: number): Entry {
  const file = newFile(mode)
  namesOf(parent).set(textOf(name), file)
  return entryOf(file)
}

function removed(parent: number, name: Uint8Array): File {
  const names = namesOf(parent)
  const file = names.get(textOf(name))
  if (file === undefined) throw new FuseError('ENOENT', textOf(name))
  names.delete(textOf(name))
  return file
}

const operations: Operations = {
  lookup(request, parent, name) {
    const file = namesOf(parent).get(textOf(name))
    request.entry(file === undefined ? absent : entryOf(file))
  },
  getattr(request, node) {
    request.attributes(entryOf(fileOf(node)).attributes, FOR_EVER_SECONDS)
  },
  setattr(request, node, changes) {
    const file = fileOf(node)
    if (changes.has('size')) file.size = changes.size
    request.attributes(entryOf(file).attributes, FOR_EVER_SECONDS)
  },
  mkdir(request, parent, name, mode) {
    request.entry(made(parent, name, (DIRECTORY_MODE & TYPE_MASK) | mode))
  },
  create(request, parent, name, _flags, mode) {
    request.created(made(parent, name, mode), 0, OpenFlag.keepCache)
  },
  rename(request, parent, name, newParent, newName) {
    const file = removed(parent, name)
    namesOf(newParent).set(textOf(newName), file)
    request.ok()
  },
  unlink(request, parent, name) {
    files[removed(parent, name).node] = undefined
    request.ok()
  },
  read(request, node, _handle, offset, size) {
    const length = Math.max(0, Math.min(size, fileOf(node).size - offset))
    request.data(size).fill(0, 0, length)
    request.sendData(length)
  },
  write(request, node, _handle, offset, data) {
    const file = fileOf(node)
    file.size = Math.max(file.size, offset + data.length)
    request.written(data.length)
  },
  statfs(request) {
    const many = { blocks: 2 ** 30, freeBlocks: 2 ** 30, availableBlocks: 2 ** 30, files: 2 ** 30, freeFiles: 2 ** 30 }
    request.room({ ...many, blockSize: 4096, nameLength: 255 })
  },
}

if (root.node !== ROOT_NODE) throw new Error('the root is the first node')
const fd = mountFuse(process.argv[2] ?? '', { source: 'names', subtype: 'names', options: [] })
new Session(fd, operations, {
  features: ['parallelDirops', 'noOpenSupport', 'noOpendirSupport', 'writebackCache', 'explicitInvalData'],
}).serve()
