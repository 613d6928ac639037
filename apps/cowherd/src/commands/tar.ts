/** `cowherd tar`: a tree as a tar archive, to standard output. */

import type { Command } from 'commander'
import { FileType, walk, type FileSystemReader, type Inode, type DataReader, type WalkEntry } from '@cowherd/fs'
import type { Context } from '../cli/context.ts'
import { CommandError, ExitCode } from '../cli/exit-code.ts'
import { examples } from '../cli/help.ts'
import { utf8 } from '../cli/text.ts'
import { takesVolume, type VolumeFlags } from '../cli/volume-options.ts'
import { failureText, findFile, joinPaths, pathText } from '../cli/volume-path.ts'
import { LinkTable } from '../copy/link-table.ts'
import { TarWriter, type Segment, type TarEntry, type TarType } from '../tar/tar-writer.ts'

/** Files are read in pieces of this size. */
const PIECE_BYTES = 1 << 20
const SECTOR = 512

export function registerTar(program: Command, context: Context): void {
  const command = takesVolume(program.command('tar').description('write a tree as a tar archive to standard output'))
    .argument('[path]', 'path in the volume; the root if left out', '/')
    .action(async (volume: string, path: string, flags: VolumeFlags) => {
      if (context.terminal) throw new CommandError(ExitCode.usage, 'tar: the archive does not go to a terminal')
      const fs = await context.openFileSystem(volume, flags)
      new Archiver(context, fs).run(path)
    })
  const remark = `The archive is of the pax format, with modes, numeric owners, times to the nanosecond, hard links, devices,
extended attributes, ACLs, and files with holes. To unpack all of it with GNU tar, as root:
  $ cowherd tar disk.img | tar -xp --xattrs --xattrs-include='*' --acls --numeric-owner`
  examples(command, ['cowherd tar disk.img > disk.tar', 'cowherd tar disk.img /home | zstd > home.tar.zst'], remark)
}

const TYPES: ReadonlyMap<number, TarType> = new Map([
  [FileType.regular, 'file'],
  [FileType.directory, 'directory'],
  [FileType.symlink, 'symbolic link'],
  [FileType.fifo, 'fifo'],
  [FileType.block, 'block device'],
  [FileType.character, 'character device'],
])

const DOT = Uint8Array.of(0x2e)

class Archiver {
  readonly #context: Context
  readonly #fs: FileSystemReader
  readonly #tar: TarWriter
  readonly #piece = new Uint8Array(PIECE_BYTES)
  /** Paths of files with several names, where the archive has the first. */
  readonly #links = new LinkTable()

  constructor(context: Context, fs: FileSystemReader) {
    this.#context = context
    this.#fs = fs
    this.#tar = new TarWriter((bytes) => context.out.write(bytes))
  }

  run(path: string): void {
    const start = findFile(this.#fs, path, { followLast: false })
    const base = start.path.length === 0 ? DOT : start.path
    walk(
      this.#fs,
      {
        visit: (entry) => {
          const entryPath = joinPaths(base, entry.path)
          try {
            this.#add(entry, entryPath)
          } catch (error) {
            this.#context.fail(failureText(entryPath, error))
          }
        },
        fail: (below, error) => this.#context.fail(failureText(joinPaths(base, below), error)),
      },
      start.ref,
    )
    this.#tar.finish()
  }

  #add(entry: WalkEntry, path: Uint8Array): void {
    const { ref, inode } = entry
    const type = TYPES.get(inode.mode & FileType.mask)
    if (type === undefined) {
      const isSocket = (inode.mode & FileType.mask) === FileType.socket
      const what = isSocket ? 'a socket; tar archives have none' : 'of no known type; it is left out'
      if (isSocket) this.#context.note(`${pathText(path)}: ${what}`)
      else this.#context.fail(`${pathText(path)}: ${what}`)
      return
    }
    const hasSeveralNames = inode.linkCount > 1 && !inode.isDirectory
    const first = hasSeveralNames ? this.#links.pathOf(ref) : undefined
    if (first !== undefined) {
      this.#tar.begin({ ...common(inode, path), type: 'hard link', target: first })
      this.#links.addLink(ref)
      return
    }
    const head = { ...common(inode, path), type, xattrs: this.#xattrs(entry, path) }
    if (type === 'file') this.#addFile(entry, path, head)
    else if (type === 'symbolic link') this.#tar.begin({ ...head, target: this.#fs.readlink(ref) })
    else this.#tar.begin(head)
    if (hasSeveralNames) this.#links.addCopy(ref, inode.linkCount, path)
  }

  #addFile({ ref, inode }: WalkEntry, path: Uint8Array, head: TarEntry): void {
    const file = this.#fs.open(ref, pathText(path))
    const allocated = inode.sectors * SECTOR
    const mayHaveHoles = allocated < file.size && (allocated === 0 || file.size > SECTOR * 8)
    const segments = mayHaveHoles ? dataSegments(file) : undefined
    const isWhole = segments?.length === 1 && segments[0]?.offset === 0 && segments[0].length === file.size
    const whole: Segment[] = file.size === 0 ? [] : [{ offset: 0, length: file.size }]
    this.#tar.begin({ ...head, size: file.size, ...(segments === undefined || isWhole ? {} : { segments }) })
    for (const segment of segments ?? whole) this.#copy(file, segment, path)
    file.close()
  }

  #copy(file: DataReader, { offset, length }: Segment, path: Uint8Array): void {
    let isLost = false
    for (let at = offset, end = offset + length; at < end;) {
      const piece = this.#piece.subarray(0, Math.min(PIECE_BYTES, end - at))
      let read: number
      try {
        read = file.read(at, piece)
      } catch (error) {
        // the size is in the archive already: zeros stand for what can't be read
        read = Math.min(4096 - (at % 4096), end - at)
        piece.fill(0, 0, read)
        if (!isLost) this.#context.fail(`${failureText(path, error)}; zeros stand for it in the archive`)
        isLost = true
      }
      this.#tar.data(piece.subarray(0, read))
      at += read
    }
  }

  #xattrs({ ref }: WalkEntry, path: Uint8Array): { name: string; value: Uint8Array }[] {
    const found: { name: string; value: Uint8Array }[] = []
    this.#fs.forEachAttribute(ref, (name, value) => {
      const text = utf8(name)
      if (text === undefined) this.#context.fail(`${pathText(path)}: an attribute whose name is not UTF-8 is left out`)
      else found.push({ name: text, value })
    })
    return found
  }
}

function common(inode: Inode, path: Uint8Array): Omit<TarEntry, 'type'> {
  const { mode, uid, gid, mtimeSeconds, mtimeNanoseconds, deviceMajor, deviceMinor } = inode
  return { path, mode, uid, gid, mtimeSeconds, mtimeNanoseconds, major: deviceMajor, minor: deviceMinor }
}

/** Where a file has data, in whole sectors but for the end of the file. */
function dataSegments(file: DataReader): Segment[] {
  const segments: Segment[] = []
  const range = { start: 0, end: 0 }
  for (let at = 0; at < file.size && file.nextData(at, range); at = range.end) {
    segments.push({ offset: range.start, length: range.end - range.start })
  }
  return segments
}
