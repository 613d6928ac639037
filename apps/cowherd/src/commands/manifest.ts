/**
 * `cowherd manifest`: one line for each file, with everything that can be told of it on one line. Two trees are equal if
 * their manifests are.
 *
 * Columns, separated by tabs: path (`.` is the start), type (f d l p s b c), mode (octal), uid, gid, number of links, size
 * (0 for directories), time of modification in nanoseconds, device number (major:minor), sha256 of the content or target of
 * the link or `-`, extended attributes (`name=hex` joined by commas, by name; `-` if none), blocks of 512 bytes.
 * Bytes outside ASCII 33 to 126, `%` and `,` are written `%xx`. Depth first, names in the order of their bytes.
 */

import { createHash, hash as hashOf } from 'node:crypto'
import type { Command } from 'commander'
import { VolumeError } from '@cowherd/db'
import { FileType, walk, type FileSystem, type Inode, type NodeRef, type OpenFile, type WalkEntry } from '@cowherd/fs'
import type { Context } from '../cli/context.ts'
import { examples } from '../cli/help.ts'
import { JsonArray } from '../cli/json.ts'
import { takesVolume, type VolumeFlags } from '../cli/volume-options.ts'
import { findFile } from '../cli/volume-path.ts'
import { COLUMNS } from '../copy/local-tree.ts'

/** Files are read in pieces of this size. */
const PIECE_BYTES = 1 << 20

export function registerManifest(program: Command, context: Context): void {
  const command = takesVolume(
    program.command('manifest').description('print one line for each file, with all there is to tell'),
  )
    .argument('[path]', 'path in the volume; the root if left out', '/')
    .option('--json', 'print the same columns as JSON, an object for each file')
    .action(async (volume: string, path: string, flags: ManifestFlags) => {
      const fs = await context.openFileSystem(volume, flags)
      const start = findFile(fs, path, { followLast: false })
      const json = flags.json === true ? new JsonArray(context.out) : undefined
      const report: ManifestReport = {
        file(columns) {
          if (json === undefined) context.out.line(columns.join('\t'))
          else json.add(Object.fromEntries(COLUMNS.map((name, i) => [name, columns[i]])))
        },
        fail: (text) => context.fail(text),
      }
      writeManifest(fs, report, start.ref)
      json?.end()
    })
  const remark = [
    'Columns, separated by tabs: path, type, mode, uid, gid, links, size, time of modification in ns, device number,',
    'sha256 or target of the link, extended attributes (name=hex), blocks of 512 bytes. EIO stands for a file that',
    'can not be read.',
  ]
  examples(command, ['cowherd manifest disk.img > disk.tsv', 'cowherd manifest disk.img /home'], remark.join('\n'))
}

interface ManifestFlags extends VolumeFlags {
  readonly json?: boolean
}

/** Takes the files of a manifest, and what could not be read. */
export interface ManifestReport {
  /** `columns` are those of `COLUMNS`. */
  file(columns: readonly (string | number)[]): void
  fail(text: string): void
}

/** Writes the manifest of the tree at `start`. */
export function writeManifest(fs: FileSystem, report: ManifestReport, start: Readonly<NodeRef> = fs.root): void {
  const buffer = new Uint8Array(PIECE_BYTES)
  walk(
    fs,
    {
      visit: (entry) => report.file(columnsOf(fs, entry, buffer, report)),
      fail: (path, error) => report.fail(`${encoded(path)}: ${error.message}`),
    },
    start,
  )
}

function columnsOf(fs: FileSystem, entry: WalkEntry, buffer: Uint8Array, report: ManifestReport): (string | number)[] {
  const { path, ref, inode } = entry
  const type = typeLetter(inode)
  return [
    path.length === 0 ? '.' : encoded(path),
    type,
    (inode.mode & 0o7777).toString(8),
    inode.uid,
    inode.gid,
    inode.linkCount,
    type === 'd' ? 0 : inode.size,
    nanoseconds(inode),
    `${inode.deviceMajor}:${inode.deviceMinor}`,
    content(fs, entry, type, buffer, report),
    attributes(fs, ref, path, report),
    inode.sectors,
  ]
}

function content(
  fs: FileSystem,
  { path, ref }: WalkEntry,
  type: string,
  buffer: Uint8Array,
  report: ManifestReport,
): string {
  if (type !== 'f' && type !== 'l') return '-'
  try {
    if (type === 'l') return encoded(fs.readlink(ref))
    const name = encoded(path)
    const file = fs.open(ref, name)
    const hash = sha256Of(file, buffer)
    file.close()
    return hash
  } catch (error) {
    if (!(error instanceof VolumeError)) throw error
    report.fail(error.message)
    return type === 'f' ? 'EIO' : ''
  }
}

/** Most files fit into the buffer: a hash that is fed in pieces leaves memory behind, which waits for the garbage collector. */
function sha256Of(file: OpenFile, buffer: Uint8Array): string {
  if (file.size <= buffer.length) return hashOf('sha256', buffer.subarray(0, file.readFully(0, buffer)))
  const hash = createHash('sha256')
  for (let offset = 0; offset < file.size;) {
    const length = file.read(offset, buffer)
    hash.update(buffer.subarray(0, length))
    offset += length
  }
  return hash.digest('hex')
}

function attributes(fs: FileSystem, ref: Readonly<NodeRef>, path: Uint8Array, report: ManifestReport): string {
  const found: [name: Uint8Array, value: Uint8Array][] = []
  try {
    fs.forEachAttribute(ref, (name, value) => found.push([name, value]))
  } catch (error) {
    if (!(error instanceof VolumeError)) throw error
    report.fail(`${encoded(path)}: ${error.message}`)
  }
  if (found.length === 0) return '-'
  found.sort(([a], [b]) => Buffer.compare(a, b))
  return found.map(([name, value]) => `${encoded(name)}=${Buffer.from(value).toString('hex')}`).join(',')
}

function typeLetter(inode: Inode): string {
  switch (inode.mode & FileType.mask) {
    case FileType.regular:
      return 'f'
    case FileType.directory:
      return 'd'
    case FileType.symlink:
      return 'l'
    case FileType.fifo:
      return 'p'
    case FileType.socket:
      return 's'
    case FileType.block:
      return 'b'
    default:
      return 'c'
  }
}

function nanoseconds(inode: Inode): string {
  return (BigInt(inode.mtimeSeconds) * 1_000_000_000n + BigInt(inode.mtimeNanoseconds)).toString()
}

function encoded(bytes: Uint8Array): string {
  let text = ''
  for (const byte of bytes) text += CODES[byte]
  return text
}

const CODES = Array.from({ length: 256 }, (_, byte) => {
  const isPlain = byte > 32 && byte < 127 && byte !== 0x25 && byte !== 0x2c
  return isPlain ? String.fromCharCode(byte) : `%${byte.toString(16).padStart(2, '0')}`
})
