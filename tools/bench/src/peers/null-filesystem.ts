/**
 * A filesystem with nothing behind it, on `@cowherd/fuse`: what is left of a server's time when it has nothing to do, and so the most
 * that ours can reach. Names and attributes follow from numbers; all data are zeros.
 *
 *     null-filesystem DIRECTORY SMALL LARGE_BYTES
 *
 *     file                        LARGE_BYTES long, unless that is 0
 *     dir-0000/file-0000.txt      SMALL files, 500 to a directory
 *
 * Nodes: 1 is the root, 2 the large file, 3 the first directory, and so on; the small files follow upon the last directory.
 */

import { writeFileSync } from 'node:fs'
import { Entry, findMount, mountFuse, type Operations, type Request, ROOT_NODE, Session } from '@cowherd/fuse'

const PER_DIRECTORY = 500
const SMALL_BYTES = 560
const DAY_SECONDS = 86_400
const LARGE_NODE = 2
const FIRST_DIRECTORY = 3
const DIRECTORY_MODE = 0o40755
const FILE_MODE = 0o100644

const [directory = '', small = '0', largeBytes = '0'] = process.argv.slice(2)
const files = Number(small)
const directories = Math.ceil(files / PER_DIRECTORY)
const firstFile = FIRST_DIRECTORY + directories

const LARGE_NAME = Buffer.from('file')
const directoryNames = Array.from({ length: directories }, (_, i) => Buffer.from(`dir-${digits(i)}`))
const fileNames = Array.from({ length: PER_DIRECTORY }, (_, i) => Buffer.from(`file-${digits(i)}.txt`))
const entry = new Entry()

const operations: Operations = {
  lookup(request, parent, name) {
    const index = parent === ROOT_NODE ? indexOf(directoryNames, name, 4) : indexOf(fileNames, name, 5)
    if (parent === ROOT_NODE && LARGE_NAME.equals(name)) request.entry(entryOf(LARGE_NODE))
    else if (index === undefined) request.error('ENOENT')
    else request.entry(entryOf(firstNode(parent) + index))
  },
  getattr(request, node) {
    request.attributes(entryOf(node).attributes, DAY_SECONDS)
  },
  readdir(request, node, _handle, _offsetHi, offset, size) {
    list(request, node, offset, size, (name, to, next) => {
      const type = entryOf(to).attributes.mode >> 12
      return request.addName(name, 0, to, type, 0, next)
    })
  },
  readdirplus(request, node, _handle, _offsetHi, offset, size) {
    list(request, node, offset, size, (name, to, next) => request.addEntry(name, entryOf(to), 0, next))
  },
  read(request, node, _handle, offset, size) {
    const length = Math.max(0, Math.min(size, sizeOf(node) - offset))
    request.data(size).fill(0, 0, length)
    request.sendData(length)
  },
  statfs(request) {
    const none = { blocks: 0, freeBlocks: 0, availableBlocks: 0, files, freeFiles: 0 }
    request.room({ ...none, blockSize: 4096, nameLength: 255 })
  },
}

const fd = mountFuse(directory, { source: 'null', subtype: 'null', options: ['ro', 'noatime', 'default_permissions'] })
new Session(fd, operations, {
  features: ['doReaddirplus', 'parallelDirops', 'noOpenSupport', 'noOpendirSupport'],
  ready: raiseReadAhead,
}).serve()

/** As `cowherd mount` does. */
function raiseReadAhead(): void {
  const mount = findMount(directory)
  if (mount !== undefined) writeFileSync(`/sys/class/bdi/${mount.major}:${mount.minor}/read_ahead_kb`, '1024')
}

/** Answers with what a directory holds from `offset` on, as `add` puts it. */
function list(
  request: Request,
  node: number,
  offset: number,
  size: number,
  add: (name: Uint8Array, to: number, next: number) => boolean,
): void {
  request.beginNames(size)
  const names = node === ROOT_NODE ? directoryNames : fileNames
  const first = firstNode(node)
  const count = node === ROOT_NODE ? directories : Math.min(PER_DIRECTORY, firstFile + files - first)
  let at = offset
  while (at < count && add(names[at], first + at, at + 1)) at++
  if (at === count && node === ROOT_NODE && Number(largeBytes) > 0) add(LARGE_NAME, LARGE_NODE, at + 1)
  request.sendNames()
}

/** The node of the first thing in a directory. */
function firstNode(parent: number): number {
  return parent === ROOT_NODE ? FIRST_DIRECTORY : firstFile + (parent - FIRST_DIRECTORY) * PER_DIRECTORY
}

function entryOf(node: number): Entry {
  const isDirectory = node === ROOT_NODE || (node >= FIRST_DIRECTORY && node < firstFile)
  const { attributes } = entry
  entry.node = node
  entry.entrySeconds = entry.attrSeconds = DAY_SECONDS
  attributes.ino = node
  attributes.mode = isDirectory ? DIRECTORY_MODE : FILE_MODE
  attributes.nlink = isDirectory ? 2 : 1
  attributes.size = sizeOf(node)
  return entry
}

function sizeOf(node: number): number {
  if (node === LARGE_NODE) return Number(largeBytes)
  return node >= firstFile ? SMALL_BYTES : 0
}

/** The place of a name among names that have it as four digits at `at`. */
function indexOf(names: readonly Buffer[], name: Uint8Array, at: number): number | undefined {
  let index = 0
  for (let i = at; i < at + 4; i++) index = index * 10 + name[i] - 48
  return names.at(index)?.equals(name) ? index : undefined
}

function digits(i: number): string {
  return String(i).padStart(4, '0')
}
