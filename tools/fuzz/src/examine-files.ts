/** Walks the files of a volume that may be damaged, as a user's programs would: names, attributes, links and data. */

import { VolumeError, type Volume } from '@cowherd/db'
import { Inode, NodeRef, openFileSystem, walk, type FileSystem } from '@cowherd/fs'
import { allowed, attempt, checkMessage, Finding } from './oracle.ts'

/** A hostile volume can show more files than anybody has time for: names lead to what other names lead to. */
const FILES_MAX = 20_000
const BYTES_PER_FILE = 256 * 1024
const BYTES_MAX = 4 * 1024 * 1024
const PIECE_BYTES = 64 * 1024
const RANGES_MAX = 64

/** Enough was seen. */
class Enough extends Error {}

export function examineFiles(volume: Volume, look: (use: () => void) => void): void {
  let opened: FileSystem | undefined
  look(() => (opened = openFileSystem(volume)))
  if (opened === undefined) return
  const fs = opened
  const piece = new Uint8Array(PIECE_BYTES)
  let files = 0
  const budget = { bytes: BYTES_MAX }
  const met = new Set<string>() // files with several names
  look(() => {
    try {
      walk(fs, {
        visit: ({ path, ref, inode }) => {
          if (++files > FILES_MAX) throw new Enough()
          if (files % 4 === 0) look(() => findAgain(fs, path, ref))
          if (files % 4 === 1) checkGetters(inode)
          if (inode.isDirectory) look(() => void fs.lookup(ref, `no-${files}`, new NodeRef()))
          if (!inode.isDirectory && inode.linkCount > 1 && !isNew(met, ref)) return
          examineAttributes(fs, ref, look)
          if (inode.isSymlink) look(() => fs.readlink(ref))
          if (inode.isRegular && budget.bytes > 0) look(() => readFile(fs, ref, path, piece, budget))
          if (files % 8 === 0) look(() => fs.pathOf(ref))
        },
        fail: (_path, error) => {
          allowed(error)
          if (!(error instanceof VolumeError)) throw new Finding('not a VolumeError')
        },
      })
    } catch (error) {
      if (!(error instanceof Enough)) throw error
    }
  })
  look(() => {
    for (const { id } of fs.listSubvolumes()) look(() => openFileSystem(volume, { subvolume: id }))
  })
  look(() => {
    for (const [name, value] of Object.entries(fs.space())) {
      if (!(value >= 0)) throw new Finding(`space: ${name} is ${value}`)
    }
  })
}

function isNew(met: Set<string>, ref: Readonly<NodeRef>): boolean {
  const { size } = met
  return met.add(ref.toString()).size > size
}

/** A name that was listed is looked up by its hash; damaged directories need not have it there. */
function findAgain(fs: FileSystem, path: Uint8Array, ref: Readonly<NodeRef>): void {
  fs.resolve(path)
  for (const { name, value } of fs.listAttributes(ref)) {
    attempt(() => {
      const again = fs.getAttribute(ref, name)
      if (again !== undefined && again.length > value.length + 65536) throw new Finding('an attribute that grows')
    })
  }
}

/** Names of what an inode can be asked for. */
const GETTERS = Object.getOwnPropertyNames(Inode.prototype).filter(
  (name) => Object.getOwnPropertyDescriptor(Inode.prototype, name)?.get !== undefined,
)

/** Each has an answer. */
function checkGetters(inode: Inode): void {
  for (const name of GETTERS) {
    const value: unknown = Reflect.get(inode, name)
    if (value === undefined || Number.isNaN(value)) throw new Finding(`inode.${name} is ${String(value)}`)
  }
}

function examineAttributes(fs: FileSystem, ref: Readonly<NodeRef>, look: (use: () => void) => void): void {
  look(() =>
    fs.forEachAttribute(ref, (name, value) => {
      if (name.length === 0 || value.length > 65536) throw new Finding(`an attribute of ${value.length} bytes`)
    }),
  )
  look(() => fs.forEachOptionAttribute(ref, (name, value) => checkMessage(`${name}=${value}`)))
}

/** Reads what data there is, range by range: a size can be anything. */
function readFile(
  fs: FileSystem,
  ref: Readonly<NodeRef>,
  path: Uint8Array,
  piece: Uint8Array,
  budget: { bytes: number },
): void {
  const file = fs.open(ref, `/${new TextDecoder().decode(path).replace(/\P{L}/gu, '_')}`)
  const range = { start: 0, end: 0 }
  let left = BYTES_PER_FILE
  let ranges = 0
  for (let at = 0; left > 0 && file.nextData(at, range); at = range.end) {
    if (!(range.start >= at && range.end > range.start && range.end <= file.size)) {
      throw new Finding(`data from ${range.start} to ${range.end} found from ${at} on, in ${file.size} bytes`)
    }
    if (++ranges > RANGES_MAX) break
    const length = Math.min(piece.length, range.end - range.start, left)
    left -= length
    budget.bytes -= length
    const done = file.read(range.start, piece.subarray(0, length))
    if (done <= 0 || done > length) throw new Finding(`read gave ${done} of ${length} bytes`)
  }
  // Behind the data, and behind the end.
  file.read(Math.max(0, file.size - 1), piece.subarray(0, 16))
  file.read(file.size + 4096, piece.subarray(0, 16))
}
